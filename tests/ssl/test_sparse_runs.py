"""Sparse methods inside a run: which encoder they prune, what a step costs, and that a resumed run goes on alike."""

import copy
import csv
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from accelsim.sparsity import GatedConv2d, total_sparsity
from accelsim.sparsity.masks import weight_mask
from accelsim.ssl.config import TrainConfig
from accelsim.ssl.image_set import ImageSet
from accelsim.ssl.train import Recording, train
from accelsim.ssl.training import Training
from accelsim.trace import open_trace
from tests.ssl.conftest import TINY

METHODS = {
    "gmp": TINY,
    "one-branch": replace(TINY, method="one-branch"),
    "set": replace(TINY, method="set"),
    "rigl": replace(TINY, method="rigl"),
    "granet": replace(TINY, method="granet", criterion="ema-magnitude"),
    "sr-ste": replace(TINY, method="sr-ste", pattern="1:2", sparsity=0.5),
    "scp": replace(TINY, method="scp", criterion="ema-magnitude", exchange=0.5),
    "scp blocks": replace(TINY, method="scp", pattern="2x2"),
}
every_method = pytest.mark.parametrize("method", METHODS)


def _config(method: str, framework: str) -> TrainConfig:
    return replace(METHODS[method], framework=framework, queue=6)


@every_method
@pytest.mark.parametrize("framework", ["simclr", "byol"])
def test_a_resumed_run_goes_on_bit_for_bit(method: str, framework: str, tiny_data: ImageSet) -> None:
    whole = Training(_config(method, framework), tiny_data)
    for _ in range(3):
        whole.advance()
    middle = copy.deepcopy(whole.state())
    torch.manual_seed(77)
    resumed = Training(_config(method, framework), tiny_data)
    resumed.load_state(middle)
    for _ in range(3):
        whole.advance()
        resumed.advance()
    one, other = whole.state(), resumed.state()
    assert one["losses"].tolist() == other["losses"].tolist()
    assert (one["flops"], one["mask_updates"]) == (other["flops"], other["mask_updates"])
    assert all(torch.equal(value, other["model"][name]) for name, value in one["model"].items())
    assert whole.sparsity == pytest.approx(whole.config.sparsity, abs=0.01)


@every_method
@pytest.mark.parametrize("framework", ["moco", "simsiam"])
def test_the_second_branch_is_pruned_as_the_method_says(method: str, framework: str, tiny_data: ImageSet) -> None:
    training = Training(_config(method, framework), tiny_data)
    for _ in range(6):
        training.advance()
    online = training.config.sparsity
    wanted = {"one-branch": 0.0, "scp": online - 0.3}.get(training.config.method, online)
    if framework == "moco":
        assert training.model.momentum_encoder is not None
        found = total_sparsity(training.model.momentum_encoder)
    else:
        masks = [mask.of(1) for layer in training.model.modules() if (mask := weight_mask(layer)) is not None]
        found = 1 - sum(int(mask.sum()) for mask in masks) / sum(mask.numel() for mask in masks)
    assert found == pytest.approx(wanted, abs=0.01)


def test_operations_follow_branch_masks_and_growth_steps(tmp_path: Path, tiny_data: ImageSet) -> None:
    """Summed from the recorded masks of every call, against what the run counted."""
    config = replace(METHODS["scp"], framework="simclr")
    found = train(config, tmp_path / "out", Recording(tmp_path / "run.pkl", every=1))
    masked = 0
    densities: dict[int, set[float]] = {}
    for op in open_trace(tmp_path / "run.pkl"):
        if op.kind != "conv":
            continue
        weight = op.masks["weight"]
        needed = op.masks.get("weight_grad_needed")
        learned = op.needs_weight_grad * (weight.size if needed is None else needed.nonzeros)
        masked += 2 * op.macs * ((1 + op.needs_input_grad) * weight.nonzeros + learned) // weight.size
        if op.name == "encoder.layer4.1.conv2" and op.step == 5:
            densities.setdefault(op.call, set()).add(weight.nonzeros / weight.size)
    assert densities[0].pop() < densities[1].pop()
    assert found["flops_per_step"]["masked_mean"] == pytest.approx(masked / config.steps, rel=1e-3)
    assert found["sparsity"]["branches"] == pytest.approx([0.8, 0.5], abs=0.01)
    rows = list(csv.DictReader((tmp_path / "out/masks.csv").open()))
    assert [int(row["step"]) for row in rows] == [1, 3, 4]
    assert float(rows[-1]["sparsity"]) == pytest.approx(0.8, abs=1e-3)
    assert float(rows[-1]["second_sparsity"]) == pytest.approx(0.5, abs=1e-3)
    assert all(0 < float(row["overlap_branches"]) <= 1 for row in rows)


