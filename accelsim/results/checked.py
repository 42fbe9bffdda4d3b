"""Tables and summaries from files, checked where they are read: what follows may rely on numbers being numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr

from accelsim.errors import AccelsimError, HardwareError
from accelsim.hardware.check import check, shown
from accelsim.hardware.yaml_file import Document
from accelsim.trace.plain import is_unicode

_MOST = 1e30  # far above any count, cycle or picojoule; squares and sums of such numbers are finite
_UNITS = ("_pj", "_cycles", "_bytes", "_words", "_low", "_high", "macs")
_PREFIXES = ("slots_", "energy_", "area")

Number = Annotated[StrictFloat, Field(ge=0, le=_MOST)]
Texts = StrictStr | list[StrictStr] | None


class _Part(BaseModel):
    """Keys that are read; others may stand beside them."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)


class _Sums(_Part):
    cycles: Number
    dense_cycles: Number
    energy_pj: Number | None  # an idealised machine has none
    dense_energy_pj: Number
    speedup: Number | None
    energy_ratio: Number | None
    seconds: Number


class _Totals(_Sums):
    macs: Number
    effectual_macs: Number
    dram_bytes: Number
    __pydantic_extra__: dict[str, Number | None]


class _Dram(_Part):
    bytes_per_cycle: Number


class _Memory(_Part):
    dram: _Dram | None


class _Machine(_Part):
    name: StrictStr
    clock_mhz: Annotated[StrictFloat, Field(gt=0, le=_MOST)]
    energy: StrictStr
    memory: _Memory


class _Trace(_Part):
    path: Texts
    sha256: Texts = None
    meta: dict[str, Any]
    complete: StrictBool


class _Training(_Part):
    total: _Sums | None
    notes: list[StrictStr]


class _MaskUpdates(_Part):
    count: StrictInt


class _WholeTraining(_Training):
    steps: StrictInt
    rule: StrictStr
    by_pass: dict[str, _Sums]
    mask_updates: _MaskUpdates


class _Sampling(_Part):
    tiles: Number
    simulated_tiles: Number


class _Work(_Part):
    ops: Number
    dram_bytes: Number
    cycles: Number
    energy_pj: Number | None
    dense_energy_pj: Number


class _OtherWork(_Part):
    basis: StrictStr
    lanes: StrictInt
    total: _Work
    by_kind: dict[str, _Work]


class _Summary(_Part):
    accelsim_version: StrictStr
    hardware: _Machine
    trace: _Trace
    steps: list[StrictInt]
    total: _Totals
    by_pass: dict[str, _Totals]
    by_step: dict[str, _Totals]
    training: _Training
    sampling: _Sampling | None = None
    other_work: _OtherWork | None = None  # results of 2.0 and before have none


class _SummaryOfARun(_Summary):
    training: _WholeTraining


def check_summary(path: Path, summary: dict[str, Any]) -> None:
    """Check what is read of a saved result's `summary.json`.

    Raises:
        AccelsimError: a key is missing or has a value that it cannot have; names file and key.
    """
    training = summary.get("training")
    summed = isinstance(training, dict) and training.get("total") is not None
    try:
        check(Document(str(path), summary, {}), _SummaryOfARun if summed else _Summary)
    except HardwareError as error:
        raise AccelsimError(str(error).splitlines()[0]) from None


def check_numbers(path: Path, table: pd.DataFrame, names: Iterable[str], may_lack: Iterable[str] = ()) -> None:
    """Check that columns of a table from a file hold numbers from 0 on.

    Args:
        names: the columns; those that the table does not have are passed over.
        may_lack: those of them in which a number may be missing.

    Raises:
        AccelsimError: names file, row and column.
    """
    gaps = set(may_lack)
    for name in names:
        if name not in table.columns:
            continue
        column = table[name]
        is_numeric = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
        # One cell that is no number makes texts of a whole column: the sentence names that one.
        values = column if is_numeric else column.map(_as_float)
        numbers = values.to_numpy(np.float64, na_value=np.nan)
        right = (numbers >= 0) & ((numbers <= _MOST) | ((name == "speedup") & np.isinf(numbers)))
        if not is_numeric and right.all():
            right[:] = False
        wrong = ~(right | column.isna().to_numpy()) if name in gaps else ~right
        if wrong.any():
            row = int(wrong.argmax())
            raise AccelsimError(
                f"{path}: row {row + 1}: {name} is {shown(column.iloc[row])}, expected a number of at least 0"
            )


def check_passes(path: Path, table: pd.DataFrame, names: Sequence[str]) -> None:
    """Check that the column `pass` holds names of passes.

    Raises:
        AccelsimError: names file, row and what stands there.
    """
    wrong = ~table["pass"].isin(names).to_numpy()
    if wrong.any():
        row = int(wrong.argmax())
        raise AccelsimError(
            f"{path}: row {row + 1}: pass is {shown(table['pass'].iloc[row])}, expected one of {', '.join(names)}"
        )


def measures(table: pd.DataFrame) -> list[str]:
    """Return the columns whose name says that they hold numbers: by its unit, or as one of a family."""
    return [name for name in table.columns if name.endswith(_UNITS) or name.startswith(_PREFIXES)]


def check_text(path: Path, text: str) -> None:
    """Check that a text can be written again.

    Raises:
        AccelsimError: it holds half of a surrogate pair.
    """
    if not is_unicode(text):
        raise AccelsimError(f"{path}: a text in it holds half of a surrogate pair, which is not valid Unicode")


def _as_float(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan
