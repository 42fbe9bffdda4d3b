"""SRAMs: the table's own points, and what lies between and beyond them."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

import accelsim.area.sram
from accelsim.area.sram import _memory_mm2, sram_mm2, width_factor

TABLE = [
    {name: float(value) for name, value in row.items()}
    for row in csv.DictReader(Path(accelsim.area.sram.__file__).with_name("sram.csv").open(encoding="utf-8"))
]


def test_the_table_holds_at_its_points() -> None:
    read = {(row["kib"], row["bits"]): row["read_pj"] / row["bits"] for row in TABLE}
    for row in TABLE:
        kib, bits = row["kib"], row["bits"]
        assert _memory_mm2(kib, bits) == pytest.approx(row["mm2"])
        assert width_factor(kib, bits) == pytest.approx(read[kib, bits] / read[kib, 64])


@pytest.mark.closed_form
def test_between_points_by_hand() -> None:
    at = {(row["kib"], row["bits"]): row["mm2"] for row in TABLE}
    assert sram_mm2(8 * 2**0.5, 32) == pytest.approx((at[8, 32] * at[16, 32]) ** 0.5)
    assert sram_mm2(8, 16 * 2**0.5) == pytest.approx((at[8, 16] * at[8, 32]) ** 0.5)


@pytest.mark.closed_form
def test_wide_accesses_are_memories_side_by_side() -> None:
    at = {(row["kib"], row["bits"]): row["mm2"] for row in TABLE}
    assert at[128, 512] > 4 * at[32, 128]
    assert sram_mm2(128, 512) == pytest.approx(4 * at[32, 128])
    assert sram_mm2(128, 512) <= min(at[128, 512], 2 * at[64, 256], 8 * at[16, 64], 16 * at[8, 32])
    assert sram_mm2(4096, 32) == pytest.approx(4 * at[1024, 32])
    assert sram_mm2(0.5, 16) == pytest.approx(at[1, 16] / 2)
    assert _memory_mm2(0.5, 512) == pytest.approx(at[2, 512])  # at least 32 words
    assert width_factor(1, 4096) == width_factor(1, 256)
    assert width_factor(2**20, 4096) == width_factor(1024, 1024)


@pytest.mark.relations
def test_many_small_banks_take_more() -> None:
    for kib in (16, 100, 2000):
        assert 16 * sram_mm2(kib / 16, 256) > 0.9 * sram_mm2(kib, 256)
        assert 16 * kib * sram_mm2(1 / 16, 256) > 2 * sram_mm2(kib, 256)
