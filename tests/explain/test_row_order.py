"""What sorting rows by density saves is said in barrier slots, against the same machine in natural order."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from accelsim import simulate
from accelsim.explain import explain
from accelsim.show.explanation import explanation_text
from tests.test_pipeline import layer, small

pytestmark = pytest.mark.relations


def test_saving_is_the_difference_in_barrier_slots() -> None:
    op = layer()
    sorted_rows, natural = small(mapping={"row_order": "density"}), small()
    explanation = explain(sorted_rows, op)
    before, after = (simulate(hw, [op]).layers["slots_barrier"].tolist() for hw in (natural, sorted_rows))
    assert [part.natural_barrier for part in explanation.passes] == before
    assert [part.slots.barrier for part in explanation.passes] == after
    assert before != after
    console = Console(file=io.StringIO(), width=120)
    console.print(explanation_text(explanation))
    assert "Sorting rows by density" in console.file.getvalue()  # type: ignore[attr-defined]
    assert all(part.natural_barrier is None for part in explain(natural, op).passes)
