"""Speedup and energy as TensorBoard scalars."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from importlib import import_module

from accelsim.errors import AccelsimError


def require_tensorboard() -> None:
    """Refuse to go on without TensorBoard.

    Raises:
        AccelsimError: it is not installed.
    """
    try:
        import_module("torch.utils.tensorboard.writer")
    except ImportError:
        raise AccelsimError("TensorBoard scalars need the package tensorboard: pip install tensorboard") from None


class Scalars:
    """Writes scalars; needs the package `tensorboard`.

    Raises:
        AccelsimError: it is not installed.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        require_tensorboard()
        from torch.utils.tensorboard.writer import SummaryWriter

        self._writer = SummaryWriter(os.fspath(folder))

    def add(self, step: int, own: Mapping[str, float], so_far: Mapping[str, float]) -> None:
        """Write a step: cycles, dense_cycles, energy_pj, dense_energy_pj of itself and of all steps so far.

        An idealised machine has no energy, and gets none.
        """
        for name, sums in (("step", own), ("so_far", so_far)):
            if sums["cycles"]:
                self._writer.add_scalar(f"accelsim/speedup_{name}", sums["dense_cycles"] / sums["cycles"], step)
        if not math.isnan(own["energy_pj"]):
            self._writer.add_scalar("accelsim/energy_mj_step", own["energy_pj"] / 1e9, step)
        self._writer.flush()

    def close(self) -> None:
        """End the file."""
        self._writer.close()
