"""An explanation says how well a pass uses a DRAM with rows."""

from __future__ import annotations

import io

import numpy as np
import pytest
from rich.console import Console

from accelsim import Hardware, OpTrace
from accelsim.explain import explain
from accelsim.show.explanation import explanation_text

pytestmark = pytest.mark.closed_form


def machine(**dram: object) -> Hardware:
    return Hardware.model_validate(
        {"name": "m", "array": {"rows": 16, "cols": 16}, "memory": {"dram": dram}, "mapping": {"search": "best"}}
    )


def test_bursts_and_rows_of_one_transfer_each() -> None:
    """16 x 64 weights, 16 x 64 inputs, 16 x 16 outputs of 2 bytes: 32, 32 and 8 bursts of 64 bytes; a page each."""
    layer = OpTrace(name="fc", step=0, weight=np.ones((16, 64)), input=np.ones((16, 64)))
    hw = machine(model="ddr4_2400")
    (part,) = explain(hw, layer, ["forward"]).passes
    memory = part.memory
    assert memory.rows is not None
    # all lie in the same row of four bank groups
    assert (memory.rows.bursts, memory.rows.activations) == (32 + 32 + 8, 4)
    assert memory.rows.hit_rate == pytest.approx(1 - 4 / 72)
    moved = memory.dram_read_bytes + memory.dram_write_bytes
    assert moved == 72 * 64
    assert memory.rows.efficiency == pytest.approx(moved / (38.4 * memory.rows.busy_cycles))
    assert memory.without["bandwidth"] <= memory.without["latency"] <= memory.cycles
    out = io.StringIO()
    Console(file=out, width=400).print(explanation_text(explain(hw, layer, ["forward"])))
    assert "94.4% of 72 bursts find their row open." in out.getvalue()
    assert explain(machine(bytes_per_cycle=8.0), layer, ["forward"]).passes[0].memory.rows is None
