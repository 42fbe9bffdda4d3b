"""Draws strips of a GEMM's tiles, simulates them and estimates the whole GEMM's timing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from accelsim.hardware.model import Hardware
from accelsim.lowering import MaskedGemm
from accelsim.sampling.allocate import Sizes
from accelsim.sampling.cost import saves_half, strip_cost
from accelsim.sampling.estimate import COUNTS, SLOTS, SampledTiming, Stratum, Values, values_of
from accelsim.sampling.impute import Imputation
from accelsim.sampling.strips import Strips
from accelsim.timing import GemmTiming, Slots, pe_kind, time_gemm, timing_key
from accelsim.timing.tensordash import scheduled_operand

STRATA = 8  # a GEMM
LEAST = 4  # strips drawn of each stratum
Key = tuple[object, ...]
_Drawn = dict[int, tuple[Values, NDArray[np.int64]]]


class Sampler:
    """Samples of all GEMMs of a trace; a larger one later goes on where a smaller one stopped.

    Args:
        share: of the tiles of each GEMM that `sizes` does not name.
        seed: of the draw. What is drawn of a GEMM depends on it and on the GEMM's key alone.
        pays: whether so many strips are worth drawing; if not, the GEMM is simulated whole.

    Attributes:
        sizes: strips to draw of each stratum of a GEMM, by key and machine.
    """

    def __init__(self, share: float, seed: int, pays: Callable[[Strips, int], bool] = saves_half) -> None:
        self.share, self.seed, self.pays = share, seed, pays
        self.sizes: dict[tuple[Key, Hashable], tuple[int, ...]] = {}
        self._drawn: dict[tuple[Key, Hashable], _Drawn] = {}

    def time(self, hw: Hardware, gemm: MaskedGemm, key: Key) -> GemmTiming:
        """Time a GEMM (rows in their final order), by a sample if that saves half of the work.

        Args:
            key: what tells the operation and pass from the trace's others.
        """
        key = (*key, gemm.group, gemm.phase)
        narrowed = _narrowed(hw, gemm)
        if self.share >= 1 or narrowed is None or gemm.k == 0:
            return time_gemm(hw, gemm)
        strips = Strips.of(hw, gemm)
        edges = np.arange(STRATA + 1) * len(strips) // STRATA
        sizes = self.sizes.get((key, timing_key(hw))) or self._first_sizes(edges)
        if 2 * sum(sizes) >= len(strips) or not self.pays(strips, sum(sizes)):
            return time_gemm(hw, gemm)
        known = self._drawn.setdefault((key, timing_key(hw)), {})
        strata, drawn = [], []
        for number, size in enumerate(sizes):
            low, high = int(edges[number]), int(edges[number + 1])
            chosen = low + np.sort(self._order(key, number, high - low)[:size])
            for strip in chosen.tolist():
                if strip not in known:
                    timing = time_gemm(narrowed, strips.gemm_of(strip))
                    known[strip] = values_of(timing), timing.tile_cycles
            strata.append(_stratum(strips, low, high, chosen, known))
            drawn += chosen.tolist()
        filling = Imputation(
            sizes=strips.tiles,
            edges=edges,
            chosen=np.array(drawn),
            cycles=np.concatenate([known[strip][1] for strip in drawn]),
            totals=np.array([stratum.totals()[0] for stratum in strata]),
            seed=self._number(key, "fill"),
        )
        return _timing(strips, filling, tuple(strata), key)

    def enlarge(self, hw: Hardware, sizes: Sizes) -> None:
        """Draw at least so many strips on a machine from now on."""
        for key, own in sizes.items():
            before = self.sizes.get((key, timing_key(hw)), own)
            self.sizes[key, timing_key(hw)] = tuple(map(max, before, own))

    def _first_sizes(self, edges: NDArray[np.int64]) -> tuple[int, ...]:
        return tuple(max(LEAST, int(np.ceil(self.share * size))) for size in np.diff(edges))

    def _order(self, key: Key, stratum: int, size: int) -> NDArray[np.int64]:
        """A stratum's strips in the random order in which they are drawn."""
        return np.random.default_rng(self._number(key, stratum)).permutation(size)

    def _number(self, *what: object) -> int:
        """A number that depends on the seed and on what it is for."""
        return int.from_bytes(hashlib.blake2b(repr((self.seed, *what)).encode(), digest_size=16).digest(), "little")


def _narrowed(hw: Hardware, gemm: MaskedGemm) -> Hardware | None:
    """The machine that treats a strip as `hw` treats the whole GEMM; None where there is nothing to sample.

    Dense PEs that leave nothing out and systolic arrays have closed forms. TensorDash chooses the operand that it
    schedules by the whole GEMM, so the strips are told; they cannot be if both operands are of one kind.
    """
    kind: Literal["a", "b"] | None
    match pe_kind(hw):
        case "scanning":
            return hw
        case "tensordash":
            kind = scheduled_operand(hw, gemm)
            if kind is None or gemm.a_kind == gemm.b_kind:
                return None
            tensors = (gemm.a_kind if kind == "a" else gemm.b_kind,)
            return hw.model_copy(update={"skipping": hw.skipping.model_copy(update={"tensors": tensors})})
        case "dense":
            masked = gemm.needed is not None and hw.skipping.outputs
            return hw if masked or {gemm.a_kind, gemm.b_kind} & set(hw.skipping.blocks) else None
        case _:
            return None


def _stratum(strips: Strips, low: int, high: int, chosen: NDArray[np.int64], known: _Drawn) -> Stratum:
    """What was drawn of strips [low, high)."""
    return Stratum(
        first=int(strips.first[low]),
        stop=int(strips.first[high - 1] + strips.tiles[high - 1]),
        strips=high - low,
        sizes=strips.tiles[chosen].astype(np.float64),
        values=np.array([known[strip][0] for strip in chosen.tolist()]),
    )


def _timing(strips: Strips, filling: Imputation, strata: tuple[Stratum, ...], key: Key) -> SampledTiming:
    """Round to whole slots that still add up to the cycles."""
    whole = filling.fill(0)
    counts = dict(zip(COUNTS, np.rint(sum(stratum.totals() for stratum in strata)).astype(np.int64), strict=True))
    array = strips.hw.array
    slots = {name: int(counts[name]) for name in SLOTS}
    largest = max(slots, key=lambda name: slots[name])
    slots[largest] += array.rows * array.cols * array.lanes * int(whole.sum()) - sum(slots.values())
    return SampledTiming(
        tile_cycles=whole,
        tiles_per_row=strips.schedule.tiles_per_row,
        slots=Slots(**slots),
        scan_windows=int(counts["scan_windows"]),
        fifo_pushes=int(counts["fifo_pushes"]),
        streamed_a=int(counts["streamed_a"]),
        streamed_b=int(counts["streamed_b"]),
        outputs=int(counts["outputs"]),
        strata=strata,
        filling=filling,
        key=key,
        cost_ns=strip_cost(strips),
    )
