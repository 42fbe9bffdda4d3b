"""The parts of a machine but its PEs: array, number formats, DRAM, buffers, mapping; the YAML keys are field names."""

from __future__ import annotations

from math import ceil
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
)
from pydantic_core import PydanticCustomError

from accelsim.hardware.dataflows import Dataflow, Dataflows, listed
from accelsim.hardware.dram_models import CONSTANT, DRAM_MODELS

TensorKind = Literal["weight", "activation", "gradient"]
# The upper bounds are far above any machine; they turn a slip of the keyboard into a sentence instead of a long wait.
MOST_EXTENT = 4096
Extent = Annotated[StrictInt, Field(ge=1, le=MOST_EXTENT)]
Depth = Annotated[StrictInt, Field(ge=1, le=1 << 20)]
Rate = Annotated[StrictFloat, Field(gt=0, le=1e9)]
Text = Annotated[StrictStr, Field(min_length=1, max_length=200)]
Width = Annotated[
    Depth | Literal["window", "unlimited"],
    BeforeValidator(lambda given: "unlimited" if given is None else given),  # null: the spelling of older files
]
_KIB = 8 * 1024  # bits
_TILE_POSITIONS = 64  # of K, the fewest that the memory model cuts a tile into


def _each_once(tensors: tuple[TensorKind, ...]) -> tuple[TensorKind, ...]:
    if len(set(tensors)) != len(tensors):
        raise ValueError(f"a tensor is listed twice: {', '.join(tensors)}")
    return tensors


Tensors = Annotated[tuple[TensorKind, ...], AfterValidator(_each_once)]


def _known_model(name: str) -> str:
    if name != CONSTANT and name not in DRAM_MODELS:
        raise ValueError(f"expected one of {', '.join((CONSTANT, *DRAM_MODELS))}")
    return name


