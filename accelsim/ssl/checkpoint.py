"""A training run on disk, from which it goes on bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypedDict, cast

import torch
from torch import Tensor

from accelsim.errors import TrainingError
from accelsim.files import whole_file

VERSION = 3


class Checkpoint(TypedDict):
    """Everything a run needs to go on; data order and augmentation follow from the seed and the step.

    Keys:
        version: of this layout.
        config: the fields of `TrainConfig`.
        step: steps done.
        losses: of every step done, float64 [step].
        mask_updates: the fields of every `sparsity.MaskUpdate` so far.
        flops: of all steps done, dense and masked.
        pruned_gradients: elements of all gradients pruned, and those that were left.
        untrained_knn: accuracy before the first step.
        model, optimizer: state dictionaries.
        rng: PyTorch's global generator on the CPU, for layers that draw (dropout).
    """

    version: int
    config: dict[str, str | int | float]
    step: int
    losses: Tensor
    mask_updates: list[tuple[Any, ...]]
    flops: tuple[int, int]
    pruned_gradients: tuple[int, int]
    untrained_knn: float
    model: dict[str, Any]
    optimizer: dict[str, Any]
    rng: Tensor


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, whole or not at all.

    Raises:
        TrainingError: it cannot be written.
    """
    with whole_file(path, TrainingError) as beside:
        try:
            torch.save(dict(checkpoint), beside)
        except (OSError, RuntimeError) as error:  # PyTorch's own file writer raises the second where the disk is full
            raise TrainingError(f"{path}: the checkpoint cannot be written: {str(error).splitlines()[0]}") from None


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint; only tensors and plain values are unpickled, so a hostile file cannot run code.

    Raises:
        TrainingError: no such file, or not a checkpoint of this version.
    """
    if not path.is_file():
        raise TrainingError(f"{path} does not exist, so there is no run to resume: start it without --resume")
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises a dozen kinds for damaged files
        raise TrainingError(
            f"{path} is no readable checkpoint ({type(error).__name__}): remove it or start anew"
        ) from None
    if isinstance(loaded, dict) and loaded.get("version", VERSION) != VERSION:
        raise TrainingError(f"{path} has checkpoint version {loaded['version']}, this accelsim reads version {VERSION}")
    if not isinstance(loaded, dict) or set(loaded) != set(Checkpoint.__annotations__):
        raise TrainingError(f"{path} is not a checkpoint of accelsim train")
    return cast(Checkpoint, loaded)
