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
        packed = _pack_on_host(piece, threshold) if piece.is_cpu else pack_on_device(piece, threshold).cpu().numpy()
        bits[filled : filled + packed.size] = packed
        filled += packed.size
    return BitMask(tuple(tensor.shape) if shape is None else shape, bits)


def pack_on_device(piece: torch.Tensor, threshold: float = 0.0) -> torch.Tensor:
    """Pack a flat tensor where it lives, so that bits cross the bus, not numbers.

    Returns:
        uint8 tensor of ceil(size / 8) bytes on the tensor's device; element i is bit i % 8 of byte i // 8.
    """
    mask = piece.bool() if threshold == 0 else ~(_at_least_32_bits(piece).abs() <= threshold)
    octets = torch.nn.functional.pad(mask.view(torch.uint8), (0, -mask.numel() % 8)).view(-1, 8)
    shifts = torch.arange(8, dtype=torch.uint8, device=mask.device)
    return (octets << shifts).sum(dim=1, dtype=torch.uint8)


def _pack_on_host(piece: torch.Tensor, threshold: float) -> NDArray[np.uint8]:
    # NumPy compares 15 times as fast as torch does (2.13, one core). Tensor.numpy() would forbid the storage's owner to
    # resize it from then on, as FSDP does in every step.
    values = np.from_dlpack(_at_least_32_bits(piece))
    return np.packbits(values != 0 if threshold == 0 else ~(np.abs(values) <= threshold), bitorder="little")


def _at_least_32_bits(piece: torch.Tensor) -> torch.Tensor:
    # a 16-bit tensor would round the threshold to its own precision, and NumPy does not know all of them
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
