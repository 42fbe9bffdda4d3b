"""Inner-join PEs: the fast path equals the per-cycle reference, closed forms, and what must hold between machines."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim import Hardware, OpTrace, simulate
from accelsim.array import pe_of, time_gemm
from accelsim.array.tiled import TiledGemm
from accelsim.lowering import PASSES, lower
from tests.array.test_closed_form import linear
from tests.array.test_relations import sparser
from tests.oracle.inner_join import plain_inner_join
from tests.oracle.lowering import plain_lower
from tests.strategies import machines, operations

ALL = ("weight", "activation", "gradient")


def machine(rows: int = 1, cols: int = 1, lanes: int = 1, **skipping: object) -> Hardware:
    """Inner-join PEs that see all zeros; ports of a window, a drain that costs nothing."""
    given_skipping = {"kind": "inner_join", "tensors": ALL, **skipping}
    array = {"rows": rows, "cols": cols, "lanes": lanes, "drain": "free"}
    return Hardware.model_validate({"name": "join", "array": array, "skipping": given_skipping})


def with_ports(hw: Hardware, a_words: int | str, b_words: int | str) -> Hardware:
    buffers = {"weight_words_per_cycle": a_words, "input_words_per_cycle": b_words}
    return Hardware.model_validate(hw.model_dump() | {"memory": {"buffers": buffers}})


def cycles(hw: Hardware, op: OpTrace, which: str = "forward") -> int:
    return sum(time_gemm(hw, gemm).cycles for gemm in lower(op, which))


@st.composite
def joins(draw) -> Hardware:
    """A random machine of this kind: any array, lanes, windows and skipping."""
    given_hw = draw(machines()).model_dump()
    width = draw(st.one_of(st.integers(1, 9), st.sampled_from((16, 20, 33, 64, 70, 130))))
    given_hw["skipping"] = {
        "kind": "inner_join",
        "tensors": draw(st.lists(st.sampled_from(ALL), unique=True, min_size=1)),
        "blocks": draw(st.lists(st.sampled_from(ALL), unique=True)),
        "outputs": draw(st.booleans()),
        "scan_width": width,
        "windows": draw(st.sampled_from((1, 2, 4))),
        "sync": draw(st.sampled_from(("pe", "row", "column", "array"))),
    }
    return Hardware.model_validate(given_hw)


def assert_equal(hw: Hardware, op: OpTrace, which: str) -> None:
    for plain, gemm in zip(plain_lower(op, which), lower(op, which), strict=True):
        expected, timing = plain_inner_join(hw, plain), time_gemm(hw, gemm)
        assert timing.tile_cycles.tolist() == expected.tile_cycles
        slots = {name: count for name, count in vars(timing.slots).items() if count}
        assert slots == {name: count for name, count in expected.slots.items() if count}
        assert (timing.streamed_a, timing.streamed_b) == (expected.reads["a"], expected.reads["b"])
        assert timing.slots.total == hw.array.rows * hw.array.cols * hw.array.lanes * timing.cycles


@pytest.mark.reference
@given(joins(), operations(largest=5), st.sampled_from(PASSES))
def test_cycles_and_slots_equal_the_reference(hw: Hardware, op: OpTrace, which: str) -> None:
    assert_equal(hw, op, which)


@pytest.mark.reference
@pytest.mark.parametrize("sync", ["pe", "row", "column", "array"])
@pytest.mark.parametrize("windows", [1, 2, 4])
@pytest.mark.parametrize(
    ("shape", "width", "lanes"),
    [((3, 4), 8, 1), ((3, 4), 16, 2), ((2, 70), 8, 1), ((5, 3), 63, 3), ((3, 4), 300, 3), ((40, 3), 5, 2)],
)
def test_long_rows_equal_the_reference(sync: str, windows: int, shape: tuple[int, int], width: int, lanes: int) -> None:
    """Uneven densities, so that groups stall; dropped windows, edge tiles, masked outputs; bytes and words."""
    rng = np.random.default_rng((width, windows))
    m, n, k = shape[0] + 1, shape[1] + 1, 300 if width < 64 else 900
    alive = np.repeat(rng.random((2, -(-k // width))) < 0.7, width, axis=1)[:, :k]
    op = OpTrace(
        name="fc",
        step=0,
        weight=(rng.random((m, k)) < rng.choice((0.1, 0.9), (m, 1))) & alive[0],
        input=(rng.random((n, k)) < np.linspace(0.1, 1, n)[:, None]) & alive[1],
        output_needed=rng.random((n, m)) < 0.8,
    )
    parts = {"scan_width": width, "windows": windows, "sync": sync}
    assert_equal(machine(*shape, lanes, **parts), op, "forward")
    masked = machine(*shape, lanes, **parts, blocks=ALL, outputs=True)
    assert_equal(masked, op, "forward")
    assert_equal(with_ports(masked, 2 * shape[0] * width, shape[1] * width // 2 + 1), op, "forward")


@pytest.mark.closed_form
@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 9), st.integers(1, 60), st.sampled_from((1, 2, 4)))
def test_a_window_of_the_lanes_is_the_dense_pe(rows: int, cols: int, lanes: int, k: int, windows: int) -> None:
    """S = L, whatever the masks: ceil(K / L) cycles a tile, however many windows are held."""
    rng = np.random.default_rng(k)
    for density in (0.3, 1.0):
        op = linear(rng.random((3, k)) < density, rng.random((5, k)) < density)
        tiles = -(-3 // rows) * -(-5 // cols)
        assert cycles(machine(rows, cols, lanes, scan_width=lanes, windows=windows), op) == tiles * -(-k // lanes)


@pytest.mark.closed_form
@pytest.mark.parametrize("windows", [1, 2, 4])
@pytest.mark.parametrize(("n", "m"), [(1, 2), (2, 4), (1, 4), (2, 8)])
def test_n_of_m_weights_take_n_of_m_of_the_cycles(windows: int, n: int, m: int) -> None:
    """Every window of M positions has N non-zero weights, which N lanes take in the cycle in which it enters."""
    rng = np.random.default_rng(0)
    weight = np.zeros((4, 16, m), bool)
    for row in weight.reshape(-1, m):
        row[rng.permutation(m)[:n]] = True
    op = linear(weight.reshape(4, -1), np.ones((6, 16 * m), bool))
    wide = machine(4, 3, n, tensors=("weight",), scan_width=m, windows=windows)
    assert cycles(wide, op) == 2 * 16
    assert cycles(machine(4, 3, 1, tensors=("weight",), scan_width=m, windows=windows), op) == 2 * 16 * n


@pytest.mark.closed_form
def test_a_worked_example() -> None:
    """One window is held until its fullest PE is done; with two, PE (0, 1) works ahead and evens out."""
    a = np.ones((1, 8), bool)
    b = np.array([[1, 1, 1, 1, 1, 0, 0, 0], [1, 0, 0, 0, 1, 1, 1, 1]], bool)
    op = linear(a, b)
    one, two = (machine(1, 2, scan_width=4, windows=windows) for windows in (1, 2))
    assert (cycles(one, op), cycles(two, op)) == (4 + 4, 5)
    (gemm,) = lower(op, "forward")
    slots = time_gemm(one, gemm).slots
    assert (slots.effectual, slots.sync, slots.starved) == (10, 3 + 3, 0)


def tile_cycles(hw: Hardware, op: OpTrace, which: str) -> np.ndarray:
    hw = Hardware.model_validate(hw.model_dump() | {"mapping": {}})
    return np.concatenate([np.zeros(0, int), *(time_gemm(hw, gemm).tile_cycles for gemm in lower(op, which))])


def changed(hw: Hardware, **skipping: object) -> Hardware:
    return Hardware.model_validate(hw.model_dump() | {"skipping": hw.skipping.model_dump() | skipping})


@pytest.mark.relations
@given(joins(), operations(largest=5), st.sampled_from(PASSES), st.integers(0, 2**32 - 1))
def test_what_never_costs_a_cycle(hw: Hardware, op: OpTrace, which: str, seed: int) -> None:
    """More windows, more lanes, smaller groups, sparser masks: tile by tile."""
    own = tile_cycles(hw, op, which)
    one, two, four = (tile_cycles(changed(hw, windows=windows), op, which) for windows in (1, 2, 4))
    assert (four <= two).all()
    assert (two <= one).all()
    more = hw.model_copy(update={"array": hw.array.model_copy(update={"lanes": hw.array.lanes + 1})})
    assert (tile_cycles(more, op, which) <= own).all()
    alone, row, column, array = (
        tile_cycles(changed(hw, sync=sync), op, which) for sync in ("pe", "row", "column", "array")
    )
    assert (alone <= np.minimum(row, column)).all()
    assert (np.maximum(row, column) <= array).all()
    assert (tile_cycles(hw, sparser(op, seed, 0.7), which) <= own).all()
    assert (tile_cycles(with_ports(hw, "unlimited", "unlimited"), op, which) <= own).all()


@pytest.mark.relations
@settings(max_examples=30, deadline=None)
@given(joins(), operations(largest=5), st.sampled_from(PASSES))
def test_an_explained_tile_takes_what_it_takes(hw: Hardware, op: OpTrace, which: str) -> None:
    for gemm in lower(op, which):
        tiled = TiledGemm.of(hw, gemm)
        for index, taken in enumerate(pe_of(hw).unported().time(tiled).tile_cycles.tolist()):
            group = pe_of(hw).explain_tile(tiled, index).facts["sync_group"]
            assert group["scan_cycles"] + group["stall_cycles"] + group["drain_cycles"] == taken


@pytest.mark.relations
@settings(max_examples=10, deadline=None)
@given(joins(), operations(largest=5))
def test_it_runs_end_to_end(hw: Hardware, op: OpTrace) -> None:
    assert hw.dense().skipping.kind == "dense"
    layers = simulate(hw, [op], workers=1).layers
    slots = layers[[name for name in layers.columns if name.startswith("slots_")]].sum(axis=1)
    assert (slots == layers["cycles"] * hw.array.lanes * hw.array.rows * hw.array.cols).all()
    assert (layers["energy_pj"] >= 0).all()


@pytest.mark.relations
@given(joins(), operations(largest=5), st.sampled_from(PASSES))
def test_what_is_forecast_is_what_comes(hw: Hardware, op: OpTrace, which: str) -> None:
    for gemm in lower(op, which):
        tiled = TiledGemm.of(hw, gemm)
        forecast, timing = pe_of(hw).forecast(tiled), pe_of(hw).time(tiled)
        assert forecast.positions.tolist() == timing.tile_positions.tolist()
        for name, value in forecast.known.items():
            assert getattr(timing, name, getattr(timing.slots, name, None)) == value


@pytest.mark.smoke
def test_what_it_needs_is_said() -> None:
    with pytest.raises(ValueError, match="at least one tensor"):
        machine(tensors=())
    with pytest.raises(ValueError, match="windows"):
        machine(windows=3)
    hw = machine(scan_width=8)
    assert (hw.skipping.kind, hw.skipping.windows, hw.skipping.sync) == ("inner_join", 2, "array")
    assert Hardware.model_validate(hw.model_dump()) == hw


@pytest.mark.reference
@pytest.mark.parametrize("windows", [1, 2, 4])
@pytest.mark.parametrize("which", ["input_grad", "weight_grad"])
def test_equal_pes_of_masked_outputs(windows: int, which: str) -> None:
    """A gradient without a zero: its columns are of a few kinds in input_grad, its rows all alike in weight_grad."""
    rng = np.random.default_rng(windows)
    op = OpTrace(
        name="conv",
        step=0,
        weight=rng.random((10, 9, 3, 3)) < 0.3,
        input=rng.random((2, 9, 6, 6)) < 0.5,
        grad_output=np.ones((2, 10, 6, 6)),
        padding=(1, 1),
        input_grad_needed=rng.random((2, 9, 6, 6)) < 0.5,
        weight_grad_needed=rng.random((10, 9, 3, 3)) < 0.3,
    )
    for width, lanes in ((4, 1), (8, 2), (6, 1)):
        options = {"scan_width": width, "windows": windows, "sync": "array", "blocks": ("weight",), "outputs": True}
        assert_equal(machine(8, 16, lanes, **options), op, which)
