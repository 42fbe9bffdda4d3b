"""An explanation says what `simulate` counts, and takes the slowest tile apart as the per-cycle reference runs it."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim import Hardware, OpTrace, simulate
from accelsim.array import TiledGemm, pe_of, time_tiled
from accelsim.array.sync_groups import SyncGroup
from accelsim.array.tile import cut_tile
from accelsim.explain import explain, explain_pass
from accelsim.lowering import PASSES, lower
from accelsim.show.explanation import explanation_text
from tests.oracle.array import plain_time
from tests.oracle.lowering import PlainGemm, plain_lower
from tests.strategies import machines, operations

pytestmark = pytest.mark.reference
UNLIMITED = {"weight_words_per_cycle": "unlimited", "input_words_per_cycle": "unlimited"}
BARE = Hardware.model_validate({"name": "bare", "array": {"rows": 1, "cols": 1}, "memory": {"buffers": UNLIMITED}})
MEMORY = {
    "dram": {"bytes_per_cycle": 8, "latency_cycles": 10},
    "buffers": {"weight_kib": 4, "input_kib": 8, "output_kib": 4},
    "compression": ["weight"],
}


def other_kinds() -> st.SearchStrategy[Hardware]:
    td = {"array": {"rows": 3, "cols": 2, "lanes": 16}, "skipping": {"tensors": ["weight"], "scheduler": "tensordash"}}
    parts = [td]
    for dataflow in ("output_stationary", "weight_stationary", "input_stationary"):
        parts.append({"array": {"rows": 3, "cols": 2, "interconnect": "systolic", "dataflow": dataflow}})
    return st.sampled_from([Hardware.model_validate({"name": "other", **part}) for part in parts])


@given(st.one_of(machines(), other_kinds()), operations(largest=5), st.booleans(), st.integers(1, 3))
def test_totals_are_those_of_simulate(hw: Hardware, op: OpTrace, with_memory: bool, arrays: int) -> None:
    memory = Hardware.model_validate({"name": "m", "array": {"rows": 1, "cols": 1}, "memory": MEMORY}).memory
    array = hw.array.model_copy(update={"count": arrays})
    hw = hw.model_copy(update={"array": array, **({"memory": memory} if with_memory else {})})
    explanation = explain(hw, op)
    rows = simulate(hw, [op], workers=1).layers.to_dict("records")
    assert [part.which for part in explanation.passes] == [row["pass"] for row in rows]
    for part, row in zip(explanation.passes, rows, strict=True):
        memory_part = part.memory
        assert (memory_part.cycles, memory_part.array_cycles) == (row["cycles"], row["array_cycles"])
        assert memory_part.dram_read_bytes + memory_part.dram_write_bytes == row["dram_bytes"]
        assert all(cycles <= memory_part.cycles for cycles in memory_part.without.values())
        assert part.dense_cycles == row["dense_cycles"]
        assert {f"slots_{name}": count for name, count in vars(part.slots).items()}.items() <= row.items()
        assert part.macs == row["macs"] == sum(s.count * s.m * s.n * s.k for s in part.shapes)
        largest = max(part.shapes, key=lambda s: s.m * s.n * s.k, default=None)
        if largest is not None:
            assert (largest.m, largest.n, largest.k) == (row["m"], row["n"], row["k"])
        if part.slowest is not None and hw.memory.buffers == BARE.memory.buffers:
            assert part.slowest.port_cycles == 0
        if part.tiles is not None:
            assert part.tiles.tiles == sum(shapes.tiles for shapes in part.shapes)
            if arrays == 1:
                assert part.tiles.mean * part.tiles.tiles == pytest.approx(row["array_cycles"])
        buffers = hw.memory.buffers
        ports = (buffers.weight_words_per_cycle, buffers.input_words_per_cycle)
        if arrays == 1 and not any(isinstance(port, int) for port in ports):
            assert sum(shapes.dense_cycles for shapes in part.shapes) == row["dense_array_cycles"]
    json.dumps(dataclasses.asdict(explanation))
    explanation_text(explanation)


@given(machines(), operations(largest=5), st.sampled_from(PASSES))
def test_the_slowest_tile_is_the_references(hw: Hardware, op: OpTrace, which: str) -> None:
    slowest = explain_pass(hw, op, which).slowest
    timings = [plain_time(hw, gemm) for gemm in plain_lower(op, which)]
    every = [cycles for timing in timings for cycles in timing.tile_cycles]
    if not every:
        assert slowest is None
        return
    assert slowest is not None
    assert slowest.cycles == max(every)
    if hw.skipping.kind == "scanning":
        group = slowest.account.facts["sync_group"]
        assert isinstance(group, dict)
        cycles = sum(group[f"{part}_cycles"] for part in ("scan", "stall", "drain"))
        assert slowest.cycles == cycles + slowest.port_cycles + slowest.drain_cycles
        assert group["scan_cycles"] == slowest.windows
        assert slowest.lower_bound <= cycles
    else:
        assert slowest.account.facts == {}
        assert slowest.cycles == slowest.windows + slowest.port_cycles + slowest.drain_cycles


@given(machines().filter(lambda hw: hw.skipping.kind == "scanning"), operations(largest=5), st.sampled_from(PASSES))
def test_every_tile_taken_apart_takes_its_cycles(hw: Hardware, op: OpTrace, which: str) -> None:
    """Also of the tiles that are not the slowest: what a group scans, stalls and drains is the tile's time."""
    array = hw.array.model_copy(update={"drain": "free"})
    ideal = hw.model_copy(update={"memory": BARE.memory, "array": array})
    natural = ideal.model_copy(update={"mapping": BARE.mapping})
    for lowered in lower(op, which):
        tiled = TiledGemm.of(ideal, lowered)
        gemm = tiled.gemm
        for index, cycles in enumerate(time_tiled(ideal, tiled).tile_cycles[:6]):
            tile = cut_tile(tiled, index)
            group = SyncGroup(**pe_of(ideal).explain_tile(tiled, index).facts["sync_group"])
            assert group.cycles == cycles
            alone = PlainGemm(tile.a, tile.b.T, tile.wanted, gemm.a_kind, gemm.b_kind)
            assert plain_time(natural, alone).tile_cycles in ([cycles], [])  # none: no output of the tile is needed
            shown_a = tile.a if gemm.a_kind in hw.skipping.tensors else np.ones_like(tile.a)
            shown_b = tile.b if gemm.b_kind in hw.skipping.tensors else np.ones_like(tile.b)
            row, column = group.fullest_pe
            if not hw.skipping.blocks:
                assert group.pairs == (shown_a[row] & shown_b[column]).sum() * tile.wanted[row, column]


