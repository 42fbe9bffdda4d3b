"""SCALE-Sim's topology files: convolutions or matrix products, a line each.

Read as SCALE-Sim 3 reads them (its topology_utils.py): input sizes include the padding, outputs are rounded up, a layer
whose name contains DP is depthwise, and a last column N:M says how the weights are pruned. Unlike there, the comma at a
line's end may be missing, comments (#) and blank lines may stand anywhere, and the header may be left out.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from accelsim.errors import AccelsimError
from accelsim.synth.lines import csv_lines
from accelsim.synth.topology import Layer

_CONVOLUTION = (
    "IFMAP height",
    "IFMAP width",
    "filter height",
    "filter width",
    "channels",
    "filters",
    "stride",
    "stride width",
)
_GEMM = ("M", "N", "K")
_EXPECTED = (
    "expected a convolution (name, IFMAP height, IFMAP width, filter height, filter width, channels, filters, stride)"
    " or a matrix product (name, M, N, K)"
)


def read_topology(path: str | os.PathLike[str], *, first_reads_data: bool = True) -> tuple[Layer, ...]:
    """Read a SCALE-Sim topology.

    A convolution's `image` is its IFMAP size, enlarged to what SCALE-Sim's outputs (rounded up) reach, without padding;
    with DP in its name it has a group for each channel and as many filters in each as the file says. A matrix product
    is a linear layer from K to N channels with M tokens. A name given twice gets a number behind it.

    Args:
        path: the file.
        first_reads_data: whether the first layer's input is the data, see `Layer`.

    Raises:
        AccelsimError: no readable text, a line that is no layer, convolutions and matrix products in one file, or no
            layer at all; names file and line.
    """
    layers: list[Layer] = []
    first_kind, first_line = 0, 0
    names: dict[str, int] = {}
    for line, cells in _rows(Path(path)):
        try:
            layer, kind = _layer(cells)
            if layers and kind != first_kind:
                raise AccelsimError(f"convolutions and matrix products are mixed, line {first_line} has the other kind")
        except AccelsimError as error:
            raise AccelsimError(f"{path}:{line}: {error}") from None
        if not layers:
            first_kind, first_line = kind, line
        names[layer.name] = names.get(layer.name, 0) + 1
        if names[layer.name] > 1:
            layer = replace(layer, name=f"{layer.name}-{names[layer.name]}")
        layers.append(layer)
    if not layers:
        raise AccelsimError(f"{path}: no layer is in it, {_EXPECTED}")
    if first_reads_data:
        layers[0] = replace(layers[0], reads_data=True, after_relu=False)
    return tuple(layers)


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and cells of each line that is neither blank, comment nor header."""
    for position, (line, cells) in enumerate(csv_lines(path)):
        is_header = position == 0 and len(cells) > 1 and not any(re.search(r"\d", cell) for cell in cells[1:])
        if not is_header:
            yield line, cells


def _layer(cells: list[str]) -> tuple[Layer, int]:
    """Return the layer that a line describes, and 3 or 8 for the kind of line."""
    name, *rest = cells
    ratio = rest.pop() if rest and ":" in rest[-1] else ""
    if len(rest) == 7:
        rest.append(rest[-1])
    if len(rest) not in (len(_GEMM), len(_CONVOLUTION)):
        raise AccelsimError(f"{len(cells)} columns, {_EXPECTED}")
    if not name:
        raise AccelsimError("the layer has no name")
    columns = _GEMM if len(rest) == len(_GEMM) else _CONVOLUTION
    numbers = [_number(column, text) for column, text in zip(columns, rest, strict=True)]
    pattern = _pattern(ratio)
    if columns is _GEMM:
        m, n, k = numbers
        return Layer(name=name, c_in=k, c_out=n, tokens=m, weight_pattern=pattern), len(columns)
    height, width, filter_height, filter_width, channels, filters, stride, stride_width = numbers
    for extent, reach, what in ((height, filter_height, "height"), (width, filter_width, "width")):
        if reach > extent:
            raise AccelsimError(f"the filter's {what} of {reach} is larger than the IFMAP's of {extent}")
    depthwise = "DP" in name
    layer = Layer(
        name=name,
        c_in=channels,
        c_out=filters * (channels if depthwise else 1),
        kernel=(filter_height, filter_width),
        stride=(stride, stride_width),
        image=(_reached(height, filter_height, stride), _reached(width, filter_width, stride_width)),
        groups=channels if depthwise else 1,
        after_relu=True,
        weight_pattern=pattern,
    )
    return layer, len(columns)


def _reached(extent: int, kernel: int, stride: int) -> int:
    """Input that the outputs reach, whose number is rounded up."""
    return -(-(extent - kernel) // stride) * stride + kernel


def _number(column: str, text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text) or not int(text):
        raise AccelsimError(f"{column} is {text!r}, expected a whole number of at least 1")
    return int(text)


def _pattern(ratio: str) -> str:
    """Return the pattern that a ratio such as 2:4 names, "" for none and for one that prunes nothing (1:1)."""
    if not ratio:
        return ""
    found = re.fullmatch(r"(\d{1,3}):(\d{1,3})", ratio)
    if not found or not 0 < int(found[1]) <= int(found[2]):
        raise AccelsimError(f"the last column is {ratio!r}, expected N:M with 0 < N <= M, such as 2:4")
    return "" if found[1] == found[2] else ratio
