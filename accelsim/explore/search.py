"""A search: the designs that no other beats in cycles, energy and area, from a part of the simulations."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from accelsim.area import area
from accelsim.errors import SpaceError
from accelsim.explore.designs import Design, Impossible, choose
from accelsim.explore.evaluation import Evaluation
from accelsim.explore.pareto import front
from accelsim.explore.processes import Processes
from accelsim.explore.proposers import Costs, ModelProposer, OptunaProposer, Proposer
from accelsim.explore.space import Space, check_space
from accelsim.explore.task import RATIOS
from accelsim.explore.workers import Workers
from accelsim.files import write_whole

if TYPE_CHECKING:
    import pandas as pd

FILE = "search.parquet"
OBJECTIVES = ("cycles", "energy_pj", "area_mm2")
Method = Literal["model", "nsga2", "tpe"]
MOST_MODELLED = 20_000  # designs that the model looks at one by one
_TOGETHER = 8  # proposals at a time, whatever the number of workers: a search goes the same way everywhere
_MOST_BY_DEFAULT = 500


@dataclass(frozen=True)
class Found:
    """A finished search.

    Attributes:
        front: one row per design on the front, sorted by cycles: `design` (its number in the full grid), the swept
            keys, the objectives, summed over traces and passes, and the ratios of such sums against the best dense
            machines of the design's area: speedup_at_equal_area, energy_ratio_at_equal_area.
        path: of the table of all designs that were simulated, as a sweep's.
        simulated: designs on which the front rests.
        failed: those of them that ended in an error, or have no energy since they are idealised.
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
    budget: int | None = None,
    method: Method | None = None,
    seed: int = 0,
    workers: Workers | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Found:
    """Search a space for the Pareto front of cycles, energy (pJ) and area (mm2).

    Finished points are kept as a sweep keeps them, in the same folder if one likes. A search that was stopped, however
    hard, and is started again with the same options goes the same way, and simulates only what is missing.

    Args:
        budget: designs to simulate at most; by default a fifth of the grid, at most 500.
        method: "model" looks at every design of the grid through a model of the costs, up to 20,000 designs; "nsga2"
            and "tpe" are Optuna's. By default the model where the grid is small enough, else "nsga2".
        seed: of the search.
        workers, on_progress: as `sweep`, counted in designs.

    Raises:
        SpaceError: as `sweep`; a budget below 1; a grid too large for the model; no design of the budget could be
            simulated. In a grid that is too large to go through, impossible combinations are left out, not refused.
    """
    check_space(space)
    if budget is not None and budget < 1:
        raise SpaceError(f"the budget is {budget}, expected at least one design")
    if method == "model" and space.size > MOST_MODELLED:
        raise SpaceError(
            f"the grid has {space.size:,} designs, the model looks at {MOST_MODELLED:,} at most: take nsga2"
        )
    budget = budget or max(1, min(space.size // 5, _MOST_BY_DEFAULT))
    method = method or ("model" if space.size <= MOST_MODELLED else "nsga2")
    directory = Path(folder)
    designs = _Designs(space)
    proposer = _proposer(space, designs, method, seed)
    evaluation = Evaluation(space, directory)
    costs: dict[int, Costs | None] = {}
    on_progress(0, budget)
    settled = False
    with workers or Processes() as ready:
        while len(costs) < budget and not settled:
            asked = proposer.ask(min(_TOGETHER, budget - len(costs)))
            evaluation.run([designs[number] for number in asked], ready, lambda count: None)
            for number in asked:
                costs[number] = _costs(evaluation, designs[number])
                proposer.tell(number, costs[number])
            on_progress(len(costs), budget)
            settled = not asked
    simulated = [designs[number] for number in sorted(costs)]
    if not simulated:
        raise SpaceError(f"{space.file}: no design was found that meets the conditions and is a machine")
    evaluation.write(simulated, directory / FILE)
    best, failed = _front(evaluation, costs, simulated), sum(cost is None for cost in costs.values())
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


def _proposer(space: Space, designs: _Designs, method: Method, seed: int) -> Proposer:
    axes = list(space.axes.values())
    if method == "model":
        every = designs.all()
        known = np.full((len(every), len(OBJECTIVES)), np.nan)
        known[:, OBJECTIVES.index("area_mm2")] = [area(design.hardware).mm2 for design in every]
        return ModelProposer(axes, [design.number for design in every], known, seed)
    return OptunaProposer(axes, designs.__contains__, method, len(OBJECTIVES), seed)


def _costs(evaluation: Evaluation, design: Design) -> Costs | None:
    rows = [row for name in evaluation.traces for row in evaluation.rows(design, name)]
    if any(row["error"] is not None or row["energy_pj"] is None for row in rows):
        return None
    return sum(row["cycles"] for row in rows), sum(row["energy_pj"] for row in rows), area(design.hardware).mm2


def _at_equal_area(evaluation: Evaluation, design: Design) -> dict[str, float | None]:
    """The ratios against the best dense machines of the design's area, over traces and passes."""
    rows = [row for name in evaluation.traces for row in evaluation.rows(design, name)]
    found: dict[str, float | None] = {}
    for ratio, name in (("speedup_at_equal_area", "cycles"), ("energy_ratio_at_equal_area", "energy_pj")):
        rival = [row[f"equal_area_{name}"] for row in rows]
        own = sum(row[name] for row in rows)
        found[ratio] = None if None in rival or not own else sum(rival) / own
    return found


def _front(evaluation: Evaluation, costs: dict[int, Costs | None], designs: Sequence[Design]) -> pd.DataFrame:
    import pandas as pd

    known = [(design, cost) for design in designs if (cost := costs[design.number]) is not None]
    on_front = front(np.array([cost for _, cost in known]).reshape(-1, len(OBJECTIVES)))
    rows = [
        {"design": design.number}
        | design.values
        | dict(zip(OBJECTIVES, cost, strict=True))
        | _at_equal_area(evaluation, design)
        for (design, cost), best in zip(known, on_front, strict=True)
        if best
    ]
    swept = list(designs[0].values)
    return pd.DataFrame(rows, columns=["design", *swept, *OBJECTIVES, *RATIOS[1:]]).sort_values(
        [*OBJECTIVES, "design"], ignore_index=True
    )