class Part(BaseModel):
    """A mapping of a hardware file: every key checked, unknown ones refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Array(Part):
    """The PE array: R x C processing elements with L multiply-accumulate lanes each."""

    rows: Extent = Field(description="R, rows of PEs; a tile takes R rows of operand A")
    cols: Extent = Field(description="C, columns of PEs; a tile takes C columns of operand B")
    lanes: Extent = Field(1, description="L, multiply-accumulate lanes of a PE, reducing along K")
    dataflow: Dataflows = Field(
        "output_stationary",
        description="what stays in the PEs: partial sums, operand A (weight_stationary) or B (input_stationary); a"
        " list: each GEMM takes the one of the fewest cycles, but the first with mapping.search fixed",
    )
    interconnect: Literal["broadcast", "systolic"] = Field(
        "broadcast",
        validate_default=True,
        description="broadcast: operands reach a whole row or column of PEs in the same cycle; systolic: they move on"
        " from PE to PE, a cycle each",
    )
    drain: Literal["overlapped", "exposed", "free"] = Field(
        "overlapped",
        description="how results leave stationary-output PEs, a row of them per cycle: while the next tile runs, from a"
        " second set of accumulators; after the tile; or in no time, which cannot be built",
    )
    segments: Extent = Field(
        1,
        description="column wires can be cut into 2, 4, ... up to this many segments, each with columns of its own: a"
        " GEMM then runs on R / 2 x 2 C PEs, R / 4 x 4 C, ..., whichever is expected to take the fewest cycles",
    )
    count: Extent = Field(
        1, description="arrays like this one; a pass's tiles are dealt to them in turn, they share DRAM and store"
    )

    @field_validator("interconnect")
    @classmethod
    def _carries_the_dataflow(cls, interconnect: str, info: ValidationInfo) -> str:
        dataflow, lanes = info.data.get("dataflow", "output_stationary"), info.data.get("lanes", 1)
        moving = [name for name in listed(dataflow) if name != "output_stationary"]
        if interconnect == "broadcast" and moving:
            raise ValueError(f"the dataflow {moving[0]} needs a systolic one")
        if interconnect == "systolic" and lanes != 1:
            raise ValueError(f"PEs of a systolic array have one lane, not {lanes}: make lanes 1")
        return interconnect

    @field_validator("segments")
    @classmethod
    def _cut_the_columns(cls, segments: int, info: ValidationInfo) -> int:
        rows = info.data.get("rows", segments)
        if segments & (segments - 1) or rows % segments:
            raise ValueError(f"expected a power of two that divides the array's {rows} rows")
        if segments > 1 and info.data.get("interconnect") == "systolic":
            raise ValueError("operands of a systolic array pass from PE to PE, leave segments out")
        return segments

    @property
    def cuts(self) -> tuple[int, ...]:
        """Segments that a GEMM may run with: 1, 2, 4, ... up to `segments`."""
        return tuple(1 << power for power in range(self.segments.bit_length()))

    @property
    def dataflows(self) -> tuple[Dataflow, ...]:
        """All that the array can run, in the order listed."""
        return listed(self.dataflow)


class Precision(Part):
    """Widths of the numbers, and the format that the energy table charges for a multiply-accumulate."""

    operand_bits: Literal[4, 8, 16, 32] = Field(16, description="bits of an operand, in DRAM and in the buffers")
    accumulator_bits: Literal[16, 32] = Field(32, description="bits of a partial sum in a PE and in the output buffer")
    format: Literal["int4", "int8", "fp8", "fp16", "bf16", "fp32"] | None = Field(
        None, description="number format; by default fp32, fp16, fp8 or int4, whichever has operand_bits"
    )

    @field_validator("format")
    @classmethod
    def _has_the_width(cls, number_format: str | None, info: ValidationInfo) -> str | None:
        bits = info.data.get("operand_bits")
        if number_format and bits and not number_format.endswith(str(bits)):
            raise ValueError(f"that format does not have the {bits} bits of operand_bits")
        return number_format

    @property
    def number_format(self) -> str:
        """The format in force."""
        return self.format or {4: "int4", 8: "fp8", 16: "fp16", 32: "fp32"}[self.operand_bits]


class Dram(Part):
    """The off-chip memory channel, shared by loads and stores."""

    model: Annotated[StrictStr, AfterValidator(_known_model)] = Field(
        CONSTANT,
        description=f"constant: bandwidth and latency are the same throughout; {', '.join(DRAM_MODELS)}: channels with"
        " banks, rows and refresh, which bandwidth and latency follow from",
    )
    channels: Annotated[StrictInt, Field(ge=1, le=1024)] = Field(
        1, description="channels of the model, of 64 bits (ddr4_2400), 16 bits (lpddr4_3200), 64 bits (hbm2) each"
    )
    bytes_per_cycle: Rate = Field(
        None,
        validate_default=True,
        description="bandwidth, bytes per clock cycle of the array; required if the model is constant, else the peak"
        " of all channels",
    )
    kind: Text = Field(
        "lpddr4",
        description="a kind of DRAM that the energy table has a price for; shipped tables: lpddr4, ddr3, ddr4, gddr5,"
        " hbm2; by default that of the model",
    )
    latency_cycles: Annotated[StrictInt, Field(ge=0, le=10**9)] = Field(
        100,
        description="cycles from the end of a transfer's slot on the channel until its data can be used; of a model,"
        " those from opening a row to the last data of a burst, which are part of the transfer",
    )

    @field_validator("channels")
    @classmethod
    def _of_a_model(cls, channels: int, info: ValidationInfo) -> int:
        if channels != 1 and info.data.get("model") == CONSTANT:
            raise ValueError("the constant model has no channels, give bytes_per_cycle of all of them")
        return channels

    @field_validator("bytes_per_cycle", mode="wrap")
    @classmethod
    def _given_where_constant(cls, rate: Any, check: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        if rate is None and info.data.get("model") != CONSTANT:
            return None  # `at_clock` fills it in, unless the model is none
        if rate is None:
            raise PydanticCustomError("missing", "required")
        return check(rate)

    @property
    def has_rows(self) -> bool:
        """Whether it has channels, banks and rows."""
        return self.model != CONSTANT

    @property
    def clocks_per_cycle(self) -> float:
        """Clock cycles of a model's DRAM in a cycle of the array."""
        return self.bytes_per_cycle / (self.channels * DRAM_MODELS[self.model].peak_bytes_per_clock)

    def at_clock(self, clock_mhz: float) -> Dram:
        """Return this DRAM with what follows from its model and the array's clock.

        Raises:
            ValueError: that was given, and is something else.
        """
        if not self.has_rows:
            return self
        model = DRAM_MODELS[self.model]
        peak = self.channels * model.peak_bytes_per_clock * model.clock_mhz / clock_mhz
        follows = {"bytes_per_cycle": peak, "latency_cycles": ceil(model.read_clocks * clock_mhz / model.clock_mhz)}
        for name, value in follows.items():
            given = getattr(self, name)
            if name in self.model_fields_set and given != value:
                raise ValueError(
                    f"dram.{name} is {given:g}, but follows from the model {self.model} ({value:g}): leave it out"
                )
        kind = {} if "kind" in self.model_fields_set else {"kind": model.energy_kind}
        return self.model_copy(update=follows | kind)


