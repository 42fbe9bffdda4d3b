"""Where blocks lie in DRAM: every byte of a tensor once, and all that a block reads."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.array import TiledGemm, time_tiled
from accelsim.hardware.model import Hardware
from accelsim.lowering import PASSES, lower
from accelsim.memory.addresses import PAGE_BYTES, Addresses
from accelsim.memory.choose import cut_gemm
from accelsim.memory.parts import Parts
from accelsim.trace.record import OpTrace
from tests.strategies import operations, small_machines

searches = st.sampled_from(("best", "fixed"))


def with_rows(hw: Hardware, search: str, compression: tuple[str, ...] = ()) -> Hardware:
    memory = {"dram": {"model": "ddr4_2400"}, "buffers": {"weight_kib": 1, "input_kib": 1, "output_kib": 1}}
    memory["compression"] = compression
    return Hardware.model_validate(
        hw.model_dump() | {"memory": memory, "mapping": {"search": search}, "precision": {"operand_bits": 16}}
    )


def bytes_of(region: np.void) -> list[int]:
    """The addresses of a region's bytes, in order."""
    found = []
    for position in range(int(region["start"]), int(region["start"] + region["size"])):
        run, offset = divmod(position, int(region["run"]))
        group, within = divmod(run, int(region["runs"]))
        found.append(
            int(region["base"]) + group * int(region["group_stride"]) + within * int(region["stride"]) + offset
        )
    return found


