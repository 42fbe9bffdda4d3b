"""The whole run: resuming, recording, what it leaves behind."""

import csv
import json
import signal
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from accelsim.errors import AccelsimWarning, TracingError, TrainingError
from accelsim.sparsity.masks import weight_mask
from accelsim.ssl.checkpoint import load_checkpoint
from accelsim.ssl.frameworks import FRAMEWORKS
from accelsim.ssl.image_set import ImageSet
from accelsim.ssl.train import Recording, train
from accelsim.ssl.training import Training
from accelsim.trace import open_trace
from accelsim.tracing import recorder
from tests.ssl.conftest import TINY

pytestmark = pytest.mark.usefixtures("tiny_data")


def _stop_at(step: int):
    def on_step(training: Training) -> None:
        if training.step == step:
            signal.raise_signal(signal.SIGINT)

    return on_step


def _assert_same(one: object, other: object, where: str = "") -> None:
    assert type(one) is type(other), where
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other), where
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            _assert_same(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, list):
        assert len(one) == len(other), where
        for index, pair in enumerate(zip(one, other, strict=True)):
            _assert_same(*pair, f"{where}[{index}]")
    else:
        assert one == other, where


@pytest.mark.parametrize(("framework", "stop"), [("simclr", 1), ("simclr", 5), *((name, 3) for name in FRAMEWORKS)])
def test_a_run_stopped_and_resumed_equals_one_that_was_not(tmp_path: Path, framework: str, stop: int) -> None:
    config = replace(TINY, framework=framework, queue=10)
    whole = train(config, tmp_path / "whole/run")
    before = signal.getsignal(signal.SIGINT)
    assert train(config, tmp_path / "parts/run", on_step=_stop_at(stop)) is None
    assert signal.getsignal(signal.SIGINT) is before
    assert load_checkpoint(tmp_path / "parts/run/checkpoint.pt")["step"] == stop
    assert not (tmp_path / "parts/run/results.json").exists()
    torch.manual_seed(999)
    parts = train(config, tmp_path / "parts/run", resume=True)
    _assert_same(*(dict(load_checkpoint(tmp_path / name / "run/checkpoint.pt")) for name in ("whole", "parts")))
    assert (tmp_path / "whole/run/loss.csv").read_text() == (tmp_path / "parts/run/loss.csv").read_text()
    assert whole == parts


def test_a_run_killed_goes_on_from_its_last_checkpoint(tmp_path: Path) -> None:
    class KilledError(Exception):
        pass

    def kill(training: Training) -> None:
        if training.step == 5:
            raise KilledError

    train(TINY, tmp_path / "whole")
    with pytest.raises(KilledError):
        train(TINY, tmp_path / "parts", checkpoint_every=2, on_step=kill)
    assert load_checkpoint(tmp_path / "parts/checkpoint.pt")["step"] == 4
    train(TINY, tmp_path / "parts", resume=True)
    _assert_same(*(dict(load_checkpoint(tmp_path / run / "checkpoint.pt")) for run in ("whole", "parts")))


def test_what_a_run_leaves_behind(tmp_path: Path) -> None:
    found = train(TINY, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "checkpoint.pt",
        "loss.csv",
        "loss.png",
        "loss.svg",
        "masks.csv",
        "results.json",
    ]
    assert json.loads((tmp_path / "results.json").read_text()) == found
    rows = list(csv.DictReader((tmp_path / "loss.csv").open()))
    assert [int(row["step"]) for row in rows] == list(range(6))
    losses = load_checkpoint(tmp_path / "checkpoint.pt")["losses"].tolist()
    assert [float(row["loss"]) for row in rows] == pytest.approx(losses, abs=1e-6)
    # Updates at steps 1 and 3 of a ramp from step 1 to 4, and at its end.
    ramp = [0, 0, 0, 0.8 * (1 - (1 / 3) ** 3), 0.8, 0.8]
    assert [float(row["sparsity"]) for row in rows] == pytest.approx(ramp, abs=1e-4)
    assert found["sparsity"]["total"] == pytest.approx(0.8, abs=1e-3)
    assert found["command"].startswith("accelsim train --framework simclr --arch resnet18 --width 2 ")
    assert ET.parse(tmp_path / "loss.svg").getroot().tag.endswith("svg")
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_results_hold_accuracies_and_operations(tmp_path: Path) -> None:
    found = train(TINY, tmp_path, Recording(tmp_path / "run.pkl", every=1))
    assert "linear_probe_accuracy" not in found
    dense, masked = [0] * TINY.steps, [0] * TINY.steps
    for op in open_trace(tmp_path / "run.pkl"):
        if op.kind == "conv":
            passes = 1 + op.needs_input_grad + op.needs_weight_grad
            dense[op.step] += 2 * passes * op.macs
            mask = op.masks["weight"]
            masked[op.step] += 2 * passes * op.macs * mask.nonzeros // mask.size
    flops = found["flops_per_step"]
    assert [flops["dense"]] * TINY.steps == dense
    assert flops["masked_mean"] == sum(masked) // TINY.steps
    assert flops["masked_share"] == pytest.approx(sum(masked) / sum(dense))
    # A finished run is evaluated again without a step of training.
    again = train(TINY, tmp_path, Recording(tmp_path / "run.pkl", every=1), resume=True, linear_probe=True)
    assert 0 <= again.pop("linear_probe_accuracy") <= 1
    assert again.pop("command") == found.pop("command") + " --linear-probe"
    assert again == found


