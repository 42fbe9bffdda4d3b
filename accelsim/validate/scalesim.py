"""Systolic arrays compared with SCALE-Sim: closed forms, a driver for the user's own copy, and a table of its results.

SCALE-Sim multiplies output pixels by filters. A's rows (M) are its filters and B's columns (N) its pixels; then its
weight-stationary array holds A, its input-stationary one holds B. Its output-stationary array lays pixels along the
rows where ours lays A's rows, so there it is asked for the transposed array. It prints the number of the last cycle,
which is one less than the sum of the folds that accelsim counts.
"""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Literal

from accelsim import extras
from accelsim.errors import AccelsimError
from accelsim.files import temporary_folder
from accelsim.synth.topology import Layer
from accelsim.validate.networks import PASS_NAMES, Gemm, PassName, dense_operation, gemms

Dataflow = Literal["output_stationary", "weight_stationary", "input_stationary"]
DATAFLOWS: tuple[Dataflow, ...] = ("output_stationary", "weight_stationary", "input_stationary")
_CODES = {"output_stationary": "os", "weight_stationary": "ws", "input_stationary": "is"}


@dataclass(frozen=True)
class Run:
    """One run of SCALE-Sim.

    Attributes:
        array_rows, array_cols: the array in accelsim's sense.
        m, n, k: the GEMM in accelsim's letters.
        topology: "gemm", or the layer that went in as a convolution: "conv image kernel channels filters stride",
            image being the padded input that the outputs reach.
    """

    array_rows: int
    array_cols: int
    dataflow: Dataflow
    m: int
    n: int
    k: int
    topology: str = "gemm"


