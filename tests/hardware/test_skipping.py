"""`skipping` finds its kind of PE, by name or by the keys of files from before kinds had names."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from accelsim import Hardware

SYSTOLIC = {"interconnect": "systolic"}
FORMER = {  # every key that a file could have when there was one list of keys for all kinds
    "tensors": [],
    "scan_width": 8,
    "fifo_depth": 8,
    "sync": "pe",
    "blocks": ["weight"],
    "outputs": True,
    "gate_zeros": True,
    "scheduler": None,
    "stage_depth": 2,
    "advance": "alone",
}


def machine(skipping: dict[str, Any], array: dict[str, Any] | None = None) -> Hardware:
    return Hardware.model_validate({"name": "m", "array": {"rows": 2, "cols": 2} | (array or {}), "skipping": skipping})


@pytest.mark.parametrize(
    ("skipping", "array", "kind"),
    [
        ({}, {}, "dense"),
        ({}, SYSTOLIC, "systolic"),
        (FORMER, {}, "dense"),
        (FORMER | {"tensors": ["weight"]}, {}, "scanning"),
        (FORMER | {"tensors": ["weight"], "scheduler": "tensordash"}, {"lanes": 16}, "tensordash"),
        ({"scan_width": 8, "gate_zeros": True}, SYSTOLIC, "systolic"),
        ({"kind": "scanning", "tensors": ["weight"]}, {}, "scanning"),
        ({"kind": None, "tensors": ["weight"], "sync": "array"}, {}, "scanning"),
    ],
)
def test_the_kind_is_named_or_follows(skipping: dict[str, Any], array: dict[str, Any], kind: str) -> None:
    hw = machine(skipping, array)
    assert hw.skipping.kind == kind
    assert Hardware.model_validate(hw.model_dump(mode="json")) == hw
    own = hw.skipping.model_dump(mode="json")
    assert own == {name: value for name, value in skipping.items() if name in own} | own
    assert hw.dense().skipping.kind == ("systolic" if kind == "systolic" else "dense")
    assert not hw.dense().skips


@pytest.mark.parametrize(
    ("skipping", "array", "words"),
    [
        ({"kind": "dense", "tensors": ["weight"]}, {}, "dense PEs see no zeros"),
        ({"kind": "scanning"}, {}, "at least one tensor"),
        ({"kind": "scanning", "tensors": ["weight"], "scheduler": "tensordash"}, {}, "two kinds of PE"),
        ({"kind": "systolic"}, {}, "interconnect systolic"),
        ({"kind": "scanning", "tensors": ["weight"]}, SYSTOLIC, "interconnect broadcast"),
        ({"kind": "vector"}, {}, "'dense', 'scanning', 'inner_join', 'systolic' or 'tensordash'"),
        ({"sync": "all"}, {}, "skipping.sync"),  # of another kind, and checked all the same
    ],
)
def test_contradictions_are_refused(skipping: dict[str, Any], array: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        machine(skipping, array)


def test_a_copy_is_of_the_kind_that_its_keys_say() -> None:
    scanning = machine({"tensors": ["weight"], "sync": "array"}).skipping
    assert scanning.model_copy(update={"sync": "pe"}) == machine({"tensors": ["weight"], "sync": "pe"}).skipping
    assert scanning.model_copy(update={"tensors": ()}) == machine({}).skipping
    systolic = machine({}, SYSTOLIC).skipping
    assert systolic.model_copy(update={"gate_zeros": True}) == machine({"gate_zeros": True}, SYSTOLIC).skipping
    with pytest.raises(ValidationError, match="scan_width 32 pairs"):
        scanning.model_copy(update={"scan_width": 32})
