"""Macro-tiles: they fit their buffers, leave nothing out, and carry the bytes that the masks say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.array import TiledGemm, time_tiled
from accelsim.hardware.model import Hardware
from accelsim.lowering import PASSES, lower
from accelsim.memory.blocking import Blocking
from accelsim.memory.choose import cut_gemm
from accelsim.memory.lines import lines_of
from accelsim.memory.parts import Parts
from accelsim.memory.portions import cut_in_portions
from accelsim.memory.search import candidates
from accelsim.memory.shape import Shape
from accelsim.memory.steps import Cut, Steps
from accelsim.trace.record import OpTrace
from tests.strategies import cramped_machines, machines, operations, small_machines


def machine(weight_kib: int = 128, input_kib: int = 128, output_kib: int = 64, **changes: object) -> Hardware:
    return Hardware.model_validate(
        {
            "name": "small",
            "array": {"rows": 4, "cols": 4},
            "memory": {
                "dram": {"bytes_per_cycle": 8, "latency_cycles": 10},
                "buffers": {"weight_kib": weight_kib, "input_kib": input_kib, "output_kib": output_kib},
                **changes,
            },
        }
    )


def layer(batch: int = 4, channels: int = 24, outputs: int = 40, size: int = 12, density: float = 0.5) -> OpTrace:
    rng = np.random.default_rng(1)
    image = rng.random((batch, channels, size, size)) < density
    return OpTrace(
        name="layer",
        step=0,
        weight=rng.random((outputs, channels, 3, 3)) < density,
        input=image,
        grad_output=rng.random((batch, outputs, size, size)) < density,
        padding=(1, 1),
        input_grad_needed=image,
    )


def macro_steps(hw: Hardware, tiled: TiledGemm) -> Steps:
    return cut_gemm(hw, tiled, time_tiled(hw, tiled), 0)[1]


def every_blocking(hw: Hardware, tiled: TiledGemm) -> list[Blocking]:
    """All cuts that no other beats; or the one in portions."""
    shape = Shape.of(hw, tiled.gemm)
    return [one.blocking for one in candidates(shape)] or [cut_in_portions(shape)]


@pytest.mark.closed_form
def test_what_fits_is_moved_once() -> None:
    """All in one macro-tile's reach: weights and images are loaded once, outputs stored once, 2 bytes each."""
    op, hw = layer(batch=1), machine(weight_kib=1024, input_kib=1024, output_kib=1024)
    (gemm,) = lower(op, "forward")
    tiled = TiledGemm.of(hw, gemm)
    steps = macro_steps(hw, tiled)
    halo = steps.load_bytes.sum() - 2 * (40 * 24 * 9 + 24 * 12 * 12)
    assert halo >= 0
    assert halo % (2 * 24 * 12) == 0  # whole lines that two neighbouring blocks of columns both read
    assert halo <= (len(steps) - 1) * 2 * 2 * 24 * 12
    assert steps.store_bytes.sum() == 2 * 40 * 12 * 12


