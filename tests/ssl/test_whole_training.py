"""Record, replay, sum up: a sampled run against the same run with every step recorded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from accelsim import load_hardware, simulate
from accelsim.ssl.image_set import ImageSet
from accelsim.ssl.train import Recording, train
from accelsim.trace import open_trace
from tests.ssl.conftest import TINY

MACHINE = Path(__file__).parents[2] / "hw_configs" / "pe16x16.yaml"
STEPS, EVERY = 24, 7
RIGL = replace(TINY, method="rigl", steps=STEPS, prune_every=5, prune_start=0.0, prune_end=1.0)


def test_a_sampled_training_is_the_whole_one_within_a_percent(tmp_path: Path, tiny_data: ImageSet) -> None:
    train(RIGL, tmp_path / "all", Recording(tmp_path / "all.pkl", every=1))
    train(RIGL, tmp_path / "some", Recording(tmp_path / "some.pkl", every=EVERY))
    assert open_trace(tmp_path / "all.pkl").steps == tuple(range(STEPS))
    assert open_trace(tmp_path / "some.pkl").steps == (0, 5, 7, 10, 14, 15, 21)
    machine = load_hardware(MACHINE)
    exact, sampled = (
        simulate(machine, tmp_path / f"{name}.pkl", vector_work=False, equal_area=False) for name in ("all", "some")
    )
    updates = exact.training["mask_updates"]
    assert (updates["count"], exact.training["growth_steps"]) == (4, 4)
    assert updates["cycles"] > 0
    assert exact.training["total"]["cycles"] == exact.layers["cycles"].sum() + updates["cycles"]
    assert exact.training["total"]["dense_cycles"] == exact.layers["dense_cycles"].sum()
    assert exact.training["recorded"] == {"ordinary": 20, "growth": 4}
    assert sampled.training["recorded"] == {"ordinary": 4, "growth": 3}
    assert sampled.training["mask_updates"] == updates
    for name in ("cycles", "energy_pj", "speedup"):
        assert sampled.training["total"][name] == pytest.approx(exact.training["total"][name], rel=0.01)
    assert sampled.training["total"]["dense_cycles"] == exact.training["total"]["dense_cycles"]
    # a growth step needs all weight gradients, and is told apart
    kinds = {kind: exact.training["by_kind"][kind]["speedup"] for kind in ("ordinary", "growth")}
    assert kinds["growth"] < kinds["ordinary"]
