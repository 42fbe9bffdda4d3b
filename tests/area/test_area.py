"""The area of machines, by hand and by what must make it grow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from accelsim import Hardware
from accelsim.area import area
from accelsim.area.buffers import buffer_shapes
from accelsim.area.sram import sram_mm2
from accelsim.hardware.load import load_hardware
from accelsim.hardware.logic import cells

CONFIGS = Path(__file__).parents[2] / "hw_configs"
BASE: dict[str, Any] = {
    "name": "x",
    "array": {"rows": 2, "cols": 3, "drain": "free"},
    "memory": {"buffers": {"weight_kib": 8, "input_kib": 16, "output_kib": 4}},
}
SCANNING: dict[str, Any] = {"tensors": ["weight"], "scan_width": 8, "fifo_depth": 8}


def machine(**changes: Any) -> Hardware:
    return Hardware.model_validate(BASE | changes)


@pytest.mark.closed_form
def test_a_dense_machine_by_hand() -> None:
    lane = cells("mac_lanes", L=1, W=16, ACC=32)
    one = lane.gates * lane.equivalents_per_gate + lane.flip_flops * 4.522 / 0.798
    found = area(machine())
    vector = cells("mac_lanes", L=1, W=32, ACC=32)
    vector_ge = vector.gates * vector.equivalents_per_gate + vector.flip_flops * 4.522 / 0.798
    assert found.gate_equivalents == pytest.approx(6 * one + 3 * vector_ge)  # a lane for each column
    sram = sram_mm2(8, 2 * 16) + sram_mm2(16, 3 * 16) + sram_mm2(4, 3 * 32)
    assert found.mm2 == pytest.approx((6 * one + 3 * vector_ge) * 0.798 / 0.7 / 1e6 + sram)
    second = 6 * 32 * (1.862 + 4.522) / 0.798  # a multiplexer and a flip-flop a bit
    overlapped = area(machine(array={"rows": 2, "cols": 3, "drain": "overlapped"}))
    assert overlapped.gate_equivalents == pytest.approx(6 * one + 3 * vector_ge + second)
    assert area(machine(array={"rows": 2, "cols": 3, "count": 4, "drain": "free"})).gate_equivalents == pytest.approx(
        24 * one + 12 * vector_ge
    )


@pytest.mark.closed_form
def test_who_reads_what_together() -> None:
    buffers = BASE["memory"]["buffers"] | {"weight_words_per_cycle": 64, "input_words_per_cycle": 24}
    shapes = {
        sync: [
            (shape.bits, shape.banks)
            for shape in buffer_shapes(machine(skipping=SCANNING | {"sync": sync}, memory={"buffers": buffers}))
        ]
        for sync in ("array", "row", "column", "pe")
    }
    word = 17  # with its mask bit
    assert shapes["array"][:2] == [(2 * 8 * word, 4), (3 * 8 * word, 1)]
    assert shapes["row"][:2] == [(8 * word, 8), (3 * 8 * word, 1)]
    assert shapes["column"][:2] == [(2 * 8 * word, 4), (8 * word, 3)]
    assert shapes["pe"][:2] == [(8 * word, 8), (8 * word, 3)]
    four = machine(
        skipping=SCANNING | {"sync": "row"}, memory={"buffers": buffers}, array={"rows": 2, "cols": 3, "count": 4}
    )
    assert [(shape.bits, shape.banks) for shape in buffer_shapes(four)] == [
        (bits, 4 * banks) for bits, banks in shapes["row"]
    ]
    narrow = BASE["memory"]["buffers"] | {"weight_words_per_cycle": 5}
    shape = buffer_shapes(machine(skipping=SCANNING | {"sync": "row"}, memory={"buffers": narrow}))[0]
    assert (shape.kib, shape.bits, shape.banks) == (8 * 17 / 16, 5 * word, 1)


@pytest.mark.relations
@pytest.mark.parametrize(
    ("small", "large"),
    [
        ({"precision": {"operand_bits": 8}}, {}),
        ({}, {"skipping": SCANNING}),
        ({"skipping": SCANNING}, {"skipping": SCANNING | {"fifo_depth": 16}}),
        ({"skipping": SCANNING}, {"skipping": SCANNING | {"scan_width": 4, "fifo_depth": 32}}),
        ({}, {"skipping": {"blocks": ["weight"]}}),
        ({}, {"skipping": {"gate_zeros": True}}),
        ({"array": {"rows": 2, "cols": 3, "drain": "exposed"}}, {"array": {"rows": 2, "cols": 3}}),
        (
            {"array": {"rows": 2, "cols": 3, "drain": "free"}},
            {"array": {"rows": 2, "cols": 3, "drain": "exposed"}},
        ),
        ({}, {"array": {"rows": 2, "cols": 3, "lanes": 2}}),
        ({}, {"array": {"rows": 2, "cols": 3, "interconnect": "systolic"}}),
        (
            {"array": {"rows": 2, "cols": 3, "lanes": 16}},
            {"array": {"rows": 2, "cols": 3, "lanes": 16}, "skipping": {"tensors": ["weight"], "kind": "tensordash"}},
        ),
    ],
)
def test_more_takes_more(small: dict[str, Any], large: dict[str, Any]) -> None:
    less, more = area(machine(**small)), area(machine(**large))
    assert less.mm2 < more.mm2
    assert less.gate_equivalents < more.gate_equivalents


def test_shipped_machines() -> None:
    shares = {}
    for file in sorted(CONFIGS.glob("*.yaml")):
        hw = load_hardware(file)
        found = area(hw)
        assert found.mm2 == pytest.approx(sum(part.mm2 for part in found.parts))
        assert all(part.mm2 > 0 and part.count > 0 for part in found.parts)
        shares[hw.name] = found.gate_equivalents / area(hw.dense()).gate_equivalents
    assert shares["dense16x16"] == shares["systolic16x16"] == 1
    assert 1 < shares["tensorcore8"] < 1.05  # filters and zero tests
    assert shares["ideal16x16"] > 1e6
