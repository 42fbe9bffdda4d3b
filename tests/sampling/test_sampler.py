"""Samples of one layer: unbiased, covered, repeatable, growing, and exact where they are whole."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest

from accelsim import Hardware, OpTrace
from accelsim.array import GemmTiming, TiledGemm, time_tiled
from accelsim.array.scanning import ScanningPE
from accelsim.energy.load import load_table
from accelsim.fleet import Fleet, PassOfFleet, Timer
from accelsim.lowering import MaskedGemm, Pass, lower
from accelsim.results import PassAccount
from accelsim.sampling import Sampler
from accelsim.sampling.estimate import SampledTiming

SEEDS = 60
COVERED = 50  # of 60: fewer have a chance of 0.2 % if 95 % are promised and kept


def machine(**memory: object) -> Hardware:
    return Hardware.model_validate(
        {
            "name": "small",
            "array": {"rows": 4, "cols": 4},
            "skipping": {
                "tensors": ["weight", "activation", "gradient"],
                "scan_width": 8,
                "fifo_depth": 8,
                "sync": "row",
                "outputs": True,
            },
            "memory": {"buffers": {"weight_kib": 4, "input_kib": 4, "output_kib": 4}, **memory},
        }
    )


def layer() -> OpTrace:
    """A layer whose channels, images and pixels differ in density: tiles side by side are alike."""
    rng = np.random.default_rng(3)
    by_channel, by_pixel = rng.random((1, 16, 1, 1)), rng.random((4, 1, 16, 16))
    shown = rng.random((4, 16, 16, 16)) < 0.2 + 0.5 * by_channel * np.sort(by_pixel, axis=2)
    weight = rng.random((16, 16, 3, 3)) < rng.random((16, 1, 1, 1))
    return OpTrace(
        name="conv",
        step=0,
        weight=weight,
        input=shown,
        grad_output=rng.random((4, 16, 16, 16)) < 0.4,
        padding=(1, 1),
        input_grad_needed=shown,
    )


def tiled_layer(hw: Hardware) -> TiledGemm:
    (gemm,) = lower(layer(), "forward")
    return TiledGemm.of(hw, gemm)


def run(hw: Hardware, gemms: list[MaskedGemm], timer: Timer) -> PassAccount:
    running = PassOfFleet(Fleet([hw]), timer)
    for gemm in gemms:
        running.add(gemm)
    return running.account(0, load_table(hw.energy))[0]


def always(*_: object) -> bool:
    return True


MACHINES = {
    "array": machine(),
    "both": machine(dram={"bytes_per_cycle": 4.5}),
    "memory": machine(dram={"bytes_per_cycle": 1.5}),
}


@pytest.mark.parametrize(("bound", "which"), [("array", "input_grad"), ("both", "forward"), ("memory", "forward")])
def test_intervals_hold_the_truth(bound: str, which: Pass) -> None:
    hw, gemms = MACHINES[bound], list(lower(layer(), which))
    truth = run(hw, gemms, time_tiled)
    runs = [run(hw, gemms, partial(Sampler(0.05, seed, always).time, key=())) for seed in range(SEEDS)]
    for name, true in (
        ("array_cycles", truth.array_cycles),
        ("cycles", truth.cycles),
        ("energy_pj", truth.energy.total_pj),
    ):
        found = [one.energy.total_pj if name == "energy_pj" else getattr(one, name) for one in runs]
        halves = np.array([one.spread.variances[name].half_width for one in runs])
        off = np.array(found) - true
        assert halves.min() > 0
        assert (np.abs(off) <= halves + 1).sum() >= COVERED, name  # counts are whole
        assert halves.mean() < 0.25 * true, name  # and not by being boundless
        if name == "array_cycles":  # a sum over tiles: unbiased, and as wide as it varies
            assert abs(off.mean()) <= 4 * off.std() / math.sqrt(SEEDS) + 1, name
            assert off.std() < halves.mean() < 4 * off.std(), name


def test_slots_add_up_to_all_cycles() -> None:
    hw, gemms = MACHINES["both"], list(lower(layer(), "input_grad"))
    one = run(hw, gemms, partial(Sampler(0.05, 1, always).time, key=()))
    assert one.slots.total == one.cycles * 16
    assert one.spread.simulated < one.spread.tiles / 2


def test_the_seed_and_the_key_decide_what_is_drawn() -> None:
    hw, tiled = MACHINES["array"], tiled_layer(MACHINES["array"])
    draws = [
        Sampler(0.05, seed, always).time(hw, tiled, key) for seed, key in ((0, (1,)), (0, (1,)), (1, (1,)), (0, (2,)))
    ]
    cycles = [draw.tile_cycles.tolist() for draw in draws]
    assert cycles[0] == cycles[1]
    assert cycles[0] != cycles[2]
    assert cycles[0] != cycles[3]


def test_a_larger_sample_holds_the_smaller_one(monkeypatch: pytest.MonkeyPatch) -> None:
    hw, tiled = MACHINES["array"], tiled_layer(MACHINES["array"])
    sampler = Sampler(0.0, 0, always)
    first = sampler.time(hw, tiled, (7,))
    assert isinstance(first, SampledTiming)
    calls, own = [], ScanningPE.time

    def counting(pe: ScanningPE, tiled: TiledGemm) -> GemmTiming:
        calls.append(tiled)
        return own(pe, tiled)

    monkeypatch.setattr(ScanningPE, "time", counting)
    sampler.enlarge(hw, {first.key: (6,) * 8})
    second = sampler.time(hw, tiled, (7,))
    assert isinstance(second, SampledTiming)
    assert [len(stratum.sizes) for stratum in second.strata] == [6] * 8
    assert len(calls) == 8 * (6 - 4)


def test_a_full_share_and_a_small_gemm_are_simulated_whole() -> None:
    hw, tiled = MACHINES["array"], tiled_layer(MACHINES["array"])
    assert not isinstance(Sampler(1.0, 0, always).time(hw, tiled, ()), SampledTiming)
    assert not isinstance(Sampler(0.01, 0).time(hw, tiled, ()), SampledTiming)  # starting would cost more


@pytest.mark.parametrize(
    "skipping",
    [
        {},
        {"tensors": ["weight"], "scheduler": "tensordash"},
        {"tensors": ["weight", "activation"], "scheduler": "tensordash"},
    ],
)
def test_other_machines(skipping: dict[str, object]) -> None:
    """Nothing is sampled where a closed form is exact; TensorDash keeps the operand that it schedules."""
    hw = Hardware.model_validate({"name": "other", "array": {"rows": 4, "cols": 4, "lanes": 16}, "skipping": skipping})
    tiled = tiled_layer(hw)
    timing = Sampler(0.05, 0, always).time(hw, tiled, ())
    assert isinstance(timing, SampledTiming) == bool(skipping)
    assert timing.cycles == pytest.approx(time_tiled(hw, tiled).cycles, rel=0.1)
