"""The final table of a sweep: one row per design, trace and pass, with all that the row depends on in columns."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from accelsim.area import area
from accelsim.explore.designs import Design
from accelsim.explore.parts import arrow
from accelsim.explore.space import KEYS
from accelsim.explore.task import COUNTS, ENERGIES, EQUAL_AREA, Row
from accelsim.explore.trace_file import TraceFile
from accelsim.lowering import PASSES
from accelsim.results.other_work import OTHER_WORK
from accelsim.trace.format import accelsim_version

if TYPE_CHECKING:
    import pyarrow as pa

_LEAVES = sorted(key for key in KEYS if not any(other.startswith(f"{key}.") for other in KEYS))
_FIRST = (
    *("cycles", "dense_cycles", "speedup", "energy_pj", "dense_energy_pj", "area_mm2"),
    *("speedup_at_equal_area", "energy_ratio_at_equal_area", "equal_area_machine", "error"),
)
_MEASURES = (*_FIRST, *(name for name in (*COUNTS, *EQUAL_AREA, *ENERGIES) if name not in _FIRST))


def tabulate(
    designs: Sequence[Design], traces: dict[str, TraceFile], rows_of: Callable[[Design, str], list[Row]]
) -> pa.Table:
    """Build the table, rows in the order of designs, traces and passes.

    Columns: `design` (its number in the full grid), the swept keys by their dotted names, `trace` as the space file
    has it, `pass`, cycles and energies, `area_mm2`, the ratios against the best dense machine of that area, `error`;
    then the other keys of the machine, `steps` (null: all), `trace_sha256` and `accelsim_version`. Keys that hold a
    list are text, "weight, activation"; a mapping is JSON.

    Args:
        traces: by name.
        rows_of: the finished rows of a design on a trace.
    """
    swept = list(designs[0].values)
    rest = [key for key in _LEAVES if key not in swept]
    rows: list[Row] = []
    for design in designs:
        configuration = {"design": design.number} | {key: _plain(value) for key, value in design.values.items()}
        flat = dict(_flatten(design.hardware.model_dump(mode="json")))
        others = {key: _plain(flat.get(key)) for key in rest}
        built = {"area_mm2": None if design.hardware.idealised else area(design.hardware).mm2}
        for name, trace in traces.items():
            steps = None if trace.steps is None else ", ".join(map(str, trace.steps))
            origin = {"steps": steps, "trace_sha256": trace.sha256, "accelsim_version": accelsim_version()}
            for row in sorted(rows_of(design, name), key=_place):
                rows.append(configuration | {"trace": name} | row | built | others | origin)
    columns = ["design", *swept, "trace", "pass", *_MEASURES, *rest, "steps", "trace_sha256", "accelsim_version"]
    return arrow().table({name: _column(name, [row[name] for row in rows]) for name in columns})


def _place(row: Row) -> int:
    return (None, *PASSES, OTHER_WORK).index(row["pass"])


def _flatten(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _plain(value: Any) -> Any:
    """Return what a table's cell can hold."""
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return json.dumps(value) if isinstance(value, dict) else value


def _column(name: str, values: Iterable[Any]) -> Any:
    """Give a column the narrowest type that takes all its values, the same whatever rows failed."""
    pa, values = arrow(), list(values)
    if name in COUNTS or name == "equal_area_cycles":
        return pa.array(values, pa.int64())
    if name in ENERGIES or name in ("speedup", "area_mm2"):
        return pa.array(values, pa.float64())
    kinds = {type(value) for value in values if value is not None}
    known: list[tuple[set[type], Any]] = [({bool}, pa.bool_()), ({int}, pa.int64()), ({int, float}, pa.float64())]
    for those, arrow_type in known:
        if kinds and kinds <= those:
            return pa.array([None if v is None else float(v) for v in values] if float in those else values, arrow_type)
    return pa.array([None if value is None else str(value) for value in values], pa.string())