def words_of(regions: np.ndarray) -> list[set[int]]:
    """The words of 2 bytes of each region."""
    return [{byte // 2 for byte in bytes_of(region)} for region in regions]


@pytest.mark.relations
@settings(deadline=None)
@given(operations(largest=6), small_machines(), st.sampled_from(PASSES), searches)
def test_every_byte_of_weights_and_outputs_lies_in_one_block(
    op: OpTrace, hw: Hardware, which: str, search: str
) -> None:
    hw = with_rows(hw, search)
    for lowered in lower(op, which):
        tiled = TiledGemm.of(hw, lowered)
        cut, _ = cut_gemm(hw, tiled, time_tiled(hw, tiled), 0)
        parts, gemm = Parts(hw, tiled, cut.blocking), tiled.gemm
        a, b, (_, stored) = parts.operand_a(), parts.operand_b(), parts.outputs()
        addresses = Addresses(parts, a, b, stored)
        rows, chunks = (axis.ravel() for axis in np.indices(a.size_bytes.shape))
        found = Counter(byte for region in addresses.operand_a(rows, chunks) for byte in bytes_of(region))
        assert set(found.values()) == {1}
        assert len(found) == gemm.stack * gemm.m * gemm.k * 2
        assert max(found) - min(found) < len(found) + (gemm.stack - 1) * addresses.gemm_bytes
        rows, columns = (axis.ravel() for axis in np.indices(stored.shape))
        outputs = Counter(byte for region in addresses.outputs(rows, columns) for byte in bytes_of(region))
        assert set(outputs.values()) == {1}
        assert len(outputs) == gemm.stack * gemm.m * gemm.n * 2
        assert not outputs.keys() & found.keys()


@pytest.mark.relations
@settings(deadline=None)
@given(operations(largest=7, kinds=("conv",)), small_machines(), st.sampled_from(PASSES))
def test_a_block_of_the_source_holds_all_that_it_reads(op: OpTrace, hw: Hardware, which: str) -> None:
    """With `mapping.search: best`, of lines of one image of which none are left out.

    Several rows of a kernel with lines between them that no row reads are taken to follow one another.
    """
    hw = with_rows(hw, "best")
    for lowered in lower(op, which):
        for one in lowered.alone():
            tiled = TiledGemm.of(hw, one)
            cut, _ = cut_gemm(hw, tiled, time_tiled(hw, tiled), 0)
            offsets, step = one.footprint.taps.offset_y, one.footprint.taps.step[0]
            if cut.blocking.gathered or (offsets.size > 1 and np.ptp(offsets) + 1 < step) or _dilated(offsets):
                continue
            parts, gemm = Parts(hw, tiled, cut.blocking), tiled.gemm
            a, b, (_, stored) = parts.operand_a(), parts.operand_b(), parts.outputs()
            addresses = Addresses(parts, a, b, stored)
            columns, chunks = (axis.ravel() for axis in np.indices(b.size_bytes.shape))
            footprint = gemm.footprint
            taps, channels, base = (
                footprint.taps,
                footprint.channels,
                (addresses.source_base + gemm.group * addresses.gemm_bytes) // 2,
            )
            for column, chunk, words in zip(
                columns, chunks, words_of(addresses.operand_b(columns, chunks)), strict=True
            ):
                ns, ks = positions(parts.columns, column), positions(parts.chunks, chunk)
                grid, of_kernel = (ns, ks) if footprint.along == "n" else (ks, ns)
                images = {int(position) // (taps.grid[0] * taps.grid[1]) for position in grid}
                if len(images) > 1:
                    continue
                for position in grid:
                    line, x = divmod(int(position), footprint.grid_width)
                    image, y = divmod(line, taps.grid[0])
                    for place in of_kernel:
                        tap, channel = divmod(int(place), channels)
                        r, s = divmod(tap, taps.offset_x.size)
                        row = y * taps.step[0] + int(taps.offset_y[r])
                        pixel = x * taps.step[1] + int(taps.offset_x[s])
                        if 0 <= row < taps.image[0] and 0 <= pixel < taps.image[1]:
                            word = ((image * taps.image[0] + row) * taps.image[1] + pixel) * channels + channel
                            assert base + word in words


def _dilated(offsets: np.ndarray) -> bool:
    return bool((np.abs(np.diff(offsets)) > 1).any())


def positions(cut, block: int) -> np.ndarray:
    """The positions of a block of an axis."""
    stretches = (
        [np.arange(cut.edges[i], cut.edges[i + 1]) for i in np.flatnonzero(cut.block == block)]
        if cut.parts > 1
        else [np.arange(cut.edges[block], cut.edges[block + 1])]
    )
    return np.concatenate(stretches)


@pytest.mark.relations
@settings(deadline=None)
@given(operations(largest=6), small_machines(), st.sampled_from(PASSES), searches)
def test_regions_have_the_bytes_of_their_steps(op: OpTrace, hw: Hardware, which: str, search: str) -> None:
    hw = with_rows(hw, search, ("weight", "activation", "gradient"))
    for lowered in lower(op, which):
        tiled = TiledGemm.of(hw, lowered)
        _, steps = cut_gemm(hw, tiled, time_tiled(hw, tiled), 0)
        assert steps.regions is not None
        sizes = steps.regions["size"]
        np.testing.assert_array_equal(sizes[:, :2].sum(axis=1), steps.load_bytes)
        np.testing.assert_array_equal(sizes[:, 2], steps.store_bytes)
        assert sizes.min(initial=0) >= 0


@pytest.mark.closed_form
def test_tensors_lie_one_behind_another() -> None:
    """8 x 64 weights, 4 x 64 activations and 4 x 8 outputs, of 2 bytes, in one step: each in one piece."""
    hw = Hardware.model_validate(
        {"name": "small", "array": {"rows": 8, "cols": 4}, "memory": {"dram": {"model": "hbm2"}}}
    )
    (gemm,) = lower(OpTrace(name="fc", step=0, weight=np.ones((8, 64)), input=np.ones((4, 64))), "forward")
    tiled = TiledGemm.of(hw, gemm)
    _, steps = cut_gemm(hw, tiled, time_tiled(hw, tiled), 0)
    pieces = [sorted(bytes_of(region)) for region in steps.regions.ravel() if region["size"]]
    starts = [0, PAGE_BYTES, 2 * PAGE_BYTES]
    sizes = [8 * 64 * 2, 4 * 64 * 2, 4 * 8 * 2]
    assert pieces == [list(range(start, start + size)) for start, size in zip(starts, sizes, strict=True)]
