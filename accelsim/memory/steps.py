"""A GEMM as a sequence of macro-tile steps: what each one loads, how long the arrays work on it, what it stores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accelsim.array import TiledGemm
from accelsim.errors import AccelsimError
from accelsim.hardware.model import Hardware
from accelsim.memory.addresses import Addresses, Regions
from accelsim.memory.blocking import Blocking, Order
from accelsim.memory.levels import Refill, refill
from accelsim.memory.parts import Parts
from accelsim.memory.shape import Shape

Integers = NDArray[np.int64]
HALVES = 2  # of a double buffer


@dataclass(frozen=True)
class Steps:
    """Steps in the order in which the arrays take them; each is a macro-tile, or one chunk of K of it.

    Attributes:
        load_bytes: int64 [steps], DRAM bytes that a step waits for; 0 if all it needs is on chip.
        loaded_elements: int64 [steps], the same in words, as they lie on chip.
        array_cycles: int64 [steps, arrays], how long each array works on a step.
        store_bytes: int64 [steps], DRAM bytes of outputs that a step leaves; 0 unless it `finishes`.
        finishes: bool [steps], whether a step's outputs leave for DRAM: they are complete, or spill.
        partial_sums: int64 [steps], outputs that a step writes to the output buffer.
        loaded_a: int64 [steps], words of A among `loaded_elements`.
        fresh_a, fresh_b: bool [steps], whether the words of A (of B) that a step loads take the other half of their
            buffer; else they join what is there.
        held_sums: int64 [steps], sums that lie in the output buffer for a step.
        return_bytes: int64 [steps], DRAM bytes of partial sums that come back after a step's outputs have left, into
            the same half of the output buffer, where the step `ahead` continues them.
        regions: `REGION` [steps, 3], where that lies in DRAM: what a step loads of A, of B, what it stores; None
            where DRAM has no banks and rows.
        refill_words: int64 [steps], words that pass from the global buffer to those of the array; None without one.
        refill_cycles: int64 [steps], how long that takes, while the array works; None without a global buffer.
        ahead: steps whose loads and outputs are on chip at a time: halves of a buffer; 1 where it is not halved.
    """

    load_bytes: Integers
    loaded_elements: Integers
    array_cycles: Integers
    store_bytes: Integers
    finishes: NDArray[np.bool_]
    partial_sums: Integers
    loaded_a: Integers
    fresh_a: NDArray[np.bool_]
    fresh_b: NDArray[np.bool_]
    held_sums: Integers
    return_bytes: Integers
    regions: Regions | None = None
    refill_words: Integers | None = None
    refill_cycles: Integers | None = None
    ahead: int = HALVES

    def __len__(self) -> int:
        return self.load_bytes.size

    @property
    def busy_cycles(self) -> Integers:
        """int64 [steps, arrays], how long each step keeps each array, which works while its buffers are refilled."""
        if self.refill_cycles is None:
            return self.array_cycles
        return np.maximum(self.array_cycles, self.refill_cycles[:, None])

    @classmethod
    def join(cls, parts: Sequence[Steps]) -> Steps:
        """Put at least one sequence of steps one after another."""
        joined: dict[str, Any] = {
            name: np.concatenate([getattr(part, name) for part in parts]) for name in parts[0]._columns()
        }
        return replace(parts[0], **joined)

    def take(self, places: Integers) -> Steps:
        """Return some steps, in this order."""
        return replace(self, **{name: column[places] for name, column in self._columns().items()})

    def _columns(self) -> dict[str, Any]:
        """The arrays that there are."""
        return {name: column for name, column in vars(self).items() if name != "ahead" and column is not None}

    @classmethod
    def none(cls, arrays: int) -> Steps:
        """Return no step of a machine with this many arrays."""
        nothing, no = np.zeros(0, np.int64), np.zeros(0, bool)
        work = np.zeros((0, arrays), np.int64)
        return cls(nothing, nothing, work, nothing, no, nothing, nothing, no, no, nothing, nothing)


class Cut:
    """A GEMM cut into steps; how long the arrays work on each is given afterwards.

    Macro-tiles without an output that must be computed are left out. An operand's block that the step before has used
    is still on chip, unless it went through its buffer in portions; of one that stays (`Blocking.stays`) all chunks
    are. Then each portion is a step; and after a macro-tile's last step come, without work, those in which the rest
    of its outputs leave. Where sums spill (`Blocking.spills`), chunks are outermost.

    Args:
        first_tile: tiles that earlier GEMMs of the pass had; tile t of a pass goes to array t mod `array.count`.
        blocking: how it is cut.
    """

    def __init__(self, hw: Hardware, tiled: TiledGemm, first_tile: int, blocking: Blocking) -> None:
        self._parts, self._first_tile = Parts(hw, tiled, blocking), first_tile
        self._outputs, self._stored = self._parts.outputs()
        rows = self._parts.row_edges.size - 1  # of each GEMM that is stacked
        if blocking.order == "rows":
            row, column = np.nonzero(self._outputs)
        else:
            number, column, row = np.nonzero(self._outputs.reshape(tiled.gemm.stack, rows, -1).transpose(0, 2, 1))
            row += number * rows
        chunks = self._parts.starts.size
        # a block that stays is loaded with the first block of the other operand that it meets
        kept = row if blocking.order == "rows" else row // rows * self._parts.columns.count + column
        self._met = np.repeat(_changes(kept), chunks)
        self._row, self._column = np.repeat(row, chunks), np.repeat(column, chunks)
        self._chunk = np.tile(np.arange(chunks), row.size)
        self._number = self._row // rows
        self._last = self._chunk == chunks - 1
        self._spills = np.zeros(self._row.size, bool)
        if blocking.spills:  # chunks are outermost, except where sums of just one macro-tile can stay
            self._spills = np.bincount(row // rows)[self._number] > 1
            order = np.argsort(self._number * chunks + self._chunk * self._spills, kind="stable")
            for name in ("_row", "_column", "_chunk", "_number", "_last", "_spills"):
                setattr(self, name, getattr(self, name)[order])
        self._several_tiles = blocking.row_tiles * hw.array.rows > tiled.rows or blocking.columns > tiled.cols
        # steps of each chunk: its portions, and after a macro-tile's last one those that only store
        counts = blocking.portions + (blocking.output_portions - 1) * self._last
        self._step = np.repeat(np.arange(counts.size), counts)
        self._portion = np.arange(self._step.size) - np.repeat(np.cumsum(counts) - counts, counts)

    @property
    def blocking(self) -> Blocking:
        """How the GEMM is cut."""
        return self._parts.blocking

    def check_fits(self) -> None:
        """Check that the macro-tiles fit the buffers.

        Raises:
            AccelsimError: they do not, a row of the kernel or a channel is asked for that is not there, or sums spill
                into a DRAM with rows.
        """
        parts, blocking = self._parts, self._parts.blocking
        if blocking.spills and parts.hw.memory.dram_has_rows:
            raise AccelsimError(f"the mapping {str(blocking)!r} spills, which only a constant memory.dram.model has")
        precision, footprint = parts.hw.precision, parts.gemm.footprint
        most = {"kernel_rows": footprint.taps.offset_y.size, "block_channels": footprint.channels}
        for name, have in most.items():
            if getattr(blocking, name) > have:
                raise AccelsimError(
                    f"the mapping {str(blocking)!r} has {name} {getattr(blocking, name)}, the layer {have}"
                )
        on_chip = [
            (elements.sum(axis=1) if blocking.stays and blocking.order == order else elements, portions)
            for order, elements, portions in (
                ("rows", parts.operand_a().elements, blocking.a_portions),
                ("columns", parts.operand_b().elements, blocking.b_portions),
            )
        ]
        on_chip.append((self._outputs, blocking.output_portions))
        words = precision.operand_bits, precision.operand_bits, precision.accumulator_bits
        taken = [
            -(-int(elements.max(initial=0)) // portions) * bits
            for (elements, portions), bits in zip(on_chip, words, strict=True)
        ]
        rooms = Shape.of(parts.hw, parts.gemm).room_bits
        for what, need, room in zip(("A", "B", "sums", "all together"), (*taken, sum(taken)), rooms, strict=True):
            if need > room:
                raise AccelsimError(
                    f"the mapping {str(blocking)!r} needs {need / 8192:,.1f} KiB for {what} of {room / 8192:,.1f}"
                )

    @property
    def groups(self) -> Integers:
        """The group that each step is of: int64 [steps]."""
        return np.asarray(self._parts.gemm.group + self._number[self._step])

    def work(self, tile_cycles: Integers) -> Integers:
        """Share tiles' cycles out among steps: int64 [tiles] to [steps, arrays]."""
        parts = self._parts
        work = parts.cycles(tile_cycles, self._first_tile)[self._row, self._column]
        if parts.starts.size > 1:
            starts, stops = parts.starts[self._chunk, None], parts.stops[self._chunk, None]
            work = work * stops // parts.gemm.k - work * starts // parts.gemm.k
        return self._share(work, self._portion[:, None], parts.blocking.portions)

    def steps(self, tile_cycles: Integers) -> Steps:
        """Return the steps in the order in which the arrays take them, given each tile's cycles."""
        a, b, blocking = self._parts.operand_a(), self._parts.operand_b(), self._parts.blocking
        row, column, chunk, chunks = self._row, self._column, self._chunk, self._parts.starts.size
        b_column = self._number * self._parts.columns.count + column
        loads_a = _changes(row * chunks + chunk) | (blocking.a_portions > 1)
        loads_b = _changes(b_column * chunks + chunk) | (blocking.b_portions > 1)
        if blocking.stays and blocking.order == "rows":
            loads_a = self._met
        elif blocking.stays:
            loads_b = self._met
        last_portion = blocking.portions - 1
        computes = self._portion == last_portion
        if self._several_tiles:  # the sums of one tile stay in the PEs until its portions are done
            computes = self._portion <= last_portion
        outputs, loaded_a = self._outputs[row, column], loads_a * a.elements[row, chunk]
        partial_sums = held_sums = computes * outputs[self._step]
        if blocking.output_portions > 1:
            held_sums = self._share(self._last * outputs, self._portion - last_portion, blocking.output_portions)
        stored = np.where(self._last, self._stored[row, column], self._spills * self._sum_bytes(outputs))
        bytes_a = loads_a * a.size_bytes[row, chunk]
        load_bytes = self._loads(bytes_a + loads_b * b.size_bytes[b_column, chunk])
        store_bytes = self._share(stored, self._portion - last_portion, blocking.output_portions)
        regions = None
        if self._parts.hw.memory.dram_has_rows:
            addresses, step = Addresses(self._parts, a, b, self._stored), self._step
            own = np.minimum(self._loads(bytes_a), load_bytes)
            regions = np.stack(
                [
                    self._portions(addresses.operand_a(row, chunk)[step], own),
                    self._portions(addresses.operand_b(b_column, chunk)[step], load_bytes - own),
                    self._portions(addresses.outputs(row, column)[step], store_bytes),
                ],
                axis=1,
            )
        refill_words = refill_cycles = None
        if (level := self._parts.hw.memory.global_buffer) is not None:
            how = self._refill
            words = how.a_times * a.elements[row, chunk] + how.b_times * b.elements[b_column, chunk]
            words = np.ceil(words + how.sum_words * outputs).astype(np.int64)
            refill_words = self._loads(words)
            refill_cycles = -(-refill_words // level.words_per_cycle)
            partial_sums = partial_sums * how.sum_visits
        return Steps(
            load_bytes=load_bytes,
            loaded_elements=self._loads(loaded_a + loads_b * b.elements[b_column, chunk]),
            array_cycles=self.work(tile_cycles),
            store_bytes=store_bytes,
            finishes=(self._last | self._spills)[self._step] & (self._portion >= last_portion),
            partial_sums=partial_sums,
            loaded_a=self._loads(loaded_a),
            fresh_a=self._fresh(loads_a, "rows", blocking.a_portions),
            fresh_b=self._fresh(loads_b, "columns", blocking.b_portions),
            held_sums=held_sums,
            return_bytes=self._returns(outputs)[self._step],
            regions=regions,
            refill_words=refill_words,
            refill_cycles=refill_cycles,
            ahead=self._parts.hw.memory.filled_from_dram.halves,
        )

    def _fresh(self, loads: NDArray[np.bool_], order: Order, portions: int) -> NDArray[np.bool_]:
        """Whether steps load the first of what shares a half buffer: a chunk, all that stays, or a portion."""
        if self._parts.blocking.stays and self._parts.blocking.order == order:
            loads = loads & (self._chunk == 0)
        own = self._portion < self._parts.blocking.portions if portions > 1 else self._portion == 0
        return np.asarray(loads[self._step] & own)

    @property
    def _refill(self) -> Refill:
        parts = self._parts
        shape = replace(Shape.of(parts.hw, parts.gemm), buffers=parts.hw.memory.buffers, may_spill=True)
        return refill(shape, parts.blocking)

    def _sum_bytes(self, sums: Integers) -> Integers:
        return sums * self._parts.hw.precision.accumulator_bits // 8

    def _returns(self, outputs: Integers) -> Integers:
        """Bytes of sums that come back after a step's store: of the step that continues them in the same half."""
        returns = np.zeros_like(outputs)
        back = np.flatnonzero(self._spills & (self._chunk > 0))
        returns[back - self._parts.hw.memory.filled_from_dram.halves] = self._sum_bytes(outputs[back])
        return returns

    def _portions(self, regions: Regions, sizes: Integers) -> Regions:
        """Cut the regions of chunks in the portions that come one after another."""
        ends = np.cumsum(sizes)
        before = (ends - sizes)[np.flatnonzero(_changes(self._step))]
        regions["start"], regions["size"] = ends - sizes - before[self._step], sizes
        return regions

    def _loads(self, amounts: Integers) -> Integers:
        return self._share(amounts, self._portion, self._parts.blocking.portions)

    def _share(self, amounts: Integers, number: Integers, count: int) -> Integers:
        """Share each chunk's amount out among portions 0 to count - 1; steps that are none of them get nothing."""
        if self._step.size == self._chunk.size:  # nothing was cut again
            return amounts
        amounts, number = amounts[self._step], np.clip(number, -1, count)
        return amounts * np.minimum(number + 1, count) // count - amounts * np.maximum(number, 0) // count


def _changes(keys: Integers) -> NDArray[np.bool_]:
    """Where a key differs from the one before it."""
    changes = np.ones(keys.size, bool)
    np.not_equal(keys[1:], keys[:-1], out=changes[1:])
    return changes
