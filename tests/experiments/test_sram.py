"""experiments/sram: the table that ships in the package is the committed one; its quick variant needs CACTI."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_package_has_the_table() -> None:
    table = (ROOT / "experiments" / "sram" / "table.csv").read_text(encoding="utf-8")
    assert table == (ROOT / "accelsim" / "area" / "sram.csv").read_text(encoding="utf-8")
    assert table.startswith("kib,bits,read_pj,mm2\n1,16,")
