"""How the columns or the reduction of a GEMM are cut into blocks: in runs, and each run in parts that repeat."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class AxisCut:
    """Blocks of an axis: runs, outermost, and parts of every period of them (channels, or a grid line's positions).

    Attributes:
        extent: positions of the axis.
        run: positions of a run, a multiple of `period` if it has parts.
        period, part: a run is cut every `period` positions in parts of `part` positions, of which the first ones are a
            block, the second ones, and so on; equal: a run is a block.
    """

    extent: int
    run: int
    period: int = 1
    part: int = 1

    @property
    def runs(self) -> int:
        """How many runs there are."""
        return -(-self.extent // self.run)

    @property
    def parts(self) -> int:
        """Blocks of a run."""
        return -(-self.period // self.part)

    @property
    def count(self) -> int:
        """How many blocks there are."""
        return self.runs * self.parts

    @cached_property
    def edges(self) -> Integers:
        """Where stretches of one block's positions begin, and where the last one ends: int64 [stretches + 1]."""
        if self.parts == 1:
            return np.append(np.arange(0, self.extent, self.run), self.extent)
        periods = np.arange(0, self.extent, self.period)[:, None]
        return np.append((periods + np.arange(0, self.period, self.part)).ravel(), self.extent)

    @cached_property
    def block(self) -> Integers:
        """The block that each stretch is of: int64 [stretches]."""
        starts = self.edges[:-1]
        return np.asarray(starts // self.run * self.parts + starts % self.period // self.part)

    @cached_property
    def sizes(self) -> Integers:
        """Positions of each block: int64 [blocks]."""
        runs = np.minimum(self.run, self.extent - np.arange(0, self.extent, self.run))
        parts = np.minimum(self.part, self.period - np.arange(0, self.period, self.part))
        return runs if self.parts == 1 else np.outer(runs // self.period, parts).ravel()

    def gather(self, amounts: Integers) -> Integers:
        """Add up the amounts of stretches by block: [..., stretches] to [..., blocks]."""
        if self.parts == 1:
            return amounts
        return np.asarray(np.add.reduceat(amounts[..., self._order], self._firsts, axis=-1))

    @cached_property
    def _order(self) -> Integers:
        """Stretches, block by block."""
        return np.argsort(self.block, kind="stable")

    @cached_property
    def _firsts(self) -> Integers:
        """Where blocks begin in that order."""
        return np.searchsorted(self.block[self._order], np.arange(self.count))

    def share(self, amounts: Integers, weights: Integers) -> Integers:
        """Share the amounts of runs out among their blocks by weight.

        Args:
            amounts: int64 [rows, runs, arrays].
            weights: int64 [rows, blocks], of which some are above 0 where a run has an amount.

        Returns:
            int64 [rows, blocks, arrays], of the same sums.
        """
        if self.parts == 1:
            return amounts
        stops = np.cumsum(weights.reshape(len(weights), self.runs, self.parts), axis=2)[..., None]
        starts, whole = np.roll(stops, 1, axis=2), np.maximum(stops[:, :, -1:], 1)
        starts[:, :, 0] = 0
        shares = amounts[:, :, None] * stops // whole - amounts[:, :, None] * starts // whole
        return shares.reshape(len(weights), self.count, -1)
