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


def with_dram(clock_mhz: float = 500, **keys: object) -> Hardware:
    return Hardware.model_validate({**SMALL, "clock_mhz": clock_mhz, "memory": {"dram": keys}})


@pytest.mark.parametrize(
    ("model", "channels", "bytes_per_second", "kind", "latency_ns"),
    [
        ("ddr4_2400", 1, 19.2e9, "ddr4", (16 + 16 + 4) / 1.2),  # 64 bits at 2400 MT/s; tRCD, CL and a burst
        ("lpddr4_3200", 4, 25.6e9, "lpddr4", (29 + 28 + 8) / 1.6),  # 4 x 16 bits at 3200 MT/s
        ("hbm2", 16, 256e9, "hbm2", 14 + 14 + 2),  # a stack of 1024 bits at 2000 MT/s
    ],
)
@pytest.mark.parametrize("clock_mhz", [500, 333])
def test_bandwidth_and_latency_follow_from_a_model_of_dram(
    model: str, channels: int, bytes_per_second: float, kind: str, latency_ns: float, clock_mhz: float
) -> None:
    hardware = with_dram(clock_mhz, model=model, channels=channels)
    dram = hardware.memory.dram
    assert dram is not None
    assert dram.bytes_per_cycle == pytest.approx(bytes_per_second / (clock_mhz * 1e6))
    assert 0 <= dram.latency_cycles - latency_ns * clock_mhz / 1000 < 1
    assert dram.kind == kind
    assert Hardware.model_validate(hardware.model_dump()) == hardware
    assert hardware.dense().memory.dram == dram


def test_a_model_of_dram_keeps_the_kind_that_was_given() -> None:
    dram = with_dram(model="hbm2", kind="gddr5").memory.dram
    assert dram is not None
    assert dram.kind == "gddr5"


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"model": "ddr4_2400", "bytes_per_cycle": 32}, "bytes_per_cycle is 32, but follows from the model ddr4_2400"),
        ({"model": "hbm2", "latency_cycles": 100}, r"latency_cycles is 100, but follows from the model hbm2 \(15\)"),
        ({"model": "ddr5"}, "expected one of constant, ddr4_2400, lpddr4_3200, hbm2"),
        ({"bytes_per_cycle": 8, "channels": 2}, "the constant model has no channels"),
        ({"latency_cycles": 8}, "required"),
    ],
)
def test_keys_of_dram_that_do_not_go_together_are_refused(keys: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        with_dram(**keys)
