"""Every shipped machine loads, runs a step's worth of layers, and explains them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from accelsim import OpTrace, load_hardware, simulate
from accelsim.explain import explain

pytestmark = pytest.mark.smoke
CONFIGS = sorted((Path(__file__).parents[1] / "hw_configs").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_shipped_machine_runs(path: Path) -> None:
    rng = np.random.default_rng(0)
    hw = load_hardware(path)
    assert hw.name == path.stem
    assert path.read_text().startswith("#")  # says what it stands for
    shapes = ((32, 3, 3, 1, 1), (32, 32, 3, 2, 1), (32, 1, 3, 1, 32), (10, 32, 1, 1, 1))
    ops = []
    for index, (outputs, inputs, kernel, stride, groups) in enumerate(shapes):
        op = OpTrace(
            name=f"layer{index}",
            step=0,
            weight=rng.random((outputs, inputs, kernel, kernel)) < 0.3,
            input=rng.random((2, inputs * groups, 8, 8)) < 0.5,
            stride=(stride, stride),
            padding=(kernel // 2, kernel // 2),
            groups=groups,
            grad_output=rng.random((2, outputs, 8 // stride, 8 // stride)) < 0.9,
        )
        ops.append(op)
        assert len(explain(hw, op).passes) == 3
    layers = simulate(hw, ops, workers=1).layers
    assert len(layers) == 12
    assert (layers["cycles"] >= layers["array_cycles"]).all()
