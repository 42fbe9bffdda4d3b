"""The model by itself: plain dicts, defaults, the dense baseline."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from accelsim.hardware.model import Hardware

SMALL = {"name": "m", "array": {"rows": 2, "cols": 3}}


def test_defaults_are_a_dense_machine_on_ideal_memory() -> None:
    hardware = Hardware.model_validate(SMALL)
    assert not hardware.skips
    assert hardware.memory.dram is None
    assert hardware.precision.number_format == "fp16"
    assert hardware.dense() == hardware


@pytest.mark.parametrize(
    ("array", "buffers", "expected"),
    [
        ((16, 16), {}, (128, 128, 64)),
        ((128, 128), {}, (128, 128, 128)),  # two tiles of sums of 32 bits
        ((128, 128), {"output_kib": 64}, (128, 128, 64)),
        ((1024, 2), {"input_kib": 1}, (256, 1, 64)),
    ],
)
def test_buffers_follow_the_array_unless_they_are_given(
    array: tuple[int, int], buffers: dict[str, int], expected: tuple[int, int, int]
) -> None:
    machine = {"name": "m", "array": {"rows": array[0], "cols": array[1]}, "memory": {"buffers": buffers}}
    if not buffers:
        del machine["memory"]
    found = Hardware.model_validate(machine).memory.buffers
    assert (found.weight_kib, found.input_kib, found.output_kib) == expected
    again = Hardware.model_validate(machine).model_dump()
    assert Hardware.model_validate(again).memory.buffers == found


def test_lists_stand_for_tuples_and_whole_numbers_for_rates() -> None:
    hardware = Hardware.model_validate(
        {**SMALL, "clock_mhz": 200, "skipping": {"tensors": ["weight"]}, "memory": {"dram": {"bytes_per_cycle": 4}}}
    )
    assert hardware.skipping.tensors == ("weight",)
    assert hardware.clock_mhz == 200.0
    assert hardware.skips


def test_dense_baseline_uses_no_zero_and_keeps_the_rest() -> None:
    skipping = {"tensors": ["weight"], "blocks": ["weight"], "outputs": True, "gate_zeros": True, "scan_width": 8}
    memory = {"dram": {"bytes_per_cycle": 4}, "compression": ["weight"]}
    dense = Hardware.model_validate({**SMALL, "skipping": skipping, "memory": memory}).dense()
    assert dense == Hardware.model_validate(
        {**SMALL, "skipping": {"scan_width": 8}, "memory": {"dram": {"bytes_per_cycle": 4}}}
    )


@pytest.mark.parametrize("bits", [4, 8, 16, 32])
def test_every_width_has_a_format(bits: int) -> None:
    hardware = Hardware.model_validate({**SMALL, "precision": {"operand_bits": bits}})
    assert hardware.precision.number_format.endswith(str(bits))


def test_machines_do_not_change() -> None:
    with pytest.raises(ValidationError):
        Hardware.model_validate(SMALL).array.rows = 5  # type: ignore[misc]
