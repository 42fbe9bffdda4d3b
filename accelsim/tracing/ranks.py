"""Which process of several this is, as where `torchrun` started them."""

from __future__ import annotations

from pathlib import Path

import torch.distributed as dist


def rank_and_size() -> tuple[int, int]:
    """Return this process's rank and the number of processes; (0, 1) where no process group was initialised."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def own_path(path: Path) -> Path:
    """Return a file of this process alone: NAME.rank0.pkl and so on for NAME.pkl; the path itself for one process."""
    rank, size = rank_and_size()
    return path if size == 1 else path.with_name(f"{path.stem}.rank{rank}{path.suffix}")
