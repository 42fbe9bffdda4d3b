"""What machine: a training accelerator's parameters, each checked; the YAML keys are these field names."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationInfo,
    field_validator,
    model_validator,
)

TensorKind = Literal["weight", "activation", "gradient"]
# The upper bounds are far above any machine; they turn a slip of the keyboard into a sentence instead of a long wait.
MOST_EXTENT = 4096
Extent = Annotated[StrictInt, Field(ge=1, le=MOST_EXTENT)]
Depth = Annotated[StrictInt, Field(ge=1, le=1 << 20)]
MOST_BUILT_DEPTH = MOST_EXTENT  # pairs of a queue, as many as the widest window; a deeper one is idealised
Rate = Annotated[StrictFloat, Field(gt=0, le=1e9)]
Text = Annotated[StrictStr, Field(min_length=1, max_length=200)]
_TILE_POSITIONS = 64  # of K, the fewest that the memory model cuts a tile into
TENSORDASH_LANES = 16  # its moves and lane levels are defined for 16


def _each_once(tensors: tuple[TensorKind, ...]) -> tuple[TensorKind, ...]:
    if len(set(tensors)) != len(tensors):
        raise ValueError(f"a tensor is listed twice: {', '.join(tensors)}")
    return tensors


Tensors = Annotated[tuple[TensorKind, ...], AfterValidator(_each_once)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Array(_Part):
    """The PE array: R x C processing elements with L multiply-accumulate lanes each."""

    rows: Extent = Field(description="R, rows of PEs; a tile takes R rows of operand A")
    cols: Extent = Field(description="C, columns of PEs; a tile takes C columns of operand B")
    lanes: Extent = Field(1, description="L, multiply-accumulate lanes of a PE, reducing along K")
    dataflow: Literal["output_stationary", "weight_stationary", "input_stationary"] = Field(
        "output_stationary",
        description="what stays in the PEs: partial sums, operand A (weight_stationary) or B (input_stationary)",
    )
    interconnect: Literal["broadcast", "systolic"] = Field(
        "broadcast",
        validate_default=True,
        description="broadcast: operands reach a whole row or column of PEs in the same cycle; systolic: they move on"
        " from PE to PE, a cycle each",
    )

    count: Extent = Field(
        1, description="arrays like this one; a pass's tiles are dealt to them in turn, they share DRAM and store"
    )

    @field_validator("interconnect")
    @classmethod
    def _carries_the_dataflow(cls, interconnect: str, info: ValidationInfo) -> str:
        dataflow, lanes = info.data.get("dataflow", "output_stationary"), info.data.get("lanes", 1)
        if interconnect == "broadcast" and dataflow != "output_stationary":
            raise ValueError(f"the dataflow {dataflow} needs a systolic one")
        if interconnect == "systolic" and lanes != 1:
            raise ValueError(f"PEs of a systolic array have one lane, not {lanes}: make lanes 1")
        return interconnect


class Skipping(_Part):
    """Which zeros the machine skips, and how far a PE may run ahead of its neighbours."""

    tensors: Tensors = Field(
        (), description="tensors whose masks the scanner sees; the others count as all non-zero; empty: the dense PE"
    )
    scan_width: Extent = Field(
        16,
        description="S, K positions that a PE's scanner looks at in a cycle; tensordash does without, its windows hold"
        " 16",
    )
    fifo_depth: Depth = Field(
        16,
        validate_default=True,
        description="D, pairs that a PE's queue holds; at least scan_width, and by default 16 or scan_width; above"
        f" {MOST_BUILT_DEPTH} the machine is idealised: it has cycles, but no energy",
    )
    sync: Literal["pe", "row", "column", "array"] = Field("row", description="PEs that share one scan pointer")
    blocks: Tensors = Field(
        (), description="tensors whose all-zero windows (over a tile's rows or columns) are not streamed at all"
    )
    outputs: StrictBool = Field(False, description="leave out outputs that need not be computed")
    gate_zeros: StrictBool = Field(
        False,
        description="a consumed pair with a zero operand does not toggle the multiplier: less energy, the same cycles",
    )
    scheduler: Literal["tensordash"] | None = Field(
        None,
        description="tensordash: no scanner; the sparser operand of tensors moves up in time and across 16 lanes"
        " (scan_width and sync play no part, fifo_depth only in leakage)",
    )
    stage_depth: Annotated[StrictInt, Field(ge=1, le=3)] = Field(
        3, description="tensordash: windows of 16 K positions that a schedule sees; the most it advances in a cycle"
    )
    advance: Literal["together", "alone"] = Field(
        "together", description="tensordash: whether all schedules of a tile move on by the same windows or each alone"
    )

    @model_validator(mode="before")
    @classmethod
    def _deepens_with_the_window(cls, given: Any) -> Any:
        """A wide window without a word about the queue gets the smallest queue that takes it."""
        if isinstance(given, dict) and "fifo_depth" not in given:
            width = given.get("scan_width", 16)
            if isinstance(width, int) and 16 < width <= MOST_EXTENT:
                return given | {"fifo_depth": width}
        return given

    @field_validator("fifo_depth")
    @classmethod
    def _takes_a_window(cls, depth: int, info: ValidationInfo) -> int:
        width = info.data.get("scan_width", depth)
        if depth < width:
            raise ValueError(f"a full window of scan_width {width} pairs would never fit, make it at least {width}")
        return depth

    @field_validator("scheduler")
    @classmethod
    def _has_what_it_schedules(cls, scheduler: str | None, info: ValidationInfo) -> str | None:
        if scheduler is None:
            return scheduler
        if not info.data.get("tensors", True):
            raise ValueError("it needs at least one tensor to schedule, list it in skipping.tensors")
        return scheduler

    @property
    def window_positions(self) -> int:
        """K positions of a window that a scanner or scheduler looks at: `scan_width`, 16 with TensorDash."""
        return self.scan_width if self.scheduler is None else TENSORDASH_LANES


class Precision(_Part):
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


class Dram(_Part):
    """The off-chip memory channel, shared by loads and stores."""

    bytes_per_cycle: Rate = Field(description="bandwidth, bytes per clock cycle of the array")
    latency_cycles: Annotated[StrictInt, Field(ge=0, le=10**9)] = Field(
        100, description="cycles from the end of a transfer's slot on the channel until its data can be used"
    )


class Buffers(_Part):
    """On-chip buffers; half of each is filled or drained while the array works on the other half."""

    weight_kib: Depth = Field(
        128,
        description="holds operand A of the pass (the weights, but for weight_grad); by default at least 2 x 64 words"
        " for each row of the array",
    )
    input_kib: Depth = Field(
        128,
        description="holds operand B of the pass; by default at least 2 x 64 words for each column of the array",
    )
    output_kib: Depth = Field(
        64,
        description="holds partial sums and outputs, accumulator_bits each; by default at least two for each PE",
    )
    weight_words_per_cycle: Depth | None = Field(
        None, description="words of operand A that reach an array in a cycle; null: as many as it asks for"
    )
    input_words_per_cycle: Depth | None = Field(
        None, description="words of operand B that reach an array in a cycle; null: as many as it asks for"
    )

    def grown_to(self, array: Array, precision: Precision) -> Buffers:
        """Return these buffers, those whose size was not given large enough for two tiles of the array."""
        words, sums = 2 * _TILE_POSITIONS * precision.operand_bits, 2 * precision.accumulator_bits
        bits = {
            "weight_kib": array.rows * words,
            "input_kib": array.cols * words,
            "output_kib": array.rows * array.cols * sums,
        }
        needed = {name: -(-count // (8 * 1024)) for name, count in bits.items() if name not in self.model_fields_set}
        return self.model_copy(update={name: kib for name, kib in needed.items() if kib > getattr(self, name)})


class Memory(_Part):
    """DRAM, on-chip buffers, and which tensors are stored compressed (a bit an element and the non-zero words)."""

    dram: Dram | None = Field(None, description="null: ideal memory, cycles equal array_cycles")
    buffers: Buffers = Field(
        default_factory=lambda: Buffers.model_validate({}), description="on-chip buffers, whole capacity"
    )
    compression: Tensors = Field((), description="tensors stored compressed in DRAM")


class Mapping(_Part):
    """How a GEMM is laid on the array."""

    row_order: Literal["natural", "density"] = Field(
        "natural", description="density: rows of operand A with like numbers of non-zeros share a tile"
    )


class Hardware(_Part):
    """A training accelerator."""

    name: Text = Field(description="what tables and files call the machine")
    clock_mhz: Rate = Field(500, description="clock of the array and the buffers, MHz")
    array: Array = Field(description="the PE array")
    skipping: Skipping = Field(
        default_factory=lambda: Skipping.model_validate({}), description="which zeros are skipped; by default none"
    )
    precision: Precision = Field(
        default_factory=lambda: Precision.model_validate({}), description="widths of the numbers"
    )
    memory: Memory = Field(
        default_factory=lambda: Memory.model_validate({}),
        validate_default=True,
        description="DRAM, buffers, compression; by default ideal",
    )
    mapping: Mapping = Field(
        default_factory=lambda: Mapping.model_validate({}), description="how a GEMM is laid on the array"
    )
    energy: Text = Field("horowitz-45nm", description="a shipped energy table's name, or the path of a YAML file")

    @field_validator("skipping")
    @classmethod
    def _suits_the_array(cls, skipping: Skipping, info: ValidationInfo) -> Skipping:
        array = info.data.get("array")
        if array is None:
            return skipping
        if array.interconnect == "systolic" and (skipping.tensors or skipping.blocks or skipping.outputs):
            raise ValueError("a systolic array skips nothing, leave tensors and blocks empty and outputs false")
        if skipping.scheduler == "tensordash" and array.lanes != TENSORDASH_LANES:
            raise ValueError(f"scheduler tensordash needs array.lanes {TENSORDASH_LANES}, not {array.lanes}")
        return skipping

    @field_validator("memory")
    @classmethod
    def _feeds_the_array(cls, memory: Memory, info: ValidationInfo) -> Memory:
        array, buffers = info.data.get("array"), memory.buffers
        limited = buffers.weight_words_per_cycle or buffers.input_words_per_cycle
        if array is not None and array.interconnect == "systolic" and limited:
            raise ValueError("a systolic array takes a fixed number of words a cycle, leave words_per_cycle null")
        precision = info.data.get("precision")
        if array is None or precision is None:
            return memory
        return memory.model_copy(update={"buffers": buffers.grown_to(array, precision)})

    @property
    def skips(self) -> bool:
        """Whether any zero is skipped; if none, the machine takes as many array cycles as its dense baseline."""
        return bool(self.skipping.tensors or self.skipping.blocks or self.skipping.outputs)

    @property
    def idealised(self) -> bool:
        """Whether the machine is a bound that nobody could build: it has cycles, but no energy.

        So are PEs with queues of more than MOST_BUILT_DEPTH pairs, which are there to never fill. Their leakage would
        be nearly all of the energy.
        """
        return bool(self.skipping.tensors) and self.skipping.fifo_depth > MOST_BUILT_DEPTH

    def dense(self) -> Hardware:
        """Return the baseline of every speedup: this machine making use of no zero, in time, energy or storage."""
        unused = {"tensors": (), "blocks": (), "outputs": False, "gate_zeros": False, "scheduler": None}
        return self.model_copy(
            update={
                "skipping": self.skipping.model_copy(update=unused),
                "memory": self.memory.model_copy(update={"compression": ()}),
            }
        )
