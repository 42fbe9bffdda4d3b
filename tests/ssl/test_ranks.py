"""Two processes under `torchrun`: they share batches, average gradients and write a trace each."""

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from accelsim.errors import TrainingError
from accelsim.ssl import training as training_module
from accelsim.ssl.checkpoint import load_checkpoint
from accelsim.ssl.config import TrainConfig
from accelsim.ssl.data import load_data
from accelsim.ssl.image_set import ImageSet
from accelsim.ssl.ranks import average, share
from accelsim.ssl.training import Training
from accelsim.trace import open_trace
from accelsim.tracing.ranks import own_path
from tests.ssl.conftest import TINY

OPTIONS = ["--framework", "byol", "--width", "2", "--batch", "4", "--steps", "4", "--knn-images", "20", "--seed", "3"]


def _torchrun(where: Path, *options: str) -> subprocess.CompletedProcess[str]:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "accelsim"]
    command = [*launcher, "train", *OPTIONS, "--out", str(where / "out"), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_one_process_is_as_if_there_were_no_others() -> None:
    batch = torch.arange(6)
    assert share(batch) is batch
    assert average(0.1) == 0.1
    assert own_path(Path("a/run.pkl")) == Path("a/run.pkl")


def test_a_batch_that_two_processes_cannot_share_is_refused(monkeypatch, tiny_data: ImageSet) -> None:
    monkeypatch.setattr(training_module, "rank_and_size", lambda: (0, 2))
    for batch in (2, 5):
        with pytest.raises(TrainingError, match=f"batch is {batch}, but 2 processes share it"):
            Training(replace(TINY, batch=batch), tiny_data)


def test_two_processes_train_one_model_and_record_a_trace_each(tmp_path: Path) -> None:
    ran = _torchrun(tmp_path, "--record", str(tmp_path / "run.pkl"), "--record-every", "3")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("results.json") == 1
    states = [load_checkpoint(tmp_path / f"out/checkpoint.rank{rank}.pt") for rank in range(2)]
    assert torch.equal(states[0]["losses"], states[1]["losses"])
    for name, value in states[0]["model"].items():
        same = torch.equal(value, states[1]["model"][name])
        # Each process normalises by its own half of the batch; everything learned or pruned is common.
        assert same or "running_" in name, name
    assert not torch.equal(*(state["model"]["encoder.bn1.running_mean"] for state in states))
    traces = [open_trace(tmp_path / f"run.rank{rank}.pkl") for rank in range(2)]
    assert not (tmp_path / "run.pkl").exists()
    for rank, trace in enumerate(traces):
        assert (trace.meta["rank"], trace.meta["processes"]) == (rank, 2)
        assert trace.meta["command"].startswith("torchrun --nproc-per-node=2 -m accelsim train --framework byol ")
        assert trace.steps == (0, 3)
    for one, other in zip(*traces, strict=True):
        assert one.masks["input"].shape[0] == 2
        assert one.masks["weight"] == other.masks["weight"]
    assert any(one.masks["input"] != other.masks["input"] for one, other in zip(*traces, strict=True))
    found = json.loads((tmp_path / "out/results.json").read_text())
    assert found["traces"] == ["run.rank0.pkl", "run.rank1.pkl"]
    assert not math.isnan(found["knn_accuracy"]["untrained"])

    # And it is the model that one process trains on the mean of the two halves' losses.
    single = Training(
        TrainConfig(framework="byol", width=2, batch=4, steps=4, knn_images=20, seed=3), load_data("photos")
    )
    loss = single.model.loss

    def of_halves(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        halves = [loss(*views) for views in zip(first.chunk(2), second.chunk(2), strict=True)]
        return (halves[0] + halves[1]) / 2

    single.model.loss = of_halves  # type: ignore[method-assign]
    for _ in range(4):
        single.advance()
    assert states[0]["losses"].tolist() == pytest.approx(single.losses, rel=1e-3)
