"""A tiny trace, a small machine, and space files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from accelsim import Hardware, OpTrace, Result, TraceWriter, pipeline
from accelsim.errors import AccelsimError

MACHINE = {
    "name": "small",
    "array": {"rows": 4, "cols": 4, "lanes": 1},
    "skipping": {"tensors": ["weight", "activation", "gradient"], "scan_width": 4, "fifo_depth": 8, "outputs": True},
    "memory": {
        "dram": {"bytes_per_cycle": 8, "latency_cycles": 10},
        "buffers": {"weight_kib": 4, "input_kib": 4, "output_kib": 4},
        "compression": ["weight"],
    },
}


def write_trace(path: Path, seed: int = 0, layers: int = 2, image: int = 5, steps: int = 1) -> Path:
    rng = np.random.default_rng(seed)
    with TraceWriter(path, meta={}) as writer:
        for step, layer in product(range(steps), range(layers)):
            writer.write(
                OpTrace(
                    name=f"conv{layer}",
                    step=step,
                    weight=rng.random((6, 4, 3, 3)) < 0.3,
                    input=rng.random((2, 4, image, image)) < 0.5,
                    grad_output=rng.random((2, 6, image, image)) < 0.9,
                    padding=(1, 1),
                    needs_input_grad=layer > 0,
                )
            )
    return path


@pytest.fixture
def space_file(tmp_path: Path) -> Callable[..., Path]:
    """Write a space file beside the machine and a trace."""
    (tmp_path / "hw.yaml").write_text(yaml.safe_dump(MACHINE, sort_keys=False))
    write_trace(tmp_path / "a.pkl")

    def write(space: str, more: str = "", traces: str = "[a.pkl]") -> Path:
        path = tmp_path / "space.yaml"
        path.write_text(f"hw: hw.yaml\ntraces: {traces}\nspace: {space}\n{more}")
        return path

    return write


@pytest.fixture
def wide_arrays_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulating an array of more than 1,000 columns in this process raises."""
    simulate_many = pipeline.simulate_many

    def checked(hardware: Sequence[Hardware], *args: Any, **kwargs: Any) -> list[Result]:
        for hw in hardware:
            if hw.array.cols > 1000:
                raise AccelsimError(f"an array of {hw.array.cols} columns")
        return simulate_many(hardware, *args, **kwargs)

    monkeypatch.setattr(pipeline, "simulate_many", checked)