def closed_form(rows: int, cols: int, dataflow: Dataflow, gemm: Gemm) -> int:
    """Cycles by SCALE-Sim's published folds (Samajdar et al. 2020, and its code's o), each fold counted whole."""
    m, n, k = gemm
    spatial_rows, spatial_cols, steps, overhead = {
        "output_stationary": (m, n, k, rows + cols - 2),
        "weight_stationary": (k, m, n, 2 * rows + cols - 2),
        "input_stationary": (k, n, m, 2 * rows + cols - 2),
    }[dataflow]
    return -(-spatial_rows // rows) * -(-spatial_cols // cols) * (steps + overhead)


def runs_of(rows: int, cols: int, dataflow: Dataflow, layer: Layer, which: PassName) -> list[Run]:
    """Runs that a square layer's pass takes; a forward pass goes in as a convolution."""
    topology = "gemm"
    if which == "forward":
        # SCALE-Sim knows no padding and rounds output sizes up: it gets exactly the pixels that the outputs reach.
        kernel, stride = layer.kernel[0], layer.stride[0]
        reached = (layer.output[0] - 1) * stride + kernel
        topology = f"conv {reached} {kernel} {layer.c_in} {layer.c_out} {stride}"
    return [Run(rows, cols, dataflow, *gemm, topology) for gemm in gemms(layer, which)]


def accelsim_cycles(rows: int, cols: int, dataflow: Dataflow, layer: Layer) -> dict[PassName, list[int]]:
    """Cycles of each GEMM of each pass, as the simulator itself counts them from the layer's masks."""
    from accelsim.array import time_gemm
    from accelsim.hardware.model import Hardware
    from accelsim.lowering import lower

    array = {"rows": rows, "cols": cols, "dataflow": dataflow, "interconnect": "systolic"}
    hw = Hardware.model_validate({"name": "systolic", "array": array})
    operation = dense_operation(layer)
    return {which: [time_gemm(hw, gemm).cycles for gemm in lower(operation, which)] for which in PASS_NAMES}


_COLUMNS = [*(field.name for field in fields(Run)), "scalesim_cycles"]


@dataclass(frozen=True)
class Comparison:
    """One layer's pass on one dataflow; cycles count every fold whole.

    Attributes:
        runs: its GEMMs; several in input_grad of a strided layer.
        ours: what accelsim's simulator counts.
        closed: by the published closed forms.
        printed: what SCALE-Sim printed, added up; None where that is not known.
    """

    layer: str
    which: PassName
    dataflow: Dataflow
    runs: tuple[Run, ...]
    ours: int
    closed: int
    printed: int | None

    @property
    def equals_closed_form(self) -> bool:
        """Whether accelsim counts what the closed forms give."""
        return self.ours == self.closed

    @property
    def equals_scalesim(self) -> bool:
        """Whether accelsim counts what SCALE-Sim printed and the one cycle more that each of its runs took."""
        return self.printed is not None and self.ours == self.printed + len(self.runs)


def compare(
    rows: int, cols: int, dataflow: Dataflow, layers: Iterable[Layer], scalesim: Callable[[Run], int | None]
) -> Iterator[Comparison]:
    """Compare every pass of some layers.

    Args:
        rows, cols: the array.
        scalesim: what SCALE-Sim prints for a run, from a copy of it or a table; None where that is not known.
    """
    for layer in layers:
        ours = accelsim_cycles(rows, cols, dataflow, layer)
        for which in PASS_NAMES:
            runs = tuple(runs_of(rows, cols, dataflow, layer, which))
            closed = sum(closed_form(rows, cols, dataflow, Gemm(run.m, run.n, run.k)) for run in runs)
            printed = [cycles for run in runs if (cycles := scalesim(run)) is not None]
            known = sum(printed) if len(printed) == len(runs) else None
            yield Comparison(layer.name, which, dataflow, runs, sum(ours[which]), closed, known)


def is_installed() -> bool:
    """Whether a SCALE-Sim of the user's can be imported."""
    return extras.is_installed("scalesim")


def measure(run: Run) -> int:
    """Run the real SCALE-Sim and return the total cycles that it reports (one less than the sum of its folds).

    Raises:
        AccelsimError: SCALE-Sim cannot be imported, fails, or stalls on its memory.
    """
    row = _reported(run, "COMPUTE_REPORT.csv", SramKiwords(1024, 1024, 1024))
    if float(row["Stall Cycles"]):
        raise AccelsimError(f"SCALE-Sim stalled on its own memory for {run}; only runs without stalls can be compared")
    return round(float(row["Total Cycles"]))


@dataclass(frozen=True)
class SramKiwords:
    """SCALE-Sim's scratchpads, in 1024 words (its words have a byte)."""

    ifmap: int
    filter: int
    ofmap: int


@dataclass(frozen=True)
class DramWords:
    """Words that SCALE-Sim reports to have crossed the interface to DRAM."""

    ifmap: int
    filter: int
    ofmap: int


def measure_traffic(run: Run, sram: SramKiwords) -> DramWords:
    """Run the real SCALE-Sim and return the DRAM words that it reports.

    Raises:
        AccelsimError: SCALE-Sim cannot be imported or fails.
    """
    row = _reported(run, "DETAILED_ACCESS_REPORT.csv", sram)
    counts = ("DRAM IFMAP Reads", "DRAM Filter Reads", "DRAM OFMAP Writes")
    return DramWords(*(round(float(row[count])) for count in counts))


def _reported(run: Run, report: str, sram: SramKiwords) -> dict[str, str]:
    """Run the real SCALE-Sim on one layer and return the line of one of its reports."""
    try:
        from scalesim.scale_sim import scalesim
    except ImportError as error:
        raise AccelsimError(
            f"SCALE-Sim cannot be imported ({error}); try pip install scalesim==3.0.0 'numpy<2.4'"
        ) from None
    transposed = run.dataflow == "output_stationary"
    height, width = (run.array_cols, run.array_rows) if transposed else (run.array_rows, run.array_cols)
    with temporary_folder("accelsim-scalesim-") as folder:
        config, topology, layout = (Path(folder, name) for name in ("run.cfg", "topology.csv", "layout.csv"))
        text = _CONFIG.format(height=height, width=width, dataflow=_CODES[run.dataflow], sram=sram)
        config.write_text(text, encoding="utf-8")
        topology.write_text(_topology(run), encoding="utf-8")
        layout.write_text("Layer,\n", encoding="utf-8")
        try:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                simulator = scalesim(
                    save_disk_space=True,
                    verbose=False,
                    config=str(config),
                    topology=str(topology),
                    layout=str(layout),
                    input_type_gemm=run.topology == "gemm",
                )
                simulator.run_scale(top_path=str(folder))
        except (Exception, SystemExit) as error:  # foreign code: it also ends the process where a file displeases it
            raise AccelsimError(
                f"SCALE-Sim failed on {run} ({type(error).__name__}: {error}); version 3.0.0 with NumPy below 2.4 works"
            ) from error
        path = Path(folder, "run", report)
        if not path.is_file():
            raise AccelsimError(f"SCALE-Sim wrote no {report} for {run}; accelsim knows the one of version 3.0.0")
        return next(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8")), skipinitialspace=True))


def read_table(path: Path) -> dict[Run, int]:
    """Read measured runs and the cycles that SCALE-Sim printed.

    Raises:
        AccelsimError: the file is no such table.
    """
    numbers = {field.name for field in fields(Run) if field.type == "int"}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = csv.DictReader(line for line in file if not line.startswith("#"))
            if lines.fieldnames != _COLUMNS:
                raise ValueError(f"expected the columns {', '.join(_COLUMNS)}")
            return {
                Run(**{name: int(text) if name in numbers else text for name, text in line.items()}): int(cycles)  # type: ignore[arg-type]
                for line in lines
                for cycles in [line.pop("scalesim_cycles")]
            }
    except (OSError, TypeError, ValueError, csv.Error) as error:
        raise AccelsimError(f"{path} is no table of runs as benchmarks/scalesim_peer.py writes it: {error}") from None


def table_lines(comment: str, measured: Iterable[tuple[Run, int]]) -> Iterator[str]:
    """Yield the lines of a table: a comment, the header, a line a run."""
    yield f"# {comment}\n"
    yield ",".join(_COLUMNS) + "\n"
    for run, cycles in measured:
        yield ",".join(map(str, (*astuple(run), cycles))) + "\n"


def _topology(run: Run) -> str:
    if run.topology == "gemm":
        return f"Layer,M,N,K,\nlayer,{run.n},{run.m},{run.k},\n"
    image, kernel, channels, filters, stride = run.topology.split()[1:]
    header = "Layer name,IFMAP Height,IFMAP Width,Filter Height,Filter Width,Channels,Num Filter,Strides,\n"
    return header + f"layer,{image},{image},{kernel},{kernel},{channels},{filters},{stride},\n"


_CONFIG = """\
[general]
run_name = run
[run_presets]
InterfaceBandwidth: CALC
UseRamulatorTrace: False
[architecture_presets]
ArrayHeight: {height}
ArrayWidth: {width}
IfmapSramSzkB: {sram.ifmap}
FilterSramSzkB: {sram.filter}
OfmapSramSzkB: {sram.ofmap}
IfmapOffset: 0
FilterOffset: 100000000
OfmapOffset: 200000000
Bandwidth: 10
Dataflow: {dataflow}
ReadRequestBuffer: 64
WriteRequestBuffer: 64
[layout]
IfmapCustomLayout: False
IfmapSRAMBankBandwidth: 10
IfmapSRAMBankNum: 10
IfmapSRAMBankPort: 2
FilterCustomLayout: False
FilterSRAMBankBandwidth: 10
FilterSRAMBankNum: 10
FilterSRAMBankPort: 2
[sparsity]
SparsitySupport: false
"""
