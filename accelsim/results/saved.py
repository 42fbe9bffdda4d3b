"""A result read back from the folder that `Result.save` wrote."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import ValidationError

from accelsim.errors import AccelsimError
from accelsim.hardware.model import Hardware
from accelsim.results.html import summary_html

_NEEDED = {"step", "layer", "call", "pass", "macs", "cycles", "dense_cycles", "energy_pj", "dense_energy_pj"}


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
    try:
        summary = json.loads((path / "summary.json").read_text(encoding="utf-8"))
        layers, steps = (_read_table(path / name) for name in ("layers.csv", "training.csv"))
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "no text"
        raise AccelsimError(f"{path}: no result of accelsim run --out can be read there: {why}") from None
    except json.JSONDecodeError as error:
        raise AccelsimError(f"{path / 'summary.json'}: line {error.lineno} is no JSON: {error.msg}") from None
    wanted = ("accelsim_version", "hardware", "trace", "total", "by_pass", "training")
    missing = [name for name in wanted if not isinstance(summary, dict) or name not in summary]
    if missing:
        raise AccelsimError(f"{path / 'summary.json'}: no summary of a result, it lacks {', '.join(missing)}")
    if lacking := sorted(_NEEDED - set(layers.columns)):
        raise AccelsimError(f"{path / 'layers.csv'}: no table of a result, it lacks the columns {', '.join(lacking)}")
    return SavedResult(path, layers, steps, summary)


def _read_table(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, dtype={"layer": str}, keep_default_na=False, na_values=["", "nan", "NaN"])
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise AccelsimError(f"{path}: no table: {str(error).strip()}") from None
