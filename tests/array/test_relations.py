"""What must hold between runs, whatever the numbers: less work is never slower, sums add up, order does not matter.

Why sparser masks and deeper queues can never cost a cycle on scanning PEs, whoever shares a scan pointer: compare the
two runs at the first cycle in which the changed one would fall behind. Both have pushed the same windows, and in each
PE the changed one's queue is no longer: since that PE last left a lane empty it consumed L pairs a cycle, and it was
offered no more than the other one. So it has room wherever the other one has, and pushes too.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim import Hardware, OpTrace, simulate
from accelsim.array import TiledGemm, time_gemm
from accelsim.lowering import PASSES, lower
from tests.array.test_closed_form import ALL, array_cycles, linear, machine
from tests.strategies import machines, operations

pytestmark = pytest.mark.relations
SLOTS = ("effectual", "ineffectual", "edge", "barrier", "sync", "starved", "port", "skew", "memory")
MEMORY = {
    "dram": {"bytes_per_cycle": 4, "latency_cycles": 20},
    "buffers": {"weight_kib": 4, "input_kib": 8, "output_kib": 4},
    "compression": ["weight", "gradient"],
}


def changed(op: OpTrace, **masks: object) -> OpTrace:
    fields = ("name", "step", "call", "kind", "stride", "padding", "dilation", "output_padding", "groups")
    geometry = {name: getattr(op, name) for name in fields}
    return OpTrace(**(geometry | dict(op.masks) | masks))


def sparser(op: OpTrace, seed: int, keep: float) -> OpTrace:
    """The same operation with some of its non-zeros gone; what must be computed stays."""
    rng = np.random.default_rng(seed)
    operands = ("weight", "input", "grad_output")
    return changed(op, **{name: getattr(op, name) & (rng.random(op.masks[name].shape) < keep) for name in operands})


def tile_cycles(hw: Hardware, op: OpTrace, which: str) -> np.ndarray:
    """Cycles of every tile, rows in their natural order."""
    hw = Hardware.model_validate(hw.model_dump() | {"mapping": {}})
    return np.concatenate([np.zeros(0, int), *(time_gemm(hw, gemm).tile_cycles for gemm in lower(op, which))])


def skipping(hw: Hardware, **changes: object) -> Hardware:
    """The machine with some keys of `skipping` changed, its kind of PE by what they say then."""
    return Hardware.model_validate(hw.model_dump() | {"skipping": hw.skipping.model_dump() | changes})


@given(machines(), operations(), st.sampled_from(PASSES), st.integers(0, 2**32 - 1), st.sampled_from((0.2, 0.7, 0.95)))
def test_sparser_masks_never_take_longer(hw: Hardware, op: OpTrace, which: str, seed: int, keep: float) -> None:
    """Tile by tile, for every sync group; rows stay where they are, as sorting them makes other tiles."""
    fewer = tile_cycles(hw, sparser(op, seed, keep), which)
    assert (fewer <= tile_cycles(hw, op, which)).all()


@given(machines(), operations(), st.sampled_from(PASSES), st.integers(1, 100))
def test_deeper_queues_never_take_longer(hw: Hardware, op: OpTrace, which: str, more: int) -> None:
    deeper = skipping(hw, fifo_depth=hw.skipping.model_dump().get("fifo_depth", 70) + more)
    assert (tile_cycles(deeper, op, which) <= tile_cycles(hw, op, which)).all()


@given(machines(), operations(), st.sampled_from(PASSES))
def test_sharing_a_scan_pointer_never_saves_a_cycle(hw: Hardware, op: OpTrace, which: str) -> None:
    alone, row, column, array = (
        tile_cycles(skipping(hw, sync=sync), op, which) for sync in ("pe", "row", "column", "array")
    )
    assert (alone <= np.minimum(row, column)).all()
    assert (np.maximum(row, column) <= array).all()


@given(machines(), operations(), st.sampled_from(PASSES), st.integers(1, 3))
def test_more_lanes_never_take_longer(hw: Hardware, op: OpTrace, which: str, more: int) -> None:
    """Of a scanning PE; a dense one would cut K into other windows, which `skipping.blocks` may drop less often."""
    scanning = skipping(hw, tensors=("weight",)) if not hw.skipping.tensors else hw
    array = hw.array.model_copy(update={"lanes": hw.array.lanes + more})
    wider = scanning.model_copy(update={"array": array})
    assert (tile_cycles(wider, op, which) <= tile_cycles(scanning, op, which)).all()


def test_a_wider_window_may_cost_cycles() -> None:
    """A counter-example, found by search: a wide window has to wait until all of it has room, with D = 6 and L = 2."""
    mask = np.array([[1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 0, 1, 0, 1, 0, 1]], bool)
    op = linear(mask, np.ones((1, 18), bool))
    narrow, wide = (
        machine(1, 1, 2, skipping={"tensors": ["weight"], "scan_width": width, "fifo_depth": 6}) for width in (3, 6)
    )
    assert (array_cycles(narrow, op), array_cycles(wide, op)) == (7, 8)


def test_a_deeper_stage_or_a_wider_port_may_cost_tensordash_cycles() -> None:
    """A counter-example, found by search: a lane takes an operand of window 2, and one of window 1 stays."""
    mask = np.zeros((1, 48), bool)
    mask[0, [4, 6, 8, 9, 21, 22, 24, 25, 27, 29, 30, 32, 34, 36, 38, 39, 40, 41, 42, 43, 47]] = True
    op = linear(mask, np.ones((1, 48), bool))

    def cycles(depth: int, words: int) -> int:
        skipping = {"tensors": ["weight"], "kind": "tensordash", "stage_depth": depth}
        buffers = {"buffers": {"weight_words_per_cycle": words}}
        return array_cycles(machine(1, 1, 16, skipping=skipping, memory=buffers), op)

    assert [cycles(2, 48), cycles(3, 48)] == [2, 3]
    assert [cycles(3, 16), cycles(3, 32), cycles(3, 48)] == [3, 2, 3]


def test_fewer_needed_outputs_may_cost_cycles() -> None:
    """A counter-example: columns of 1, 1, 9, 9 pairs make tiles of 1 and 9 cycles; without the first, of 9 and 9."""
    activation = np.zeros((4, 9), bool)
    activation[:2, 0] = True
    activation[2:] = True
    op = linear(np.ones((1, 9), bool), activation)
    needed = np.array([[0], [1], [1], [1]], bool)
    hw = machine(1, 2, skipping={"tensors": ALL, "scan_width": 9, "fifo_depth": 9, "outputs": True})
    assert array_cycles(hw, op) == 1 + 9
    assert array_cycles(hw, changed(op, output_needed=needed)) == 9 + 9


def test_a_sorted_order_of_rows_may_cost_cycles() -> None:
    """A counter-example: sorting looks at a row's non-zeros, not at the pairs that they make with the columns.

    Rows of 4, 4, 6 and 3 non-zeros make 4, 4, 0 and 0 pairs: tiles of 4 and 1 cycles as they come, 4 and 4 sorted.
    """
    weight = np.zeros((4, 10), bool)
    weight[:2, :4] = weight[2, 4:10] = weight[3, 4:7] = True
    op = linear(weight, (np.arange(10) < 4)[None])
    parts = {"tensors": ["weight", "activation"], "scan_width": 10, "fifo_depth": 10, "sync": "pe"}
    natural, ordered = (
        array_cycles(machine(2, 1, skipping=parts, mapping={"row_order": order}), op)
        for order in ("natural", "density")
    )
    assert (natural, ordered) == (4 + 1, 4 + 4)


@given(machines(), operations(largest=8), st.sampled_from(PASSES))
def test_packed_rows_never_make_more_tiles(hw: Hardware, op: OpTrace, which: str) -> None:
    natural, packed = (
        hw.model_copy(update={"mapping": hw.mapping.model_copy(update={"row_order": order})})
        for order in ("natural", "packed")
    )
    for gemm in lower(op, which):
        before, after = TiledGemm.of(natural, gemm), TiledGemm.of(packed, gemm)
        assert after.tiles <= before.tiles
        if hw.skipping.outputs:
            assert after.outputs.sum() == before.outputs.sum()
        if after.tiles == before.tiles:
            assert (after.gemm.a == gemm.a).all()


def test_packed_rows_may_cost_cycles() -> None:
    """A counter-example: packing looks at the columns that rows want, not at the pairs that they make.

    Rows of 1, 1, 9 and 9 pairs make two tiles of 1 cycle and one of 9 as they come. Packed, the first one's tile has
    the third row, and that of the second the fourth: two tiles of 9.
    """
    weight = np.zeros((4, 9), bool)
    weight[:2, 0] = weight[2:] = True
    needed = np.array([[1, 1, 0], [1, 0, 1], [1, 0, 0], [1, 0, 0]], bool)
    op = changed(linear(weight, np.ones((3, 9), bool)), output_needed=needed.T)
    parts = {"tensors": ["weight"], "scan_width": 9, "fifo_depth": 9, "outputs": True}
    natural, packed = (
        array_cycles(machine(2, 2, skipping=parts, mapping={"row_order": order}), op) for order in ("natural", "packed")
    )
    assert (natural, packed) == (1 + 1 + 9, 9 + 9)


@given(machines(), operations(largest=5), st.booleans(), st.integers(1, 3))
def test_every_slot_is_something_and_nothing_is_negative(
    hw: Hardware, op: OpTrace, with_memory: bool, arrays: int
) -> None:
    array = hw.array.model_copy(update={"count": arrays})
    memory = Hardware.model_validate({"name": "m", "array": array.model_dump(), "memory": MEMORY}).memory
    hw = hw.model_copy(update={"array": array, **({"memory": memory} if with_memory else {})})
    layers = simulate(hw, [op], workers=1).layers
    slots = layers[[f"slots_{name}" for name in SLOTS]]
    assert (slots.sum(axis=1) == array.rows * array.cols * array.lanes * arrays * layers["cycles"]).all()
    assert (layers.select_dtypes("number") >= 0).all(axis=None)
    consumed = layers["slots_effectual"] + layers["slots_ineffectual"]
    assert (consumed <= slots.sum(axis=1)).all()
    assert (layers["slots_effectual"] <= layers["effectual_macs"]).all()
    if not hw.skipping.outputs:
        assert (layers["slots_effectual"] == layers["effectual_macs"]).all()
    assert (layers["cycles"] >= layers["array_cycles"]).all()
    assert (layers["cycles"] * array.rows * array.cols * array.lanes * arrays >= layers["slots_effectual"]).all()


@given(machines(), st.integers(1, 3), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_a_split_batch_adds_up(hw: Hardware, first: int, second: int, seed: int) -> None:
    """In forward and input_grad, where every image fills whole column tiles."""
    rng = np.random.default_rng(seed)
    hw = skipping(hw, outputs=False)
    hw = hw.model_copy(update={"array": hw.array.model_copy(update={"drain": "free"})})  # it joins neighbours
    batch, width = first + second, hw.array.cols  # images of 1 x C pixels are one column tile each
    whole = OpTrace(
        name="conv",
        step=0,
        weight=rng.random((5, 3, 1, 3)) < 0.5,
        input=rng.random((batch, 3, 1, width)) < 0.5,
        grad_output=rng.random((batch, 5, 1, width)) < 0.5,
        padding=(0, 1),
    )
    parts = [
        changed(whole, input=whole.input[images], grad_output=whole.grad_output[images])
        for images in (slice(0, first), slice(first, batch))
    ]
    for which in ("forward", "input_grad"):
        assert tile_cycles(hw, whole, which).sum() == sum(tile_cycles(hw, part, which).sum() for part in parts)


@given(machines(), operations(), st.sampled_from(PASSES), st.randoms(use_true_random=False))
def test_permuted_groups_change_nothing(hw: Hardware, op: OpTrace, which: str, random) -> None:
    order = list(range(op.groups))
    random.shuffle(order)

    def permuted(name: str, axis: int) -> np.ndarray | None:
        mask = getattr(op, name)
        if mask is None:
            return None
        parts = np.split(mask, op.groups, axis=axis)
        return np.concatenate([parts[group] for group in order], axis=axis)

    by_axis = {"weight": 0, "weight_grad_needed": 0}
    masks = {name: permuted(name, by_axis.get(name, 1)) for name in op.masks}
    assert sorted(tile_cycles(hw, op, which)) == sorted(tile_cycles(hw, changed(op, **masks), which))
