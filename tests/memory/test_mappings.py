"""Mappings that are given: as text and back, from a file, and refused where they cannot be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim import AccelsimError, Hardware, OpTrace, simulate
from accelsim.lowering import PASSES, lower
from accelsim.memory.blocking import Blocking, read_blockings, tell_blockings
from accelsim.memory.mappings import read_mappings
from accelsim.memory.search import candidates
from accelsim.memory.shape import Shape
from tests.strategies import operations

SPILLING = "row_tiles=1 columns=4 chunk=8 order=rows kernel_rows=1 block_channels=8 spills"


def machine(**dram: object) -> Hardware:
    buffers = {"weight_kib": 2, "input_kib": 2, "output_kib": 1}
    return Hardware.model_validate(
        {"name": "m", "array": {"rows": 4, "cols": 4}, "memory": {"dram": dram, "buffers": buffers}}
    )


def layer() -> OpTrace:
    return OpTrace(name="fc", step=0, weight=np.ones((8, 32)), input=np.ones((16, 32)))


def cycles(hw: Hardware, path: Path, mapping: str, name: str = "fc") -> int:
    path.write_text(f"layer,pass,mapping\n{name},forward,{mapping}\n")
    return int(simulate(hw, [layer()], mappings=read_mappings(path)).layers["cycles"].iloc[0])


@pytest.mark.relations
@settings(max_examples=60, deadline=None)
@given(operations(largest=10), st.sampled_from(PASSES), st.integers(1, 3))
def test_text_says_all_of_a_cut(op: OpTrace, which: str, times: int) -> None:
    cuts = [
        one.blocking
        for gemm in lower(op, which)
        for one in candidates(Shape.of(machine(bytes_per_cycle=8), gemm))
        for _ in range(times)
    ]
    assert not cuts or [*read_blockings(tell_blockings(cuts))] in (cuts, cuts[:1])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("row_tiles=1 columns=4 chunk=8 order=rows", "it needs kernel_rows and block_channels, or gathered"),
        ("columns=4 chunk=8 order=rows gathered", "it lacks row_tiles"),
        ("row_tiles=0 columns=4 chunk=8 order=rows gathered", "row_tiles is '0', expected a whole number above 0"),
        ("row_tiles=1 columns=4 chunk=8 order=up gathered", "order is 'up', expected rows or columns"),
        ("row_tiles=1 columns=4 chunk=8 order=rows gathered rows=2", "'rows' is no part of a mapping"),
        (f"{SPILLING} stays", "give one of stays and spills"),
        (f"{SPILLING} a_portions=2", "leave out spills or the portions"),
    ],
)
def test_what_is_no_mapping_is_refused(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(AccelsimError, match=rf"m\.csv, line 2: .*{why}"):
        cycles(machine(bytes_per_cycle=8), tmp_path / "m.csv", text)


def test_sums_spill_as_told_but_not_into_a_dram_with_rows(tmp_path: Path) -> None:
    assert cycles(machine(bytes_per_cycle=8), tmp_path / "m.csv", SPILLING) > 0
    with pytest.raises(AccelsimError, match=r"layer 'fc', forward: .* spills"):
        cycles(machine(model="hbm2"), tmp_path / "m.csv", SPILLING)


def test_one_cut_serves_all_gemms_and_several_are_taken_in_turn() -> None:
    one, two = (Blocking(tiles, 4, 8, "rows", gathered=True) for tiles in (1, 2))
    assert tell_blockings([one, one]) == str(one)
    assert tell_blockings([one, one, two]) == f"2x {one}; {two}"
    assert read_blockings(f"2x {one}; {two}") == (one, one, two)
