"""A tensor's non-zeros as packed bits, in pieces, so that no boolean copy of a large tensor ever exists."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from accelsim.trace.bitmask import BitMask

CHUNK = 1 << 18
"""Elements packed at a time: small enough for the temporary to stay in a core's second-level cache."""


def pack(tensor: torch.Tensor, threshold: float = 0.0, shape: tuple[int, ...] | None = None) -> BitMask:
    """Return the mask of elements whose magnitude exceeds the threshold (a NaN does).

    Args:
        tensor: any shape, strides and device; elements are taken in logical (row-major) order.
        threshold: magnitude up to which an element is zero, rounded to float32.
        shape: shape of the mask, of the same size; the tensor's own by default.
    """
    tensor = tensor.detach().resolve_conj().resolve_neg()
    bits = np.empty(-(-tensor.numel() // 8), np.uint8)
    filled = 0
    for piece in _pieces(tensor):
        mask = piece != 0 if threshold == 0 else ~(_comparable(piece).abs() <= threshold)
        packed = _pack_on_host(mask) if mask.device.type == "cpu" else pack_on_device(mask).cpu().numpy()
        bits[filled : filled + packed.size] = packed
        filled += packed.size
    return BitMask(tuple(tensor.shape) if shape is None else shape, bits)


def pack_on_device(mask: torch.Tensor) -> torch.Tensor:
    """Pack a flat boolean tensor where it lives, so that bits cross the bus, not numbers.

    Returns:
        uint8 tensor of ceil(size / 8) bytes on the mask's device; element i is bit i % 8 of byte i // 8.
    """
    spare = -mask.numel() % 8
    octets = torch.nn.functional.pad(mask.view(torch.uint8), (0, spare)).view(-1, 8)
    shifts = torch.arange(8, dtype=torch.uint8, device=mask.device)
    return (octets << shifts).sum(dim=1, dtype=torch.uint8)


def _pack_on_host(mask: torch.Tensor) -> NDArray[np.uint8]:
    return np.packbits(mask.numpy(), bitorder="little")


def _comparable(piece: torch.Tensor) -> torch.Tensor:
    # a 16-bit tensor would round the threshold to its own precision
    return piece.float() if piece.dtype.itemsize < 4 else piece


def _pieces(tensor: torch.Tensor) -> Iterator[torch.Tensor]:
    """Flat pieces in logical order, each a multiple of 8 elements but the last."""
    if tensor.is_contiguous():
        yield from tensor.view(-1).split(CHUNK)
        return
    row = math.prod(tensor.shape[1:])
    rows = 8 * max(1, CHUNK // (8 * row))
    for block in tensor.split(rows):
        yield block.reshape(-1)
