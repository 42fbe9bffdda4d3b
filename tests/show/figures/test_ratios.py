"""Ratios beside the machine's own dense self and at equal area."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from accelsim import AccelsimError, simulate
from accelsim.show.figures import ratios
from accelsim.show.figures.source import read_source
from tests.test_pipeline import layer, small


def test_one_result_shows_its_passes_and_several_their_totals(results: dict[str, Path]) -> None:
    sources = [read_source(results[name]) for name in ("small", "other")]
    one, two = ratios.data(sources[:1]), ratios.data(sources)
    assert one["pass"].tolist() == ["forward", "input_grad", "weight_grad", "other work", "total"]
    assert len(two) == 2 * len(one)
    for table, shown in (
        (one, ["forward", "input_grad", "weight_grad", "total"]),
        (two, ["small", "other"]),
    ):
        figure = ratios.draw(table)
        figure.draw_without_rendering()
        assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == shown
        widths = [bar.get_width() for bar in figure.axes[0].patches]
        rows = table[table["pass"] == "total"] if table is two else table[table["pass"] != "other work"]
        assert widths == [*rows["speedup"], *rows["speedup_at_equal_area"]]


@pytest.mark.relations
def test_a_sweep_has_the_ratios_of_its_sums(sweep: Path) -> None:
    source = read_source(sweep)
    table, totals = ratios.data([source]), source.table.groupby("machine", sort=False).sum(numeric_only=True)
    found = table[table["pass"] == "total"].set_index("bar")
    assert found.index.tolist() == totals.index.tolist()
    assert found["speedup_at_equal_area"].to_dict() == (totals["equal_area_cycles"] / totals["cycles"]).to_dict()
    saved = (totals["equal_area_energy_pj"] / totals["energy_pj"]).to_dict()
    assert found["energy_ratio_at_equal_area"].to_dict() == pytest.approx(saved)
    assert found["energy_ratio"].to_dict() == pytest.approx((totals["dense_energy_pj"] / totals["energy_pj"]).to_dict())
    assert found["energy_ratio_low"].isna().all()  # which a sweep does not say


def test_nothing_at_equal_area_is_said(sweep: Path, tmp_path: Path) -> None:
    simulate(small(), [layer("conv")], equal_area=False, workers=1).save(tmp_path / "out")
    older = tmp_path / "older.csv"
    pd.read_parquet(sweep).drop(columns=["equal_area_cycles", "equal_area_energy_pj"]).to_csv(older, index=False)
    for path in (tmp_path / "out", older):
        with pytest.raises(AccelsimError, match="no ratio at equal area"):
            ratios.data([read_source(path)])
