"""What SCALE-Sim 3.0.0 reports as DRAM reads of an output-stationary array, by its rules; plain, for tests.

The array has some pixels and some filters at a time: a fold. Folds go through all pixels before they come to the next
filters. Each row (column) asks for the words of its pixel (filter) in the order of the window, a cycle after the one
before it. A scratchpad that is asked for a word which it does not have reads it. Its words come in sets, of a hundredth
of its size each, rounded down; whenever it has read fifty of them, it forgets all that it has.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from accelsim.validate.scalesim import DramWords, Run, SramKiwords


def dram_words(run: Run, sram: SramKiwords) -> DramWords:
    """Words that are read and, each output once, written."""
    image, kernel, channels, filters, stride = map(int, run.topology.split()[1:])
    width = (image - kernel) // stride + 1
    window = [(y * image + x) * channels + c for y in range(kernel) for x in range(kernel) for c in range(channels)]
    pixels = [(y * image + x) * channels * stride for y in range(width) for x in range(width)]
    starts = [number * len(window) for number in range(filters)]
    pixel_folds = [pixels[first : first + run.array_cols] for first in range(0, len(pixels), run.array_cols)]
    filter_folds = [starts[first : first + run.array_rows] for first in range(0, filters, run.array_rows)]
    image_order = (fold for _ in filter_folds for fold in pixel_folds)
    filter_order = (fold for fold in filter_folds for _ in pixel_folds)
    return DramWords(
        ifmap=_read(image_order, window, sram.ifmap),
        filter=_read(filter_order, range(len(window)), sram.filter),
        ofmap=len(pixels) * filters,
    )


def _read(folds: Iterator[Sequence[int]], offsets: Sequence[int], kiwords: int) -> int:
    """Words that a scratchpad reads: lane l of a fold asks for its word t in cycle l + t."""
    room = kiwords * 1024 // 100 * 50
    held: set[int] = set()
    words = 0
    for fold in folds:
        for cycle in range(len(offsets) + len(fold) - 1):
            low, high = max(0, cycle - len(offsets) + 1), min(len(fold), cycle + 1)
            for lane in range(low, high):
                word = fold[lane] + offsets[cycle - lane]
                if word not in held:
                    held.add(word)
                    words += 1
                    if len(held) == room:
                        held.clear()
    return words