def test_a_run_is_not_overwritten_nor_resumed_with_other_options(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="start it without --resume"):
        train(TINY, tmp_path, resume=True)
    train(TINY, tmp_path, on_step=_stop_at(2))
    with pytest.raises(TrainingError, match="holds a run already: pass --resume"):
        train(TINY, tmp_path)
    with pytest.raises(TrainingError, match=r"has learning_rate 0.001, not 0.1"):
        train(replace(TINY, learning_rate=0.1), tmp_path, resume=True)
    with pytest.raises(TrainingError, match="checkpoint_every is 0"):
        train(TINY, tmp_path, resume=True, checkpoint_every=0)
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(TrainingError, match="cannot be made a directory"):
        train(TINY, file)


def test_recorded_weights_have_the_masks_zeros_and_views_are_two_calls(tmp_path: Path) -> None:
    path = tmp_path / "run.pkl"
    masks: dict[tuple[int, str], torch.Tensor] = {}

    def remember(training: Training) -> None:
        for name, layer in training.model.encoder.named_modules():
            if (found := weight_mask(layer)) is not None:
                masks[training.step - 1, f"encoder.{name}"] = found.mask.clone()

    train(TINY, tmp_path / "out", Recording(path, every=2, start=1), on_step=remember)
    trace = open_trace(path)
    seen = {(op.step, op.name, op.call) for op in trace}
    assert {step for step, _, _ in seen} == {1, 3, 5}
    assert {(1, "encoder.conv1", 0), (1, "encoder.conv1", 1), (5, "projector.2", 1)} <= seen
    assert not [call for _, _, call in seen if call > 1]
    compared = 0
    for op in trace:
        if (op.step, op.name) in masks:
            assert torch.equal(torch.from_numpy(op.weight), masks[op.step, op.name]), op.name
            assert op.needs_input_grad
            assert op.needs_weight_grad
            compared += 1
    assert compared == 3 * 2 * 19
    assert trace.meta["framework"] == "simclr"
    command = trace.meta["command"]
    assert command.startswith("accelsim train --framework simclr ")
    assert command.endswith("--out out --record run.pkl --record-every 2 --record-start 1 --zero-as exact")


def test_a_resumed_run_records_into_another_file(tmp_path: Path) -> None:
    whole, path = tmp_path / "whole.pkl", tmp_path / "run.pkl"
    train(TINY, tmp_path / "a", Recording(whole))
    train(TINY, tmp_path / "b", Recording(path), on_step=_stop_at(2))
    first = path.read_bytes()
    with pytest.warns(AccelsimWarning, match="run.part2.pkl is empty: only step 2 ran"):
        train(TINY, tmp_path / "b", Recording(path), resume=True, on_step=_stop_at(3))
    with pytest.warns(AccelsimWarning, match="run.part3.pkl is empty: steps 3 to 5 ran"):
        found = train(TINY, tmp_path / "b", Recording(path), resume=True)
    assert path.read_bytes() == first
    assert found["traces"] == ["run.pkl", "run.part2.pkl", "run.part3.pkl"]
    parts = [op for name in found["traces"] for op in open_trace(tmp_path / name)]
    for one, other in zip(open_trace(whole), parts, strict=True):
        assert (one.name, one.step, one.call, one.masks) == (other.name, other.step, other.call, other.masks)
    # Nothing is left to record.
    train(TINY, tmp_path / "b", Recording(path), resume=True)
    assert not (tmp_path / "run.part4.pkl").exists()


def test_a_recording_that_breaks_does_not_end_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(TINY, tmp_path / "a")
    monkeypatch.setattr(recorder, "pack", lambda *_: 1 // 0)
    with pytest.warns(AccelsimWarning, match="the training goes on: ZeroDivisionError"):
        train(TINY, tmp_path / "b", Recording(tmp_path / "run.pkl"))
    _assert_same(*(dict(load_checkpoint(tmp_path / run / "checkpoint.pt")) for run in "ab"))
    assert list(open_trace(tmp_path / "run.pkl")) == []


def test_what_cannot_be_recorded_is_refused_before_training(tmp_path: Path) -> None:
    path = tmp_path / "run.pkl"
    path.write_bytes(b"precious")
    with pytest.raises(TrainingError, match="exists already"):
        train(TINY, tmp_path / "out", Recording(path))
    assert path.read_bytes() == b"precious"
    with pytest.raises(TracingError):
        train(TINY, tmp_path / "out", Recording(tmp_path / "other.pkl", zero_as="int9"))
    with pytest.raises(TracingError):
        train(TINY, tmp_path / "out", Recording(tmp_path / "other.pkl", every=0))
    assert not (tmp_path / "out").exists()


def test_a_dense_run_has_no_masks(tmp_path: Path, tiny_data: ImageSet) -> None:
    found = train(replace(TINY, sparsity=0.0, steps=1), tmp_path)
    assert found["sparsity"] == {"total": 0.0, "branches": [0.0], "layers": {}}
