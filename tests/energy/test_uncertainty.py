"""Intervals of energy ratios: prices drawn within their ranges, both machines with the same draw."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from accelsim import Hardware, simulate
from accelsim.energy.account import Actions, account
from accelsim.energy.actions import ACTIONS
from accelsim.energy.load import load_table, table_names, table_of
from accelsim.energy.uncertainty import DRAWS, counts, drawn, interval, prices
from accelsim.hardware.load import load_hardware
from accelsim.trace.chain import open_trace

ROOT = Path(__file__).parents[2]
TRACE = ROOT / "traces" / "simclr_gmp_element.pkl"
MACHINE = Hardware.model_validate(
    {
        "name": "m",
        "array": {"rows": 2, "cols": 4},
        "skipping": {"tensors": ["weight"], "blocks": ["weight"], "gate_zeros": True},
        "memory": {"dram": {"bytes_per_cycle": 16}},
    }
)
DONE = Actions(**{part.name: 1000 + number for number, part in enumerate(fields(Actions))})


@pytest.mark.parametrize("name", table_names())
def test_draws_lie_within_the_ranges(name: str) -> None:
    table = load_table(name)
    bounds = {key: quantity.bounds for key, quantity in table.quantities()}
    for key, quantity in drawn(table).quantities():
        values, (low, high) = np.asarray(quantity.value), bounds[key]
        assert values.shape == (DRAWS,)
        assert low <= values.min() < values.max() <= high
        assert np.median(values) == pytest.approx((low * high) ** 0.5, rel=0.15)


def test_energy_of_a_draw_is_the_account_with_its_prices() -> None:
    table = drawn(load_table("horowitz-45nm"))
    energies = (counts(MACHINE, [DONE]) @ prices(table, MACHINE))[0]
    assert energies.shape == (DRAWS,)
    assert energies == pytest.approx(sum(np.asarray(pj) for pj in vars(account(table, MACHINE, DONE)).values()))


def test_prices_that_are_certain_leave_no_interval() -> None:
    table = load_table("horowitz-45nm")
    exact = np.array([len(action.names) * action.pj(table, MACHINE) for action in ACTIONS])
    energy_pj = counts(MACHINE, [DONE]) @ np.tile(exact[:, None], DRAWS)
    assert interval(energy_pj[0], 2 * energy_pj[0]) == pytest.approx((2, 2))


def test_the_same_work_has_the_same_energy_in_every_draw() -> None:
    """Both machines pay the same prices: a machine against itself is 1 in all draws."""
    energies = (counts(MACHINE, [DONE]) @ prices(drawn(load_table("jouppi-7nm")), MACHINE))[0]
    assert np.ptp(energies) > 0
    assert interval(energies, energies) == (1, 1)


@pytest.mark.closed_form
def test_interval_of_one_uncertain_price() -> None:
    """Energy c with and 1 without a price p: ratios 1 / (1 + p) fall as p grows."""
    price = np.linspace(1, 3, DRAWS)
    low, high = interval(1 + price, np.ones(DRAWS)) or (0, 0)
    assert (low, high) == pytest.approx((1 / (1 + 2.9), 1 / (1 + 1.1)), rel=1e-2)
    assert interval(np.full(DRAWS, np.nan), np.ones(DRAWS)) is None
    assert interval(np.zeros(DRAWS), np.ones(DRAWS)) is None


@pytest.mark.parametrize("file", sorted((ROOT / "hw_configs").glob("*.yaml")), ids=lambda file: file.stem)
def test_energies_that_can_be_true(file: Path) -> None:
    """No less than the multiply-accumulates themselves, and at most 10,000 pJ for each; ratios in their intervals."""
    hw = load_hardware(file)
    reader = open_trace(TRACE)
    ops = [op for op in reader if op.step == reader.steps[-1]][:3]
    result = simulate(hw, ops, workers=1)
    total, table = result.summary["total"], table_of(hw)
    for energy_pj, macs in (
        (total["energy_pj"], total["slots_effectual"]),
        (total["dense_energy_pj"], total["macs"]),
    ):
        if energy_pj is not None:
            assert macs * table.mac_pj(hw.precision) <= energy_pj <= 1e4 * macs
    if hw.idealised:
        assert total["energy_ratio_low"] is total["energy_ratio_high"] is None
        return
    assert total["energy_ratio_low"] <= total["energy_ratio"] <= total["energy_ratio_high"]
    if hw == hw.dense():
        assert total["energy_ratio_low"] == total["energy_ratio_high"] == 1


def test_gating_zeros_saves_on_a_dense_machine() -> None:
    reader = open_trace(TRACE)
    ops = [op for op in reader if op.step == reader.steps[-1]][:2]
    dense = load_hardware(ROOT / "hw_configs" / "dense16x16.yaml")
    gating = dense.model_copy(update={"skipping": dense.skipping.model_copy(update={"gate_zeros": True})})
    total = simulate(gating, ops, workers=1).summary["total"]
    assert total["speedup"] == 1
    assert total["energy_ratio"] > 1.05
