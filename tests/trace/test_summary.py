"""The summary counts what the records say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accelsim.trace import OpTrace, open_trace
from accelsim.trace.summary import summarize
from tests.trace.operations import ops, small_op, write_trace


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ops(), max_size=5))
def test_totals(tmp_path: Path, written: list[OpTrace]) -> None:
    path = tmp_path / "run.pkl"
    write_trace(path, written)
    summary = summarize(open_trace(path))
    assert sum(layer.records for layer in summary.layers) == summary.records == len(written)
    assert sum(step.records for step in summary.steps) == len(written)
    backward = [op for op in written if op.grad_output is not None]
    expected = {
        "forward": sum(op.macs for op in written),
        "input_grad": sum(op.macs for op in backward if op.needs_input_grad),
        "weight_grad": sum(op.macs for op in backward if op.needs_weight_grad),
    }
    assert summary.macs == expected
    for parts in (summary.steps, summary.layers):
        for name, macs in expected.items():
            assert sum(part.macs[name] for part in parts) == macs  # type: ignore[index]


def test_one_layer_called_twice_in_two_steps(tmp_path: Path) -> None:
    written = [small_op("a", step=step, call=call, seed=2 * step + call) for step in (0, 1) for call in (0, 1)]
    written += [small_op("a", step=1, call=2, grad_output=None, recomputed=True), small_op("b", step=1)]
    path = tmp_path / "run.pkl"
    unlowered = {"attention": {"count": 3, "macs": 99, "reason": "fused"}, "odd": None}
    write_trace(path, written, {"model": "tiny", "unlowered": unlowered})
    summary = summarize(open_trace(path))
    assert [layer.name for layer in summary.layers] == ["a", "b"]
    layer = summary.layers[0]
    assert (layer.records, layer.calls_per_step, layer.steps, layer.forward_only, layer.recomputed) == (5, 3, 2, 1, 1)
    assert layer.densities == {
        "weight": pytest.approx(np.mean([op.weight for op in written[:5]])),
        "input": pytest.approx(np.mean([op.input for op in written[:5]])),
        "grad_output": pytest.approx(np.mean([op.grad_output for op in written[:4]])),
    }
    assert summary.meta == {"model": "tiny"}
    notes = [(note.name, note.count, note.macs, note.reason) for note in summary.unlowered]
    assert notes == [("attention", 3, 99, "fused"), ("odd", 0, None, "")]


def test_a_layer_of_two_geometries_is_two_layers(tmp_path: Path) -> None:
    path = tmp_path / "run.pkl"
    write_trace(path, [small_op("a"), small_op("a", input=np.ones((2, 3, 6, 5)), grad_output=None)])
    assert [layer.input_shape[0] for layer in summarize(open_trace(path)).layers] == [1, 2]
