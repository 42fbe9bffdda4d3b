"""A search finds the front of the full grid, the same way every time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from accelsim import Hardware, simulate
from accelsim.area import area
from accelsim.errors import SpaceError
from accelsim.explore import front, load_space, search, sweep
from accelsim.explore.designs import merge
from accelsim.explore.search import OBJECTIVES, Method, Objective
from accelsim.explore.task import Row, Task

from .conftest import write_trace
from .test_sweep import Here

SpaceFile = Callable[..., Path]
GRID = (
    "{array.rows: [2, 4, 8], array.cols: [2, 4, 8], skipping.sync: [pe, row, array], skipping.fifo_depth: [4, 8],"
    " memory.dram.bytes_per_cycle: {from: 4, to: 32, factor: 2}}"
)
Points = set[tuple[float, ...]]


def points(costs: pd.DataFrame) -> Points:
    """Return the different costs; designs that cost the same in everything count once."""
    return {(cycles, float(f"{energy:.12g}"), area) for cycles, energy, area in costs.itertuples(index=False)}


def front_of(table: pd.DataFrame) -> Points:
    sums = table.groupby("design").agg({"cycles": "sum", "energy_pj": "sum", "area_mm2": "first"})[[*OBJECTIVES]]
    return points(sums[front(np.asarray(sums))])


class Formula(Here):
    """Workers that do not simulate: costs by a formula, of the kind that machines have; a grid takes no time."""

    def run(self, tasks: Iterable[Task]) -> Iterator[list[Row]]:
        for task in tasks:
            rows = task.failed("")
            for row, point in zip(rows, task.points, strict=True):
                hw = point.hardware
                pes, dram = hw.array.rows * hw.array.cols, hw.memory.dram
                assert dram is not None
                waits = {"pe": 1.0, "row": 1.2, "array": 1.7}[hw.skipping.sync] * (1 + 2 / hw.skipping.fifo_depth)
                cycles = round(1e9 * waits / pes**0.9 + 1e8 / dram.bytes_per_cycle)
                energy = 3e8 + cycles * pes * 0.1 + 4e8 / hw.array.rows + 1e8 / hw.array.cols
                row |= {"pass": "forward", "error": None, "cycles": cycles, "energy_pj": energy}
            yield rows


def formula_area(hw: Hardware) -> SimpleNamespace:
    """PEs and their queues, as the costs above by a formula: what is tested is the search, not the model of areas."""
    return SimpleNamespace(mm2=hw.array.rows * hw.array.cols * (10_368 + 768 * hw.skipping.fifo_depth) + 589_824)


@pytest.mark.reference
@pytest.mark.parametrize("seed", range(5))
def test_finds_the_front_of_the_full_grid_in_a_fifth_of_it(
    space_file: SpaceFile, tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("search", "table"):
        monkeypatch.setattr(import_module(f"accelsim.explore.{module}"), "area", formula_area)
    space = load_space(space_file(GRID))
    whole = front_of(sweep(space, tmp_path / "grid", Formula()).table)
    assert 5 < len(whole) < 216 // 5
    found = search(space, tmp_path / "search", seed=seed, workers=Formula())
    assert found.simulated <= 216 // 5
    assert points(found.front[[*OBJECTIVES]]) == whole


@pytest.mark.reference
def test_costs_are_those_of_simulate(space_file: SpaceFile, tmp_path: Path) -> None:
    space = load_space(space_file("{array.rows: [2, 4], array.cols: [2, 4]}"))
    found = search(space, tmp_path / "out", budget=4, workers=Here())
    assert len(found.front) > 1
    for row in found.front.to_dict("records"):
        hw = Hardware.model_validate(merge(space.base, {key: row[key] for key in space.axes}))
        total = simulate(hw, tmp_path / "a.pkl", workers=1).summary["total"]
        assert row["cycles"] == total["cycles"]
        assert row["energy_pj"] == pytest.approx(total["energy_pj"])
        assert row["area_mm2"] == area(hw).mm2


def test_finds_the_front_of_the_ratios_at_equal_area(space_file: SpaceFile, tmp_path: Path) -> None:
    """Each ratio is that of a trace's total, and their geometric mean that of the search."""
    write_trace(tmp_path / "b.pkl", seed=1, image=9)
    space = load_space(space_file("{array.rows: [2, 4], array.cols: [2, 4, 8]}", traces="[a.pkl, b.pkl]"))
    ratios: tuple[Objective, ...] = ("speedup_at_equal_area", "energy_ratio_at_equal_area")
    found = search(space, tmp_path / "out", objectives=ratios, budget=6, workers=Here())
    expected = {}
    for number in range(6):
        hw = Hardware.model_validate(merge(space.base, space.values(number)))
        totals = [simulate(hw, tmp_path / f"{name}.pkl", workers=1).summary["total"] for name in "ab"]
        expected[number] = [math.sqrt(totals[0][ratio] * totals[1][ratio]) for ratio in ratios]
    best = front(1 / np.array([*expected.values()]))
    assert 0 < sum(best) < 6
    assert sorted(found.front["design"]) == [number for number in expected if best[number]]
    for row in found.front.to_dict("records"):
        assert [row[ratio] for ratio in ratios] == pytest.approx(expected[row["design"]])
    assert found.front["speedup_at_equal_area"].is_monotonic_decreasing
    with pytest.raises(SpaceError, match="the objectives are none"):
        search(space, tmp_path, objectives=(), workers=Here())
    with pytest.raises(SpaceError, match="the objectives are speedup; expected of cycles"):
        search(space, tmp_path, objectives=("speedup",), workers=Here())  # type: ignore[arg-type]


