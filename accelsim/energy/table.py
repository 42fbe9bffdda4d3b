"""An energy table: what one action costs, every number with its unit, status and source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from math import log
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictFloat, StrictStr, model_validator

from accelsim.errors import HardwareError
from accelsim.hardware.parts import Precision

Status = Literal["quoted", "recalled", "derived", "estimate"]
Text = Annotated[StrictStr, Field(min_length=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


Price = Annotated[StrictFloat, Field(ge=0, le=1e9)]
FACTORS: Mapping[Status, float] = {"quoted": 1.25, "recalled": 1.5, "derived": 1.5, "estimate": 2.0}
"""By how much a number may be too large or too small, where its table does not say."""


class Quantity(_Part):
    """One number of the table, with the reason to believe it."""

    value: Price = Field(description="the number")
    unit: Text = Field(description="its unit")
    status: Status = Field(
        description="quoted: read in the source; recalled: from memory of it; derived: computed from the source by the"
        " rule; estimate: a judgement, explained by the rule"
    )
    source: Text = Field(description="a name from the table's sources")
    rule: Text | None = Field(None, description="how the number follows from the source; for derived and estimate")
    range: tuple[Price, Price] | None = Field(
        None, description="from where to where the number may lie; by default a factor below and above, by status"
    )

    @model_validator(mode="after")
    def _derivation_is_stated(self) -> Self:
        if self.status in {"derived", "estimate"} and self.rule is None:
            raise ValueError(f"status {self.status} needs a rule that says how the number was found")
        low, high = self.bounds
        if not low <= self.value <= high or (low == 0) != (high == 0):
            raise ValueError(f"the range from {low:g} to {high:g} must hold {self.value:g}, and no 0 but that of a 0")
        return self

    @property
    def bounds(self) -> tuple[float, float]:
        """From where to where the number may lie."""
        factor = FACTORS[self.status]
        return self.range or (self.value / factor, self.value * factor)


def _in(unit: str) -> AfterValidator:
    def check(quantity: Quantity) -> Quantity:
        if quantity.unit != unit:
            raise ValueError(f"unit is {quantity.unit!r}, expected {unit!r}")
        return quantity

    return AfterValidator(check)


Pj = Annotated[Quantity, _in("pJ")]
PjPerBit = Annotated[Quantity, _in("pJ/bit")]
Share = Annotated[Quantity, _in("1")]
UwPerKib = Annotated[Quantity, _in("uW/KiB")]
Uw = Annotated[Quantity, _in("uW")]


class Multiply(_Part):
    """One multiplication of two operands of a format."""

    int4: Pj
    int8: Pj
    fp8: Pj
    fp16: Pj
    bf16: Pj
    fp32: Pj


class Add(_Part):
    """One addition into an accumulator of a format."""

    int16: Pj
    int32: Pj
    bf16: Pj
    fp16: Pj
    fp32: Pj


class Lane(_Part):
    """What a multiply-accumulate lane costs when it does not multiply, as shares of a multiply-accumulate."""

    gated: Share = Field(description="a consumed pair with a zero, with skipping.gate_zeros")
    idle: Share = Field(description="a slot without a pair")


class LogicCosts(_Part):
    """Switching of the parts that PEs have in addition to their arithmetic."""

    gate: Pj = Field(description="a gate of one or two inputs that sees new inputs")
    flip_flop: Pj = Field(description="a flip-flop, a cycle in which it is clocked")


class SramPoint(_Part):
    """The energy of one 64-bit access to an SRAM of a capacity."""

    kib: Annotated[StrictFloat, Field(gt=0)] = Field(description="capacity, KiB")
    access_64_bit: Pj = Field(description="energy of one access")


class Dram(_Part):
    """Kinds of DRAM; a machine says which it has (`memory.dram.kind`)."""

    kinds: Annotated[dict[str, PjPerBit], Field(min_length=1)] = Field(
        description="kind -> energy of a bit read or written"
    )


class Leakage(_Part):
    """Static power."""

    sram: UwPerKib = Field(description="of the buffers")
    gate: Uw = Field(description="a gate equivalent (the area of a NAND gate of two inputs) of logic")


_FORMER = {"queue", "leakage.register_bit", "leakage.multiplier", "leakage.adder", "dram.use"}
"""Keys of energy tables before areas and kinds of DRAM were the machine's."""


