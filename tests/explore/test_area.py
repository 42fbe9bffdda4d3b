"""The stand-in for area, by hand."""

from __future__ import annotations

from typing import Any

import pytest

from accelsim import Hardware
from accelsim.explore import area_proxy

BASE: dict[str, Any] = {
    "name": "x",
    "array": {"rows": 2, "cols": 3},
    "memory": {"buffers": {"weight_kib": 1, "input_kib": 2, "output_kib": 4}},
}
SRAM = 6 * 8 * 1024 * 7
PE = 34 * 16 * 16 + 28 * 32 + 24 * 32


def area(**changes: Any) -> int:
    return area_proxy(Hardware.model_validate(BASE | changes))


@pytest.mark.closed_form
def test_by_hand() -> None:
    assert area() == 6 * PE + SRAM
    scanning = {"tensors": ["weight"], "scan_width": 8, "fifo_depth": 10}
    assert area(skipping=scanning) == 6 * (PE + 24 * 2 * 16 * 10) + SRAM
    assert area(array={"rows": 2, "cols": 3, "lanes": 2, "count": 4}) == 24 * (2 * (PE - 24 * 32) + 24 * 32) + SRAM
    tensordash = {"tensors": ["weight"], "scheduler": "tensordash", "stage_depth": 2}
    lanes = 16 * (PE - 24 * 32) + 24 * 32 + 24 * 2 * 16 * 32
    assert area(array={"rows": 2, "cols": 3, "lanes": 16}, skipping=tensordash) == 6 * lanes + SRAM


@pytest.mark.relations
def test_narrower_numbers_take_less() -> None:
    assert area(precision={"operand_bits": 8}) < area()
