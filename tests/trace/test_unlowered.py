"""What a trace says of operations that it does not have."""

from __future__ import annotations

import pytest

from accelsim.trace.unlowered import EVALUATION, join_unlowered, read_unlowered, shares


def noted(**macs: object) -> dict[str, object]:
    return {"unlowered": {name: {"count": 2, "macs": value, "reason": "fused"} for name, value in macs.items()}}


@pytest.mark.closed_form
def test_shares_are_of_all_work_of_the_training() -> None:
    meta = noted(attention=30, other=10)
    meta["unlowered"] |= {"conv": {"count": 9, "macs": 1000, "reason": EVALUATION}}  # type: ignore[operator]
    assert shares(read_unlowered(meta), 60) == ["30.0%", "10.0%", "not part of the training"]


def test_what_is_unknown_is_said_and_makes_the_others_bounds() -> None:
    assert shares(read_unlowered(noted(attention=40, experts=None)), 60) == ["at most 40.0%", "unknown"]
    assert shares(read_unlowered(noted(attention=0)), 0) == ["0.0%"]


@pytest.mark.parametrize("value", [-1, 10**400, "many", True, 1.5, None])
def test_a_foreign_number_is_unknown(value: object) -> None:
    (note,) = read_unlowered(noted(attention=value))
    assert note.macs is None


def test_what_several_files_left_out_adds_up() -> None:
    joined = join_unlowered([noted(attention=30, experts=None), noted(attention=12, experts=5), {"unlowered": 3}, {}])
    assert {name: (one["count"], one["macs"]) for name, one in joined.items()} == {
        "attention": (4, 42),
        "experts": (4, None),
    }
