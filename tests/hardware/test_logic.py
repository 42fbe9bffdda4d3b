"""Cells of the parts: the fitted formulas beside the table of Yosys's cells."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest

from accelsim.hardware.logic import Logic, cells, derived_sizes

TABLE = Path(__file__).parents[2] / "experiments" / "rtl_area" / "table.csv"
SIZES = ("S", "D", "V", "L", "W", "ACC", "MEMBERS")


def rows() -> Iterator[tuple[str, dict[str, int], int, int, int]]:
    for row in csv.DictReader(TABLE.open(encoding="utf-8")):
        sizes = {size: int(row[size]) for size in SIZES if row[size]}
        yield row["part"], sizes, int(row["gates"]), int(row["gate_equivalents"]), int(row["flip_flops"])


def test_each_part_within_a_tenth_of_its_cells() -> None:
    parts = [row for row in rows() if row[0] not in ("scanning_pe", "inner_join_pe", "tensordash_pe")]
    assert len({part for part, *_ in parts}) >= 13
    for part, sizes, gates, equivalents, flip_flops in parts:
        built = cells(part, **sizes)
        assert built.gates == pytest.approx(gates, rel=0.1), (part, sizes)
        assert built.flip_flops == flip_flops, (part, sizes)
        assert built.gates * built.equivalents_per_gate == pytest.approx(equivalents, rel=0.15), (part, sizes)


def test_a_scanning_pe_is_the_sum_of_its_parts() -> None:
    whole = [row for row in rows() if row[0] == "scanning_pe"]
    assert whole
    for _, sizes, gates, _, flip_flops in whole:
        built = [cells(part, **sizes) for part in ("mac_lanes", "scanner", "crossbar", "pair_queue")]
        assert sum(part.gates for part in built) == pytest.approx(gates, rel=0.1), sizes
        assert sum(part.flip_flops for part in built) == flip_flops


def test_an_inner_join_pe_is_the_sum_of_its_parts() -> None:
    whole = [row for row in rows() if row[0] == "inner_join_pe"]
    assert whole
    for _, sizes, gates, equivalents, flip_flops in whole:
        built = [cells(part, **sizes) for part in ("mac_lanes", "window_join", "operand_pick", "operand_pick")]
        assert sum(part.gates for part in built) == pytest.approx(gates, rel=0.1), sizes
        area = sum(part.gates * part.equivalents_per_gate for part in built)
        assert area == pytest.approx(equivalents, rel=0.1), sizes
        assert sum(part.flip_flops for part in built) == flip_flops


def test_a_tensordash_pe_is_the_sum_of_its_parts() -> None:
    """Its lanes and multiplexers; 64 more choose the row's schedule or the column's."""
    whole = [row for row in rows() if row[0] == "tensordash_pe"]
    assert whole
    for _, sizes, gates, equivalents, flip_flops in whole:
        lanes, pick = cells("mac_lanes", L=16, **sizes), cells("lane_pick", **sizes)
        assert lanes.gates + 2 * pick.gates + 64 == pytest.approx(gates, rel=0.1), sizes
        area = lanes.gates * lanes.equivalents_per_gate + (2 * pick.gates + 64) * pick.equivalents_per_gate
        assert area == pytest.approx(equivalents, rel=0.1), sizes
        assert lanes.flip_flops == flip_flops


@pytest.mark.closed_form
def test_sizes_that_follow() -> None:
    known = derived_sizes({"S": 16, "D": 16, "L": 2, "W": 16, "ACC": 32})
    assert (known["N"], known["T"], known["MOVES"]) == (5, 6, 15 + 14)
    assert (known["LOW"], known["HIGH"]) == (136, 256)
    assert derived_sizes({"W": 16, "ACC": 16})["HIGH"] == 0
    known = derived_sizes({"S": 4, "V": 2, "L": 3})
    assert (known["INPUTS"], known["RANKS"], known["ACROSS"]) == (7, 2 * (1 + 2 + 3 + 3), 8 * 3 * 2)
    assert known["ENCODED"] == 3 * (3 * 3 + 7)  # three bits out of four places each, and whether there is a pair
    assert derived_sizes({"S": 1, "V": 1})["ENCODED"] == 0
    assert derived_sizes({"W": 8, "ACC": 32})["HIGH"] == 64
    choices = [derived_sizes({"V": staged})["CHOICES"] for staged in (1, 2, 3)]
    assert choices == [0, 16 * 4, 16 * 7]


@pytest.mark.closed_form
def test_gate_equivalents_by_hand() -> None:
    assert Logic("x", 3, 10, 2, 1.5).gate_equivalents == pytest.approx(3 * (10 * 1.5 + 2 * 4.522 / 0.798))
