"""Every shipped trace is small, whole, from a run that learned, and made by the command it states."""

import csv
import json
import shlex
from pathlib import Path

import numpy as np
import pytest

from accelsim.trace import open_trace

TRACES = Path(__file__).parents[2] / "traces"
shipped = pytest.mark.parametrize("path", sorted(TRACES.glob("*.pkl")), ids=lambda path: path.stem)


def test_there_is_one() -> None:
    assert list(TRACES.glob("*.pkl"))


@shipped
def test_a_shipped_trace_is_small_and_has_several_steps_from_dense_to_sparse(path: Path) -> None:
    results = json.loads((path.with_suffix("") / "results.json").read_text())
    rows = list(csv.DictReader((path.with_suffix("") / "loss.csv").open()))
    assert path.stat().st_size < 4_000_000
    trace = open_trace(path)
    assert shlex.split(trace.meta["command"]) == shlex.split(results["command"])
    weights: dict[int, dict[str, tuple[int, int]]] = {}
    for op in trace:
        mask = op.masks["weight"]
        if op.name in results["sparsity"]["layers"] and op.call == 0:  # scp's second view has masks of its own
            weights.setdefault(op.step, {})[op.name] = (mask.nonzeros, mask.size)
    assert len(weights) >= 3
    for step, layers in weights.items():
        assert layers.keys() == results["sparsity"]["layers"].keys()
        nonzeros, sizes = np.array(list(layers.values())).sum(0)
        assert 1 - nonzeros / sizes == pytest.approx(float(rows[step]["sparsity"]), abs=1e-3)
    last = {name: 1 - nonzeros / size for name, (nonzeros, size) in weights[max(weights)].items()}
    assert last == pytest.approx(results["sparsity"]["layers"], abs=1e-6)
    assert sum(nonzeros for nonzeros, _ in weights[min(weights)].values()) == sum(
        size for _, size in weights[min(weights)].values()
    )


@shipped
def test_the_run_behind_a_shipped_trace_learned(path: Path) -> None:
    results = json.loads((path.with_suffix("") / "results.json").read_text())
    losses = [float(row["loss"]) for row in csv.DictReader((path.with_suffix("") / "loss.csv").open())]
    assert len(losses) == results["config"]["steps"]
    assert np.mean(losses[-20:]) == pytest.approx(results["loss"]["last_steps"], abs=1e-5)
    assert results["loss"]["last_steps"] < 0.8 * results["loss"]["first_steps"]
    assert results["knn_accuracy"]["trained"] > results["knn_accuracy"]["untrained"] + 0.03
