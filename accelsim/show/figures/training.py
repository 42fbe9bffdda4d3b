"""How the speedup moves over a training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from accelsim.errors import AccelsimError
from accelsim.show.figures.kind import FigureKind
from accelsim.show.figures.source import Source
from accelsim.show.speedup_figure import Panel, speedup_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


_RATIOS = ("speedup", "speedup_at_equal_area")


def data(sources: Sequence[Source]) -> pd.DataFrame:
    """Return a row a result, recorded step and pass: `Result.steps`, with result, machine, whole_training_speedup and
    whole_training_speedup_at_equal_area.

    Raises:
        AccelsimError: a source is no result, or has one step only.
    """
    tables = []
    for source in sources:
        if source.result is None:
            raise AccelsimError(f"{source.path}: a sweep has no steps, expected a folder of accelsim run --out")
        steps, total = source.result.steps, source.result.training["total"]
        if steps["step"].nunique() < 2:
            raise AccelsimError(f"{source.path}: one recorded step has no course over the training")
        facts = {"result": source.name, "machine": source.result.summary["hardware"]["name"]}
        whole = {
            f"whole_training_{name}": math.nan if (found := (total or {}).get(name)) is None else found
            for name in _RATIOS
        }
        tables.append(steps.assign(**facts, **whole))
    return pd.concat(tables, ignore_index=True)


def draw(table: pd.DataFrame) -> Figure:
    """Draw a panel a result."""
    panels = []
    for (result, machine), part in table.groupby(["result", "machine"], sort=False):
        whole = [part[f"whole_training_{name}"].iloc[0] for name in _RATIOS]
        title = str(machine) if table["result"].nunique() == 1 else f"{result}: {machine}"
        panels.append(Panel(title, part, *(None if pd.isna(ratio) else float(ratio) for ratio in whole)))
    return speedup_figure(panels)


KIND = FigureKind(
    "training",
    "speedup over training time, by pass",
    "A point is a recorded optimiser step; hollow ones, where there are any, grow weights by gradient and need all"
    " weight gradients. The thin black line at 1 is the same machine without skipping. The dashed grey line, where the"
    " run's length is known, is the speedup of all its steps together, mask updates included. At equal area: beside the"
    " best dense machine of the same area, which compresses, gates and drops what it can.",
    data,
    draw,
)
