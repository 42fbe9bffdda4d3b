"""Masked outputs beside an operand with few different rows, as gradients behind batch norm are, equal the reference."""

from __future__ import annotations

import numpy as np
import pytest

from accelsim.hardware.model import Hardware
from accelsim.lowering import PASSES, lower
from accelsim.lowering.reference import plain_lower
from accelsim.timing import time_gemm
from accelsim.timing.reference import plain_time
from accelsim.timing.scan_alike import MOST_KINDS, find_kinds
from accelsim.trace.record import OpTrace

SHAPES = [(1, 1), (2, 4), (4, 4), (16, 16), (3, 20), (70, 2)]


def _layer(seed: int, needed: float, gradient: float) -> OpTrace:
    rng = np.random.default_rng(seed)
    return OpTrace(
        name="conv",
        step=0,
        padding=(1, 1),
        weight=rng.random((9, 5, 3, 3)) < 0.4,
        input=rng.random((2, 5, 4, 4)) < 0.6,
        grad_output=rng.random((2, 9, 4, 4)) < gradient,
        output_needed=rng.random((2, 9, 4, 4)) < needed,
        input_grad_needed=rng.random((2, 5, 4, 4)) < needed,
        weight_grad_needed=rng.random((9, 5, 3, 3)) < needed,
    )


@pytest.mark.reference
@pytest.mark.parametrize("sync", ["pe", "row", "column", "array"])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))
@pytest.mark.parametrize("needed", [0.05, 0.5, 0.95])
@pytest.mark.parametrize("gradient", [0.999, 1.0], ids=["nearly", "dense"])
def test_dense_gradients_equal_the_reference(sync: str, shape: tuple[int, int], needed: float, gradient: float) -> None:
    rows, cols = shape
    op = _layer(rows * 100 + cols, needed, gradient)
    hw = Hardware.model_validate(
        {
            "name": "alike",
            "array": {"rows": rows, "cols": cols, "lanes": 1 + cols % 2},
            "skipping": {
                "tensors": ["weight", "activation", "gradient"],
                "scan_width": 4,
                "fifo_depth": 4,
                "sync": sync,
                "blocks": ["weight"],
                "outputs": True,
            },
        }
    )
    for which in PASSES:
        for plain, gemm in zip(plain_lower(op, which), lower(op, which), strict=True):
            expected, timing = plain_time(hw, plain), time_gemm(hw, gemm)
            assert timing.tile_cycles.tolist() == expected.tile_cycles
            assert {name: count for name, count in vars(timing.slots).items() if count} == {
                name: count for name, count in expected.slots.items() if count
            }


def test_kinds_are_told_apart() -> None:
    rows = np.array([[3, 0], [1, 0], [3, 0], [1, 1]], np.uint64)
    kinds = find_kinds(rows)
    assert kinds is not None
    assert kinds.first.tolist() == [0, 1, 3]
    assert kinds.of.tolist() == [0, 1, 0, 2]
    assert kinds.beside.tolist() == [0, 0b011, 0b010, 0b011, 0b110, 0b111, 0b110, 0b111]
    assert find_kinds(np.arange(MOST_KINDS, dtype=np.uint64)[:, None]) is not None
    assert find_kinds(np.arange(MOST_KINDS + 1, dtype=np.uint64)[:, None]) is None
