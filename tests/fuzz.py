"""Damages valid files at random and reads them: the outcome is a value, or an AccelsimError of one sentence a problem.

    python -m tests.fuzz --seconds 600 --seed 1 [--only trace]

Each case has its own seed, which is printed with a failure: `--seed SEED --cases 1 --only KIND` repeats it.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import io
import json
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from rich.console import Console

from accelsim import AccelsimError, TraceWriter, load_hardware, load_result, open_trace, simulate
from accelsim.cli.inspect import _print
from accelsim.energy.load import load_table
from accelsim.explore import load_space
from accelsim.hardware.scalesim_config import read_scalesim_config
from accelsim.results.comparison import compare
from accelsim.show.comparison import comparison_tables
from accelsim.show.figures.registry import KINDS
from accelsim.show.figures.source import read_source
from accelsim.show.report.content import content_of
from accelsim.synth import read_topology
from accelsim.trace import MaskWork, TrainingRun, open_traces
from accelsim.trace import format as trace_format
from accelsim.trace.plain import json_values
from accelsim.trace.summary import summarize
from tests.test_pipeline import layer, small

SECONDS_A_CASE = 30
MOST_GROWN_MIB = 1500
ROOT = Path(__file__).parents[1]

HOSTILE: list[Any] = [
    *(None, True, 0, -1, 1, 2**31, 2**33, 2**62, 2**63 - 1, -(2**63), 1 << 100, 10**5000),
    *(0.5, -0.0, float("nan"), float("inf"), 1e308, 5e-324),
    *("", "nan", "x" * 10_000, "\x1b[2J[red]", "\ud800", "a\rb\nc\0", "$\\x$", "=1+1", "9" * 5000, b"", b"\xff" * 9),
    *([], {}, (), [[]], {"a": [1]}, [0] * 1000, {"k": 1, 2: 3}, {(1,): 2}, {b"k": 1}, (1, 1, 1, 1), (2**40, 0, 1, 1)),
]


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    for key, child in children:
        yield from _places(child, (*path, key))


def _replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    key, *rest = path
    if isinstance(value, dict):
        return {name: _replaced(item, tuple(rest), new) if name == key else item for name, item in value.items()}
    items = [_replaced(item, tuple(rest), new) if place == key else item for place, item in enumerate(value)]
    return type(value)(items)


def damaged_value(draw: random.Random, value: Any) -> Any:
    """Replace, leave out or repeat something at a random place."""
    for _ in range(draw.randint(1, 2)):
        places = list(_places(value))
        path = draw.choice(places)
        inner = value
        for key in path:
            inner = inner[key]
        if isinstance(inner, dict) and inner and draw.random() < 0.3:
            inner = dict(inner)
            del inner[draw.choice(list(inner))]
            value = _replaced(value, path, inner)
        elif isinstance(inner, list) and inner and draw.random() < 0.3:
            value = _replaced(value, path, inner * 2)
        else:
            value = _replaced(value, path, copy.deepcopy(draw.choice(HOSTILE)))
    return value


def damaged_bytes(draw: random.Random, data: bytes) -> bytes:
    """Flip, cut, insert or repeat some bytes."""
    changed = bytearray(data)
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(changed) + 1)
        match draw.randrange(4):
            case 0 if at < len(changed):
                changed[at] ^= 1 << draw.randrange(8)
            case 1:
                del changed[at : at + draw.choice([1, 2, 10, 1000])]
            case 2:
                changed[at:at] = draw.choice([b"\0", b"\xff" * 8, b"(" * 99, b"\x94", b"9" * 400, b"\n", b",", b'"'])
            case _:
                changed[at:at] = changed[at : at + draw.choice([1, 8, 100])]
    return bytes(changed)


def damaged_trace(draw: random.Random, data: bytes) -> bytes:
    """Damage bytes, or values under checksums and an index that fit."""
    if draw.random() < 0.25:
        return damaged_bytes(draw, data)
    file, values = io.BytesIO(data), []
    trace_format.read_preamble(file)
    written = bytearray(data[: file.tell()])
    while file.tell() < len(data) - trace_format.TRAILER_BYTES:
        values.append(trace_format.read_chunk(file, len(data)))  # header, then records and their bodies, then the index
    damaged = draw.choice([0, len(values) - 1, *range(len(values))])
    starts = []
    for number, value in enumerate(values):
        starts.append(len(written))
        kept = value
        if number == len(values) - 1:
            rows = zip(starts[1:-1:2], value["index"], strict=True)
            kept = {**value, "index": [(start, *row[1:]) for start, row in rows]}
        if number == damaged:
            kept = damaged_bytes(draw, value) if isinstance(value, bytes) else damaged_value(draw, kept)
        written += trace_format.chunk(kept)
    return bytes(written) + trace_format.trailer(starts[-1])


def read_trace(path: Path, draw: random.Random) -> None:
    """Read a trace in every way that commands do."""
    reader = open_trace(path)
    summary = summarize(reader)
    with contextlib.redirect_stdout(io.StringIO()):
        _print(summary, checked=False)
    json.dumps(json_values(asdict(summary)), allow_nan=False)
    chain = open_traces([path, path.with_name("other.pkl")])
    _ = chain.steps, chain.meta
    if all(mask.size < 1 << 16 for entry in reader.entries for mask in entry.masks.values()):
        simulate(small(), reader, workers=1).save(path.parent / "made")
        read_result(path.parent / "made", draw)


def read_result(path: Path, draw: random.Random) -> None:
    """Read a saved result in every way that commands do."""
    result = load_result(path)
    result._repr_html_()
    for part in comparison_tables(compare(result, result)):
        Console(file=io.StringIO()).print(part)
    read_table(path, draw)
    _ = result.hardware


def read_table(path: Path, draw: random.Random) -> None:
    """Read a result or a table of a sweep as plot and report do; drawing takes long, so few are drawn."""
    source = read_source(path)
    content_of(source)
    for kind in KINDS.values():
        with contextlib.suppress(AccelsimError):  # it has not what this kind shows
            data = kind.data([source])
            if draw.random() < 0.02:
                kind.figure(data)


def damaged_folder(draw: random.Random, folder: Path, target: Path) -> None:
    """Damage one file of a saved result."""
    target.mkdir(exist_ok=True)
    for file in folder.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    chosen = target / draw.choice(["summary.json", "summary.json", "layers.csv", "training.csv"])
    if draw.random() < 0.2:
        chosen.write_bytes(damaged_bytes(draw, chosen.read_bytes()))
    elif chosen.suffix == ".json":
        damaged = damaged_value(draw, json.loads(chosen.read_text()))
        with contextlib.suppress(TypeError, ValueError):  # no JSON says this
            chosen.write_text(json.dumps(damaged))
    else:
        damaged_table(draw, pd.read_csv(chosen, dtype=object, keep_default_na=False)).to_csv(chosen, index=False)


def damaged_table(draw: random.Random, table: pd.DataFrame) -> pd.DataFrame:
    """Replace cells, or change the rows or columns that there are."""
    table = table.copy()
    match draw.randrange(5):
        case 0:
            return table.drop(columns=draw.choice(list(table.columns)))
        case 1:
            return pd.concat([table, table.head(draw.randrange(3))])
        case 2:
            return table.head(draw.randrange(2))
        case _:
            cells = [one for one in HOSTILE if isinstance(one, str | int | float | bool | None) and one != "\ud800"]
            cells = [one if not isinstance(one, int) or one < 1 << 63 else "9" * 5000 for one in cells]
            column, cell = draw.choice(list(table.columns)), draw.choice(cells)
            table[column] = table[column].astype(object)
            if draw.random() < 0.3:
                table[column] = cell
            else:
                table.iloc[draw.randrange(len(table)), table.columns.get_loc(column)] = cell
            return table


def damaged_sweep(draw: random.Random, data: bytes, target: Path) -> None:
    """Damage a Parquet file's bytes, or its table, which is written as Parquet where that can hold it, or as CSV."""
    target.with_suffix(".csv").unlink(missing_ok=True)
    if draw.random() < 0.3:
        target.write_bytes(damaged_bytes(draw, data))
        return
    table = damaged_table(draw, pd.read_parquet(io.BytesIO(data)))
    target.write_bytes(b"")
    try:
        table.to_parquet(target)
    except Exception:
        table.to_csv(target.with_suffix(".csv"), index=False)


