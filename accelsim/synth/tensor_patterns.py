"""Random masks of activations and gradients, packed from the start: they are the large tensors."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from accelsim.errors import AccelsimError
from accelsim.synth.random_bits import RandomWords, random_subset, random_superset
from accelsim.synth.topology import Shape
from accelsim.trace.bitmask import BitMask

TensorPattern = Callable[[Shape, float, RandomWords], BitMask]


def element_mask(shape: Shape, density: float, words: RandomWords) -> BitMask:
    """Return a mask [N, C, H, W] with exactly round(density * elements) set, each independent of its neighbours."""
    size = math.prod(shape)
    return BitMask(shape, random_subset(size, round(density * size), words))


def channel_mask(shape: Shape, density: float, words: RandomWords) -> BitMask:
    """Return a mask [N, C, H, W] of which exactly round(density * C) channels are set, the same in every image."""
    _, c, h, w = shape
    kept = BitMask((c,), random_subset(c, round(density * c), words)).to_array()
    image = kept.repeat(h * w)
    # Images repeat, and so do the bytes of as many images as end with a whole byte.
    period = np.packbits(np.tile(image, 8 // math.gcd(8, image.size)), bitorder="little")
    size = math.prod(shape)
    bits = np.resize(period, -(-size // 8))
    if size % 8:
        bits[-1] &= (1 << size % 8) - 1
    return BitMask(shape, bits)


TENSOR_PATTERNS: dict[str, TensorPattern] = {"element": element_mask, "channel": channel_mask}
"""What zeros of activations and gradients may look like, by the names that the command line knows."""


def find_tensor_pattern(name: str) -> TensorPattern:
    """Return a pattern by name.

    Raises:
        AccelsimError: another name.
    """
    if name not in TENSOR_PATTERNS:
        raise AccelsimError(
            f"unknown pattern {name!r} of activations or gradients, expected one of {', '.join(TENSOR_PATTERNS)}"
        )
    return TENSOR_PATTERNS[name]


def widened(mask: BitMask, extra: float, words: RandomWords) -> BitMask:
    """Return the mask with exactly round(extra * zeros) of its zeros set as well, the mask itself for none."""
    wanted = round(extra * (mask.size - mask.nonzeros))
    return BitMask(mask.shape, random_superset(mask.bits, mask.size, wanted, words)) if wanted else mask
