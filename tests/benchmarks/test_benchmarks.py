"""Benchmarks run, on the smallest sizes they take, and print numbers (scalesim_peer needs another environment)."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import pytest

from accelsim import TraceWriter, synthesize
from accelsim.synth.topology import Layer

pytestmark = pytest.mark.smoke
ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "benchmarks"
TINY = {
    "kernels": "--quick --m 8 --n 16 --repeats 1",
    "scaling": "--quick --repeats 1 --part workers --part memory",
    "startup": "--quick --repeats 1 --part help --part sweep",
    "peers": "--layers 1 --repeats 1",
    "whole_step": "--width 4 --batch 4 --warm-batch 4 --warm-steps 1 --pairs 1 --sync row",
    "tracer_cost": "--width 4 --batch 2 --pairs 1",
    "gate_cost": "--steps 1",
    "packing": "--hw join8x16",
    "larger_buffers": "--passes 3 --compressed",
    "traffic": "--batch 1 --layers 1 --network resnet50",
}


def run(name: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a benchmark's `main` as if from the command line."""
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)  # where dataclasses look for annotations
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *arguments])
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    spec.loader.exec_module(module)
    module.main()


@pytest.mark.parametrize("name", TINY)
def test_a_benchmark_runs(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    run(name, TINY[name].split(), monkeypatch)
    printed = capsys.readouterr().out
    assert re.search(r"\d", printed.splitlines()[-1]), printed
    assert "nan" not in printed


def test_made_up_traces_stand_beside_recorded_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    layer = Layer(name="conv", c_in=8, c_out=8, kernel=(3, 3), padding=(1, 1), image=(8, 8), after_relu=True)
    made = synthesize([layer], batch=1, activation_density=0.5)
    with TraceWriter(tmp_path / "step.pkl", made.meta) as writer:
        for op in made:
            writer.write(op)
    spec = importlib.util.spec_from_file_location("beside", FOLDER / "synth_beside_recorded.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main([tmp_path / "step.pkl"], [ROOT / "hw_configs" / "pe16x16.yaml"])
    assert "weight_grad" in capsys.readouterr().out
