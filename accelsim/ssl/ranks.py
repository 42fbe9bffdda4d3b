"""Training in several processes (`torchrun`): each takes its share of every batch, gradients are averaged.

Batch norm's statistics, negatives and MoCo's queue stay within a process.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn

from accelsim.sparsity import WeightMask
from accelsim.tracing.ranks import rank_and_size


@contextmanager
def process_group() -> Iterator[None]:
    """Join the processes that `torchrun` started, on the CPU; does nothing in a process started otherwise."""
    if not _launched() or dist.is_initialized():
        yield
        return
    dist.init_process_group("gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def is_first() -> bool:
    """Whether this process speaks for all: the first of those that `torchrun` started, or the only one."""
    return not _launched() or int(os.environ["RANK"]) == 0


def share(batch: Tensor) -> Tensor:
    """Return this process's part of a batch, [N / processes, ...]."""
    rank, size = rank_and_size()
    return batch if size == 1 else batch.chunk(size)[rank]


def average(value: float) -> float:
    """Return the mean of a number over all processes."""
    _, size = rank_and_size()
    if size == 1:
        return value
    total = torch.tensor(value, dtype=torch.float64)
    dist.all_reduce(total)
    return float(total) / size


def average_gradients(model: nn.Module) -> None:
    """Replace every gradient, the dense ones behind masks too, by its mean over all processes."""
    _, size = rank_and_size()
    if size == 1:
        return
    behind_masks = (layer.dense_gradient for layer in model.modules() if isinstance(layer, WeightMask))
    for gradient in (*(parameter.grad for parameter in model.parameters()), *behind_masks):
        if gradient is not None:
            dist.all_reduce(gradient)
            gradient.div_(size)


def _launched() -> bool:
    return dist.is_available() and dist.is_torchelastic_launched() and int(os.environ["WORLD_SIZE"]) > 1