@pytest.mark.parametrize("framework", ["simclr", "byol"])
def test_gated_runs_count_open_outputs_and_resume(framework: str, tmp_path: Path, tiny_data: ImageSet) -> None:
    """Masked and gated at once; summed from the recorded outputs that were needed, against what the run counted."""
    config = replace(METHODS["gmp"], framework=framework, width=4, gate_channels=2, second_gate_threshold=1.0)
    found = train(config, tmp_path / "out", Recording(tmp_path / "run.pkl", every=1))
    total = 0.0
    open_shares: dict[bool, list[float]] = {False: [], True: []}
    for op in open_trace(tmp_path / "run.pkl"):
        if op.kind != "conv":
            continue
        weight, needed = op.masks["weight"], op.masks.get("output_needed")
        passes = 1 + (op.masks.get("grad_output") is not None) * (op.needs_input_grad + op.needs_weight_grad)
        share = 1.0 if needed is None else needed.nonzeros / needed.size
        total += 2 * op.macs * passes * weight.nonzeros / weight.size * share
        if op.name.endswith(".gated"):
            second = op.name.startswith("target.") if framework == "byol" else op.call == 1
            open_shares[second].append(share)
    assert found["flops_per_step"]["masked_mean"] == pytest.approx(total / config.steps, rel=1e-3)
    assert sum(open_shares[True]) < sum(open_shares[False])
    half = Training(config, tiny_data)
    for _ in range(3):
        half.advance()
    state = copy.deepcopy(half.state())
    again = Training(config, tiny_data)
    again.load_state(state)
    for training in (half, again):
        for _ in range(3):
            training.advance()
    assert (half.losses, half.flops) == (again.losses, again.flops)


@pytest.mark.parametrize("framework", ["simclr", "byol"])
def test_runs_with_pruned_gradients_record_their_zeros_and_resume(
    framework: str, tmp_path: Path, tiny_data: ImageSet
) -> None:
    config = replace(TINY, framework=framework, gradient_sparsity=0.9)
    found = train(config, tmp_path / "out", Recording(tmp_path / "run.pkl", every=1))
    left, elements = 0, 0
    for op in open_trace(tmp_path / "run.pkl"):
        gradient = op.masks.get("grad_output")
        if op.name == "encoder.conv1" and gradient is not None:
            assert gradient.nonzeros == gradient.size
        if not op.name.startswith("encoder.layer") or gradient is None:
            continue
        left, elements = left + gradient.nonzeros, elements + gradient.size
    assert found["gradient_density"] == left / elements
    assert 0.3 < found["gradient_density"] < 0.7
    half = Training(config, tiny_data)
    for _ in range(3):
        half.advance()
    state = copy.deepcopy(half.state())
    for _ in range(3):
        half.advance()
    again = Training(config, tiny_data)
    again.load_state(state)
    for _ in range(3):
        again.advance()
    assert half.losses == again.losses
    assert half.state()["pruned_gradients"] == again.state()["pruned_gradients"]
    assert half.pruned_gradients is not None
    assert half.pruned_gradients.density == found["gradient_density"]


def test_dense_gradients_are_not_counted(tmp_path: Path, tiny_data: ImageSet) -> None:
    assert "gradient_density" not in train(TINY, tmp_path)


def test_a_run_of_one_branch_leaves_the_other_cells_empty(tmp_path: Path, tiny_data: ImageSet) -> None:
    train(TINY, tmp_path)
    (first, *_) = csv.DictReader((tmp_path / "masks.csv").open())
    assert first["second_sparsity"] == first["overlap_branches"] == ""


def test_masks_that_start_sparse_count_from_the_first_step(tiny_data: ImageSet) -> None:
    training = Training(METHODS["rigl"], tiny_data)
    training.advance()
    assert training.sparsities == pytest.approx([0.8], abs=0.01)
    assert training.flops.masked < 0.6 * training.flops.dense


@pytest.mark.parametrize("framework", ["simclr", "byol"])
def test_the_gates_penalty_closes_gates_and_stays_out_of_the_loss_that_is_told(
    framework: str, tiny_data: ImageSet
) -> None:
    config = replace(TINY, framework=framework, width=4, sparsity=0.0, gate_channels=1, optimizer="sgd", steps=12)
    shares, thresholds, losses = [], [], []
    for penalty in (0.0, 0.5, 2.0):
        training = Training(replace(config, learning_rate=0.01, gate_penalty=penalty, gate_target=2.0), tiny_data)
        for _ in range(12):
            training.advance()
        gates = [module for module in training.model.encoder.modules() if isinstance(module, GatedConv2d)]
        shares.append(sum(gate.open_share[0] for gate in gates) / len(gates))
        thresholds.append(sum(float(gate.threshold[0].mean()) for gate in gates) / len(gates))
        losses.append(training.losses)
    assert shares[0] > shares[1] + 0.05 > shares[2] + 0.1
    assert thresholds[0] < thresholds[1] < thresholds[2] < 2.0
    assert losses[0][0] == losses[1][0] == losses[2][0]
