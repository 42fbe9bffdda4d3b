"""Every kind of figure draws its own numbers, and says what it lacks."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from accelsim import AccelsimError
from accelsim.show.figures import files
from accelsim.show.figures.pareto import on_front
from accelsim.show.figures.registry import KINDS, find_kind, plot
from accelsim.show.figures.source import machine_labels, read_source

OF_A_SWEEP = ("ratios", "granularity", "slots", "energy", "roofline", "pareto")


@pytest.mark.smoke
@pytest.mark.parametrize("name", KINDS)
def test_each_kind_draws_one_result_and_two(name: str, results: dict[str, Path], tmp_path: Path) -> None:
    for count in (1, 2):
        sources = [read_source(results[one]) for one in ("small", "other")[:count]]
        written = plot(find_kind(name), sources, tmp_path / f"{count}.svg")
        assert written == [tmp_path / f"{count}.svg", tmp_path / f"{count}.csv"]
        assert ET.parse(written[0]).getroot().tag.endswith("svg")
        assert len(pd.read_csv(written[1])) > 0
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.smoke
@pytest.mark.parametrize("name", OF_A_SWEEP)
def test_sweeps_are_drawn_too(name: str, sweep: Path, tmp_path: Path) -> None:
    for source in (sweep, sweep.parent):  # the file, or the folder that holds it
        plot(find_kind(name), [read_source(source)], tmp_path / "figure.pdf")
    assert (tmp_path / "figure.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("suffix", files.SUFFIXES)
def test_the_same_figure_is_the_same_file(suffix: str, results: dict[str, Path], tmp_path: Path) -> None:
    source = read_source(results["small"])
    one, two = (plot(find_kind("slots"), [source], tmp_path / f"{name}{suffix}")[0] for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.relations
def test_numbers_of_figures_are_those_of_the_result(results: dict[str, Path]) -> None:
    source = read_source(results["small"])
    assert source.result is not None
    total, by_pass = source.result.summary["total"], source.result.summary["by_pass"]
    between = source.result.summary["other_work"]["total"]
    assert between["cycles"] > 0
    slots = KINDS["slots"].data([source])
    assert slots["cycles"].sum() == total["cycles"] - between["cycles"]
    assert slots["slots_barrier"].sum() == total["slots_barrier"]
    layers = KINDS["layers"].data([source])
    assert layers["dense_cycles"].sum() == total["dense_cycles"] - between["cycles"]
    energy = KINDS["energy"].data([source])
    components = [name for name in energy.columns if name.startswith("energy_")]
    assert energy[components].to_numpy().sum() == pytest.approx(total["energy_pj"] - between["energy_pj"])
    pareto = KINDS["pareto"].data([source])
    assert pareto[["cycles", "energy_pj"]].to_numpy().tolist() == [[total["cycles"], pytest.approx(total["energy_pj"])]]
    roofline = KINDS["roofline"].data([source])
    hardware = source.result.hardware
    assert set(roofline["peak_macs_per_cycle"]) == {hardware.array.rows * hardware.array.cols * hardware.array.lanes}
    granularity = KINDS["granularity"].data([source]).set_index("pass")
    assert granularity["speedup"].to_dict() == pytest.approx({name: one["speedup"] for name, one in by_pass.items()})
    assert set(granularity["pattern"]) == {"4x4"}
    assert set(granularity["weight_density"]) == {0.5}
    ratios = KINDS["ratios"].data([source]).set_index("pass")
    for name, part in (by_pass | {"total": total}).items():
        assert ratios.loc[name, "speedup_at_equal_area"] == part["speedup_at_equal_area"]
        assert ratios.loc[name, "energy_ratio_at_equal_area_low"] == part["energy_ratio_at_equal_area_low"]
    training = KINDS["training"].data([source])
    assert set(training["whole_training_speedup"]) == {source.result.training["total"]["speedup"]}


@pytest.mark.relations
def test_products_that_were_made_stay_under_the_roofs(results: dict[str, Path]) -> None:
    table = KINDS["roofline"].data([read_source(results[name]) for name in ("small", "other")])
    assert (table["effectual_macs_per_cycle"] <= table["peak_macs_per_cycle"] + 1e-9).all()
    bandwidth = table["effectual_macs_per_byte"] * table["bytes_per_cycle"]
    assert (table["effectual_macs_per_cycle"] <= bandwidth.fillna(np.inf) + 1e-9).all()


@pytest.mark.relations
def test_no_machine_beats_the_bound_of_granularity(results: dict[str, Path], sweep: Path) -> None:
    for sources in ([read_source(results["small"]), read_source(results["other"])], [read_source(sweep)]):
        table = KINDS["granularity"].data(sources)
        assert table.groupby("pass")["ideal"].nunique().eq(1).all()
        assert (table["slots_effectual"] * table["ideal"] >= table["macs"] - 1e-6).all()


@pytest.mark.closed_form
def test_a_front_has_no_dominated_row() -> None:
    costs = np.array([[1, 5], [2, 2], [5, 1], [2, 3], [5, 5], [2, 2]], dtype=np.float64)
    assert on_front(costs).tolist() == [True, True, True, False, False, True]


def test_designs_are_named_by_what_differs(sweep: Path) -> None:
    table = read_source(sweep).table
    assert set(table["machine"]) == {"sync row", "sync array"}
    assert set(machine_labels(table.drop(columns=["machine", "skipping.sync"]))) == {"machine"}


def test_what_cannot_be_drawn_is_said(results: dict[str, Path], sweep: Path, tmp_path: Path) -> None:
    result = read_source(results["small"])
    table = read_source(sweep)
    figure = tmp_path / "figure.svg"
    for name in ("layers", "training"):
        with pytest.raises(AccelsimError, match="a sweep has no"):
            plot(find_kind(name), [table], figure)
    with pytest.raises(AccelsimError, match="unknown kind of figure 'pie', expected one of ratios, granularity"):
        find_kind("pie")
    with pytest.raises(AccelsimError, match=r"ends in one of \.svg"):
        plot(find_kind("slots"), [result], tmp_path / "figure.jpg")
    with pytest.raises(AccelsimError, match="cannot be written"):
        plot(find_kind("slots"), [result], tmp_path / "missing" / "figure.svg")
    assert not list(tmp_path.iterdir())


def test_more_machines_than_marks_are_refused(sweep: Path, tmp_path: Path) -> None:
    rows = pd.read_parquet(sweep).dropna(subset=["pass"])
    many = pd.concat([rows.assign(**{"array.rows": number}) for number in range(1, 40)])
    many.to_csv(tmp_path / "many.csv", index=False)
    source = read_source(tmp_path / "many.csv")
    for name, words in (("granularity", "tells 8 apart"), ("roofline", "has room for 6"), ("slots", "78 bars")):
        with pytest.raises(AccelsimError, match=words):
            KINDS[name].data([source])
    plot(KINDS["pareto"], [source], tmp_path / "pareto.svg")


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("missing.parquet", None, "there is no such file or folder"),
        ("empty", None, "no result of accelsim run --out"),
        ("table.txt", "a", "expected a folder"),
        ("table.csv", "a,b\n1,2\n", "lacks the columns trace, pass"),
        ("table.csv", "", "no table of a sweep"),
        ("table.parquet", "nonsense", "no table of a sweep"),
        ("table.csv", "trace,pass,cycles,dense_cycles,speedup,energy_pj,dense_energy_pj\na,,1,1,1,1,1\n", "no row of"),
    ],
)
def test_what_is_no_source_is_said(name: str, content: str | None, sentence: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    elif name == "empty":
        (tmp_path / name).mkdir()
    with pytest.raises(AccelsimError, match=sentence):
        read_source(tmp_path / name)


def test_a_table_is_not_overwritten_by_its_own_figure(sweep: Path, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    pd.read_parquet(sweep).to_csv(table, index=False)
    before = table.read_bytes()
    with pytest.raises(AccelsimError, match="would overwrite"):
        plot(find_kind("slots"), [read_source(table)], tmp_path / "table.svg")
    assert table.read_bytes() == before


def test_without_matplotlib_one_sentence_says_so(
    results: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "can_draw", lambda: False)
    with pytest.raises(AccelsimError, match="pip install"):
        plot(find_kind("slots"), [read_source(results["small"])], tmp_path / "figure.svg")
