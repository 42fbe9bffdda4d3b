"""The exchange at the heart of prune-and-regrow."""

from __future__ import annotations

import torch
from torch import Tensor


def swap(alive: Tensor, worth: Tensor, gain: Tensor, share: float) -> Tensor:
    """Drop the least worthy of the living, then let as many of the most promising dead grow.

    What was just dropped may grow again, as in RigL.

    Args:
        alive: bool [units].
        worth, gain: scores [units].
        share: of the living to exchange, rounded down.

    Returns:
        bool [units], as many set as in `alive`.
    """
    count = int(share * int(alive.sum()))
    after = alive.clone()
    after[worth.masked_fill(~alive, torch.inf).topk(count, largest=False).indices] = False
    after[gain.masked_fill(after, -torch.inf).topk(count).indices] = True
    return after
