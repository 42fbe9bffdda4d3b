"""What each method and pattern promises holds bit by bit in the shipped traces."""

import re
from pathlib import Path

import numpy as np
import pytest

from accelsim.trace import open_trace
from accelsim.trace.training_run import TrainingRun
from tests.ssl.test_shipped_traces import PATHS, results_of, shipped


def counts(weight: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Return how many weights live in each block of output by input channels, at each kernel position."""
    outputs, inputs, *kernel = weight.shape
    blocks = weight.reshape(outputs // rows, rows, inputs // columns, columns, *kernel)
    return np.asarray(blocks.sum((1, 3)))


def follows(pattern: str, weight: np.ndarray) -> bool:
    """Whether all units of a weight are whole or pruned as the pattern prunes them."""
    if pattern == "element":
        return True
    if pattern == "channel":
        return set(weight.reshape(len(weight), -1).sum(1)) <= {0, weight[0].size}
    numbers = [int(number) for number in re.findall(r"\d+", pattern)]
    if ":" not in pattern:
        return set(np.unique(counts(weight, *numbers))) <= {0, numbers[0] * numbers[1]}
    alive = [counts(weight, 1, numbers[1])]
    if pattern.startswith("transposable"):
        alive.append(counts(weight, numbers[1], 1))
    return all(set(np.unique(found)) <= set(numbers) for found in alive)


def in_encoder(name: str, layers: dict[str, float]) -> bool:
    """Whether an operation is a sparse layer's, in the online encoder or in the one that follows it."""
    return "encoder." in name and "encoder." + name.rpartition("encoder.")[2] in layers


@shipped
def test_units_are_whole_in_every_sparse_layer_and_recorded_step(path: Path) -> None:
    results = results_of(path)
    pattern, layers = results["config"]["pattern"], results["sparsity"]["layers"]
    if not results["config"]["sparsity"]:
        pytest.skip("its weights are dense")
    last = open_trace(path).steps[-1]
    checked = 0
    for op in open_trace(path):
        if in_encoder(op.name, layers):
            assert op.weight is not None
            assert follows(pattern, op.weight), (op.name, op.step, op.call)
            checked += 1
            if ":" in pattern and op.step == last and op.name.startswith("encoder.") and op.call == 0:
                kept, group = (int(number) for number in re.findall(r"\d+", pattern))
                assert (counts(op.weight, 1, group) == kept).all()
    assert checked >= len(layers) * len(open_trace(path).steps)


@shipped
def test_only_growth_steps_compute_the_gradients_of_pruned_weights(path: Path) -> None:
    results, trace = results_of(path), open_trace(path)
    config, layers = results["config"], results["sparsity"]["layers"]
    run = TrainingRun.from_meta(trace.meta)
    if not config["sparsity"]:
        pytest.skip("its weights are dense")
    growth = run.growth_steps if run is not None else ()  # the older traces have no growth step
    for entry in trace.entries:
        if in_encoder(entry.name, layers) and "grad_output" in entry.masks:
            weight, needed = entry.masks["weight"], entry.masks.get("weight_grad_needed")
            computed = weight.size if needed is None else needed.nonzeros
            if entry.step in growth or config["method"] == "sr-ste":  # straight-through gradients
                assert computed == weight.size
            else:
                assert computed == weight.nonzeros, (entry.name, entry.step)


@shipped
def test_a_momentum_encoder_has_no_gradients_and_is_as_sparse_as_its_method_says(path: Path) -> None:
    results, trace = results_of(path), open_trace(path)
    config = results["config"]
    forward_only = [entry for entry in trace.entries if "grad_output" not in entry.masks]
    if config["framework"] not in ("moco", "byol"):
        assert not forward_only
        return
    assert forward_only
    for entry in forward_only:
        assert not entry.needs_input_grad
        assert not entry.needs_weight_grad
    last = [
        entry.masks["weight"]
        for entry in forward_only
        if entry.step == trace.steps[-1] and in_encoder(entry.name, results["sparsity"]["layers"])
    ]
    pruned = 1 - sum(mask.nonzeros for mask in last) / sum(mask.size for mask in last)
    expected = {"one-branch": 0.0, "scp": config["sparsity"] - config["gap"]}.get(config["method"], config["sparsity"])
    # With masks of its own (scp) it may use weights that were never alive online: they follow a zero, and are one.
    slack = 0.02 if config["method"] == "scp" else 1e-3
    assert expected - 1e-3 <= pruned <= expected + slack


@pytest.mark.parametrize("path", [path for path in PATHS if "_gates" in path.stem], ids=lambda path: path.stem)
def test_gates_close_outputs_together_and_their_gradients_are_zero(path: Path) -> None:
    channels = results_of(path)["config"]["gate_channels"]
    shares = []
    for op in open_trace(path):
        if op.output_needed is not None:
            images, outputs, *pixels = op.output_needed.shape
            slices = op.output_needed.reshape(images, outputs // channels, channels, *pixels)
            assert (slices == slices[:, :, :1]).all()
            assert op.grad_output is not None
            assert not (op.grad_output & ~op.output_needed).any()
            shares.append(op.output_needed.mean())
    assert shares
    assert 0.05 < np.mean(shares) < 0.95


@pytest.mark.parametrize("path", [path for path in PATHS if "_gradients" in path.stem], ids=lambda path: path.stem)
def test_pruned_gradients_are_zero_behind_batch_norm(path: Path) -> None:
    layers = {
        entry.name: entry.masks["grad_output"]
        for entry in open_trace(path).entries
        if entry.name.startswith("encoder.layer")
    }
    assert layers
    for mask in layers.values():
        assert 0.02 < mask.nonzeros / mask.size < 0.7
