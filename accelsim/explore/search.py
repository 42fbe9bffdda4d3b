"""A search: the designs that no other beats, by default in cycles, energy and area, from a part of the simulations."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from accelsim.area import area
from accelsim.errors import SpaceError
from accelsim.explore.designs import Design, Impossible, choose
from accelsim.explore.evaluation import Evaluation
from accelsim.explore.pareto import front
from accelsim.explore.processes import Processes
from accelsim.explore.proposers import Costs, ModelProposer, OptunaProposer, Proposer
from accelsim.explore.space import Space, check_space
from accelsim.explore.task import Row
from accelsim.explore.workers import Workers
from accelsim.files import write_whole

if TYPE_CHECKING:
    import pandas as pd

FILE = "search.parquet"
Objective = Literal["cycles", "energy_pj", "area_mm2", "speedup_at_equal_area", "energy_ratio_at_equal_area"]
EVERY_OBJECTIVE: tuple[Objective, ...] = get_args(Objective)
OBJECTIVES: tuple[Objective, ...] = ("cycles", "energy_pj", "area_mm2")
_MORE_IS_BETTER = EVERY_OBJECTIVE[3:]
Method = Literal["model", "nsga2", "tpe"]
Measured = dict[Objective, float]
MOST_MODELLED = 20_000  # designs that the model looks at one by one
_TOGETHER = 8  # proposals at a time, whatever the number of workers: a search goes the same way everywhere
_MOST_BY_DEFAULT = 500


@dataclass(frozen=True)
class Found:
    """A finished search.

    Attributes:
        front: one row per design on the front, the best in the first objective first: `design` (its number in the full
            grid), the swept keys; cycles and energy_pj, summed over traces and passes; area_mm2; and the ratios
            against the best dense machine of the design's area, speedup_at_equal_area and energy_ratio_at_equal_area
            of all passes, the geometric mean over the traces.
        path: of the table of all designs that were simulated, as a sweep's.
        simulated: designs on which the front rests.
        failed: those of them that ended in an error, have no energy since they are idealised, or have no such ratio
            where one is an objective.
        size: designs of the full grid, impossible ones and those outside the conditions included.
        method: how designs were proposed.
        settled: whether the search ended because nothing was left to hope for, not because the budget did.
    """

    front: pd.DataFrame
    path: Path
    simulated: int
    failed: int
    size: int
    method: Method
    settled: bool

    def save_front(self, path: Path) -> None:
        """Write the front as CSV, whole or not at all.

        Raises:
            SpaceError: it cannot be written.
        """
        write_whole(path, self.front.to_csv(index=False), SpaceError)


def search(
    space: Space,
    folder: str | os.PathLike[str],
    *,
    objectives: Sequence[Objective] = OBJECTIVES,
    budget: int | None = None,
    method: Method | None = None,
    seed: int = 0,
    workers: Workers | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Found:
    """Search a space for the Pareto front, by default of cycles, energy (pJ) and area (mm2).

    Finished points are kept as a sweep keeps them, in the same folder if one likes. A search that was stopped, however
    hard, and is started again with the same options goes the same way, and simulates only what is missing.

    Args:
        objectives: what designs are compared in, see `Found.front`; of the ratios more is better, of all else less.
        budget: designs to simulate at most; by default a fifth of the grid, at most 500.
        method: "model" looks at every design of the grid through a model of the costs, up to 20,000 designs; "nsga2"
            and "tpe" are Optuna's. By default the model where the grid is small enough, else "nsga2".
        seed: of the search.
        workers, on_progress: as `sweep`, counted in designs.

    Raises:
        SpaceError: as `sweep`; no objective, or one that is none; a budget below 1; a grid too large for the model;
            no design of the budget could be simulated. In a grid that is too large to go through, impossible
            combinations are left out, not refused.
    """
    check_space(space)
    if budget is not None and budget < 1:
        raise SpaceError(f"the budget is {budget}, expected at least one design")
    if not objectives or not set(objectives) <= set(EVERY_OBJECTIVE):
        raise SpaceError(
            f"the objectives are {', '.join(objectives) or 'none'}; expected of {', '.join(EVERY_OBJECTIVE)}"
        )
    if method == "model" and space.size > MOST_MODELLED:
        raise SpaceError(
            f"the grid has {space.size:,} designs, the model looks at {MOST_MODELLED:,} at most: take nsga2"
        )
    budget = budget or max(1, min(space.size // 5, _MOST_BY_DEFAULT))
    method = method or ("model" if space.size <= MOST_MODELLED else "nsga2")
    directory = Path(folder)
    designs = _Designs(space)
    objectives = tuple(dict.fromkeys(objectives))
    proposer = _proposer(space, designs, objectives, method, seed)
    evaluation = Evaluation(space, directory)
    found: dict[int, Measured | None] = {}
    on_progress(0, budget)
    settled = False
    with workers or Processes() as ready:
        while len(found) < budget and not settled:
            asked = proposer.ask(min(_TOGETHER, budget - len(found)))
            evaluation.run([designs[number] for number in asked], ready, lambda count: None)
            for number in asked:
                measured = _measured(evaluation, designs[number])
                costs = None if measured is None else _costs(measured, objectives)
                found[number] = None if costs is None else measured
                proposer.tell(number, costs)
            on_progress(len(found), budget)
            settled = not asked
    simulated = [designs[number] for number in sorted(found)]
    if not simulated:
        raise SpaceError(f"{space.file}: no design was found that meets the conditions and is a machine")
    evaluation.write(simulated, directory / FILE)
    best, failed = _front(found, simulated, objectives), sum(measured is None for measured in found.values())
    return Found(best, directory / FILE, len(simulated), failed, space.size, method, settled)


class _Designs:
    """Designs of a space by their numbers, each built once."""

    def __init__(self, space: Space) -> None:
        self._space, self._known = space, dict[int, Design | None]()

    def __getitem__(self, number: int) -> Design:
        design = self._look(number)
        if design is None:
            raise KeyError(number)
        return design

    def __contains__(self, number: int) -> bool:
        return self._look(number) is not None

    def all(self) -> list[Design]:
        """Return the designs of the whole grid, see `choose`."""
        designs = choose(replace(self._space, sample=None)).designs
        self._known |= {design.number: design for design in designs}
        return designs

    def _look(self, number: int) -> Design | None:
        if number not in self._known:
            self._known[number] = Impossible(self._space).try_design(number)
        return self._known[number]


def _proposer(space: Space, designs: _Designs, objectives: Sequence[Objective], method: Method, seed: int) -> Proposer:
    axes = list(space.axes.values())
    if method == "model":
        every = designs.all()
        known = np.full((len(every), len(objectives)), np.nan)
        if "area_mm2" in objectives:
            known[:, objectives.index("area_mm2")] = [area(design.hardware).mm2 for design in every]
        return ModelProposer(axes, [design.number for design in every], known, seed)
    return OptunaProposer(axes, designs.__contains__, method, len(objectives), seed)


def _measured(evaluation: Evaluation, design: Design) -> Measured | None:
    """Return what a design is compared in; None if it failed on a trace or is idealised."""
    by_trace = [evaluation.rows(design, name) for name in evaluation.traces]
    rows = [row for some in by_trace for row in some]
    if any(row["error"] is not None or row["energy_pj"] is None for row in rows):
        return None
    return {
        "cycles": sum(row["cycles"] for row in rows),
        "energy_pj": sum(row["energy_pj"] for row in rows),
        "area_mm2": area(design.hardware).mm2,
        "speedup_at_equal_area": _mean_ratio(by_trace, "cycles"),
        "energy_ratio_at_equal_area": _mean_ratio(by_trace, "energy_pj"),
    }


def _mean_ratio(by_trace: Sequence[Sequence[Row]], name: str) -> float:
    """The geometric mean over traces of the best dense machine's total over the design's; not a number if unknown."""
    ratios = []
    for rows in by_trace:
        rival, own = [row[f"equal_area_{name}"] for row in rows], sum(row[name] for row in rows)
        ratios.append(math.nan if None in rival or not own else sum(rival) / own)
    return math.exp(sum(map(math.log, ratios)) / len(ratios))


def _costs(measured: Measured, objectives: Sequence[Objective]) -> Costs | None:
    """Return what is to be small; None if something is not known."""
    costs = tuple(1 / measured[one] if one in _MORE_IS_BETTER else measured[one] for one in objectives)
    return None if any(map(math.isnan, costs)) else costs


def _front(
    found: dict[int, Measured | None], designs: Sequence[Design], objectives: Sequence[Objective]
) -> pd.DataFrame:
    import pandas as pd

    known = [(design, measured) for design in designs if (measured := found[design.number]) is not None]
    rows = [{"design": design.number} | design.values | measured for design, measured in known]
    costs = np.array([_costs(measured, objectives) for _, measured in known], dtype=np.float64)
    table = pd.DataFrame(rows, columns=["design", *designs[0].values, *EVERY_OBJECTIVE])
    table = table[front(costs.reshape(-1, len(objectives)))]
    upwards = [one not in _MORE_IS_BETTER for one in objectives]
    return table.sort_values([*objectives, "design"], ascending=[*upwards, True], ignore_index=True)