@pytest.mark.closed_form
def test_compressed_tensors_carry_their_non_zeros_and_a_bit_an_element() -> None:
    op = OpTrace(name="fc", step=0, weight=np.eye(8, 64), input=np.ones((4, 64)))
    hw = machine(compression=["weight"])
    (gemm,) = lower(op, "forward")
    tiled = TiledGemm.of(hw, gemm)
    steps = macro_steps(hw, tiled)
    assert steps.load_bytes.sum() == (8 * 64 // 8 + 8 * 2) + 4 * 64 * 2


@pytest.mark.relations
@settings(max_examples=200, deadline=None)
@given(operations(largest=6), machines(), st.sampled_from(PASSES))
def test_nothing_is_lost(op: OpTrace, hw: Hardware, which: str) -> None:
    hw = hw.model_copy(update={"memory": machine(4, 16, 16).memory})
    for lowered in lower(op, which):
        tiled = TiledGemm.of(hw, lowered)
        gemm, timing = tiled.gemm, time_tiled(hw, tiled)
        for blocking in every_blocking(hw, tiled):
            steps = Cut(hw, tiled, 0, blocking).steps(timing.tile_cycles)
            assert steps.array_cycles.sum() == timing.cycles
            assert steps.load_bytes.min(initial=0) >= 0
            if not blocking.spills:
                assert steps.partial_sums[steps.finishes].sum() == timing.outputs
            if timing.outputs == gemm.m * gemm.n:  # every output is computed: all of A is needed
                assert steps.loaded_elements.sum() >= gemm.m * gemm.k


@pytest.mark.relations
@settings(max_examples=200, deadline=None)
@given(operations(largest=20), cramped_machines(), st.sampled_from(PASSES))
def test_every_gemm_fits_every_machine(op: OpTrace, hw: Hardware, which: str) -> None:
    """Whatever the buffers: portions fit half of them, and cycles, outputs and bytes are all there."""
    for gemm in lower(op, which):
        tiled, shape = TiledGemm.of(hw, gemm), Shape.of(hw, gemm)
        cut, timing = cut_in_portions(shape), time_tiled(hw, tiled)
        parts = Parts(hw, tiled, cut)
        a, b, (outputs, stored) = parts.operand_a(), parts.operand_b(), parts.outputs()
        word, sums = hw.precision.operand_bits, hw.precision.accumulator_bits
        needs = a.elements.max() * word, b.elements.max() * word, min(hw.array.rows, gemm.m) * cut.columns * sums
        portions = (cut.a_portions, cut.b_portions, cut.output_portions)
        for need, portion, half in zip(needs, portions, shape.portion_bits, strict=True):
            assert need / portion <= half
            assert portion == 1 or need / (portion - 1) > half  # no more than it takes
        steps = Cut(hw, tiled, 0, cut).steps(timing.tile_cycles)
        assert steps.array_cycles.sum() == timing.cycles
        assert steps.store_bytes.sum() == stored[outputs > 0].sum()
        assert steps.partial_sums[steps.finishes].sum() == timing.outputs
        if (outputs > 0).all():
            assert steps.loaded_elements.sum() >= gemm.m * gemm.k
            for operand in (parts.operand_a(), parts.operand_b()):
                assert steps.load_bytes.sum() >= operand.size_bytes.sum()


@pytest.mark.closed_form
def test_outputs_that_do_not_fit_leave_in_portions() -> None:
    """A tile of 16 x 16 sums of 4 bytes is twice half a KiB: half of them leaves at once, then the other half."""
    (gemm,) = lower(OpTrace(name="fc", step=0, weight=np.ones((16, 64)), input=np.ones((16, 64))), "forward")
    hw = Hardware.model_validate(machine(output_kib=1).model_dump() | {"array": {"rows": 16, "cols": 16}})
    tiled = TiledGemm.of(hw, gemm)
    steps = macro_steps(hw, tiled)
    assert steps.array_cycles[:, 0].tolist() == [64, 0]
    assert steps.store_bytes.tolist() == [256, 256]
    assert (steps.finishes.tolist(), steps.partial_sums.tolist()) == ([True, True], [256, 0])


@pytest.mark.closed_form
@pytest.mark.parametrize("patch", [14, 16])
def test_patch_embeddings_are_loaded_patch_by_patch(patch: int) -> None:
    """The lines of 64 patches exceed half of the buffer, those of some kernel rows do not: each is loaded once."""
    shape = (2, 3, 224, 224)
    rng = np.random.default_rng(patch)
    across = 224 // patch
    op = OpTrace(
        name="patch_embed",
        step=0,
        weight=np.ones((384, 3, patch, patch)),
        input=rng.random(shape) < 0.5,
        grad_output=rng.random((2, 384, across, across)) < 0.5,
        stride=(patch, patch),
    )
    (gemm,) = lower(op, "weight_grad")
    for compression in ([], ["activation"]):
        hw = machine(compression=compression)
        tiled = TiledGemm.of(hw, gemm)
        blocking = cut_gemm(hw, tiled, time_tiled(hw, tiled), 0)[0].blocking
        b = Parts(hw, tiled, blocking).operand_b()
        assert blocking.portions == 1
        pixels = (patch * across) ** 2 * 3 * 2
        assert b.elements.sum() == pixels
        zeros = op.input[..., : patch * across, : patch * across].sum()
        size_bytes = b.size_bytes.sum()
        if compression:  # a block's bits and words are rounded up
            assert pixels / 8 + 2 * zeros <= size_bytes <= pixels / 8 + 2 * zeros + 3 * b.elements.size
        else:
            assert size_bytes == 2 * pixels


@pytest.mark.reference
def test_lines_are_counted_once_in_a_union() -> None:
    """Prefix sums equal sets of lines, for every run of grid lines, with strides, dilation and several images."""
    rng = np.random.default_rng(3)
    for stride, dilation, padding in ((1, 1, 1), (2, 1, 1), (1, 2, 2), (3, 1, 0)):
        image = rng.random((2, 3, 9, 5)) < 0.4
        op = OpTrace(
            name="l",
            step=0,
            weight=np.ones((2, 3, 3, 3)),
            input=image,
            stride=(stride, 1),
            dilation=(dilation, 1),
            padding=(padding, 1),
        )
        (gemm,) = lower(op, "forward")
        footprint, lines = gemm.footprint, lines_of(gemm.footprint)
        for low in range(footprint.grid_lines):
            for high in range(low + 1, footprint.grid_lines + 1):
                reached = {line for g in range(low, high) for line in range(footprint.first[g], footprint.last[g])}
                got = lines.read_by(low * footprint.grid_width, high * footprint.grid_width)
                assert got == (len(reached), sum(int(footprint.line_nonzeros[line]) for line in reached))


@pytest.mark.reference
@settings(deadline=None)
@given(operations(largest=12), small_machines() | cramped_machines(), st.sampled_from(PASSES), st.integers(0, 5))
def test_steps_equal_a_plain_walk(op: OpTrace, hw: Hardware, which: str, first_tile: int) -> None:
    """Block by block, chunk by chunk: an operand's block is loaded unless it was used last and is still there."""
    for gemm in lower(op, which):
        tiled = TiledGemm.of(hw, gemm)
        timing = time_tiled(hw, tiled)
        for blocking in every_blocking(hw, tiled):
            steps = Cut(hw, tiled, first_tile, blocking).steps(timing.tile_cycles)
            columns = (steps.load_bytes, steps.loaded_elements, steps.array_cycles, steps.store_bytes, steps.finishes)
            own = zip(*(part.tolist() for part in (*columns, steps.partial_sums, steps.return_bytes)), strict=True)
            assert [list(row) for row in own] == walk(hw, Parts(hw, tiled, blocking), timing.tile_cycles, first_tile)


def walk(hw: Hardware, parts: Parts, tile_cycles: np.ndarray, first_tile: int) -> list[list[object]]:
    share = lambda amount, part, of: int(amount) * (part + 1) // of - int(amount) * part // of  # noqa: E731
    a, b, (outputs, stored), cut, k = (
        *(parts.operand_a(), parts.operand_b(), parts.outputs(), parts.blocking),
        parts.gemm.k,
    )
    worked, ends = parts.cycles(tile_cycles, first_tile), parts.stops.tolist()
    blocks = [(i, j) for i in range(outputs.shape[0]) for j in range(outputs.shape[1]) if outputs[i, j]]
    if cut.order == "columns":
        blocks.sort(key=lambda block: block[::-1])
    chunks = list(zip(range(len(ends)), [0, *ends], ends, strict=False))
    spills = cut.spills and len(blocks) > 1
    visits = [(i, j, c) for i, j in blocks for c in chunks]
    if spills:
        visits = [(i, j, c) for c in chunks for i, j in blocks]
    rows: list[list[object]] = []
    held_a: set[tuple[int, int]] = set()
    held_b: set[tuple[int, int]] = set()
    for i, j, (c, start, stop) in visits:
        loads_a, loads_b = (i, c) not in held_a or cut.a_portions > 1, (j, c) not in held_b or cut.b_portions > 1
        held_a = {(i, c)} | (held_a if cut.stays and cut.order == "rows" else set())
        held_b = {(j, c)} | (held_b if cut.stays and cut.order == "columns" else set())
        work = [int(part) * stop // k - int(part) * start // k for part in worked[i, j]]
        sums = int(outputs[i, j]) * hw.precision.accumulator_bits // 8
        if spills and c:
            rows[-2][6] = sums
        for portion in range(cut.portions):
            last = portion == cut.portions - 1
            several = last or cut.row_tiles > 1 or cut.columns > hw.array.cols
            done = last and stop == k
            rows.append(
                [
                    share(loads_a * a.size_bytes[i, c] + loads_b * b.size_bytes[j, c], portion, cut.portions),
                    share(loads_a * a.elements[i, c] + loads_b * b.elements[j, c], portion, cut.portions),
                    [share(part, portion, cut.portions) for part in work],
                    share(stored[i, j], 0, cut.output_portions) if done else sums if spills else 0,
                    done or spills,
                    outputs[i, j] if several else 0,
                    0,
                ]
            )
        for portion in range(1, cut.output_portions if stop == k else 1):
            left = share(stored[i, j], portion, cut.output_portions)
            rows.append([0, 0, [0] * hw.array.count, left, True, 0, 0])
    return rows
