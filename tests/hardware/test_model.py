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
