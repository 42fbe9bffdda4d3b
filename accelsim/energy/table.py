"""An energy table: what one action costs, every number with its unit, status and source."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import exp, log
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictFloat, StrictStr, model_validator

from accelsim.hardware.parts import Precision

Status = Literal["quoted", "recalled", "derived", "estimate"]
Text = Annotated[StrictStr, Field(min_length=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Quantity(_Part):
    """One number of the table, with the reason to believe it."""

    value: Annotated[StrictFloat, Field(ge=0, le=1e9)] = Field(description="the number")
    unit: Text = Field(description="its unit")
    status: Status = Field(
        description="quoted: read in the source; recalled: from memory of it; derived: computed from the source by the"
        " rule; estimate: a judgement, explained by the rule"
    )
    source: Text = Field(description="a name from the table's sources")
    rule: Text | None = Field(None, description="how the number follows from the source; for derived and estimate")

    @model_validator(mode="after")
    def _derivation_is_stated(self) -> Self:
        if self.status in {"derived", "estimate"} and self.rule is None:
            raise ValueError(f"status {self.status} needs a rule that says how the number was found")
        return self


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
UwPerBit = Annotated[Quantity, _in("uW/bit")]
UwPerBit2 = Annotated[Quantity, _in("uW/bit^2")]


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


class Queue(_Part):
    """The scanner and the queue of a scanning PE."""

    register_access: PjPerBit = Field(description="one queue entry's bit written or read")
    scan: PjPerBit = Field(description="one mask bit looked at by the scanner")


class SramPoint(_Part):
    """The energy of one 64-bit access to an SRAM of a capacity."""

    kib: Annotated[StrictFloat, Field(gt=0)] = Field(description="capacity, KiB")
    access_64_bit: Pj = Field(description="energy of one access")


class Dram(_Part):
    """Kinds of DRAM that belong to the table's technology; one of them is in use."""

    use: Text = Field(description="the kind that is charged")
    kinds: dict[str, PjPerBit] = Field(description="kind -> energy of a bit read or written")

    @model_validator(mode="after")
    def _kind_in_use_is_there(self) -> Self:
        if self.use not in self.kinds:
            raise ValueError(f"use is {self.use!r}, expected one of its kinds: {', '.join(self.kinds)}")
        return self


class Leakage(_Part):
    """Static power, drawn in every cycle."""

    sram: UwPerKib
    register_bit: UwPerBit = Field(description="a bit of a lane's operand and accumulator registers, and of the queues")
    multiplier: UwPerBit2 = Field(description="times operand_bits squared: a lane's multiplier")
    adder: UwPerBit = Field(description="times accumulator_bits: a lane's adder")


class EnergyTable(_Part):
    """The costs of one technology, from one set of sources; numbers of different tables are never mixed."""

    name: Text
    technology: Text = Field(description="process and what is known of voltage")
    sources: dict[str, Text] = Field(description="name -> citation")
    multiply: Multiply
    add: Add
    lane: Lane
    queue: Queue
    sram: Annotated[tuple[SramPoint, ...], Field(min_length=1)] = Field(description="points of growing capacity")
    dram: Dram
    leakage: Leakage

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
        for group in ("multiply", "add", "lane", "queue", "leakage"):
            for key, quantity in getattr(self, group):
                yield f"{group}.{key}", quantity
        for index, point in enumerate(self.sram):
            yield f"sram[{index}].access_64_bit", point.access_64_bit
        for kind, quantity in self.dram.kinds.items():
            yield f"dram.kinds.{kind}", quantity

    @property
    def dram_pj_per_bit(self) -> float:
        """Energy of a DRAM bit, read or written, of the kind in use."""
        return self.dram.kinds[self.dram.use].value

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
        """Energy per bit of an access to an SRAM of a capacity.

        Between the table's points, and beyond them along the nearest two, energy is a power of capacity: a straight
        line of log(energy) over log(capacity).
        """
        points = self.sram
        if len(points) == 1:
            return points[0].access_64_bit.value / 64
        right = next((index for index in range(1, len(points)) if kib <= points[index].kib), len(points) - 1)
        low, high = points[right - 1], points[right]
        share = log(kib / low.kib) / log(high.kib / low.kib)
        low_pj, high_pj = low.access_64_bit.value, high.access_64_bit.value
        return exp((1 - share) * log(low_pj) + share * log(high_pj)) / 64