def test_the_worked_example_is_told_as_in_the_documentation() -> None:
    """The tile of docs/timing.md: row 0 scans two windows, is blocked once in cycle 2, and drains for three cycles."""
    machine = Hardware.model_validate(
        {
            "name": "worked example",
            "array": {"rows": 2, "cols": 2},
            "skipping": {"tensors": ["weight", "activation"], "scan_width": 4, "fifo_depth": 4, "sync": "row"},
        }
    )
    layer = OpTrace(
        name="fc",
        step=0,
        weight=[[1, 1, 1, 1, 1, 1, 0, 0], [1, 0, 0, 0, 1, 0, 0, 0]],
        input=[[1, 1, 1, 1, 1, 1, 1, 1], [1, 0, 1, 0, 1, 1, 1, 1]],
    )
    part = explain_pass(machine, layer, "forward")
    assert part.slowest is not None
    assert part.slowest.account.facts["sync_group"] == {
        "pes": "row 0",
        "fullest_pe": (0, 0),
        "pairs": 6,
        "scan_cycles": 2,
        "stall_cycles": 1,
        "drain_cycles": 3,
    }
    assert part.slowest.lower_bound == 6
    assert part.shapes[0].dense_formula == "1 row tiles × 1 column tiles × ceil(8 / 1)"
    assert part.shapes[0].dense_cycles == 8
