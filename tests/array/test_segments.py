"""Columns cut into segments: tiles equal those of an array of that shape, but for ports and drain, which stay."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from accelsim import Hardware, OpTrace, load_hardware, simulate
from accelsim.area.area import area
from accelsim.array import TiledGemm, pe_of, time_gemm, time_tiled
from accelsim.explain import explain
from accelsim.lowering import PASSES, lower
from accelsim.memory.choose import cut_gemm
from tests.oracle.array import PlainTiming, plain_time
from tests.oracle.lowering import plain_lower
from tests.strategies import machines, operations


@st.composite
def cut_machines(draw, segments: int = 4) -> Hardware:
    """Machines whose columns can be cut, with a few rows and columns."""
    hw = draw(machines())
    array = {"rows": segments * draw(st.integers(1, 2)), "cols": draw(st.integers(1, 3)), "segments": segments}
    skipping = hw.skipping.model_dump()
    if skipping.get("sync") == "column":
        skipping["sync"] = "row"
    return Hardware.model_validate(hw.model_dump() | {"array": hw.array.model_dump() | array, "skipping": skipping})


def of_shape(hw: Hardware, segments: int) -> Hardware:
    """An array of the shape that some segments make, with the ports of the uncut one, and no drain."""
    array = hw.array.model_dump()
    array |= {"rows": hw.array.rows // segments, "cols": hw.array.cols * segments, "segments": 1, "drain": "free"}
    ports = pe_of(hw).ports
    words = {"weight_words_per_cycle": ports.a_words, "input_words_per_cycle": ports.b_words}
    memory = hw.memory.model_dump()
    memory["buffers"] |= words
    return Hardware.model_validate(hw.model_dump() | {"array": array, "memory": memory})


def rows_of_pes(hw: Hardware, segments: int, wanted: np.ndarray) -> int:
    """How far down the array the results of a tile lie: PE (row, column) of its shape is in a segment of the array."""
    height, width = wanted.shape
    each = hw.array.rows // segments
    return max(column // hw.array.cols * each + row for row in range(height) for column in range(width)) + 1


def plainly_drained(hw: Hardware, segments: int, timing: PlainTiming) -> list[int]:
    rows = [rows_of_pes(hw, segments, wanted) for _, wanted in timing.tiles]
    cycles = [cycles for cycles, _ in timing.tiles]
    match hw.array.drain:
        case "exposed":
            return [taken + drain for taken, drain in zip(cycles, rows, strict=True)]
        case "overlapped":
            return [max(taken, rows[number - 1]) for number, taken in enumerate(cycles)]
        case _:
            return cycles


@pytest.mark.reference
@given(cut_machines(), operations(largest=5), st.sampled_from(PASSES), st.sampled_from((1, 2, 4)))
def test_equals_an_array_of_that_shape(hw: Hardware, op: OpTrace, which: str, segments: int) -> None:
    shaped = of_shape(hw, segments)
    for plain, gemm in zip(plain_lower(op, which), lower(op, which), strict=True):
        expected = plain_time(shaped, plain)
        tiled = TiledGemm.shaped(hw, gemm, segments)
        timing = time_tiled(hw, tiled)
        assert timing.tile_cycles.tolist() == plainly_drained(hw, segments, expected)
        assert timing.slots.effectual == expected.slots["effectual"]
        assert timing.slots.ineffectual == expected.slots["ineffectual"]
        assert timing.slots.port == expected.slots["port"]
        assert (timing.streamed_a, timing.streamed_b) == (expected.reads["a"], expected.reads["b"])
        assert timing.slots.total == hw.array.rows * hw.array.cols * hw.array.lanes * timing.cycles


@pytest.mark.relations
@given(cut_machines(), operations(largest=5), st.sampled_from(PASSES))
def test_memory_sees_all_cycles_and_outputs(hw: Hardware, op: OpTrace, which: str) -> None:
    for gemm in lower(op, which):
        for segments in hw.array.cuts:
            tiled = TiledGemm.shaped(hw, gemm, segments)
            timing = time_tiled(hw, tiled)
            _, steps = cut_gemm(hw, tiled, timing, 0)
            assert steps.array_cycles.sum() == timing.cycles
            assert steps.partial_sums[steps.finishes].sum() == timing.outputs


@pytest.mark.relations
@given(cut_machines(), operations(largest=5), st.sampled_from((None, 0.5)))
def test_slots_sum_up_and_dense_machines_wait_no_longer(hw: Hardware, op: OpTrace, sample: float | None) -> None:
    layers = simulate(hw, [op], workers=1, sample=sample).layers
    slots = layers.filter(like="slots_").sum(axis=1)
    assert (slots == hw.array.rows * hw.array.cols * hw.array.lanes * layers["cycles"]).all()
    uncut = Hardware.model_validate(hw.model_dump() | {"array": hw.array.model_dump() | {"segments": 1}})
    assert (layers["dense_cycles"] <= simulate(uncut, [op], workers=1).layers["dense_cycles"]).all()


@pytest.mark.closed_form
def test_a_short_gemm_takes_the_shape_that_suits_it() -> None:
    """One row of A and 8 columns, K = 5: on 4 x 2 PEs four tiles of 5 cycles, on 1 x 8 one, if B's port lets it."""
    op = OpTrace(name="fc", step=0, weight=np.ones((1, 5)), input=np.ones((8, 5)))
    (gemm,) = lower(op, "forward")
    taken = {}
    for words in ("unlimited", 4, "window"):
        array = {"rows": 4, "cols": 2, "segments": 4, "drain": "free"}
        hw = {"name": "m", "array": array, "memory": {"buffers": {"input_words_per_cycle": words}}}
        machine = Hardware.model_validate(hw)
        tiled = TiledGemm.of(machine, gemm)
        taken[words] = tiled.rows, tiled.cols, time_gemm(machine, gemm).cycles
    # 40 words of B: ten cycles at four a cycle, for two tiles of 2 x 4 as for one of 1 x 8
    assert taken == {"unlimited": (1, 8, 5), 4: (2, 4, 10), "window": (4, 2, 20)}