class Fuzzer:
    """Valid files in a folder, and a case for each kind of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        meta = {"command": "accelsim train --pattern 4x4 --sparsity 0.5", "batch": 2, "note": {"lr": [0.1], 3: b"x"}}
        for name in ("run", "other"):
            with TraceWriter(folder / f"{name}.pkl", meta) as writer:
                for step in (0, 9, 10, 20):
                    writer.write(layer("stem", step=step, seed=step, trained=step != 9))
                writer.meta["training"] = TrainingRun(0, 40, (9,), (MaskWork(9, 99, 99, 99, 1, 1),)).plain()
                writer.meta["unlowered"] = {"attention": {"count": 1, "macs": 10, "reason": "fused"}}
        self.trace = (folder / "run.pkl").read_bytes()
        simulate(small(), folder / "run.pkl", workers=1).save(folder / "saved")
        rows = pd.read_csv(folder / "saved" / "layers.csv").drop(columns=["step", "call", "layer", "trace", "kind"])
        facts = {"trace": "run.pkl", "skipping.sync": "row", "memory.dram.bytes_per_cycle": 8.0, "area_mm2": 0.9}
        rows.assign(**facts).to_parquet(folder / "sweep.parquet")
        self.sweep = (folder / "sweep.parquet").read_bytes()
        self.texts = {
            "hardware": (ROOT / "hw_configs" / "pe16x16.yaml").read_bytes(),
            "energy": next((ROOT / "accelsim" / "energy" / "tables").glob("*.yaml")).read_bytes(),
            "space": b"hw: machine.yaml\ntraces: [run.pkl]\nspace: {array.rows: [4, 8], skipping.sync: [row, pe]}\n"
            b"where: array.rows * 2 <= 16 and skipping.sync != 'pe'\nsample: {count: 2}\n",
            "topology": b"Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter,"
            b" Strides,\nA, 16, 16, 3, 3, 8, 16, 1,\nB_DP, 8, 8, 3, 3, 4, 1, 2,\n",
            "config": b"[general]\nrun_name = x\n[architecture_presets]\nArrayHeight: 8\nArrayWidth: 8\n"
            b"IfmapSramSzkB: 64\nFilterSramSzkB: 64\nOfmapSramSzkB: 64\nDataflow: ws\nBandwidth: 10\n"
            b"[run_presets]\nInterfaceBandwidth: USER\n",
        }
        (folder / "machine.yaml").write_bytes(self.texts["hardware"])
        self.kinds: dict[str, Callable[[random.Random], object]] = {
            "trace": self._trace,
            "result": self._result,
            "sweep": self._sweep,
            "hardware": lambda draw: load_hardware(self._text("hardware", draw, ".yaml")),
            "energy": lambda draw: load_table(self._text("energy", draw, ".yaml")),
            "space": lambda draw: load_space(self._text("space", draw, ".yaml")),
            "topology": lambda draw: read_topology(self._text("topology", draw, ".csv")),
            "config": lambda draw: read_scalesim_config(self._text("config", draw, ".cfg")),
        }

    def run(self, kind: str, seed: int) -> str | None:
        """Run a case and return what the error says, if it is an error that is meant.

        Raises:
            Exception: any other, or a case that takes too long.
        """
        signal.alarm(SECONDS_A_CASE)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.kinds[kind](random.Random(f"{kind} {seed}"))
        except AccelsimError as error:
            said = str(error)
            if "Traceback" in said or not said.strip() or len(said) > 20_000:
                raise AssertionError(f"not a sentence: {said[:200]}") from error
            return said
        finally:
            signal.alarm(0)
        return None

    def _trace(self, draw: random.Random) -> None:
        path = self.folder / "damaged.pkl"
        path.write_bytes(damaged_trace(draw, self.trace))
        read_trace(path, draw)

    def _result(self, draw: random.Random) -> None:
        damaged_folder(draw, self.folder / "saved", self.folder / "damaged")
        read_result(self.folder / "damaged", draw)

    def _sweep(self, draw: random.Random) -> None:
        path = self.folder / "damaged.parquet"
        damaged_sweep(draw, self.sweep, path)
        csv = path.with_suffix(".csv")
        read_table(csv if csv.exists() else path, draw)

    def _text(self, kind: str, draw: random.Random, suffix: str) -> Path:
        path, data = self.folder / f"damaged{suffix}", self.texts[kind]
        if suffix == ".yaml" and draw.random() < 0.7:
            value = damaged_value(draw, yaml.safe_load(data))
            with contextlib.suppress(yaml.YAMLError, ValueError):
                data = yaml.safe_dump(value).encode(errors="surrogatepass")
        else:
            data = damaged_bytes(draw, data)
        path.write_bytes(data)
        return path


def too_long(*_: object) -> None:
    raise TimeoutError(f"a case took more than {SECONDS_A_CASE} s")


def main() -> int:
    """Run cases until the time is up or one fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cases", type=int, default=1 << 40)
    parser.add_argument("--only")
    given = parser.parse_args()
    signal.signal(signal.SIGALRM, too_long)
    outcomes: dict[str, Counter[str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        fuzzer = Fuzzer(Path(folder))
        kinds = [given.only] if given.only else list(fuzzer.kinds)
        before, end, failed = _peak_mib(), time.monotonic() + given.seconds, 0
        for seed in range(given.seed, given.seed + given.cases):
            if time.monotonic() > end:
                break
            for kind in kinds:
                try:
                    said = fuzzer.run(kind, seed)
                    outcomes.setdefault(kind, Counter())["read" if said is None else "refused"] += 1
                except Exception:
                    failed += 1
                    print(f"--only {kind} --seed {seed} --cases 1:\n{traceback.format_exc()}", file=sys.stderr)
    for kind, counts in outcomes.items():
        print(f"{kind}: {counts['read']} read, {counts['refused']} refused")
    grown = _peak_mib() - before
    print(f"{failed} failed; {grown} MiB more at the peak")
    return 1 if failed or grown > MOST_GROWN_MIB else 0


def _peak_mib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


if __name__ == "__main__":
    sys.exit(main())
