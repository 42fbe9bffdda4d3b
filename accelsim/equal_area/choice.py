"""Which dense machine of the same area is the fastest on a trace: a race on some of its operations.

Candidates run one operation of each of the layers with the most work, array and memory in full, which stands for the
layer's others; a candidate that needs far more cycles than the fastest is dropped. The fastest then runs the whole
trace, and so does the second if it is close; the machine is compared with the one that takes fewer cycles there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from accelsim.array import time_tiled
from accelsim.equal_area.candidates import candidates
from accelsim.errors import TraceError, not_this
from accelsim.fleet import Fleet, PassOfFleet
from accelsim.hardware.model import Hardware
from accelsim.hardware.parts import TensorKind
from accelsim.lowering import PASSES, Lowering, Pass, passes_of
from accelsim.trace import Entry, OpTrace, TraceChain, TraceReader

_CLOSE = 1.05  # times the fastest's cycles
_BEHIND = 1.5
_FIRST_LOOK = 3  # operations, of as many layers
_MOST_LAYERS = 8
_KINDS: dict[tuple[str, bool], TensorKind] = {
    ("weight", False): "weight",
    ("weight", True): "activation",  # of a product of two activations
    **dict.fromkeys((("input", False), ("input", True)), "activation"),
    **dict.fromkeys((("grad_output", False), ("grad_output", True)), "gradient"),
}
Operations = TraceReader | TraceChain | Iterable[OpTrace]


@dataclass(frozen=True)
class Racecourse:
    """Some operations of a trace, read one at a time.

    Attributes:
        trace: where they are.
        weights: how often each stands for one of its layer, by its place in the trace; those of the layer with the
            most work first.
        words, non_zeros: of each kind of tensor in the whole trace.
    """

    trace: Operations
    weights: Mapping[int, int]
    words: Mapping[TensorKind, int]
    non_zeros: Mapping[TensorKind, int]

    @classmethod
    def of(cls, trace: Operations) -> Racecourse:
        """Choose the middle one of the operations of each of the layers with the most multiply-accumulates.

        Raises:
            TraceError: what is no operation, or a record's header that is damaged.
        """
        places: dict[Hashable, list[int]] = {}
        macs: Counter[Hashable] = Counter()
        words, non_zeros = Counter[TensorKind](), Counter[TensorKind]()
        for place, (one, passes) in enumerate(_told(trace)):
            layer = one.name, passes
            places.setdefault(layer, []).append(place)
            macs[layer] += one.macs * len(passes)
            for name, mask in one.masks.items():
                if (kind := _KINDS.get((name, one.kind == "matmul"))) is not None:
                    words[kind] += mask.size
                    non_zeros[kind] += mask.nonzeros
        most = sorted(places, key=lambda layer: -macs[layer])[:_MOST_LAYERS]
        chosen = {places[layer][len(places[layer]) // 2]: len(places[layer]) for layer in most}
        return cls(trace, chosen, words, non_zeros)

    def compressible(self, operand_bits: int) -> frozenset[TensorKind]:
        """Return the tensors that a bit for each word and the non-zero words make smaller."""
        return frozenset(
            kind
            for kind, words in self.words.items()
            if words + self.non_zeros[kind] * operand_bits < words * operand_bits
        )

    def operation(self, place: int) -> OpTrace:
        """Read the operation at a place."""
        trace, first = self.trace, 0
        if isinstance(trace, TraceChain):
            for reader in trace.readers:
                if place < first + len(reader):
                    return next(iter(reader.at([place - first])))
                first += len(reader)
        if isinstance(trace, TraceReader):
            return next(iter(trace.at([place])))
        return next(islice(trace, place, None))


def finalists(
    hardware: Sequence[Hardware], course: Racecourse, passes: Sequence[Pass] = PASSES
) -> list[tuple[Hardware, ...]]:
    """Return one dense machine or two of each machine's area, the fastest first; none of an idealised one.

    Args:
        course: where they race.
        passes: those that count.
    """
    fields = [candidates(hw, course.compressible(hw.precision.operand_bits)) for hw in hardware]
    return [_race(field, course, passes) if field else () for field in fields]


def _race(field: Sequence[Hardware], course: Racecourse, passes: Sequence[Pass]) -> tuple[Hardware, ...]:
    cycles = np.zeros(len(field))
    for number, (place, weight) in enumerate(course.weights.items()):
        if number >= _FIRST_LOOK:
            ahead = cycles <= _BEHIND * cycles.min()
            field, cycles = [one for one, stays in zip(field, ahead, strict=True) if stays], cycles[ahead]
        fleet, lowering = Fleet(field, baselines=False), Lowering(op := course.operation(place))
        for which in passes_of(op):
            if which in passes:
                running = PassOfFleet(fleet, time_tiled)
                for gemm in lowering.gemms(which, fleet.stacks):
                    running.add(gemm)
                cycles += [weight * running.cycles(one)[0] for one in range(len(field))]
    first, *others = np.argsort(cycles, kind="stable").tolist()
    return field[first], *(field[one] for one in others[:1] if cycles[one] <= _CLOSE * cycles[first])


def _told(trace: Operations) -> Iterator[tuple[Entry | OpTrace, tuple[Pass, ...]]]:
    """Yield each operation, or its record's header, with the passes that it ran, in the trace's order."""
    if isinstance(trace, TraceChain):
        for reader in trace.readers:
            yield from _told(reader)
    elif isinstance(trace, TraceReader):
        yield from ((entry, entry.passes) for entry in trace.headers())
    else:
        for number, op in enumerate(trace):
            if not isinstance(op, OpTrace):
                raise TraceError(not_this(f"operation {number} of the trace", op, "an OpTrace"))
            yield op, passes_of(op)
