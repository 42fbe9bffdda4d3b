"""The RTL under Verilator: finds the sources, builds a bench for one set of parameters, runs tiles on it."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import time
from contextlib import ExitStack, suppress
from dataclasses import astuple, dataclass
from math import isqrt
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from accelsim.array import pe_of
from accelsim.errors import AccelsimError
from accelsim.files import temporary_folder, whole_file
from accelsim.hardware.model import Hardware
from accelsim.signals import held

ACCUMULATOR_BITS = 32
OVERHEAD = 2
"""Clocks from `start` to `done` beyond a tile's cycles, the same for every tile (rtl/tile_control.sv)."""
_SLOTS = ("effectual", "ineffectual", "edge", "barrier", "sync", "starved", "skew")
COUNTERS = (*_SLOTS, "fifo_pushes", "scan_windows", "port", "streamed_a", "streamed_b")
_KINDS = {"dense": 0, "scanning": 1, "systolic": 2, "inner_join": 3, "tensordash": 4}
_SYNC = {"pe": 0, "row": 1, "column": 2, "array": 3}
_TILE_ORDER = ("rows_used", "cols_used", "needed")
_TOP = Path("bench", "bench_top.sv")
_BUILD = "build-"
_STALE_SECONDS = 24 * 3600


@dataclass(frozen=True)
class Parameters:
    """What the array is synthesised for.

    Attributes:
        kind: of `RtlArray`.
        width: K positions of a window: scan_width, the lanes of a dense PE, 1 on a systolic array.
        held_windows: windows that a group of inner-join PEs holds, or that TensorDash stages; 1 on other arrays.
        windows: windows of a tile that the array can store.
    """

    kind: str
    rows: int
    cols: int
    lanes: int
    width: int
    fifo_depth: int
    operand_bits: int
    sync: str
    held_windows: int
    windows: int

    @classmethod
    def of(cls, hw: Hardware, k: int) -> Parameters:
        """Return the parameters of a machine, with room for tiles of K positions.

        Raises:
            AccelsimError: the machine has something that the RTL has not.
        """
        pe = pe_of(hw).rtl()
        if pe is None:
            raise AccelsimError(f"{hw.name}: the RTL has no counterpart of {hw.skipping.kind} PEs")
        lacks = {
            "array.dataflow": pe_of(hw).dataflows != ("output_stationary",),
            "mapping.row_order": hw.mapping.row_order != "natural",
            "array.segments": hw.array.segments > 1,
            "array.drain": hw.array.drain == "exposed",
        }
        if any(lacks.values()):
            named = next(key for key, present in lacks.items() if present)
            raise AccelsimError(f"{hw.name}: the RTL has no counterpart of its {named}; leave that key out")
        return cls(
            kind=pe.kind,
            rows=hw.array.rows,
            cols=hw.array.cols,
            lanes=hw.array.lanes,
            width=pe.width,
            fifo_depth=pe.fifo_depth,
            operand_bits=hw.precision.operand_bits,
            sync=pe.sync,
            held_windows=pe.held_windows,
            windows=max(2, 1 << (-(-k // pe.width) - 1).bit_length()),
        )

    def ports(self, hw: Hardware, height: int, width: int) -> tuple[int, int, int, int]:
        """Return a tile's ports: words and whole windows per cycle of A, then of B, both 0 where they are unlimited."""
        ports = pe_of(hw).ports
        numbers: list[int] = []
        for words, lines in ((ports.a_words, height), (ports.b_words, width)):
            numbers += [words or 0, min((words or 0) // (lines * self.width), self.windows)]
        return numbers[0], numbers[1], numbers[2], numbers[3]

    @property
    def largest(self) -> int:
        """Largest operand: fits its bits, and no sum of products over the stored windows leaves the accumulator."""
        fits = (1 << self.operand_bits - 1) - 1
        most_positions = self.windows * self.width
        return max(1, min(fits, isqrt(((1 << ACCUMULATOR_BITS - 1) - 1) // most_positions)))


@dataclass(frozen=True)
class Tile:
    """One tile's operands, padded to the array's size.

    Attributes:
        rows_used, cols_used: bool [R], bool [C], which the GEMM has.
        needed: bool [R, C], outputs that must be computed.
        schedules_b: whether schedules are those of columns of B.
        shown, dropped: for A and B, whether the scanner sees the mask, and whether empty windows are dropped.
        a, b: int32 [R, K], int32 [C, K]; the masks are their non-zeros.
        ports: see `Parameters.ports`.
        overlapped: whether results leave while the next tile runs.
    """

    rows_used: NDArray[np.bool_]
    cols_used: NDArray[np.bool_]
    needed: NDArray[np.bool_]
    schedules_b: bool
    shown: tuple[bool, bool]
    dropped: tuple[bool, bool]
    a: NDArray[np.int32]
    b: NDArray[np.int32]
    ports: tuple[int, int, int, int]
    overlapped: bool

    def to_bytes(self, width: int) -> bytes:
        """Return the tile as rtl/bench/bench.cpp reads it."""
        k = self.a.shape[1]
        windows = -(-k // width)
        record = np.dtype(
            [
                ("positions", "u1", (width,)),
                ("a_mask", "u1", (len(self.a), width)),
                ("b_mask", "u1", (len(self.b), width)),
                ("a", "<i4", (len(self.a), width)),
                ("b", "<i4", (len(self.b), width)),
            ]
        )
        stream = np.zeros(windows, record)
        stream["positions"] = (np.arange(windows * width) < k).reshape(windows, width)
        for name, values in (("a", self.a), ("b", self.b)):
            cut = np.pad(values, ((0, 0), (0, windows * width - k))).reshape(len(values), windows, width)
            stream[name] = cut.transpose(1, 0, 2)
            stream[f"{name}_mask"] = stream[name] != 0
        flags = (self.schedules_b, *self.shown, *self.dropped)
        head = np.array([windows, *flags, *self.ports, self.overlapped], "<i4").tobytes()
        return head + b"".join(getattr(self, name).astype("u1").tobytes() for name in _TILE_ORDER) + stream.tobytes()


class TileRun(NamedTuple):
    """What the RTL did with a tile: cycles, its counters by the names of `COUNTERS`, sums int64 [R, C]."""

    cycles: int
    counts: dict[str, int]
    sums: NDArray[np.int64]


def find_rtl() -> Path:
    """Return the folder of the SystemVerilog sources: beside the package, or in the current directory.

    Raises:
        AccelsimError: there is none: the sources are part of the repository, not of an installed package.
    """
    for folder in (Path(__file__).parents[2], Path.cwd()):
        if (folder / "rtl" / _TOP).is_file():
            return folder / "rtl"
    raise AccelsimError(
        "rtl/, the array in SystemVerilog, is neither beside the package nor in the current directory; run accelsim"
        " from a checkout of its repository"
    )


def find_verilator() -> str:
    """Return the path of Verilator.

    Raises:
        AccelsimError: it is not installed.
    """
    found = shutil.which("verilator")
    if found is None:
        raise AccelsimError(
            "Verilator, which runs the RTL, is not installed; get it with apt-get install verilator (Debian, Ubuntu) or"
            " brew install verilator, version 5 or later"
        )
    return found


def sources(rtl: Path) -> list[Path]:
    """Return what a bench is made of, the C++ file last."""
    return [*sorted(rtl.glob("*.sv")), rtl / _TOP, rtl / "bench" / "bench.cpp"]


def build(parameters: Parameters, waveform: bool = False) -> Path:
    """Return the bench's program for these parameters; built once, then kept in the user's cache.

    Args:
        waveform: whether it can write a VCD file.

    Raises:
        AccelsimError: Verilator or the sources are missing, or Verilator refuses them.
    """
    rtl, verilator = find_rtl(), find_verilator()
    files = sources(rtl)
    stamp = hashlib.sha256(repr((astuple(parameters), waveform)).encode())
    stamp.update(subprocess.run([verilator, "--version"], capture_output=True, check=False).stdout)
    for file in (*files, Path(__file__)):
        stamp.update(file.read_bytes())
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "accelsim" / "rtl"
    program = cache / stamp.hexdigest()[:24]
    if program.is_file():
        return program
    cache.mkdir(parents=True, exist_ok=True)
    _remove_stale(cache)
    with temporary_folder(_BUILD, cache) as folder:
        command = [verilator, "--cc", "--exe", "--build", "-j", "2", "-Wall", "--top-module", "bench_top"]
        # Loops stay loops, or a 16 x 16 array becomes 140 MB of C++; the count also bounds how often parts may repeat.
        command += ["--unroll-stmts", "1", "--unroll-count", "4096"]
        command += [f"-G{name}={value}" for name, value in _generics(parameters).items()]
        command += ["-CFLAGS", " ".join(f"-D{name}={value}" for name, value in _macros(parameters).items())]
        command += ["-MAKEFLAGS", "OPT_FAST=-O1 OPT_SLOW=-O0 OPT_GLOBAL=-O1", "--Mdir", str(folder)]
        command += ["--trace"] if waveform else []
        done = _run([*command, *map(str, files)])
        if done.returncode:
            complaints = done.stderr.decode(errors="replace").splitlines()
            said = next((line for line in complaints if "rror" in line), "it does not say why")
            raise AccelsimError(f"Verilator cannot build {parameters}: {said}")
        os.replace(Path(folder, "Vbench_top"), program)
    return program


def run_tiles(parameters: Parameters, tiles: list[Tile], vcd: Path | None = None) -> list[TileRun]:
    """Run tiles one after another on the RTL.

    Args:
        vcd: where to write a waveform.

    Raises:
        AccelsimError: the bench cannot be built, or fails; then there is no waveform.
    """
    program = build(parameters, waveform=vcd is not None)
    if vcd is None:
        return _run_bench([str(program)], parameters, tiles)
    with whole_file(vcd) as beside:
        return _run_bench([str(program), str(beside)], parameters, tiles)


def _run_bench(command: list[str], parameters: Parameters, tiles: list[Tile]) -> list[TileRun]:
    done = _run(command, b"".join(tile.to_bytes(parameters.width) for tile in tiles))
    lines = done.stdout.splitlines()
    if done.returncode or len(lines) != len(tiles):
        raise AccelsimError(
            f"the RTL bench ended with code {done.returncode} after {len(lines)} of {len(tiles)} tiles:"
            f" {done.stderr.decode(errors='replace').strip()}"
        )
    return [_parse(parameters, line) for line in lines]


def _run(command: list[str], given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run a program; an exception ends it with all that it has started, as make its compilers."""
    pipe = subprocess.PIPE
    with ExitStack() as ending:
        with held():
            process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, process_group=0)
            ending.enter_context(process)
            ending.push(lambda kind, *_: kind is not None and _kill_group(process.pid))
        said, complained = process.communicate(given)
    return subprocess.CompletedProcess(command, process.returncode, said, complained)


def _kill_group(group: int) -> bool:
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
    return False  # the exception goes on


def _remove_stale(cache: Path) -> None:
    """Remove what builds left that were killed so that they could not."""
    for folder in cache.glob(f"{_BUILD}*"):
        with suppress(OSError):
            if time.time() - folder.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(folder)


def _parse(parameters: Parameters, line: bytes) -> TileRun:
    clocks, *numbers = map(int, line.split())
    counts = dict(zip(COUNTERS, numbers[: len(COUNTERS)], strict=True))
    sums = np.array(numbers[len(COUNTERS) :], np.int64).reshape(parameters.rows, parameters.cols)
    return TileRun(clocks - OVERHEAD, counts, sums)


def _generics(parameters: Parameters) -> dict[str, int]:
    return {
        "KIND": _KINDS[parameters.kind],
        "R": parameters.rows,
        "C": parameters.cols,
        "L": parameters.lanes,
        "S": parameters.width,
        "D": parameters.fifo_depth,
        "V": parameters.held_windows,
        "W": parameters.operand_bits,
        "ACC": ACCUMULATOR_BITS,
        "SYNC": _SYNC[parameters.sync],
        "WINDOWS": parameters.windows,
    }


def _macros(parameters: Parameters) -> dict[str, int]:
    return {
        "ROWS": parameters.rows,
        "COLS": parameters.cols,
        "WIDTH": parameters.width,
        "BITS": parameters.operand_bits,
        "SUM_BITS": ACCUMULATOR_BITS,
    }