@pytest.mark.closed_form
def test_pruned_weight_gradients_pack_into_wide_tiles() -> None:
    """Each row wants a column of its own: four tiles on 4 x 1 PEs, two on 2 x 2, four on 1 x 4, of 8 cycles each."""
    wanted = np.eye(4, dtype=bool)
    op = OpTrace(
        name="fc", step=0, weight=wanted, input=np.ones((8, 4)), grad_output=np.ones((8, 4)), weight_grad_needed=wanted
    )
    (gemm,) = lower(op, "weight_grad")
    base = {"name": "m", "skipping": {"outputs": True}, "memory": {"buffers": {"input_words_per_cycle": 4}}}
    cycles = {}
    for segments in (1, 4):
        array = {"rows": 4, "cols": 1, "segments": segments, "drain": "free"}
        cycles[segments] = time_gemm(Hardware.model_validate(base | {"array": array}), gemm).cycles
    assert cycles == {1: 4 * 8, 4: 2 * 8}


def test_what_cuts_columns_has_an_area() -> None:
    hw = load_hardware("hw_configs/pe16x16.yaml")
    array = {name: hw.array.model_dump() | {"segments": segments} for name, segments in (("whole", 1), ("cut", 4))}
    areas = {name: area(Hardware.model_validate(hw.model_dump() | {"array": one})) for name, one in array.items()}
    parts = {part.name: part.count for part in areas["cut"].parts}
    assert parts["columns of segments"] == 3 * 16
    assert parts["rows of segments"] == 16
    assert not any("segments" in part.name for part in areas["whole"].parts)
    assert 1 < areas["cut"].mm2 / areas["whole"].mm2 < 1.1


def test_explain_shows_the_shape() -> None:
    op = OpTrace(name="fc", step=0, weight=np.ones((1, 5)), input=np.ones((8, 5)))
    array = {"rows": 4, "cols": 2, "segments": 4}
    buffers = {"input_words_per_cycle": "unlimited"}
    hw = Hardware.model_validate({"name": "m", "array": array, "memory": {"buffers": buffers}})
    (part,) = explain(hw, op, ["forward"]).passes
    (shapes,) = part.shapes
    assert (shapes.tile_rows, shapes.tile_cols, shapes.tiles) == (1, 8, 1)


@pytest.mark.parametrize(
    ("array", "skipping", "words"),
    [
        ({"segments": 3}, {}, "expected a power of two that divides the array's 4 rows"),
        ({"segments": 8}, {}, "expected a power of two that divides the array's 4 rows"),
        ({"segments": 2, "interconnect": "systolic"}, {}, "leave segments out"),
        ({"segments": 2}, {"tensors": ["weight"], "sync": "column"}, "one pointer for a whole column"),
        ({"segments": 2, "lanes": 16}, {"tensors": ["weight"], "scheduler": "tensordash"}, "make array.segments 1"),
    ],
)
def test_arrays_that_cannot_be_cut_are_refused(array: dict, skipping: dict, words: str) -> None:
    with pytest.raises(ValidationError, match=words) as caught:
        Hardware.model_validate({"name": "s", "array": {"rows": 4, "cols": 2, **array}, "skipping": skipping})
    assert len(caught.value.errors()) == 1


@pytest.mark.relations
@given(operations(largest=5), st.sampled_from(PASSES), st.sampled_from(("pe", "row", "array")), st.sampled_from((2, 4)))
def test_inner_join_pes_work_as_in_an_array_of_that_shape(op: OpTrace, which: str, sync: str, segments: int) -> None:
    hw = Hardware.model_validate(
        {
            "name": "join",
            "array": {"rows": 4, "cols": 2, "segments": 4, "drain": "free"},
            "skipping": {
                "kind": "inner_join",
                "tensors": ["weight", "activation", "gradient"],
                "scan_width": 3,
                "windows": 2,
                "sync": sync,
                "outputs": True,
            },
            "memory": {"buffers": {"input_words_per_cycle": 7}},
        }
    )
    shaped = of_shape(hw, segments)
    for gemm in lower(op, which):
        cut, own = time_tiled(hw, TiledGemm.shaped(hw, gemm, segments)), time_gemm(shaped, gemm)
        assert cut.tile_cycles.tolist() == own.tile_cycles.tolist()
        assert (cut.slots, cut.streamed_a, cut.streamed_b) == (own.slots, own.streamed_a, own.streamed_b)
