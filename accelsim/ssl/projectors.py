"""Layers after the encoder. A bias before batch norm has no effect, so there is none, whatever the paper prints."""

from __future__ import annotations

from torch import nn


def hidden(c_in: int, c_out: int) -> tuple[nn.Module, nn.Module, nn.Module]:
    """Return linear layer, batch norm and ReLU, [N, c_in] to [N, c_out]."""
    return nn.Linear(c_in, c_out, bias=False), nn.BatchNorm1d(c_out), nn.ReLU()
