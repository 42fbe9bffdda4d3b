"""What a kind of PE must answer: the rest of the simulator asks this class and never which kind it is.

A kind is one file with two classes: a configuration (what `skipping` of a hardware file may say) and a subclass of
`PE`. It is known by one line in `accelsim/hardware/pe_kinds.py`, or by an entry point of the group `accelsim.pe` in
another package (CONTRIBUTING.md shows one).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Literal, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from accelsim.array.common_parts import lanes, segment_parts, way_out, window_filters, zero_tests
from accelsim.array.drain import drained, with_drain
from accelsim.array.outcome import GemmTiming
from accelsim.array.ports import Ports, port_cycles, through_ports
from accelsim.array.tiled import TiledGemm
from accelsim.array.windows import Streams, find_streams
from accelsim.hardware.dataflows import Dataflow
from accelsim.hardware.logic import Logic
from accelsim.hardware.model import Hardware
from accelsim.hardware.parts import Array, Buffers, Precision
from accelsim.hardware.pe_kinds import load_kind
from accelsim.hardware.skipping import Skipping
from accelsim.lowering.gemm import MaskedGemm

Configuration = TypeVar("Configuration", bound=Skipping)


@dataclass(frozen=True)
class Forecast:
    """What is known of a GEMM before it is simulated: what a sample of its tiles is drawn and completed by.

    Attributes:
        pe: treats some tiles as the asked PE treats them among all others.
        expected_cycles: float64 [tiles], what each tile is expected to take.
        positions: int64 [tiles], K positions that each tile streams.
        exact: whether that is what it takes.
        known: totals over all tiles, by the names of `GemmTiming` and `Slots`.
    """

    pe: PE[Any]
    expected_cycles: NDArray[np.float64]
    positions: NDArray[np.int64]
    exact: bool
    known: Mapping[str, int]

    def cycles(self, tiled: TiledGemm) -> NDArray[np.float64]:
        """Return what each tile is expected to take with ports and drain: float64 [tiles]."""
        pe = self.pe
        cycles = np.maximum(self.expected_cycles, port_cycles(pe.ports, tiled, self.positions))
        return with_drain(pe.array, tiled, cycles) if pe.dataflow(tiled) == "output_stationary" else cycles


@dataclass(frozen=True)
class TileAccount:
    """What one tile's cycles are made of, as its PEs know it.

    Attributes:
        facts: plain values, by name.
        sentences: the same for people.
    """

    facts: Mapping[str, object] = field(default_factory=dict)
    sentences: tuple[str, ...] = ()


@dataclass(frozen=True)
class RtlArray:
    """The array in SystemVerilog that counts what a PE kind counts (docs/rtl.md).

    Attributes:
        kind: "dense", "scanning", "inner_join", "systolic" or "tensordash", see rtl/.
        width: K positions of a window.
        fifo_depth: pairs of a queue.
        sync: PEs that share a scan pointer, or windows; "row" where each schedule of TensorDash moves on alone.
        held_windows: windows that a group of inner-join PEs holds, or that are staged.
    """

    kind: str
    width: int
    fifo_depth: int
    sync: str = "array"
    held_windows: int = 1


class PE(ABC, Generic[Configuration]):
    """The PEs of one machine's array.

    Attributes:
        configuration: the class of `skipping`.
    """

    configuration: ClassVar[type[Skipping]]

    def __init__(
        self, array: Array, skipping: Configuration, buffers: Buffers, search: Literal["fixed", "best"] = "fixed"
    ) -> None:
        self.array, self.skipping, self.buffers, self.search = array, skipping, buffers, search

    @abstractmethod
    def time(self, tiled: TiledGemm) -> GemmTiming:
        """Run a GEMM; memory and the drain aside, and as if each window could be read as soon as all others.

        PEs that take positions of K as they come leave the ports to `run`; others wait for them here (`ports`).
        """

    def run(self, tiled: TiledGemm) -> GemmTiming:
        """Run a GEMM, memory aside."""
        timing = through_ports(self.ports, self.array, tiled, self.time(tiled))
        return drained(self.array, tiled, timing) if self.dataflow(tiled) == "output_stationary" else timing

    @property
    def dataflows(self) -> tuple[Dataflow, ...]:
        """Those that GEMMs may take: all that the array can run, or with `mapping.search: fixed` the first one."""
        return self.array.dataflows if self.search == "best" else self.array.dataflows[:1]

    def dataflow(self, tiled: TiledGemm) -> Dataflow:
        """Name the dataflow that a GEMM takes; by default the first."""
        return self.dataflows[0]

    def unported(self) -> Self:
        """Return the same PEs with ports that read as many words as are asked for."""
        width = {"weight_words_per_cycle": "unlimited", "input_words_per_cycle": "unlimited"}
        return type(self)(self.array, self.skipping, self.buffers.model_copy(update=width), self.search)

    @property
    def ports(self) -> Ports:
        """Words that can be read in a cycle."""
        return Ports.of(self.buffers, self.array, self.port_positions)

    @property
    def key(self) -> Hashable:
        """What the cycles of such PEs depend on: machines that share it share the timing of every GEMM."""
        array, own = self.array, self.skipping.model_dump(exclude=set(self.skipping.energy_only))
        heeded = tuple((name, frozenset(v) if isinstance(v, tuple | list) else v) for name, v in sorted(own.items()))
        return self.skipping.kind, array.rows, array.cols, array.lanes, self.dataflows, heeded

    @property
    def takes_stacks(self) -> bool:
        """Whether `time` takes GEMMs that are stacked."""
        return False

    @property
    def window_positions(self) -> int:
        """K positions of a window, of which one enters in a cycle or is dropped by `skipping.blocks`; 0: no windows."""
        return self.array.lanes

    @property
    def held_positions(self) -> int:
        """K positions of a row of A or column of B that registers hold for PEs; by default a window."""
        return self.window_positions

    @property
    def output_rows_per_cycle(self) -> int:
        """Rows of outputs or partial sums, one for each column, that the output buffer takes and gives in a cycle."""
        return 1

    @property
    def group_extent(self) -> tuple[int, int]:
        """Rows and columns of PEs that read each window at the same time; by default the whole array."""
        return self.array.rows, self.array.cols

    def parts(self, precision: Precision) -> tuple[Logic, ...]:
        """Return what one array is made of: its area, leakage and energy follow from it.

        By default lanes, the way of results out (`array.drain`), tests for zeros (`skipping.gate_zeros`), filters of
        windows (`skipping.blocks`), what cuts columns (`array.segments`), and what the kind adds.
        """
        array, skipping = self.array, self.skipping
        return (
            lanes(array, precision),
            *way_out(array, precision),
            *zero_tests(array, skipping, precision),
            *window_filters(array, skipping, self.window_positions),
            *segment_parts(array, skipping, precision, self.window_positions, self.held_positions),
            *self.own_parts(precision),
        )

    def own_parts(self, precision: Precision) -> tuple[Logic, ...]:
        """Return the parts that dense PEs do not have; by default none."""
        return ()

    @property
    def port_positions(self) -> int:
        """K positions that a row or column of PEs takes at most in a cycle: what ports of the width `window` read."""
        return self.window_positions

    def streams(self, tiled: TiledGemm) -> Streams:
        """Return what each tile streams."""
        return find_streams(self.skipping, tiled, self.window_positions)

    def forecast(self, tiled: TiledGemm) -> Forecast | None:
        """Return what is known beforehand; None if a GEMM is timed whole at once, so that no sample would pay."""
        return None

    def dense_formula(self, m: int, n: int, k: int) -> tuple[str, int]:
        """Return the cycles of a GEMM on such an array without skipping: as arithmetic, and its value."""
        rows, column_tiles, lanes = self.array.rows, -(-n // self.array.cols), self.array.lanes
        steps = -(-k // lanes)
        full, rest = divmod(m, rows)
        text = f"{-(-m // rows):,} row tiles × {column_tiles:,} column tiles × ceil({k:,} / {lanes})"
        match self.array.drain:
            case "exposed":
                text += f" + {column_tiles:,} column tiles × {m:,} rows that drain"
                return text, column_tiles * (-(-m // rows) * steps + m)
            case "overlapped" if steps < min(m, rows):
                tiles = full * max(steps, rows) + (max(steps, rest) if rest else 0)
                text = f"{column_tiles:,} column tiles × ({full:,} × {max(steps, rows):,}"
                text += f" + {max(steps, rest):,})" if rest else ")"
                text += f" where ceil({k:,} / {lanes}) = {steps:,} is less than the rows that drain"
                return text, column_tiles * tiles
            case _:
                return text, -(-m // rows) * column_tiles * steps

    def explain_tile(self, tiled: TiledGemm, index: int) -> TileAccount:
        """Return what one tile's cycles are made of, for `accelsim explain`."""
        return TileAccount()

    def scheduled_operand(self, gemm: MaskedGemm) -> Literal["a", "b"] | None:
        """Name the operand whose zeros the schedules of a GEMM step over; by default there are no schedules."""
        return None

    def rtl(self) -> RtlArray | None:
        """Return the RTL that counts the same; None if there is none."""
        return None


def pe_of(hw: Hardware) -> PE[Any]:
    """Return the PEs of a machine."""
    made: PE[Any] = load_kind(hw.skipping.kind)(hw.array, hw.skipping, hw.memory.buffers, hw.mapping.search)
    return made


def timing_key(hw: Hardware) -> Hashable:
    """Return a key that two machines share only if `TiledGemm.of` and `time_tiled` give the same for both."""
    pe, array = pe_of(hw), hw.array
    # A tile waits for the one before it on its array.
    dealt_to = array.count if array.drain == "overlapped" else 1
    return pe.key, pe.ports, array.drain, dealt_to, array.segments, hw.mapping.row_order


def time_gemm(hw: Hardware, gemm: MaskedGemm) -> GemmTiming:
    """Tile one GEMM and run it on the machine's array, memory aside."""
    return time_tiled(hw, TiledGemm.of(hw, gemm))


def time_tiled(hw: Hardware, tiled: TiledGemm) -> GemmTiming:
    """Run one GEMM, tiled for the machine, on its array, memory aside."""
    return pe_of(hw).run(tiled)
