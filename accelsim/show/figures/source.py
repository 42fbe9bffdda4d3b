"""What a figure is drawn from: a result's folder, or a table of a sweep or study."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from accelsim.errors import AccelsimError
from accelsim.extras import need
from accelsim.hardware.model import Hardware
from accelsim.lowering.gemm import PASSES
from accelsim.results.checked import check_numbers, measures
from accelsim.results.other_work import OTHER_WORK
from accelsim.results.saved import SavedResult, load_result

BANDWIDTH = "memory.dram.bytes_per_cycle"
NEEDED = ("trace", "pass", "cycles", "dense_cycles", "speedup", "energy_pj", "dense_energy_pj")


@dataclass(frozen=True)
class Source:
    """One result or sweep.

    Attributes:
        path: the folder or file.
        table: a row per pass and whatever else the source tells apart, with the columns of `NEEDED` and `machine`; a
            result has also step, layer and call.
        other_work: rows of the work between the products with the same columns, one a machine and trace; empty cells
            where there is nothing to say, and no row where it was not counted.
        result: the result, if it is one.
    """

    path: Path
    table: pd.DataFrame
    other_work: pd.DataFrame
    result: SavedResult | None = None

    @property
    def name(self) -> str:
        """The folder's or file's own name."""
        return self.path.resolve().name

    @property
    def whole(self) -> pd.DataFrame:
        """The rows of both tables."""
        return pd.concat([self.table, self.other_work], ignore_index=True) if len(self.other_work) else self.table

    @property
    def labels(self) -> pd.Series:
        """Each row's machine, with the source's name before it where the two differ."""
        return self.labels_of(self.table)

    def labels_of(self, table: pd.DataFrame) -> pd.Series:
        """The same of some rows."""
        return table["machine"].where(table["machine"] == self.name, f"{self.name}: " + table["machine"])


def read_source(path: str | os.PathLike[str]) -> Source:
    """Read a folder of `accelsim run --out`, one of `accelsim sweep --out`, or a Parquet or CSV file of such columns.

    Raises:
        AccelsimError: there is nothing of that kind.
    """
    path = Path(path)
    if os.path.isdir(path):
        tables = sorted(path.glob("*.parquet"))
        if len(tables) == 1 and not (path / "summary.json").exists():
            return _sweep(tables[0])
        result = load_result(path)
        facts = {"machine": result.summary["hardware"]["name"], "trace": _trace_name(result)}
        table = result.layers.assign(**facts)
        return Source(path, table, _other_work(result, facts), result)
    return _sweep(path)


def swept_keys(table: pd.DataFrame) -> list[str]:
    """Return the columns that are keys of a machine, in their order."""
    top = {name for name in Hardware.model_fields if name != "name"}
    return [name for name in table.columns if name.split(".")[0] in top]


def machine_labels(table: pd.DataFrame) -> pd.Series:
    """Return a short name of each row's machine: its column `machine`, else the swept keys that differ."""
    if "machine" in table.columns:
        return table["machine"].astype(str)
    keys = [key for key in swept_keys(table) if table[key].astype(str).nunique() > 1]
    words = [_short(key, keys) + " " + table[key].astype(str) for key in keys]
    if not words:
        return pd.Series("machine", index=table.index)
    label = words[0]
    for word in words[1:]:
        label = label + ", " + word
    return label


def _short(key: str, keys: list[str]) -> str:
    last = key.rsplit(".", 1)[-1]
    return last if [other.rsplit(".", 1)[-1] for other in keys].count(last) == 1 else key


def _sweep(path: Path) -> Source:
    table = _read_table(path)
    if missing := [name for name in NEEDED if name not in table.columns]:
        raise AccelsimError(f"{path}: no table of a sweep, it lacks the columns {', '.join(missing)}")
    if not table.columns.is_unique:
        raise AccelsimError(f"{path}: two columns have the name {table.columns[table.columns.duplicated()][0]!r}")
    table = table[table["pass"].astype(str).isin((*PASSES, OTHER_WORK))].reset_index(drop=True)  # not sums over passes
    if not table["pass"].isin(PASSES).any():
        raise AccelsimError(f"{path}: the table has no row of {', '.join(PASSES)}")
    check_numbers(path, table, NEEDED[2:], may_lack=["energy_pj"])  # an idealised machine has none
    optional = [name for name in measures(table) if name not in NEEDED]
    check_numbers(path, table, [*optional, BANDWIDTH], may_lack=[*optional, BANDWIDTH])
    table = table.assign(trace=table["trace"].astype(str))
    table = table.assign(machine=machine_labels(table))
    between = table["pass"] == OTHER_WORK
    return Source(path, table[~between].reset_index(drop=True), table[between].reset_index(drop=True))


def _read_table(path: Path) -> pd.DataFrame:
    try:
        if path.suffix == ".csv":
            return pd.read_csv(path, low_memory=False)
        if path.suffix != ".parquet":
            raise AccelsimError(
                f"{path}: expected a folder of accelsim run --out, or a .parquet or .csv file of a sweep"
            )
        need("pyarrow", "pyarrow", f"{path}: reading Parquet", "explore")
        return pd.read_parquet(path, engine="pyarrow").rename(columns=str)
    except FileNotFoundError:
        raise AccelsimError(f"{path}: there is no such file or folder") from None
    except AccelsimError:
        raise
    except Exception as error:  # pyarrow and pandas have many for damaged files
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise AccelsimError(f"{path}: no table of a sweep: {reason[0]}") from None


def _other_work(result: SavedResult, facts: dict[str, str]) -> pd.DataFrame:
    """A result's work between the products as a row."""
    done = result.summary.get("other_work", {}).get("total")
    if not done or not done["cycles"]:
        return pd.DataFrame([])
    row = {"pass": OTHER_WORK, "dense_cycles": done["cycles"], "speedup": 1.0} | facts
    return pd.DataFrame([row | {name: done[name] for name in ("cycles", "energy_pj", "dense_energy_pj")}])


def _trace_name(result: SavedResult) -> str:
    path: Any = result.trace["path"]
    if path is None:
        return "operations in memory"
    return str(path) if isinstance(path, str) else ", ".join(path)
