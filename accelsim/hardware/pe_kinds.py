"""The kinds of PE by name: a built-in one is one line here, one of another package an entry point of that package."""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from accelsim.errors import HardwareError

GROUP = "accelsim.pe"
"""Entry points of this group name subclasses of `accelsim.array.PE`; CONTRIBUTING.md shows one."""
BUILT_IN = {
    "dense": "accelsim.array.dense:DensePE",
    "scanning": "accelsim.array.scanning:ScanningPE",
    "inner_join": "accelsim.array.inner_join:InnerJoinPE",
    "systolic": "accelsim.array.systolic:SystolicPE",
    "tensordash": "accelsim.array.tensordash:TensorDashPE",
}


@cache
def _found() -> dict[str, EntryPoint]:
    installed = {point.name: point for point in entry_points(group=GROUP)}
    return installed | {name: EntryPoint(name, value, GROUP) for name, value in BUILT_IN.items()}


def names() -> list[str]:
    """Return the names of all kinds, built-in ones first."""
    return [*BUILT_IN, *sorted(_found().keys() - BUILT_IN.keys())]


@cache
def load_kind(name: str) -> Any:
    """Return a kind's class, a subclass of `accelsim.array.PE`; the room of machines does not import that of arrays.

    Raises:
        HardwareError: the package that offers it cannot be imported, or offers something else.
    """
    point = _found()[name]
    try:
        kind = point.load()
    except Exception as error:  # whatever another package does when it is imported
        raise HardwareError(
            f"the PE kind {name!r} ({point.value}) cannot be loaded: {type(error).__name__}: {error}"
        ) from error
    own = getattr(getattr(kind, "configuration", None), "model_fields", {}).get("kind")
    if own is None or own.default != name:
        raise HardwareError(f"the PE kind {name!r} ({point.value}) has no configuration whose `kind` is {name!r}")
    return kind
