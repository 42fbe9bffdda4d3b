"""What all kinds of PE say about the zeros that they skip, and how `skipping` of a hardware file finds its kind."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, ClassVar

from pydantic import Field, StrictBool, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from accelsim.errors import HardwareError
from accelsim.hardware.parts import MOST_EXTENT, Array, Part, Tensors
from accelsim.hardware.pe_kinds import BUILT_IN, load_kind, names

MOST_BUILT_DEPTH = MOST_EXTENT
"""Pairs of a queue, as many as the widest window; PEs with a deeper one are idealised."""


class Skipping(Part):
    """Which zeros the machine skips, and how. A key that only another built-in kind of PE has is checked and plays no
    part, so that one file can be swept over several kinds.
    """

    # Base of each kind's own configuration, which adds its keys and `kind: Literal["its name"] = "its name"`. Built-in
    # kinds are left out where a machine is written: they follow from the other keys, as in files without `kind`.
    kind: str = Field(
        "dense",
        exclude=True,
        description="the kind of PE: dense, scanning, inner_join, systolic, tensordash, or one that another package"
        " offers; by default systolic if array.interconnect is, scanning if tensors lists any, and dense otherwise",
    )
    tensors: Tensors = Field(
        (), description="tensors whose masks the scanner sees; the others count as all non-zero; empty: the dense PE"
    )
    blocks: Tensors = Field(
        (), description="tensors whose all-zero windows (over a tile's rows or columns) are not streamed at all"
    )
    outputs: StrictBool = Field(False, description="leave out outputs that need not be computed")
    gate_zeros: StrictBool = Field(
        False,
        description="a consumed pair with a zero operand does not toggle the multiplier: less energy, the same cycles",
    )

    energy_only: ClassVar[frozenset[str]] = frozenset({"gate_zeros"})
    """Keys on which no cycle depends."""

    @property
    def skips(self) -> bool:
        """Whether any zero is skipped; if none, the machine takes as many array cycles as its dense baseline."""
        return bool(self.tensors or self.blocks or self.outputs)

    @property
    def idealised(self) -> bool:
        """Whether such PEs are a bound that nobody could build: they have cycles, but no energy."""
        return False

    def check_array(self, array: Array) -> None:
        """Raise ValueError if an array cannot be made of such PEs."""
        if array.interconnect == "systolic":
            raise ValueError(f"{self.kind} PEs need array.interconnect broadcast")

    def dense(self) -> Skipping:
        """Return the same PEs making use of no zero: the baseline of every speedup."""
        dense: Skipping = load_kind("dense").configuration.model_validate({})
        return dense

    def model_copy(  # type: ignore[override]  # of another kind, where the changed keys say so
        self, *, update: Mapping[str, Any] | None = None, deep: bool = False
    ) -> Skipping:
        """Return a copy with some keys changed and checked: without `tensors`, scanning PEs are dense ones."""
        given = self.model_dump() | dict(update or {})
        if not {"kind", "tensors", "scheduler"} & (update or {}).keys():
            given["kind"] = self.kind
        return read_skipping(given, None)

    @classmethod
    def variants(cls) -> tuple[type[Skipping], ...]:
        """Return the configurations of all kinds that can be loaded: a broken package must not stop other machines."""
        found: list[type[Skipping]] = []
        for name in names() if cls is Skipping else ():
            with suppress(HardwareError):
                found.append(load_kind(name).configuration)
        return tuple(found)


def read_skipping(given: Mapping[str, Any], array: Array | None) -> Skipping:
    """Return the configuration that a mapping describes, of the kind that it names or implies.

    Args:
        array: of the same machine; None if it could not be read.

    Raises:
        ValidationError: a key or value that no such PE has.
    """
    kind = _kind(given, array)
    if kind not in names():
        raise _unknown(kind)
    configuration = load_kind(kind).configuration
    own = {key: value for key, value in given.items() if key not in ("kind", "scheduler") or value is not None}
    foreign, known = own.keys() - configuration.model_fields.keys(), set[str]()
    for other in (load_kind(name).configuration for name in BUILT_IN):
        if played := {key: own[key] for key in foreign & other.model_fields.keys()}:
            other.model_validate(played)
            known |= played.keys()
    own = {key: value for key, value in own.items() if key not in known}
    skipping: Skipping = configuration.model_validate(own)
    if array is not None:
        skipping.check_array(array)
    return skipping


def _kind(given: Mapping[str, Any], array: Array | None) -> Any:
    if (kind := given.get("kind")) is not None:
        if given.get("scheduler") not in (None, kind):
            raise ValueError(
                f"kind {kind} and scheduler {given['scheduler']} are two kinds of PE, leave one of them out"
            )
        return kind
    if array is not None and array.interconnect == "systolic":
        return "systolic"
    if given.get("scheduler") is not None:
        return "tensordash"
    return "scanning" if given.get("tensors") else "dense"


def _unknown(kind: object) -> ValidationError:
    *first, last = (f"'{name}'" for name in names())
    expected = f"{', '.join(first)} or {last}"
    error = PydanticCustomError("literal_error", "Input should be {expected}", {"expected": expected})
    return ValidationError.from_exception_data("skipping", [InitErrorDetails(type=error, loc=("kind",), input=kind)])