@pytest.mark.parametrize("method", ["model", "nsga2", "tpe"])
def test_goes_on_where_it_was_and_the_same_way(space_file: SpaceFile, tmp_path: Path, method: Method) -> None:
    space = load_space(space_file(GRID, "where: array.rows >= array.cols\n"))
    whole = search(space, tmp_path / "whole", budget=24, method=method, seed=3, workers=Here())
    assert whole.simulated == 24
    with pytest.raises(KeyboardInterrupt):
        search(space, tmp_path / "out", budget=24, method=method, seed=3, workers=Here(stop_after=9))
    rest = Here()
    again = search(space, tmp_path / "out", budget=24, method=method, seed=3, workers=rest)
    assert 0 < rest.tasks <= 24 - 9
    assert again.path.read_bytes() == whole.path.read_bytes()
    pd.testing.assert_frame_equal(again.front, whole.front)
    table = pd.read_parquet(whole.path)
    assert (table["array.rows"] >= table["array.cols"]).all()
    assert front_of(table) == points(whole.front[[*OBJECTIVES]])


def test_a_grid_too_large_to_go_through(space_file: SpaceFile, tmp_path: Path) -> None:
    axis = "{from: 1, to: 64, step: 1}"
    space = load_space(space_file(f"{{array.rows: {axis}, array.cols: {axis}, skipping.fifo_depth: {axis}}}"))
    assert space.size == 64**3
    with pytest.raises(SpaceError, match="the model looks at 20,000 at most"):
        search(space, tmp_path, method="model", workers=Here())
    found = search(space, tmp_path, budget=10, workers=Here())
    assert (found.method, found.simulated, found.failed) == ("nsga2", 10, 0)
    assert pd.read_parquet(found.path)["skipping.fifo_depth"].min() >= 4  # shallower queues are no machine


@pytest.mark.usefixtures("wide_arrays_fail")
def test_designs_that_fail_are_not_on_the_front(space_file: SpaceFile, tmp_path: Path) -> None:
    space = load_space(space_file("{array.cols: [2, 4, 4096], array.rows: [4, 8]}"))
    found = search(space, tmp_path, budget=6, workers=Here())
    assert (found.simulated, found.failed) == (6, 2)
    assert set(found.front["array.cols"]) <= {2, 4}


def test_ends_when_nothing_is_left(space_file: SpaceFile, tmp_path: Path) -> None:
    found = search(load_space(space_file("{array.rows: [2, 4]}")), tmp_path, budget=9, workers=Here())
    assert found.settled
    assert found.simulated <= 216 // 4
    assert found.simulated == 2
    with pytest.raises(SpaceError, match="budget is 0"):
        search(load_space(space_file("{array.rows: [2, 4]}")), tmp_path, budget=0)
