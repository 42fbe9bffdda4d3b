"""Whether two trace files are of one run: ranks of it, or parts of a resumed one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from accelsim.trace.entry import Entry
from accelsim.trace.reader import TraceReader

RUN_FACTS = ("model", "framework", "network", "data", "batch", "dtype", "zero_as", "pattern", "weight_density")
"""What metadata tell of a run that all of its traces have in common."""


def what_differs(first: TraceReader, second: TraceReader) -> list[str]:
    """Return why two traces cannot be of one run; nothing where they may be.

    Ranks of a run and its parts have the same facts, and their layers the same weights. Ranks may have other layers and
    other shares of the batch; parts recorded other steps.

    Raises:
        TraceError: a record's header is damaged.
    """
    return list(_differences(first, second))


def _differences(first: TraceReader, second: TraceReader) -> Iterator[str]:
    for name in RUN_FACTS:
        one, other = first.meta.get(name), second.meta.get(name)
        if one not in (None, "") and other not in (None, "") and one != other:
            yield f"{name} ({_short(one)}, {_short(other)})"
    entries = _first_step(first), _first_step(second)
    # What activations are multiplied with follows the batch, of which ranks may have other shares.
    of_weights = [name for name, entry in entries[0].items() if entry.kind != "matmul"]
    common = [name for name in of_weights if name in entries[1]]
    for name in common:
        shapes = [entry[name].masks["weight"].shape for entry in entries]
        if shapes[0] != shapes[1]:
            yield f"weights of {name} ({_shape(shapes[0])}, {_shape(shapes[1])})"
            break
    ranks = first.meta.get("rank"), second.meta.get("rank")
    if ranks[0] != ranks[1]:
        return
    if not entries[0].keys() & entries[1].keys() and all(entries):
        yield "layers (none in common)"
    for name in common:
        images = [entry[name].masks["input"].shape[0] for entry in entries]
        if images[0] != images[1]:
            yield f"images per operation ({images[0]}, {images[1]})"
            break
    twice = sorted(set(first.steps) & set(second.steps))
    if ranks[0] is not None and twice:
        yield f"runs (both are rank {_short(ranks[0])} and recorded step {twice[0]})"


def _first_step(reader: TraceReader) -> dict[str, Entry]:
    entries = reader.select(steps=reader.steps[:1]).entries
    return {entry.name: entry for entry in reversed(entries)}


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        value = ", ".join(f"{key} {one}" for key, one in value.items())
    return f"{value!s:.60}"


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))
