"""What machine: a training accelerator's parameters, each checked; the YAML keys are these field names."""

from __future__ import annotations

from typing import Any

from pydantic import Field, SerializeAsAny, ValidationInfo, field_validator

from accelsim.hardware.parts import Array, Mapping, Memory, Part, Precision, Rate, TensorKind, Text, Vector
from accelsim.hardware.skipping import Skipping, read_skipping

__all__ = ["Hardware", "TensorKind"]


class Hardware(Part):
    """A training accelerator."""

    name: Text = Field(description="what tables and files call the machine")
    clock_mhz: Rate = Field(500, description="clock of the array and the buffers, MHz")
    array: Array = Field(description="the PE array")
    skipping: SerializeAsAny[Skipping] = Field(
        default_factory=dict, validate_default=True, description="which zeros are skipped; by default none"
    )
    precision: Precision = Field(
        default_factory=lambda: Precision.model_validate({}), description="widths of the numbers"
    )
    memory: Memory = Field(
        default_factory=lambda: Memory.model_validate({}),
        validate_default=True,
        description="DRAM, buffers, compression; by default ideal",
    )
    vector: Vector = Field(
        default_factory=lambda: Vector.model_validate({}), description="what works between the products"
    )
    mapping: Mapping = Field(
        default_factory=lambda: Mapping.model_validate({}), description="how a GEMM is laid on the array"
    )
    energy: Text = Field("horowitz-45nm", description="a shipped energy table's name, or the path of a YAML file")

    @field_validator("skipping", mode="before")
    @classmethod
    def _of_its_kind(cls, skipping: Any, info: ValidationInfo) -> Any:
        array = info.data.get("array")
        if isinstance(skipping, dict):
            return read_skipping(skipping, array)
        if isinstance(skipping, Skipping) and array is not None:
            skipping.check_array(array)
        return skipping

    @field_validator("memory")
    @classmethod
    def _feeds_the_array(cls, memory: Memory, info: ValidationInfo) -> Memory:
        array, buffers = info.data.get("array"), memory.buffers
        limited = isinstance(buffers.weight_words_per_cycle, int) or isinstance(buffers.input_words_per_cycle, int)
        if array is not None and array.interconnect == "systolic" and limited:
            raise ValueError("a systolic array takes a fixed number of words a cycle, leave words_per_cycle out")
        precision, clock_mhz = info.data.get("precision"), info.data.get("clock_mhz")
        if memory.dram is not None and clock_mhz is not None:
            memory = memory.model_copy(update={"dram": memory.dram.at_clock(clock_mhz)})
        if array is None or precision is None:
            return memory
        return memory.model_copy(update={"buffers": buffers.grown_to(array, precision)})

    @property
    def skips(self) -> bool:
        """Whether any zero is skipped; if none, the machine takes as many array cycles as its dense baseline."""
        return self.skipping.skips

    @property
    def idealised(self) -> bool:
        """Whether the machine is a bound that nobody could build: it has cycles, but no energy."""
        return self.skipping.idealised

    @property
    def vector_lanes(self) -> int:
        """Lanes of the vector unit."""
        return self.vector.lanes or self.array.cols * self.array.count

    def dense(self) -> Hardware:
        """Return the baseline of every speedup: this machine making use of no zero, in time, energy or storage."""
        memory = self.memory.model_copy(update={"compression": ()})
        return self.model_copy(update={"skipping": self.skipping.dense(), "memory": memory})
