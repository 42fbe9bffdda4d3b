"""Counts times prices are the energy that the account reports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from accelsim import AccelsimError, Hardware, OpTrace, Result, load_hardware, simulate
from accelsim.show.action_counts import ActionCounts

CONFIGS = sorted((Path(__file__).parents[2] / "hw_configs").glob("*.yaml"))


def layer(step: int) -> OpTrace:
    rng = np.random.default_rng(step)
    return OpTrace(
        name="conv",
        step=step,
        weight=rng.random((24, 16, 3, 3)) < 0.3,
        input=rng.random((2, 16, 8, 8)) < 0.5,
        grad_output=np.ones((2, 24, 8, 8)),
        padding=(1, 1),
    )


def export(path: Path, hw: Hardware) -> tuple[dict[str, Any], Result]:
    with ActionCounts(path, hw) as counts:
        result = simulate(hw, [layer(0), layer(1)], on_pass=lambda _, *ran: counts.add(*ran))
    return yaml.safe_load(path.read_text()), result


def energy(local: list[dict[str, Any]], prices: list[dict[str, Any]], only: str = "") -> float:
    pj = {(price["component"], price["action"]): price["pj"] for price in prices}
    return sum(
        action["counts"] * pj[part["name"].split(".")[1], action["name"]]
        for part in local
        for action in part["action_counts"]
        if only in part["name"]
    )


@pytest.mark.relations
@pytest.mark.parametrize(
    "config", [path for path in CONFIGS if not load_hardware(path).idealised], ids=lambda path: path.stem
)
@pytest.mark.parametrize("gate_zeros", [False, True])
def test_counts_times_prices_are_the_energy(tmp_path: Path, config: Path, gate_zeros: bool) -> None:
    hw = load_hardware(config)
    hw = hw.model_copy(update={"skipping": hw.skipping.model_copy(update={"gate_zeros": gate_zeros})})
    written, result = export(tmp_path / "counts.yaml", hw)
    local, prices = written["action_counts"]["local"], written["prices"]
    total = result.layers.sum(numeric_only=True)
    assert energy(local, prices) == pytest.approx(total["energy_pj"], rel=1e-12)
    assert energy(local, prices, ".dram") == pytest.approx(total["energy_dram_pj"], rel=1e-12)
    assert energy(local, prices, "buffer") == pytest.approx(total["energy_buffer_pj"], rel=1e-12)
    assert len(written["passes"]) == len(result.layers) == 6
    for one, row in zip(written["passes"], result.layers.to_dict("records"), strict=True):
        assert [one[key] for key in ("step", "layer", "call", "pass", "cycles")] == [
            row[key] for key in ("step", "layer", "call", "pass", "cycles")
        ]
        assert one["energy_pj"] == row["energy_pj"]
        assert energy(one["local"], prices) == pytest.approx(row["energy_pj"], rel=1e-12)


def test_is_in_the_form_of_accelergy(tmp_path: Path) -> None:
    written, result = export(tmp_path / "counts.yaml", load_hardware(CONFIGS[0]))
    found = written["action_counts"]
    assert found["version"] == 0.3
    mac = next(part for part in found["local"] if part["name"].endswith(".mac"))
    assert [action["name"] for action in mac["action_counts"]] == ["mac_random", "mac_gated", "idle"]
    assert mac["action_counts"][0]["counts"] == (result.layers.slots_effectual + result.layers.slots_ineffectual).sum()


def test_whole_or_not_at_all(tmp_path: Path) -> None:
    hw = load_hardware(CONFIGS[0])
    with pytest.raises(RuntimeError), ActionCounts(tmp_path / "counts.yaml", hw):
        raise RuntimeError
    assert not list(tmp_path.iterdir())
    with pytest.raises(AccelsimError, match="cannot be written"), ActionCounts(tmp_path / "no" / "counts.yaml", hw):
        pass
