"""Scanning arrays of every shape, with every instruction set of this processor, equal the reference."""

from __future__ import annotations

import numpy as np
import pytest

from accelsim import kernel
from accelsim.array import time_gemm
from accelsim.hardware.model import Hardware
from accelsim.lowering import PASSES, lower
from accelsim.trace.record import OpTrace
from tests.oracle.array import plain_time
from tests.oracle.lowering import plain_lower


@pytest.fixture(autouse=True, params=kernel.INSTRUCTION_SETS)
def instruction_set(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a test with each instruction set in turn."""
    monkeypatch.setattr(kernel, "compiled", kernel.load(request.param))


def _assert_equal_to_reference(hw: Hardware, op: OpTrace, which: str) -> None:
    for plain, gemm in zip(plain_lower(op, which), lower(op, which), strict=True):
        expected, timing = plain_time(hw, plain), time_gemm(hw, gemm)
        assert timing.tile_cycles.tolist() == expected.tile_cycles
        assert {name: count for name, count in vars(timing.slots).items() if count} == {
            name: count for name, count in expected.slots.items() if count
        }


# Arrays from one PE to more than a block of 64 lanes, with tiles side by side and edges.
SHAPES = [
    (1, 1),
    (2, 3),
    (2, 4),
    (4, 2),
    (4, 4),
    (8, 8),
    (5, 12),
    (16, 16),
    (3, 40),
    (40, 3),
    (1, 130),
    (70, 2),
    (20, 20),
]


@pytest.mark.reference
@pytest.mark.parametrize("sync", ["pe", "row", "column", "array"])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))
@pytest.mark.parametrize("masked", [False, True], ids=["all", "needed"])
@pytest.mark.parametrize("drop", [[], ["weight"], ["activation"]], ids=["keep", "drop_weight", "drop_activation"])
def test_arrays_of_every_shape_equal_the_reference(
    sync: str, shape: tuple[int, int], masked: bool, drop: list[str]
) -> None:
    rows, cols = shape
    rng = np.random.default_rng([rows, cols, masked, len(drop)])
    m, n, k = rows + rows // 2 + 1, 2 * cols + cols // 2 + 1, 21
    weight, image = rng.random((m, k)) < 0.6, rng.random((n, k)) < 0.7
    weight[:, 8:12] = image[:, 12:16] = False  # windows to drop
    op = OpTrace(
        name="fc", step=0, weight=weight, input=image, output_needed=rng.random((n, m)) < 0.5 if masked else None
    )
    hw = Hardware.model_validate(
        {
            "name": "shape",
            "array": {"rows": rows, "cols": cols, "lanes": 1 + rows % 3},
            "skipping": {
                "tensors": ["weight", "activation"][: 2 - (rows + cols) % 2],
                "scan_width": 4,
                "fifo_depth": 5,
                "sync": sync,
                "blocks": drop,
                "outputs": True,
            },
        }
    )
    _assert_equal_to_reference(hw, op, "forward")


# Masked outputs beside an operand with few different rows, as gradients after batch norm are.
FEW_SHAPES = [(1, 1), (2, 4), (4, 4), (16, 16), (20, 12), (3, 20), (70, 2)]


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
@pytest.mark.parametrize("shape", FEW_SHAPES, ids=lambda shape: "x".join(map(str, shape)))
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
        _assert_equal_to_reference(hw, op, which)
