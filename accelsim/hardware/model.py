"""What machine: a training accelerator's parameters, each checked; the YAML keys are these field names."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

TensorKind = Literal["weight", "activation", "gradient"]
Positive = Annotated[int, Field(gt=0)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Array(_Part):
    """The PE array: R x C processing elements with L multiply-accumulate lanes each."""

    rows: Positive = Field(description="R, rows of PEs; a tile takes R rows of operand A")
    cols: Positive = Field(description="C, columns of PEs; a tile takes C columns of operand B")
    lanes: Positive = Field(1, description="L, multiply-accumulate lanes of a PE, reducing along K")
    dataflow: Literal["output_stationary"] = Field("output_stationary", description="which operand stays in the PEs")
    interconnect: Literal["broadcast"] = Field(
        "broadcast", description="broadcast: operands reach a whole row or column of PEs in the same cycle"
    )


class Skipping(_Part):
    """Which zeros the machine skips, and how far a PE may run ahead of its neighbours."""

    tensors: tuple[TensorKind, ...] = Field(
        (), description="tensors whose masks the scanner sees; the others count as all non-zero; empty: the dense PE"
    )
    scan_width: Positive = Field(16, description="S, K positions that a PE's scanner looks at in a cycle")
    fifo_depth: Positive = Field(16, description="D, pairs that a PE's queue holds; at least scan_width")
    sync: Literal["pe", "row", "column", "array"] = Field("row", description="PEs that share one scan pointer")
    blocks: tuple[TensorKind, ...] = Field(
        (), description="tensors whose all-zero windows (over a tile's rows or columns) are not streamed at all"
    )
    outputs: bool = Field(False, description="leave out outputs that need not be computed")

    @model_validator(mode="after")
    def _fifo_takes_a_window(self) -> Self:
        if self.fifo_depth < self.scan_width:
            raise ValueError(
                f"fifo_depth {self.fifo_depth} is smaller than scan_width {self.scan_width}: a full window of pairs"
                f" would never fit; make it at least {self.scan_width}"
            )
        for key in ("tensors", "blocks"):
            listed = getattr(self, key)
            if len(set(listed)) != len(listed):
                raise ValueError(f"{key} lists a tensor twice: {', '.join(listed)}")
        return self


class Precision(_Part):
    """Widths of the numbers, and the format that the energy table charges for a multiply-accumulate."""

    operand_bits: Literal[4, 8, 16, 32] = Field(16, description="bits of an operand, in DRAM and in the buffers")
    accumulator_bits: Literal[16, 32] = Field(32, description="bits of a partial sum in a PE and in the output buffer")
    format: Literal["int4", "int8", "fp8", "fp16", "bf16", "fp32"] | None = Field(
        None, description="number format; by default fp32, fp16, fp8 or int4, whichever has operand_bits"
    )

    @model_validator(mode="after")
    def _format_has_the_width(self) -> Self:
        if self.format is not None and not self.format.endswith(str(self.operand_bits)):
            raise ValueError(f"format {self.format} does not have operand_bits {self.operand_bits}")
        return self

    @property
    def number_format(self) -> str:
        """The format in force."""
        return self.format or {4: "int4", 8: "fp8", 16: "fp16", 32: "fp32"}[self.operand_bits]


class Dram(_Part):
    """The off-chip memory channel, shared by loads and stores."""

    bytes_per_cycle: Annotated[float, Field(gt=0)] = Field(description="bandwidth, bytes per clock cycle of the array")
    latency_cycles: Annotated[int, Field(ge=0)] = Field(
        100, description="cycles from the end of a transfer's slot on the channel until its data can be used"
    )


class Buffers(_Part):
    """On-chip buffers; half of each is filled or drained while the array works on the other half."""

    weight_kib: Positive = Field(128, description="holds operand A of the pass (the weights, but for weight_grad)")
    input_kib: Positive = Field(128, description="holds operand B of the pass")
    output_kib: Positive = Field(64, description="holds partial sums and outputs, accumulator_bits each")


class Memory(_Part):
    """DRAM, on-chip buffers, and which tensors are stored compressed (a bit an element and the non-zero words)."""

    dram: Dram | None = Field(None, description="null: ideal memory, cycles equal array_cycles")
    buffers: Buffers = Field(default_factory=lambda: Buffers.model_validate({}))
    compression: tuple[TensorKind, ...] = Field((), description="tensors stored compressed in DRAM")


class Hardware(_Part):
    """A training accelerator."""

    name: str
    clock_mhz: Annotated[float, Field(gt=0)] = 500
    array: Array
    skipping: Skipping = Field(default_factory=lambda: Skipping.model_validate({}))
    precision: Precision = Field(default_factory=lambda: Precision.model_validate({}))
    memory: Memory = Field(default_factory=lambda: Memory.model_validate({}))
    energy: str = Field("horowitz-45nm", description="a shipped energy table's name, or the path of a YAML file")

    @property
    def skips(self) -> bool:
        """Whether any zero is skipped; without, the machine is its own dense baseline."""
        return bool(self.skipping.tensors or self.skipping.blocks or self.skipping.outputs)

    def dense(self) -> Hardware:
        """Return the baseline of every speedup: this machine without skipping and without compression."""
        return self.model_copy(
            update={
                "skipping": self.skipping.model_copy(update={"tensors": (), "blocks": (), "outputs": False}),
                "memory": self.memory.model_copy(update={"compression": ()}),
            }
        )