class Buffers(Part):
    """On-chip buffers, double-buffered unless they are told not to be."""

    weight_kib: Depth = Field(
        128,
        description="holds operand A of the pass (the weights, but for weight_grad); by default at least 2 x 64 words"
        " for each row of the array",
    )
    input_kib: Depth = Field(
        128,
        description="holds operand B of the pass; by default at least 2 x 64 words for each column of each segment",
    )
    output_kib: Depth = Field(
        64,
        description="holds partial sums and outputs, accumulator_bits each; by default at least two for each PE",
    )
    unified_kib: Depth | None = Field(
        None,
        description="one SRAM that each mapping divides among operands and sums as it likes, in place of the three"
        " above, which then play no part; null: three buffers",
    )
    double_buffered: StrictBool = Field(
        True,
        description="half of each buffer is filled or drained while the array works on the other half; false: a step"
        " has the whole buffers, and its loads wait until the array has left them",
    )
    weight_words_per_cycle: Width = Field(
        "window",
        description="words of operand A that can be read for an array in a cycle; window: what a PE's row takes at"
        " most in a cycle, for every row; unlimited (or null): as many as are asked for, which cannot be built"
        " (accelsim run shows how many that is)",
    )
    input_words_per_cycle: Width = Field(
        "window",
        description="words of operand B that can be read for an array in a cycle; window: what a PE's column takes at"
        " most in a cycle, for every column; unlimited (or null): as many as are asked for (likewise)",
    )

    @property
    def halves(self) -> int:
        """Macro-tiles whose operands, or outputs, are on chip at a time."""
        return 2 if self.double_buffered else 1

    def grown_to(self, array: Array, precision: Precision, *, given: bool = False) -> Buffers:
        """Return these buffers large enough for two tiles of the array.

        Args:
            given: also those whose size was given, which stay as they are otherwise.
        """
        words, sums = (
            self.halves * bits for bits in (_TILE_POSITIONS * precision.operand_bits, precision.accumulator_bits)
        )
        bits = {
            "weight_kib": array.rows * words,
            "input_kib": array.segments * array.cols * words,
            "output_kib": array.rows * array.cols * sums,
        }
        if self.unified_kib is not None:
            least = -(-sum(bits.values()) // _KIB)
            return self.model_copy(update={"unified_kib": max(least, self.unified_kib)}) if given else self
        fixed = set() if given else self.model_fields_set
        needed = {name: -(-count // _KIB) for name, count in bits.items() if name not in fixed}
        return self.model_copy(update={name: kib for name, kib in needed.items() if kib > getattr(self, name)})


class GlobalBuffer(Part):
    """A second level: one SRAM between DRAM and the array's buffers, double-buffered, divided by each mapping."""

    kib: Depth = Field(description="capacity, of operands and sums together")
    words_per_cycle: Depth = Field(64, description="words of operands that it passes to the array's buffers in a cycle")


class Memory(Part):
    """DRAM, on-chip buffers, and which tensors are stored compressed (one bit per element, and the non-zero words)."""

    dram: Dram | None = Field(None, description="null: ideal memory, cycles equal array_cycles")
    buffers: Buffers = Field(
        default_factory=lambda: Buffers.model_validate({}), description="on-chip buffers, whole capacity"
    )
    global_buffer: GlobalBuffer | None = Field(
        None, description="a second level, which the array's buffers are filled from; null: they are filled from DRAM"
    )
    compression: Tensors = Field((), description="tensors stored compressed in DRAM")
    overlap: StrictBool = Field(
        False,
        description="whether the first loads of a pass are in flight while the pass before it runs and drains, as those"
        " of a pass's GEMMs are; a row of layers is then no longer about that pass alone",
    )

    @property
    def joins_passes(self) -> bool:
        """Whether a pass's cycles depend on its neighbours."""
        return self.overlap and self.dram is not None

    @property
    def filled_from_dram(self) -> Buffers:
        """The buffers that DRAM fills: the array's own, or the global one."""
        if self.global_buffer is None:
            return self.buffers
        return self.buffers.model_copy(update={"unified_kib": self.global_buffer.kib, "double_buffered": True})

    @property
    def dram_has_rows(self) -> bool:
        """Whether DRAM is modelled with its channels, banks and rows."""
        return self.dram is not None and self.dram.has_rows


class Vector(Part):
    """The vector unit beside the array: it normalises, applies activation functions and updates weights, in fp32."""

    lanes: Extent | None = Field(
        None, description="operations a cycle, while the array waits; null: one for each column of each array"
    )


class Mapping(Part):
    """How a GEMM is laid on the array."""

    row_order: Literal["natural", "density", "packed"] = Field(
        "natural",
        description="density: rows of operand A with like numbers of non-zeros share a tile; packed: with"
        " skipping.outputs, rows that want outputs in the same columns",
    )
    search: Literal["best", "fixed"] = Field(
        "best",
        description="how each GEMM is cut for the buffers, of all cuts: best: the one that moves the fewest bytes,"
        " given its masks; fixed: the one that moves the fewest words, whatever the masks, as a compiler would choose"
        " beforehand",
    )
    order: Literal["any", "rows", "columns"] = Field(
        "any",
        description="which blocks the outer loop walks, those of A's rows or of B's columns; any: whichever is better",
    )
