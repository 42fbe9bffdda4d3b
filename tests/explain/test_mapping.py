"""An explanation says how the GEMMs of each pass are cut into macro-tiles."""

from __future__ import annotations

import io

import numpy as np
import pytest
from rich.console import Console

from accelsim import Hardware, OpTrace
from accelsim.explain import Explanation, explain
from accelsim.show.explanation import explanation_text

pytestmark = pytest.mark.closed_form


def machine(search: str, kib: int) -> Hardware:
    return Hardware.model_validate(
        {
            "name": "small",
            "array": {"rows": 4, "cols": 4},
            "memory": {"buffers": {"weight_kib": kib, "input_kib": kib, "output_kib": kib}},
            "mapping": {"search": search},
        }
    )


def layer() -> OpTrace:
    return OpTrace(
        name="layer",
        step=0,
        weight=np.ones((16, 8, 3, 3)),
        input=np.ones((2, 8, 8, 8)),
        grad_output=np.ones((2, 16, 4, 4)),
        padding=(1, 1),
        stride=(2, 2),
    )


def text(explanation: Explanation) -> str:
    console = Console(file=io.StringIO(), width=400)
    console.print(explanation_text(explanation))
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


@pytest.mark.parametrize("search", ["fixed", "best"])
def test_every_gemm_is_counted(search: str) -> None:
    passes = explain(machine(search, 1), layer()).passes
    assert [sum(dict(part.memory.blockings).values()) for part in passes] == [1, 4, 1]  # four stride phases


def test_one_macro_tile_holds_what_fits() -> None:
    """16 rows, 2 x 4 x 4 columns, 3 x 3 taps of 8 channels."""
    (forward, _, _) = explain(machine("best", 64), layer()).passes
    ((blocking, _),) = forward.memory.blockings
    assert (blocking.row_tiles, blocking.columns, blocking.chunk) == (4, 32, 72)
    shown = text(explain(machine("best", 64), layer(), ["forward"]))
    assert "1 GEMM in macro-tiles of 4 row tiles × 32 columns × 72 positions of K" in shown
    assert "(blocks of 3 kernel rows × 8 channels); blocks of rows outermost, A stays for all of K." in shown


def test_the_outer_blocks_are_said() -> None:
    hw = machine("best", 64)
    hw = hw.model_copy(update={"mapping": hw.mapping.model_copy(update={"order": "columns"})})
    assert "; blocks of columns outermost, B stays for all of K." in text(explain(hw, layer(), ["forward"]))
