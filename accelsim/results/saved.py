"""A result read back from the folder that `Result.save` wrote."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

import pandas as pd
from pydantic import ValidationError

from accelsim.errors import AccelsimError
from accelsim.hardware.model import Hardware
from accelsim.lowering.gemm import PASSES
from accelsim.results.checked import check_numbers, check_passes, check_summary, check_text, measures
from accelsim.results.html import summary_html
from accelsim.results.other_work import OTHER_WORK
from accelsim.results.training import ALL_PASSES

_TEXTS = ("layer", "pass", "kind", "branch", "mapping", "dataflow")
_NUMBERS = ("step", "call", "trace", "images", "cycles", "speedup", "weight_words_per_cycle", "input_words_per_cycle")
_ENERGIES = ("energy_", "vector_energy_")  # of the machine itself; its baseline always has one
_NEEDED = {"step", "layer", "call", "pass", "macs", "cycles", "dense_cycles", "energy_pj", "dense_energy_pj"}
_NEEDED |= {"effectual_macs", "slots_effectual", "slots_ineffectual", "slots_edge"}
_NEEDED_STEPS = {"step", "kind", "pass", "stands_for", "cycles", "dense_cycles", "energy_pj", "speedup"}


@dataclass(frozen=True)
class SavedResult:
    """What a folder says of a simulation; its attributes mean what those of `Result` mean.

    Attributes:
        path: the folder.
        layers: a row per operation and pass.
        steps: a row a recorded step and pass.
        summary: totals, machine, trace, version, the whole training.
    """

    path: Path
    layers: pd.DataFrame
    steps: pd.DataFrame
    summary: dict[str, Any]

    @cached_property
    def hardware(self) -> Hardware:
        """The machine.

        Raises:
            AccelsimError: the file describes none that this version knows.
        """
        try:
            return Hardware.model_validate_json(json.dumps(self.summary["hardware"]))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise AccelsimError(
                f"{self.path / 'summary.json'}: this version knows no such machine: {where}: {first['msg']}"
            ) from None

    @property
    def trace(self) -> dict[str, Any]:
        """Where the masks came from: path, SHA-256 of the file, metadata, whether the recording was complete."""
        trace: dict[str, Any] = self.summary["trace"]
        return trace

    @property
    def training(self) -> dict[str, Any]:
        """The whole training, see `Result.training`."""
        training: dict[str, Any] = self.summary["training"]
        return training

    def _repr_html_(self) -> str:
        return summary_html(self.summary)


def load_result(folder: str | os.PathLike[str]) -> SavedResult:
    """Read a result that `accelsim run --out` or `Result.save` wrote.

    Raises:
        AccelsimError: a file is missing, damaged, or not of a result.
    """
    path = Path(folder)
    summary_path = path / "summary.json"
    try:
        text = summary_path.read_text(encoding="utf-8")
        layers, steps = (_read_table(path / name) for name in ("layers.csv", "training.csv"))
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "no text"
        raise AccelsimError(f"{path}: no result of accelsim run --out can be read there: {why}") from None
    summary = _parse(summary_path, text)
    wanted = ("accelsim_version", "hardware", "trace", "total", "by_pass", "training")
    missing = [name for name in wanted if not isinstance(summary, dict) or name not in summary]
    if missing:
        raise AccelsimError(f"{summary_path}: no summary of a result, it lacks {', '.join(missing)}")
    check_summary(summary_path, summary)
    for file, table, needed in (("layers.csv", layers, _NEEDED), ("training.csv", steps, _NEEDED_STEPS)):
        if lacking := sorted(needed - set(table.columns)):
            raise AccelsimError(f"{path / file}: no table of a result, it lacks the columns {', '.join(lacking)}")
        if table.empty:
            raise AccelsimError(f"{path / file}: no table of a result, it has no row")
    check_passes(path / "layers.csv", layers, PASSES)
    idealised = summary["total"]["energy_pj"] is None
    none = [name for name in measures(layers) if name.startswith(_ENERGIES)] if idealised else []
    none += [name for name in (*measures(layers), *measures(steps)) if name.startswith("equal_area_")]
    check_numbers(path / "layers.csv", layers, (*_NUMBERS, *measures(layers)), may_lack=none)
    check_passes(path / "training.csv", steps, (*PASSES, OTHER_WORK, ALL_PASSES))
    names = (*_NUMBERS, "stands_for", *measures(steps))
    check_numbers(path / "training.csv", steps, names, may_lack=["stands_for", *none])
    return SavedResult(path, layers, steps, summary)


def _parse(path: Path, text: str) -> Any:
    def refuse(constant: str) -> NoReturn:
        raise AccelsimError(f"{path}: {constant} is no number that JSON has, expected a finite one or null")

    try:
        summary = json.loads(text, parse_constant=refuse)
    except json.JSONDecodeError as error:
        raise AccelsimError(f"{path}: line {error.lineno} is no JSON: {error.msg}") from None
    except AccelsimError:
        raise
    except ValueError:  # Python's limit, against the time that it would take
        raise AccelsimError(f"{path}: a number in it has thousands of digits") from None
    except RecursionError:
        raise AccelsimError(f"{path}: it is nested too deeply for a summary of a result") from None
    check_text(path, json.dumps(summary, ensure_ascii=False))
    return summary


def _read_table(path: Path) -> pd.DataFrame:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            columns = next(csv.reader(file), [])
        converted: dict[str, Callable[[str], Any]] = dict.fromkeys(
            _TEXTS, str
        )  # as it stands: a layer may be called nan
        gaps = {name: ["", "nan", "NaN"] for name in columns if name not in _TEXTS}
        return pd.read_csv(path, converters=converted, keep_default_na=False, na_values=gaps)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, csv.Error) as error:
        raise AccelsimError(f"{path}: no table: {str(error).strip()}") from None
