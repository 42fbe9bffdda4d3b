"""The one list of actions: its entries are complete, and a new entry is all that a new action takes."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import yaml

from accelsim import Hardware, OpTrace, simulate
from accelsim.energy import account as accounting
from accelsim.energy import actions as priced
from accelsim.energy import reference
from accelsim.energy.account import Actions, EnergyBreakdown, account
from accelsim.energy.load import load_table, table_names
from accelsim.show import action_counts

MACHINE = Hardware.model_validate(
    {
        "name": "m",
        "array": {"rows": 2, "cols": 2},
        "skipping": {"tensors": ["weight"], "blocks": ["weight"]},
        "memory": {"dram": {"bytes_per_cycle": 8}, "global_buffer": {"kib": 64}},
    }
)
HOROWITZ = load_table("horowitz-45nm")


def test_every_part_of_the_energy_is_charged() -> None:
    assert {action.charged_to for action in priced.ACTIONS} == {part.name for part in fields(EnergyBreakdown)}


@pytest.mark.parametrize("count", [part.name for part in fields(Actions)])
def test_every_count_has_a_price(count: str) -> None:
    assert account(HOROWITZ, MACHINE, Actions(**{count: 1})).total_pj > 0


@pytest.mark.parametrize("name", table_names())
def test_what_prices_are_said_to_follow_from_is_in_the_tables(name: str) -> None:
    group_of = {key: re.split(r"[.\[]", key)[0] for key, _ in load_table(name).quantities()}
    said = {key for action in priced.ACTIONS for key in re.findall(r"`([^`]+)`", action.cost)}
    said = {key for key in said if not key.startswith("memory.")}
    assert said <= {*group_of, *group_of.values()}
    assert not [key for key, group in group_of.items() if not {key, group} & said], "numbers that no action takes"


def test_a_new_action_is_one_entry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The account, Accelergy's counts and the documentation have what the list has."""
    broadcast = priced.Action(
        "wires",
        ("broadcast",),
        "buffer_pj",
        unit="bit of {hw.name}",
        means="a bit of operand A on its way",
        cost="nothing but a guess",
        count=lambda hw, did: did.buffer_a_read_words * 16 * hw.array.cols,
        pj=lambda table, hw: 0.25,
    )
    before = account(HOROWITZ, MACHINE, Actions(buffer_a_read_words=1))
    monkeypatch.setattr(accounting, "ACTIONS", (*priced.ACTIONS, broadcast))
    monkeypatch.setattr(action_counts, "ARRAY_ACTIONS", (*priced.ARRAY_ACTIONS, broadcast))
    monkeypatch.setattr(reference, "ACTIONS", (*priced.ACTIONS, broadcast))
    after = account(HOROWITZ, MACHINE, Actions(buffer_a_read_words=1))
    assert after.buffer_pj == pytest.approx(before.buffer_pj + 16 * 2 * 0.25)
    assert "| `buffer_pj` | `wires` | `broadcast` | a bit of operand A on its way |" in reference.actions_markdown()

    op = OpTrace(name="fc", step=0, weight=np.ones((4, 16, 1, 1)), input=np.ones((2, 16, 1, 1)))
    with action_counts.ActionCounts(tmp_path / "counts.yaml", MACHINE) as counts:
        result = simulate(MACHINE, [op], on_pass=lambda _, *ran: counts.add(*ran))
    written = yaml.safe_load((tmp_path / "counts.yaml").read_text())
    assert written["prices"][-1] == {"component": "wires", "action": "broadcast", "unit": "bit of m", "pj": 0.25}
    pj = [price["pj"] for price in written["prices"]]
    found = [one["counts"] for part in written["action_counts"]["local"] for one in part["action_counts"]]
    assert found[-1] > 0
    assert np.dot(pj, found) == pytest.approx(result.layers["energy_pj"].sum(), rel=1e-12)
