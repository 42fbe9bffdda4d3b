"""Candidates of the mapping's search: they fit, move what they say, and the best mapping is among them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim import Hardware, OpTrace
from accelsim.array import TiledGemm, time_tiled
from accelsim.lowering import PASSES, lower
from accelsim.memory.parts import Parts
from accelsim.memory.search import candidates
from accelsim.memory.shape import Shape
from accelsim.memory.steps import Cut
from tests.oracle.lowering import plain_lower
from tests.oracle.traffic import Room, fewest_bytes
from tests.strategies import operations


def machine(
    weight_kib: int, input_kib: int, output_kib: int, rows: int = 4, cols: int = 4, order: str = "any"
) -> Hardware:
    buffers = {"weight_kib": weight_kib, "input_kib": input_kib, "output_kib": output_kib}
    return Hardware.model_validate(
        {
            "name": "best",
            "array": {"rows": rows, "cols": cols},
            "memory": {"dram": {"bytes_per_cycle": 8}, "buffers": buffers},
            "mapping": {"order": order},
        }
    )


def unified(hw: Hardware, kib: int) -> Hardware:
    buffers = hw.memory.buffers.model_copy(update={"unified_kib": kib})
    return hw.model_copy(update={"memory": hw.memory.model_copy(update={"buffers": buffers})})


@st.composite
def best_machines(draw) -> Hardware:
    kib = st.sampled_from((1, 1, 2, 3, 8, 64))
    order = draw(st.sampled_from(("any", "any", "rows", "columns")))
    hw = machine(draw(kib), draw(kib), draw(kib), draw(st.integers(1, 5)), draw(st.integers(1, 5)), order)
    hw = unified(hw, draw(kib)) if draw(st.booleans()) else hw
    buffers = hw.memory.buffers.model_copy(update={"double_buffered": draw(st.booleans())})
    return hw.model_copy(update={"memory": hw.memory.model_copy(update={"buffers": buffers})})


def layer(channels: int = 32, outputs: int = 48, size: int = 12, kernel: int = 3, stride: int = 1) -> OpTrace:
    made = -(-size // stride)
    return OpTrace(
        name="layer",
        step=0,
        weight=np.ones((outputs, channels, kernel, kernel)),
        input=np.ones((2, channels, size, size)),
        grad_output=np.ones((2, outputs, made, made)),
        padding=(kernel // 2, kernel // 2),
        stride=(stride, stride),
    )


@pytest.mark.relations
@settings(max_examples=150, deadline=None)
@given(operations(largest=14), best_machines(), st.sampled_from(PASSES))
def test_candidates_fit_and_move_what_they_say(op: OpTrace, hw: Hardware, which: str) -> None:
    word, sums = hw.precision.operand_bits / 8, hw.precision.accumulator_bits / 8
    for gemm in lower(op, which):
        tiled, shape = TiledGemm.whole(gemm, hw.array.rows, hw.array.cols), Shape.of(hw, gemm)
        timing = time_tiled(hw, tiled)
        a_room, b_room, sum_room, room = (bits / 8 for bits in shape.room_bits)
        for candidate in candidates(shape):
            cut = candidate.blocking
            parts, steps = Parts(hw, tiled, cut), Cut(hw, tiled, 0, cut).steps(timing.tile_cycles)
            a, b, (outputs, _) = parts.operand_a(), parts.operand_b(), parts.outputs()
            on_chip = [
                (elements.sum(axis=1) if cut.stays and cut.order == order else elements).max(initial=0) * word
                for order, elements in (("rows", a.elements), ("columns", b.elements))
            ]
            on_chip.append(outputs.max(initial=0) * sums)
            assert all(taken <= have for taken, have in zip(on_chip, (a_room, b_room, sum_room), strict=True))
            assert sum(on_chip) <= room
            assert hw.mapping.order in ("any", cut.order)
            assert steps.loaded_elements.sum() == candidate.a_words + candidate.b_words
            assert steps.load_bytes.sum() == word * (candidate.a_words + candidate.b_words)
            assert steps.return_bytes.sum() == sums * candidate.spilled_sums
            assert steps.store_bytes.sum() == sums * candidate.spilled_sums + word * gemm.m * gemm.n
            assert steps.array_cycles.sum() == timing.cycles
            assert len(steps) == candidate.steps


@pytest.mark.reference
@settings(max_examples=60, deadline=None)
@given(operations(largest=7, kinds=("conv",)), best_machines(), st.sampled_from(PASSES))
def test_masks_and_loads_of_blocks_equal_a_walk(op: OpTrace, hw: Hardware, which: str) -> None:
    """Non-zeros of A by position; and a block of B has at least the non-zeros that its columns read."""
    packed = hw.memory.model_copy(update={"compression": ("weight", "activation", "gradient")})
    hw = hw.model_copy(update={"memory": packed})
    for gemm, plain in zip(lower(op, which), plain_lower(op, which), strict=True):
        tiled = TiledGemm.whole(gemm, hw.array.rows, hw.array.cols)
        for candidate in candidates(Shape.of(hw, gemm)):
            parts = Parts(hw, tiled, candidate.blocking)
            of_column, of_k = (np.repeat(cut.block, np.diff(cut.edges)) for cut in (parts.columns, parts.chunks))
            a, b = parts.operand_a(), parts.operand_b()
            counts = [
                [plain.a[low:high, of_k == chunk].sum() for chunk in range(parts.chunks.count)]
                for low, high in zip(parts.row_edges[:-1], parts.row_edges[1:], strict=True)
            ]
            stored = -(-a.elements // 8) + 2 * np.array(counts)
            assert (
                a.size_bytes.tolist() == (stored if stored.sum() <= 2 * a.elements.sum() else 2 * a.elements).tolist()
            )
            for column in range(parts.columns.count):
                for chunk in range(parts.chunks.count):
                    read = plain.b[of_k == chunk][:, of_column == column]
                    if candidate.blocking.gathered:
                        assert b.elements[column, chunk] == read.size
                    else:  # all that it reads is loaded, of every position and channel once
                        taps = gemm.footprint.taps.count * gemm.footprint.taps.grid[0] * gemm.footprint.taps.grid[1]
                        assert b.elements[column, chunk] * taps >= read.sum()


@pytest.mark.closed_form
def test_a_chunk_of_channels_loads_these_channels_of_all_lines_that_it_reads() -> None:
    """3 x 3, 12 x 12, 32 channels: a chunk of c channels of one image needs 12 lines of 12 pixels of c channels."""
    hw = machine(1024, 2, 1024)
    (gemm,) = lower(layer(), "forward")
    for candidate in candidates(Shape.of(hw, gemm)):
        cut = candidate.blocking
        if cut.gathered or cut.kernel_rows < 3 or cut.columns != 144:
            continue
        parts = Parts(hw, TiledGemm.of(hw, gemm), cut)
        assert (parts.operand_b().elements == 12 * 12 * parts.chunks.sizes // 9).all()
        break
    else:
        pytest.fail("no candidate has one image a block")


@pytest.mark.reference
@pytest.mark.parametrize("which", PASSES)
@pytest.mark.parametrize("op", [layer(), layer(kernel=1), layer(stride=2), layer(64, 16, 8)])
@pytest.mark.parametrize("kib", [(4, 4, 2), (16, 4, 4), (4, 32, 2)])
def test_the_best_is_close_to_an_exhaustive_search(op: OpTrace, which: str, kib: tuple[int, int, int]) -> None:
    separate = machine(*kib)
    for hw in (separate, unified(separate, sum(kib))):
        word = hw.precision.operand_bits / 8
        sums = 2 * hw.precision.accumulator_bits / 8  # there and back
        moved = sum(
            min(word * (one.a_words + one.b_words) + sums * one.spilled_sums for one in candidates(Shape.of(hw, gemm)))
            + word * gemm.m * gemm.n
            for gemm in lower(op, which)
        )
        assert moved <= 1.05 * fewest_bytes(op, which, Room.of(hw))


@pytest.mark.closed_form
def test_chunks_are_even() -> None:
    """64 channels of which 56 fit: 32 and 32, since work on the last 8 would hide little of the next 56's load."""
    hw = machine(32, 32, 16, 16, 16)
    (gemm,) = lower(layer(64, 64, 28), "forward")
    cuts = [one.blocking for one in candidates(Shape.of(hw, gemm))]
    assert 32 in {cut.block_channels for cut in cuts}
    for cut in cuts:
        if cut.block_channels:
            chunks = -(-64 // cut.block_channels)
            assert cut.block_channels == -(-64 // chunks)
