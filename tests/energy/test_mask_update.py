"""The estimate of a mask update, redone by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim.energy.load import load_table
from accelsim.energy.mask_update import mask_update, mask_update_energy
from accelsim.energy.vector_work import VectorWork
from accelsim.hardware.model import Hardware
from accelsim.trace import MaskWork


def machine(dram: dict[str, float] | None, **precision: object) -> Hardware:
    return Hardware.model_validate(
        {"name": "m", "array": {"rows": 4, "cols": 8}, "memory": {"dram": dram}, "precision": precision}
    )


WIDE, NARROW, IDEAL = machine({"bytes_per_cycle": 1e6}), machine({"bytes_per_cycle": 2}), machine(None)
WORK = MaskWork(step=3, judged=100, words_read=60, mask_bits=80, pruned=5, grown=5)


@pytest.mark.closed_form
def test_by_hand() -> None:
    # 100 candidates compared twice on 8 lanes; 60 fp16 words read twice, 80 mask bits read and written.
    assert mask_update(WIDE, WORK) == VectorWork(ops=200, dram_bytes=240 + 20, cycles=25)
    assert mask_update(NARROW, WORK) == VectorWork(ops=200, dram_bytes=260, cycles=130)
    assert mask_update(IDEAL, WORK) == VectorWork(ops=200, dram_bytes=0, cycles=25)


@pytest.mark.closed_form
@pytest.mark.parametrize(
    ("precision", "compare_pj"),
    [
        ({"operand_bits": 32}, 0.9),
        ({"operand_bits": 16}, 0.4),
        ({"operand_bits": 16, "format": "bf16"}, 0.29),
        ({"operand_bits": 8}, 0.4),
        ({"operand_bits": 8, "format": "int8"}, 0.05),
        ({"operand_bits": 4}, 0.05),
    ],
)
def test_energy_by_hand(precision: dict[str, object], compare_pj: float) -> None:
    hw = machine({"bytes_per_cycle": 2}, **precision)
    energy = mask_update_energy(load_table("horowitz-45nm"), hw, VectorWork(ops=1000, dram_bytes=10, cycles=0))
    assert energy.vector_pj == pytest.approx(1000 * compare_pj)
    assert energy.dram_pj == pytest.approx(80 * 8)
    assert energy.total_pj == pytest.approx(energy.vector_pj + energy.dram_pj)
    assert mask_update_energy(load_table("horowitz-45nm"), hw, VectorWork(0, 0, 500)).leakage_pj > 0


@pytest.mark.relations
@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**9))
def test_bandwidth_and_lanes_bound_the_time(judged: int, words: int, bits: int) -> None:
    work = mask_update(NARROW, MaskWork(0, judged, words, bits, 0, 0))
    assert work.cycles * 2 >= work.dram_bytes
    assert work.cycles * 8 >= work.ops
    assert (work.cycles > 0) == (judged + words + bits > 0)
