"""Random weight masks by pattern, with the units and counts of `accelsim.sparsity`, but in NumPy.

A pattern cuts a weight [C_out, C_in, R, S] into units. Exactly round((1 - density) / removed * units) of them are
pruned, chosen at random; a pruned unit loses the share `removed` of its elements.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from itertools import combinations, product
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from accelsim.errors import AccelsimError
from accelsim.synth.random_bits import RandomWords, random_subset
from accelsim.synth.topology import Shape
from accelsim.trace.bitmask import BitMask

Bools = NDArray[np.bool_]

_CHUNK = 1 << 22
"""Elements that exist as booleans at a time, about."""


class WeightPattern(Protocol):
    """How zeros of a weight hang together.

    Attributes:
        name: as on the command line.
        least: share of the weights that it leaves at least.
    """

    name: str
    least: float

    def draw(self, shape: Shape, density: float, words: RandomWords) -> BitMask:
        """Return a random mask, with as many units pruned as the density says.

        Args:
            shape: [C_out, C_in, R, S].
            density: from `least` to 1.
        """


class ElementPattern:
    """Every element by itself: exactly round((1 - density) * elements) zeros."""

    name, least = "element", 0.0

    def draw(self, shape: Shape, density: float, words: RandomWords) -> BitMask:
        """Return a random mask."""
        size = math.prod(shape)
        return BitMask(shape, random_subset(size, size - round((1 - density) * size), words))


class BlockPattern:
    """Blocks of `rows` output channels x `columns` input channels at one kernel position, aligned, smaller at an edge.

    Raises:
        AccelsimError: rows or columns below 1.
    """

    least = 0.0

    def __init__(self, rows: int, columns: int) -> None:
        self.name = f"{rows}x{columns}"
        if rows < 1 or columns < 1:
            raise AccelsimError(f"a block of {self.name} weights makes no pattern, expected at least 1x1")
        self.rows, self.columns = rows, columns

    def draw(self, shape: Shape, density: float, words: RandomWords) -> BitMask:
        """Return a random mask."""
        c_out, c_in, r, s = shape
        kept = _kept((-(-c_out // self.rows), -(-c_in // self.columns), r * s), density, 1.0, words)

        def band(start: int, stop: int) -> Bools:
            blocks = kept[start // self.rows : -(-stop // self.rows)]
            whole = blocks.repeat(self.rows, 0).repeat(self.columns, 1)
            return whole[: stop - start, :c_in]

        return _packed(shape, self.rows, band)


class ChannelPattern:
    """Whole output channels."""

    name, least = "channel", 0.0

    def draw(self, shape: Shape, density: float, words: RandomWords) -> BitMask:
        """Return a random mask."""
        kept = _kept((shape[0],), density, 1.0, words)
        per_channel = math.prod(shape[1:])
        return _packed(shape, 1, lambda start, stop: kept[start:stop, None].repeat(per_channel, 1))


class NofM:
    """Groups of M consecutive input channels at one kernel position, of which a pruned one keeps N.

    The last group of a number of channels that M does not divide is smaller and keeps at most N.

    Raises:
        AccelsimError: not 0 < N < M.
    """

    def __init__(self, n: int, m: int) -> None:
        self.name = f"{n}:{m}"
        if not 0 < n < m:
            raise AccelsimError(f"{self.name} makes no pattern, expected N:M with 0 < N < M")
        self.n, self.m = n, m
        self.least = n / m

    def draw(self, shape: Shape, density: float, words: RandomWords) -> BitMask:
        """Return a random mask."""
        c_out, c_in, r, s = shape
        kept = _kept((c_out, -(-c_in // self.m), r * s), density, 1 - self.least, words)

        def band(start: int, stop: int) -> Bools:
            whole = kept[start:stop]
            thinned = self._thinned(whole.shape, c_in, words)
            return (thinned | whole[:, :, None]).reshape(stop - start, -1, r * s)[:, :c_in]

        return _packed(shape, 1, band)

    def _thinned(self, groups: tuple[int, ...], c_in: int, words: RandomWords) -> Bools:
        """Return N random members of each group, bool [rows, groups, M, kernel].

        Selection sampling: a member stays with probability (still wanted) / (still to come).
        """
        rows, across, taps = groups
        members = np.minimum(self.m, c_in - self.m * np.arange(across))[None, :, None]
        wanted = np.broadcast_to(np.minimum(self.n, members), groups).copy()
        chosen = np.zeros((rows, across, self.m, taps), bool)
        for position in range(self.m):
            left = np.maximum(members - position, 0)
            number = (words.draw(wanted.size) >> np.uint64(32)).astype(np.int64).reshape(groups)
            taken = number * left >> 32 < wanted
            taken &= left > 0
            chosen[:, :, position] = taken
            wanted -= taken
        return chosen


class TransposableNofM:
    """M x M blocks of output by input channels at one kernel position; a pruned one keeps N in each row and column.

    Blocks at an edge are cut and keep at most N.

    Raises:
        AccelsimError: not 0 < N < M <= 4.
    """

    def __init__(self, n: int, m: int) -> None:
        self.name = f"transposable-{n}:{m}"
        if not 0 < n < m <= 4:
            raise AccelsimError(f"{self.name} makes no pattern, expected N:M with 0 < N < M <= 4")
        self.n, self.m = n, m
        self.least = n / m

    def draw(self, shape: Shape, density: float, words: RandomWords) -> BitMask:
        """Return a random mask."""
        c_out, c_in, r, s = shape
        m = self.m
        rows = [[i in held for i in range(m)] for held in combinations(range(m), self.n)]
        every = np.array(list(product(rows, repeat=m)))
        choices = every[(every.sum(1) == self.n).all(1)]
        kept = _kept((-(-c_out // m), -(-c_in // m), r * s), density, 1 - self.least, words)

        def band(start: int, stop: int) -> Bools:
            whole = kept[start // m : -(-stop // m)]
            chosen = choices[words.below(len(choices), whole.size).reshape(whole.shape)] | whole[..., None, None]
            down, across, taps = whole.shape
            elements: Bools = chosen.transpose(0, 3, 1, 4, 2).reshape(down * m, across * m, taps)
            return elements[: stop - start, :c_in]

        return _packed(shape, m, band)


_FAMILIES: dict[str, Callable[[int, int], WeightPattern]] = {
    r"(\d{1,6}):(\d{1,6})": NofM,
    r"transposable-(\d{1,6}):(\d{1,6})": TransposableNofM,
    r"(\d{1,6})x(\d{1,6})": BlockPattern,
}


def find_weight_pattern(name: str) -> WeightPattern:
    """Return a pattern by its name in `accelsim train`: element, channel, 2:4, transposable-2:4, 1x8, 8x8, ...

    Raises:
        AccelsimError: another name, or numbers that make no pattern.
    """
    if name == "element":
        return ElementPattern()
    if name == "channel":
        return ChannelPattern()
    for expression, family in _FAMILIES.items():
        if found := re.fullmatch(expression, name):
            return family(int(found[1]), int(found[2]))
    raise AccelsimError(
        f"unknown sparsity pattern {name!r}, expected element, channel, N:M (2:4), transposable-N:M, 1xS or RxS (8x8)"
    )


def _kept(units: tuple[int, ...], density: float, removed: float, words: RandomWords) -> Bools:
    """Return which units stay whole."""
    size = math.prod(units)
    pruned = round(min((1 - density) / removed, 1.0) * size)
    return BitMask(units, random_subset(size, size - pruned, words)).to_array()


def _packed(shape: Shape, rows: int, band: Callable[[int, int], Bools]) -> BitMask:
    """Pack a mask that is made band by band.

    Args:
        rows: a band starts at a multiple of so many output channels.
        band: elements of output channels [start, stop), bool [stop - start, ...].
    """
    c_out, per_row = shape[0], math.prod(shape[1:])
    step = math.lcm(8, rows)  # so that every band but the last ends with a whole byte
    step *= max(1, _CHUNK // (per_row * step))
    parts = [
        np.packbits(band(start, min(start + step, c_out)), axis=None, bitorder="little")
        for start in range(0, c_out, step)
    ]
    return BitMask(shape, np.concatenate(parts))
