"""`accelsim train`: options reach the run, and a short run records a trace that reads."""

import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from accelsim.cli.train import parse_zero_as, train
from accelsim.errors import TrainingError
from accelsim.ssl import train as train_module
from accelsim.ssl.config import TrainConfig
from accelsim.ssl.frameworks import FRAMEWORKS
from accelsim.ssl.train import Recording, command_line
from accelsim.trace import open_trace

app = typer.Typer()
app.command("train")(train)
app.command("other")(lambda: None)  # with one command only, typer would drop its name


def _run(*options: str):
    return CliRunner().invoke(app, ["train", *options])


configs = st.builds(
    TrainConfig,
    arch=st.sampled_from(["resnet18", "resnet50"]),
    width=st.integers(1, 64),
    data=st.sampled_from(["photos", "cifar10:a directory"]),
    steps=st.integers(1, 10**6),
    batch=st.integers(2, 512),
    sparsity=st.floats(0, 0.99),
    prune_start=st.floats(0, 0.4),
    prune_end=st.floats(0.5, 1),
    prune_every=st.integers(1, 100),
    method=st.sampled_from(["gmp", "scp", "granet", "rigl", "set", "one-branch"]),
    pattern=st.sampled_from(["element", "8x8", "channel"]),
    criterion=st.sampled_from(["magnitude", "ema-magnitude"]),
    distribution=st.sampled_from(["erk", "uniform"]),
    allocation=st.sampled_from(["global", "erk", "uniform"]),
    exchange=st.floats(0.5, 1),
    exchange_final=st.floats(0, 0.5),
    gap=st.floats(0, 0.9),
    gate_channels=st.integers(0, 16),
    gate_threshold=st.floats(-2, 2),
    second_gate_threshold=st.floats(-2, 2),
    gate_penalty=st.floats(0, 1),
    gate_target=st.floats(-3, 3),
    optimizer=st.sampled_from(["adamw", "sgd"]),
    gradient_sparsity=st.floats(0, 0.99),
    learning_rate=st.floats(1e-6, 1),
    weight_decay=st.floats(0, 1),
    framework=st.sampled_from(list(FRAMEWORKS)),
    temperature=st.floats(0.01, 2),
    momentum=st.floats(0, 1),
    queue=st.integers(1, 10**6),
    knn_images=st.integers(1, 10**5),
    seed=st.integers(0, 2**32 - 1),
    threads=st.integers(1, 8),
)
zeros = st.one_of(
    st.sampled_from(["exact", "int8"]),
    st.floats(0, 1),
    st.fixed_dictionaries({"weight": st.just("exact"), "gradient": st.floats(0, 1)}),
)


@settings(deadline=None, max_examples=30)
@given(
    config=configs,
    every=st.integers(1, 9),
    start=st.integers(0, 9),
    stop=st.none() | st.integers(1, 9),
    zero=zeros,
    growth=st.booleans(),
    probe=st.booleans(),
)
def test_the_command_in_the_metadata_repeats_the_run(config, every, start, stop, zero, growth, probe) -> None:
    """Parsing the command that a run states gives the run's configuration and recording again."""
    recording = Recording(Path("run.pkl"), every, start, stop, zero, growth)
    called = []

    def run(
        config: TrainConfig, out: Path, recording: Recording, resume: bool, every: int, probe: bool, show: object
    ) -> None:
        called.append((config, out, recording, probe))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_module, "train", run)
        words = shlex.split(command_line(config, Path("some where"), recording, probe))
        assert words[:2] == ["accelsim", "train"]
        result = _run(*words[2:])
    assert result.exit_code == 130, result.output  # `run` returned None, as if it had been stopped
    assert called == [(config, Path("some where"), recording, probe)]


def test_three_steps_record_a_readable_trace_with_sparse_weights(tmp_path: Path) -> None:
    trace = tmp_path / "traces.pkl"
    size = ("--width", "2", "--batch", "4", "--knn-images", "50")
    result = _run("--out", str(tmp_path / "out"), "--steps", "3", *size, "--record", str(trace), "--record-every", "1")
    assert result.exit_code == 0, result.output
    assert "80.0 % pruned" in result.stdout
    density = {step: [0, 0] for step in range(3)}
    for op in open_trace(trace):
        if op.name.startswith("encoder.layer"):
            density[op.step][0] += op.masks["weight"].nonzeros
            density[op.step][1] += op.masks["weight"].size
    assert [kept / all_ for kept, all_ in density.values()] == pytest.approx([1, 1, 0.2], abs=1e-3)


def test_ctrl_c_leaves_a_checkpoint_that_another_run_cannot_take(tmp_path: Path) -> None:
    options = ["--width", "2", "--batch", "4", "--knn-images", "50", "--out", str(tmp_path / "out")]
    code, trace = "from accelsim.cli.main import main; main()", tmp_path / "run.pkl"
    command = [sys.executable, "-c", code, "train", *options, "--steps", "100000", "--record", str(trace)]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not trace.exists() and running.poll() is None:  # it is opened when the first step begins
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130, said
    assert "go on with the same command and --resume" in said
    result = _run(*options, "--steps", "12", "--resume")
    assert "the run to resume has steps 100000, not 12" in str(result.exception)


def test_mistakes_are_named(tmp_path: Path) -> None:
    for options, said in [
        (["--record-every", "5"], "need --record FILE"),
        (["--no-record-growth"], "need --record FILE"),
        (["--data", "imagenet"], "expected photos or cifar10:DIR"),
        (["--data", f"cifar10:{tmp_path}"], "not CIFAR-10 in binary layout"),
        (["--arch", "vgg"], "expected one of resnet18"),
        (["--framework", "mocov2"], "expected one of simclr, moco, byol, simsiam, barlow, vicreg"),
        (["--sparsity", "80"], "from 0 to below 1"),
        (["--resume"], "start it without --resume"),
    ]:
        result = _run("--out", str(tmp_path / "out"), *options)
        assert isinstance(result.exception, TrainingError), options
        assert said in str(result.exception)
        assert not (tmp_path / "out").exists()


def test_missing_packages_are_named_with_the_command_that_installs_them(monkeypatch, tmp_path: Path) -> None:
    for package, module in [("torch", "torch"), ("scikit-image", "skimage"), ("matplotlib", "matplotlib")]:
        with monkeypatch.context() as patch:
            patch.setattr("accelsim.extras.find_spec", lambda name, missing=module: name != missing or None)
            result = _run("--out", str(tmp_path / "out"))
        assert str(result.exception) == f"accelsim train needs {package}: pip install 'accelsim[train]'"


def test_the_command_line_itself_imports_no_torch() -> None:
    code = "import sys, accelsim.cli.train; sys.exit(any(m in sys.modules for m in ('torch', 'matplotlib', 'skimage')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_zero_as_reads_names_thresholds_and_kinds() -> None:
    assert parse_zero_as("int8") == "int8"
    assert parse_zero_as("1e-3") == 0.001
    assert parse_zero_as("weight=exact,gradient=0.5") == {"weight": "exact", "gradient": 0.5}
    with pytest.raises(TrainingError, match="not of the form"):
        parse_zero_as("weight=")
