"""What an order of rows saves is said against the same machine in natural order: barrier slots, or cycles if packed."""

from __future__ import annotations

import io

import numpy as np
import pytest
from rich.console import Console

from accelsim import Hardware, OpTrace, simulate
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


def test_packing_is_said_in_cycles() -> None:
    needed = np.array([[1, 0], [0, 1], [1, 0], [0, 1]], bool)
    weight, gradient = needed, np.ones((4, 4), bool)
    op = OpTrace(
        name="fc", step=0, weight=weight, input=np.ones((4, 2)), grad_output=gradient, weight_grad_needed=needed
    )
    skipping = {"tensors": [], "outputs": True}
    array = {"rows": 2, "cols": 1, "drain": "free"}
    hw = Hardware.model_validate(
        {"name": "m", "array": array, "skipping": skipping, "mapping": {"row_order": "packed"}}
    )
    explanation = explain(hw, op, ["weight_grad"])
    (part,) = explanation.passes
    # two tiles of four positions for each of two row tiles as they come, one each if rows 0 and 2 share a tile
    assert (part.natural_array_cycles, part.memory.array_cycles) == (16, 8)
    console = Console(file=io.StringIO(), width=120)
    console.print(explanation_text(explanation))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "Packing rows by the outputs that they want saves 8 of 16 array cycles." in text
