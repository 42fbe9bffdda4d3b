"""What a run leaves behind for people: loss.csv, results.json and the loss figure; each file is written whole."""

from __future__ import annotations

import csv
import io
import json
import platform
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from accelsim.errors import TrainingError
from accelsim.files import write_whole
from accelsim.sparsity import sparsity_by_layer
from accelsim.ssl.training import Training
from accelsim.trace.format import accelsim_version

WINDOW = 20  # steps; of the mean losses in results.json and of the figure's smooth line


def write_losses(training: Training, path: Path) -> None:
    """Write one row a step: step, loss, learning_rate, sparsity (of the encoder, when the optimiser stepped)."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("step", "loss", "learning_rate", "sparsity"))
    for step, (loss, sparsity) in enumerate(zip(training.losses, training.sparsities, strict=True)):
        rows.writerow((step, f"{loss:.6f}", f"{training.config.learning_rate_at(step):.6g}", f"{sparsity:.4f}"))
    write_whole(path, text.getvalue(), TrainingError)


def write_mask_updates(training: Training, path: Path) -> None:
    """Write one row an update of the masks; cells of a second branch are empty where there is none.

    Columns: step, sparsity, second_sparsity, overlap_previous, second_overlap_previous, overlap_branches; see
    `sparsity.MaskUpdate`.
    """
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    names = ("sparsity", "second_sparsity", "overlap_previous", "second_overlap_previous", "overlap_branches")
    rows.writerow(("step", *names))
    for update in training.mask_updates:
        shares = (*_both(update.sparsity), *_both(update.overlap_previous), update.overlap_branches)
        rows.writerow((update.step, *("" if share is None else f"{share:.6f}" for share in shares)))
    write_whole(path, text.getvalue(), TrainingError)


def results(
    training: Training, trained_knn: float, probed: float | None, command: str, traces: list[str]
) -> dict[str, Any]:
    """Collect what a finished run measured, as plain values for JSON.

    Args:
        training: the run, at its end.
        trained_knn: k-NN accuracy at the end.
        probed: accuracy of the linear probe, if it was asked for.
        command: that repeats the run.
        traces: names of the files recorded.
    """
    data, losses = training.data, training.losses
    steps, flops = training.step, training.flops
    return {
        "command": command,
        "config": asdict(training.config),
        "seed": training.config.seed,
        "git": git_state(),
        "versions": {"accelsim": accelsim_version(), "torch": torch.__version__, "python": platform.python_version()},
        "data": {"train_images": len(data.train), "held_out_images": len(data.test), "classes": list(data.classes)},
        "loss": {
            "first_steps": float(np.mean(losses[:WINDOW])),
            "last_steps": float(np.mean(losses[-WINDOW:])),
            "window_steps": min(WINDOW, len(losses)),
        },
        "knn_accuracy": {
            "untrained": training.untrained_knn,
            "trained": trained_knn,
            "chance": 1 / len(data.classes),
        },
        **({} if probed is None else {"linear_probe_accuracy": probed}),
        "flops_per_step": {
            "dense": flops.dense // steps,
            "masked_mean": flops.masked // steps,
            "masked_share": flops.masked / flops.dense,
        },
        "sparsity": {
            "total": training.sparsity,
            "branches": list(updates[-1].sparsity) if (updates := training.mask_updates) else [training.sparsity],
            "layers": sparsity_by_layer(training.model),
        },
        **({} if (pruned := training.pruned_gradients) is None else {"gradient_density": pruned.density}),
        "traces": traces,
    }


def write_results(found: dict[str, Any], path: Path) -> None:
    """Write results as JSON."""
    write_whole(path, json.dumps(found, indent=2) + "\n", TrainingError)


def write_figure(training: Training, trained_knn: float, stem: Path) -> None:
    """Draw loss and sparsity over steps into `stem`.svg and `stem`.png."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    losses = np.array(training.losses)
    steps = range(len(losses))
    window = min(WINDOW, len(losses))
    config = training.config
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(steps, losses, color="tab:blue", alpha=0.3, linewidth=0.8)
    axes.plot(steps[window - 1 :], np.convolve(losses, np.ones(window) / window, "valid"), color="tab:blue")
    axes.set(xlabel="step", xlim=(0, max(len(losses) - 1, 1)))
    axes.set_ylabel(f"loss (bold: mean of {window} steps)", color="tab:blue")
    right = axes.twinx()
    right.plot(steps, [100 * sparsity for sparsity in training.sparsities], color="tab:orange", drawstyle="steps-post")
    right.set(ylim=(0, 100))
    right.set_ylabel("pruned weights, %", color="tab:orange")
    axes.set_title(
        f"{config.framework} {config.arch}, width {config.width}, {config.data.partition(':')[0]}: k-NN"
        f" {100 * training.untrained_knn:.1f} % untrained, {100 * trained_knn:.1f} % trained",
        fontsize=10,
    )
    for suffix, canvas in (("png", FigureCanvasAgg(figure)), ("svg", FigureCanvasSVG(figure))):
        drawn = io.BytesIO()
        canvas.print_figure(drawn, format=suffix, dpi=150, metadata={"Date": None} if suffix == "svg" else None)
        write_whole(stem.with_suffix(f".{suffix}"), drawn.getvalue(), TrainingError)


def git_state() -> dict[str, str | bool] | None:
    """Return commit and whether tracked files of the package differ from it; None outside accelsim's repository."""
    package = Path(__file__).parent.parent

    def git(*arguments: str) -> str | None:
        try:
            ran = subprocess.run(["git", "-C", str(package), *arguments], capture_output=True, text=True, check=False)
        except OSError:
            return None
        return ran.stdout.strip() if ran.returncode == 0 else None

    # An installed copy may lie inside somebody else's repository: only one that tracks the package counts.
    if git("ls-files", "--error-unmatch", "ssl/report.py") is None or (commit := git("rev-parse", "HEAD")) is None:
        return None
    return {"commit": commit, "changed": bool(git("status", "--porcelain", "--untracked-files=no", "--", "."))}


def _both(branches: tuple[float, ...]) -> tuple[float, float | None]:
    return branches[0], branches[1] if len(branches) > 1 else None
