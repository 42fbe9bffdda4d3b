"""The estimate of batch norm, ReLU and optimiser, redone by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim.energy.load import load_table
from accelsim.energy.vector_work import VectorWork, vector_energy, vector_work
from accelsim.errors import AccelsimError
from accelsim.hardware.model import Hardware


def machine(dram: dict[str, float] | None) -> Hardware:
    return Hardware.model_validate(
        {"name": "m", "array": {"rows": 4, "cols": 8}, "memory": {"dram": dram}, "precision": {"operand_bits": 16}}
    )


WIDE, NARROW, IDEAL = machine({"bytes_per_cycle": 1e6}), machine({"bytes_per_cycle": 2}), machine(None)


def test_by_hand() -> None:
    # 100 fp16 outputs: 6 operations each on 8 lanes; read and written once, 2 bytes each.
    assert vector_work(WIDE, 100, 7, "forward") == VectorWork(ops=600, dram_bytes=400, cycles=75)
    assert vector_work(NARROW, 100, 7, "forward") == VectorWork(ops=600, dram_bytes=400, cycles=200)
    assert vector_work(IDEAL, 100, 7, "forward") == VectorWork(ops=600, dram_bytes=0, cycles=75)
    assert vector_work(WIDE, 100, 7, "backward") == VectorWork(ops=1000, dram_bytes=1000, cycles=125)
    # 7 weights: 6 operations each; w, m, g read and w, m written in fp32, and w again in fp16: 22 bytes each.
    assert vector_work(WIDE, 100, 7, "update") == VectorWork(ops=42, dram_bytes=154, cycles=6)


def test_energy_by_hand() -> None:
    table = load_table("horowitz-45nm")
    energy = vector_energy(table, WIDE, VectorWork(ops=1000, dram_bytes=10, cycles=0))
    assert energy.vector_pj == pytest.approx(500 * 3.7 + 500 * 0.9)
    assert energy.dram_pj == pytest.approx(80 * 30.5)
    assert energy.total_pj == pytest.approx(energy.vector_pj + energy.dram_pj)
    assert vector_energy(table, WIDE, VectorWork(0, 0, 500)).leakage_pj > 0


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.sampled_from(["forward", "backward", "update"]))
def test_bandwidth_and_lanes_bound_the_time(activations: int, weights: int, passes) -> None:
    work = vector_work(NARROW, activations, weights, passes)
    assert work.cycles * 2 >= work.dram_bytes
    assert work.cycles * 8 >= work.ops
    assert vector_work(IDEAL, activations, weights, passes).cycles <= work.cycles
    assert work.ops == 0 or work.dram_bytes > 0


def test_bad_input() -> None:
    with pytest.raises(AccelsimError, match="at least 0"):
        vector_work(WIDE, -1, 0, "forward")
    with pytest.raises(AccelsimError, match="'sideways' is unknown"):
        vector_work(WIDE, 1, 0, "sideways")  # type: ignore[arg-type]
