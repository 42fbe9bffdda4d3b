"""Blocks of every shape: arrays from one PE to more than a block, tiles side by side, edges, masks, dropped windows."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

from accelsim.hardware.model import Hardware
from accelsim.lowering import lower
from accelsim.lowering.reference import plain_lower
from accelsim.timing import time_gemm
from accelsim.timing.block_code import Block, compile_block
from accelsim.timing.reference import plain_time
from accelsim.trace.record import OpTrace

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
    (plain,), (gemm,) = plain_lower(op, "forward"), lower(op, "forward")
    expected, timing = plain_time(hw, plain), time_gemm(hw, gemm)
    assert timing.tile_cycles.tolist() == expected.tile_cycles
    assert {name: count for name, count in vars(timing.slots).items() if count} == {
        name: count for name, count in expected.slots.items() if count
    }


def test_a_shape_is_compiled_once() -> None:
    shape = Block(16, 1, 4, 16, "group", 2, 16, 1, 15, False, 8)
    assert compile_block(shape) is compile_block(Block(16, 1, 4, 16, "group", 2, 16, 1, 15, False, 8))


def test_code_is_freed_when_it_is_no_longer_used() -> None:
    """A long sweep compiles more blocks than the cache holds."""
    shapes = [Block(16, 1, 1, 4, "group", 1, 8, lanes, 15, False, 8) for lanes in (1, 2, 3)]
    codes = [compile_block(shape) for shape in shapes]
    engines = [weakref.ref(code.engine) for code in codes]
    kept = codes[0]
    del codes
    compile_block.cache_clear()
    gc.collect()
    assert [engine() is not None for engine in engines] == [True, False, False]
    assert kept.engine.get_function_address("scan_block") == kept.address
