"""Macro-tiles: they fit their buffers, leave nothing out, and carry the bytes that the masks say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.array import TiledGemm, time_tiled
from accelsim.hardware.model import Hardware
from accelsim.lowering import PASSES, lower
from accelsim.memory.blocking import Problem, choose_blocking, lines_of
from accelsim.memory.parts import Parts
from accelsim.memory.steps import macro_steps
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


@pytest.mark.closed_form
def test_what_fits_is_moved_once() -> None:
    """All in one macro-tile's reach: weights and images are loaded once, outputs stored once, 2 bytes each."""
    op, hw = layer(batch=1), machine(weight_kib=1024, input_kib=1024, output_kib=1024)
    (gemm,) = lower(op, "forward")
    tiled = TiledGemm.of(hw, gemm)
    steps = macro_steps(hw, tiled, time_tiled(hw, tiled))
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
    steps = macro_steps(hw, tiled, time_tiled(hw, tiled))
    assert steps.load_bytes.sum() == (8 * 64 // 8 + 8 * 2) + 4 * 64 * 2


@pytest.mark.relations
@settings(max_examples=200, deadline=None)
@given(operations(largest=6), machines(), st.sampled_from(PASSES))
def test_nothing_is_lost(op: OpTrace, hw: Hardware, which: str) -> None:
    hw = hw.model_copy(update={"memory": machine(4, 16, 16).memory})
    for lowered in lower(op, which):
        tiled = TiledGemm.of(hw, lowered)
        gemm, timing = tiled.gemm, time_tiled(hw, tiled)
        steps = macro_steps(hw, tiled, timing)
        assert steps.array_cycles.sum() == timing.cycles
        assert steps.partial_sums[steps.finishes].sum() == timing.outputs
        assert steps.load_bytes.min(initial=0) >= 0
        if timing.outputs == gemm.m * gemm.n:  # every output is computed: all of A is needed
            assert steps.loaded_elements.sum() >= gemm.m * gemm.k


@pytest.mark.relations
@pytest.mark.parametrize("which", PASSES)
@pytest.mark.parametrize("kib", [(2, 2, 1), (4, 16, 2), (64, 4, 8), (16, 64, 64)])
def test_macro_tiles_fit_half_of_each_buffer(which: str, kib: tuple[int, int, int]) -> None:
    hw = machine(*kib)
    for gemm in lower(layer(), which):
        problem, blocking = Problem.of(hw, gemm), choose_blocking(hw, gemm)
        needs = problem.needed_bytes(problem.lines(), blocking.row_tiles, blocking.columns, blocking.chunk)
        assert all(need <= have for need, have in zip(needs, problem.half_buffers(), strict=True))


@pytest.mark.relations
@settings(max_examples=200, deadline=None)
@given(operations(largest=20), cramped_machines(), st.sampled_from(PASSES))
def test_every_gemm_fits_every_machine(op: OpTrace, hw: Hardware, which: str) -> None:
    """Whatever the buffers: portions fit half of them, and cycles, outputs and bytes are all there."""
    for gemm in lower(op, which):
        tiled = TiledGemm.of(hw, gemm)
        problem, cut, timing, parts = (
            Problem.of(hw, gemm),
            choose_blocking(hw, gemm),
            time_tiled(hw, tiled),
            Parts(hw, tiled),
        )
        needs = problem.needed_bytes(problem.lines(), cut.row_tiles, cut.columns, cut.chunk, cut.gathered)
        portions = (cut.a_portions, cut.b_portions, cut.output_portions)
        for need, portion, half in zip(needs, portions, problem.half_buffers(), strict=True):
            assert need / portion <= half
            assert portion == 1 or need / (portion - 1) > half  # no more than it takes
        steps, (outputs, stored) = macro_steps(hw, tiled, timing), parts.outputs()
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
    steps = macro_steps(hw, tiled, time_tiled(hw, tiled))
    assert steps.array_cycles[:, 0].tolist() == [64, 0]
    assert steps.store_bytes.tolist() == [256, 256]
    assert (steps.finishes.tolist(), steps.partial_sums.tolist()) == ([True, True], [256, 0])


@pytest.mark.closed_form
@pytest.mark.parametrize("patch", [14, 16])
def test_patch_embeddings_are_loaded_patch_by_patch(patch: int) -> None:
    """The lines behind 64 patches exceed half of the buffer; their pixels do not, and each is needed once."""
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
        parts = Parts(hw, TiledGemm.of(hw, gemm))
        b = parts.operand_b()
        assert parts.blocking.gathered
        assert parts.blocking.portions == 1
        pixels = (patch * across) ** 2 * 3 * 2
        assert b.elements.sum() == pixels
        zeros = op.input[..., : patch * across, : patch * across].sum()
        packed = sum(-(-int(size) // 8) for size in b.elements.ravel()) + 2 * int(zeros)
        assert b.size_bytes.sum() == (packed if compression else 2 * pixels)


@pytest.mark.parametrize("which", PASSES)
def test_a_solution_that_is_kept_does_not_grow_with_the_batch(which: str) -> None:
    small, large = (Problem.of(machine(), gemm) for batch in (1, 9) for gemm in lower(layer(batch=batch), which))
    assert [len(lines) for lines in (large.first, large.last)] == [12, 12]
    assert (large.first, large.last) == (small.first, small.last)
    (gemm,) = lower(layer(batch=9), which)
    lines, whole = large.lines(), lines_of(gemm.footprint)
    assert (lines.all_lines, lines.tallest) == (whole.all_lines, whole.tallest)
    assert all(lines.most_read(count) == whole.most_read(count) for count in range(1, 9 * 144 + 1))


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
    share = lambda amount, part, parts: int(amount) * (part + 1) // parts - int(amount) * part // parts  # noqa: E731
    for gemm in lower(op, which):
        tiled = TiledGemm.of(hw, gemm)
        timing, parts = time_tiled(hw, tiled), Parts(hw, tiled)
        a, b, (outputs, stored), cut = parts.operand_a(), parts.operand_b(), parts.outputs(), parts.blocking
        worked, ends = parts.cycles(timing.tile_cycles, first_tile), parts.stops.tolist()
        blocks = [(i, j) for i in range(outputs.shape[0]) for j in range(outputs.shape[1])]
        if cut.order == "columns":
            blocks.sort(key=lambda block: block[::-1])
        rows: list[tuple[object, ...]] = []
        held_a = held_b = None
        for i, j in blocks:
            for c, (start, stop) in enumerate(zip([0, *ends], ends, strict=False)):
                if not outputs[i, j]:
                    continue
                loads_a, loads_b = held_a != (i, c) or cut.a_portions > 1, held_b != (j, c) or cut.b_portions > 1
                held_a, held_b = (i, c), (j, c)
                work = [int(part) * stop // gemm.k - int(part) * start // gemm.k for part in worked[i, j]]
                for portion in range(cut.portions):
                    last = portion == cut.portions - 1
                    spills = last or cut.row_tiles > 1 or cut.columns > hw.array.cols
                    done = last and stop == gemm.k
                    rows.append(
                        (
                            share(loads_a * a.size_bytes[i, c] + loads_b * b.size_bytes[j, c], portion, cut.portions),
                            share(loads_a * a.elements[i, c] + loads_b * b.elements[j, c], portion, cut.portions),
                            [share(part, portion, cut.portions) for part in work],
                            share(stored[i, j], 0, cut.output_portions) if done else 0,
                            done,
                            outputs[i, j] if spills else 0,
                        )
                    )
            for portion in range(1, cut.output_portions if outputs[i, j] else 1):
                rows.append((0, 0, [0] * hw.array.count, share(stored[i, j], portion, cut.output_portions), True, 0))
        steps = macro_steps(hw, tiled, timing, first_tile)
        columns = (steps.load_bytes, steps.loaded_elements, steps.array_cycles, steps.store_bytes, steps.finishes)
        assert list(zip(*(part.tolist() for part in (*columns, steps.partial_sums)), strict=True)) == rows
