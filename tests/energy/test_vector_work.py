"""The work between the products, redone by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim.energy.load import load_table
from accelsim.energy.vector_work import PRICES, ROWS, VectorWork, vector_energy, vector_work
from accelsim.hardware.model import Hardware
from accelsim.trace.other_work import KINDS


def machine(dram: dict[str, float] | None, **parts: object) -> Hardware:
    return Hardware.model_validate(
        {"name": "m", "array": {"rows": 4, "cols": 8}, "memory": {"dram": dram}, "precision": {"operand_bits": 16}}
        | parts
    )


WIDE, NARROW, IDEAL = machine({"bytes_per_cycle": 1e6}), machine({"bytes_per_cycle": 2}), machine(None)
BATCH_NORM = {"batch_norm": 100}


@pytest.mark.closed_form
def test_by_hand() -> None:
    # 100 fp16 outputs: 5 operations each on 8 lanes; read and written once, 2 bytes each.
    assert vector_work(WIDE, BATCH_NORM) == {"norm": VectorWork(ops=500, dram_bytes=400, cycles=63)}
    assert vector_work(NARROW, BATCH_NORM) == {"norm": VectorWork(ops=500, dram_bytes=400, cycles=200)}
    assert vector_work(IDEAL, BATCH_NORM) == {"norm": VectorWork(ops=500, dram_bytes=0, cycles=63)}
    both = vector_work(WIDE, BATCH_NORM | {"batch_norm_backward": 100, "relu": 100})
    assert both["norm"] == VectorWork(ops=1400, dram_bytes=1400, cycles=63 + 113)
    assert both["activation"] == VectorWork(ops=100, dram_bytes=0, cycles=13)
    # 7 weights: 6 operations each; w, m, g read and w, m written in fp32, and w again in fp16: 22 bytes each.
    assert vector_work(WIDE, {"momentum": 7}) == {"optimizer": VectorWork(ops=42, dram_bytes=154, cycles=6)}


@pytest.mark.closed_form
def test_lanes_are_the_machines() -> None:
    assert WIDE.vector_lanes == 8
    assert machine(None, array={"rows": 4, "cols": 8, "count": 4}).vector_lanes == 32
    wide = machine(None, vector={"lanes": 100})
    assert wide.vector_lanes == wide.dense().vector_lanes == 100
    assert vector_work(wide, BATCH_NORM)["norm"].cycles == 5


def test_every_kind_has_a_price() -> None:
    assert PRICES.keys() == KINDS
    assert all(price.ops > 0 and price.row in ROWS for price in PRICES.values())


def test_energy_by_hand() -> None:
    table = load_table("horowitz-45nm")
    energy = vector_energy(table, WIDE, VectorWork(ops=1000, dram_bytes=10, cycles=0))
    assert energy.vector_pj == pytest.approx(500 * 3.7 + 500 * 0.9)
    assert energy.dram_pj == pytest.approx(80 * 8)
    assert energy.total_pj == pytest.approx(energy.vector_pj + energy.dram_pj)
    assert vector_energy(table, WIDE, VectorWork(0, 0, 500)).leakage_pj > 0


@given(st.dictionaries(st.sampled_from(sorted(KINDS)), st.integers(0, 10**9)))
def test_bandwidth_and_lanes_bound_the_time(tally: dict[str, int]) -> None:
    for row, work in vector_work(NARROW, tally).items():
        assert work.cycles * 2 >= work.dram_bytes
        assert work.cycles * 8 >= work.ops
        assert vector_work(IDEAL, tally)[row].cycles <= work.cycles
