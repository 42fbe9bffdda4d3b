"""Training in several processes (`torchrun`): each takes its share of every batch, gradients are averaged.

Batch norm's statistics, negatives and MoCo's queue stay within a process.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor

from accelsim.tracing.ranks import rank_and_size


@contextmanager
def process_group() -> Iterator[None]:
    """Join the processes that `torchrun` started, on the CPU; does nothing in a process started otherwise."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or not dist.is_torchelastic_launched() or dist.is_initialized():
        yield
        return
    dist.init_process_group("gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


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


def average_gradients(parameters: Iterable[Tensor]) -> None:
    """Replace every gradient by its mean over all processes."""
    _, size = rank_and_size()
    if size == 1:
        return
    for parameter in parameters:
        if parameter.grad is not None:
            dist.all_reduce(parameter.grad)
            parameter.grad.div_(size)
