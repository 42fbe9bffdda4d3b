# Arrays are contiguous and of the types given here; sizes are checked (ValueError). Bit matrices: rows of 64-bit words.
# Targets are the last arguments and are written whole. Every function but `all_set` gives up the interpreter's lock.
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_] | NDArray[np.uint8]

def instruction_sets() -> tuple[str, ...]: ...

# timing
class WindowKernel(Protocol):
    """PEs whose groups take K a window at a time; totals [10, tiles], zero at first: see `ScanTotals` in scan.h."""

    def __call__(
        self,
        stack: int,
        m: int,
        n: int,
        k: int,
        a: Words,
        b: Words,
        b_of: NDArray[np.int32] | None,
        needed: Words | None,
        columns: Integers,
        starts: Integers,
        stops: Integers,
        rows: int,
        cols: int,
        lanes: int,
        scan_width: int,
        held: int,
        sync: int,
        a_words: int,
        b_words: int,
        a_shown: bool,
        b_shown: bool,
        a_dropped: bool,
        b_dropped: bool,
        count_pairs: bool,
        totals: Integers,
        /,
    ) -> None: ...

scan: WindowKernel  # held: pairs of a queue
inner_join: WindowKernel  # held: windows of a group, 1, 2 or 4

def tensordash(
    m: int,
    n: int,
    k: int,
    windows: NDArray[np.uint16],
    by_column: bool,
    needed: Words | None,
    columns: Integers,
    starts: Integers,
    stops: Integers,
    rows: int,
    cols: int,
    stages: int,
    together: bool,
    a_words: int,
    b_words: int,
    present_a: Flags | None,
    present_b: Flags | None,
    cycles: Integers,
    positions: Integers,
    /,
) -> tuple[int, int, int, int, int, int, int, int, int, int]:
    """Pairs, sync, starved, barrier, waiting and working lane-cycles, outputs, windows of schedules, words of A, B."""

def want_columns(
    needed: Words, stack: int, m: int, words: int, rows: int, wanted: Words, counts: Integers, /
) -> None: ...
def list_columns(wanted: Words, rows: int, words: int, columns: Integers, /) -> None: ...
def count_outputs(
    needed: Words,
    stack: int,
    m: int,
    n: int,
    columns: Integers,
    starts: Integers,
    stops: Integers,
    rows: int,
    cols: int,
    outputs: Integers,
    /,
) -> None: ...
def find_windows(source: Words, rows: int, k: int, width: int, present: Flags, /) -> None: ...
def count_streamed(
    a: Words | None,
    b: Words | None,
    stack: int,
    m: int,
    n: int,
    k: int,
    width: int,
    alike: bool,
    columns: Integers,
    starts: Integers,
    stops: Integers,
    rows: int,
    cols: int,
    cycles: Integers,
    positions: Integers,
    /,
) -> None: ...
def count_effectual(a: Words, b: Words, stack: int, m: int, n: int, words: int, /) -> int: ...
def effectual_where_needed(
    a: Words,
    b: Words,
    b_of: NDArray[np.int32] | None,
    stack: int,
    m: int,
    n: int,
    words: int,
    needed: Words,
    /,
) -> int: ...

# lowering
def transpose_rows(source: Words, matrices: int, rows: int, cols: int, target: Words, /) -> None: ...
def count_columns(source: Words, rows: int, words: int, counts: Integers, /) -> None: ...
def all_set(source: Words, bits: int, /) -> bool: ...
def fill_runs(flags: Flags, rows: int, count: int, size: int, target: Words, /) -> None: ...
def join_runs(pieces: Words, rows: int, count: int, words: int, size: int, target: Words, /) -> None: ...
def channel_rows(source: Words, images: int, channels: int, pixels: int, target: Words, /) -> None: ...
def every_other_column(source: Words, rows: int, words: int, odd: bool, target: Words, /) -> None: ...
def pick_phase(source: Words, rows: int, images: int, *extents_and_target: Any) -> None:
    """Then image, step and phase, each height and width, then the target."""

def shift_rows(source: Words, rows: int, words: int, distance: int, inside: Words, target: Words, /) -> None: ...
def cut_rows(source: Words, rows: int, images: int, *extents_and_target: Any) -> None:
    """Then image, grid and start, each height and width, then the target."""

def gather_words(pixels: Words, pixel_words: int, images: int, *rest: Any) -> None:
    """Then the image, the first word and their count, grid and step, the taps' offsets y and x, the target."""

def tap_rows(inside_y: Flags, inside_x: Flags, images: int, *extents_and_target: Any) -> None:
    """Then grid and taps, each height and width, then the target."""

# memory
def count_rectangles(
    source: Words, rows: int, words: int, row_edges: Integers, column_edges: Integers, counts: Integers, /
) -> None: ...
def deal_tiles(
    tile_cycles: Integers,
    stack: int,
    m: int,
    n: int,
    columns: Integers,
    starts: Integers,
    stops: Integers,
    rows: int,
    cols: int,
    block_row_tiles: int,
    block_columns: int,
    first_tile: int,
    arrays: int,
    worked: Integers,
    /,
) -> None: ...
def find_cuts(
    rows: int,
    cols: int,
    operand_bits: int,
    accumulator_bits: int,
    m: int,
    n: int,
    k: int,
    grid_is_k: bool,
    by_rows: bool,
    by_columns: bool,
    may_spill: bool,
    images: int,
    channels: int,
    *axes_room_enough_cuts: Any,
) -> int:
    """Then of y and of x grid, step, source and offsets; bits of room; steps that are enough; rows of `CutFound`."""

def run_memory_steps(
    load: Integers,
    latency: Integers,
    store: Integers,
    work: Integers,
    finishes: Flags,
    meets: Flags,
    arrays: int,
    ahead: int,
    load_stop: Integers,
    store_stop: Integers,
    work_stop: Integers,
    /,
) -> int: ...
def run_dram_transfers(
    model: Integers, channels: int, regions: Integers, write: Flags, asked: Integers, left: Integers, /
) -> tuple[int, int]:
    """Bursts, activations; model: `DramModel.numbers`, regions [transfers, 7]: see `Region` in dram.h."""

def run_dram_steps(
    model: Integers,
    channels: int,
    clocks_per_cycle: float,
    regions: Integers,
    load_start: Integers,
    store_start: Integers,
    work: Integers,
    finishes: Flags,
    meets: Flags,
    arrays: int,
    ahead: int,
    load_stop: Integers,
    store_stop: Integers,
    work_stop: Integers,
    /,
) -> tuple[int, int, int]:
    """Cycles, bursts, activations; regions [steps, 3, 7]."""