class EnergyTable(_Part):
    """The costs of one technology, from one set of sources; numbers of different tables are never mixed."""

    name: Text
    technology: Text = Field(description="process and what is known of voltage")
    sources: dict[str, Text] = Field(description="name -> citation")
    multiply: Multiply
    add: Add
    lane: Lane
    logic: LogicCosts
    sram: Annotated[tuple[SramPoint, ...], Field(min_length=1)] = Field(description="points of growing capacity")
    dram: Dram
    leakage: Leakage

    @model_validator(mode="before")
    @classmethod
    def _has_this_form(cls, given: Any) -> Any:
        if isinstance(given, dict):
            nested = {f"{group}.{key}" for group, part in given.items() if isinstance(part, dict) for key in part}
            if former := sorted(_FORMER & (given.keys() | nested)):
                raise ValueError(
                    f"{', '.join(former)} are keys of the former form of energy tables: take"
                    " accelsim/energy/tables/horowitz-45nm.yaml and put your numbers into it (logic.gate,"
                    " logic.flip_flop, leakage.gate; the machine names the DRAM, memory.dram.kind)"
                )
        return given

    @model_validator(mode="after")
    def _sources_are_named(self) -> Self:
        for key, quantity in self.quantities():
            if quantity.source not in self.sources:
                raise ValueError(f"{key} cites {quantity.source!r}, expected one of {', '.join(self.sources)}")
        if any(point.access_64_bit.value == 0 for point in self.sram):
            raise ValueError("an access in sram costs 0 pJ, expected a number above 0")
        sizes = [point.kib for point in self.sram]
        if any(larger <= smaller for smaller, larger in pairwise(sizes)):
            raise ValueError(f"the capacities in sram must grow, found {', '.join(f'{kib:g}' for kib in sizes)} KiB")
        return self

    def quantities(self) -> Iterator[tuple[str, Quantity]]:
        """Yield every number with its dotted key."""
        for group in ("multiply", "add", "lane", "logic", "leakage"):
            for key, quantity in getattr(self, group):
                yield f"{group}.{key}", quantity
        for index, point in enumerate(self.sram):
            yield f"sram[{index}].access_64_bit", point.access_64_bit
        for kind, quantity in self.dram.kinds.items():
            yield f"dram.kinds.{kind}", quantity

    def dram_pj_per_bit(self, kind: str) -> float:
        """Energy of a DRAM bit, read or written.

        Raises:
            HardwareError: the table has no such kind.
        """
        if kind not in self.dram.kinds:
            raise HardwareError(
                f"memory.dram.kind is {kind!r}, but the energy table {self.name} has {', '.join(self.dram.kinds)}"
            )
        return self.dram.kinds[kind].value

    def mac_pj(self, precision: Precision) -> float:
        """Energy of one multiply-accumulate: a product in the number format, added in the accumulator's."""
        number_format, bits = precision.number_format, precision.accumulator_bits
        if number_format.startswith("int"):
            accumulator = f"int{bits}"
        else:
            accumulator = "bf16" if number_format == "bf16" and bits == 16 else f"fp{bits}"
        product: Quantity = getattr(self.multiply, number_format)
        addition: Quantity = getattr(self.add, accumulator)
        return product.value + addition.value

    def sram_pj_per_bit(self, kib: float) -> float:
        """Energy per bit of a 64-bit access to an SRAM of a capacity.

        Between the table's points, and beyond them along the nearest two, energy is a power of capacity: a straight
        line of log(energy) over log(capacity).
        """
        points = self.sram
        if len(points) == 1:
            return points[0].access_64_bit.value / 64
        right = next((index for index in range(1, len(points)) if kib <= points[index].kib), len(points) - 1)
        low, high = points[right - 1], points[right]
        share = log(kib / low.kib) / log(high.kib / low.kib)
        power: float = low.access_64_bit.value ** (1 - share) * high.access_64_bit.value**share
        return power / 64
