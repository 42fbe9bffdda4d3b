"""Numbers beside the points of a scatter plot, where nothing else is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FONT_POINTS = 8
_DIRECTIONS = (45, -45, 135, -135, 0, 90, 180, -90)  # degrees, in order of preference


def number_points(axes: Axes, points: pd.DataFrame, size: pd.Series, chosen: pd.Index) -> None:
    """Write 1, 2, 3 beside the chosen points: not on a marker, not on another number, and with a line if it is far.

    Args:
        axes: whose layout is done and will not change.
        points: two columns, x and y, one row per marker.
        size: area of each marker, square points, as `scatter` takes it.
        chosen: index of the points to be numbered, in their order.
    """
    pixels_per_point = axes.get_figure(root=True).dpi / 72  # type: ignore[union-attr]
    centres = axes.transData.transform(points.to_numpy(dtype=np.float64)) / pixels_per_point
    radius = np.sqrt(size.to_numpy(dtype=np.float64)) / 2
    taken = [np.concatenate([centres - radius[:, None], centres + radius[:, None]], axis=1)]
    for number, row in enumerate(points.index.get_indexer(chosen), start=1):
        half = np.array([0.36 * _FONT_POINTS * len(str(number)), 0.5 * _FONT_POINTS])
        boxes = np.concatenate(taken)
        crowd = []
        for offset in _offsets(radius[row], half):
            box = np.concatenate([centres[row] + offset - half, centres[row] + offset + half])
            crowd.append((_overlap(box, boxes), offset, box))
            if crowd[-1][0] == 0:
                break
        _, offset, box = min(crowd, key=lambda one: one[0])
        taken.append(box[None])
        far = np.hypot(*offset) > radius[row] + 2 * _FONT_POINTS
        axes.annotate(
            str(number),
            tuple(points.iloc[row]),
            xytext=tuple(offset),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=_FONT_POINTS,
            arrowprops={"arrowstyle": "-", "color": "0.4", "lw": 0.6, "shrinkA": 0, "shrinkB": 0} if far else None,
        )


def _offsets(radius: float, half: np.ndarray) -> Iterator[np.ndarray]:
    """Where a number may stand from its point's centre: near ones first; points."""
    for distance in (0, 8, 16, 24, 32):
        for angle in np.deg2rad(_DIRECTIONS):
            direction = np.array([np.cos(angle), np.sin(angle)])
            yield direction * (radius + distance + 1) + np.sign(np.round(direction, 9)) * half


def _overlap(box: np.ndarray, boxes: np.ndarray) -> float:
    """Area that a box (left, bottom, right, top) shares with others."""
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    return float(sides.clip(min=0).prod(axis=1).sum())
