"""SCALE-Sim's topology files: convolutions or matrix products, one line each.

Columns are read by the names in the header; a file without one has SCALE-Sim's order. The numbers mean what they mean
in SCALE-Sim 3 (its topology_utils.py): input sizes include the padding, outputs are rounded up, a layer whose name
contains DP is depthwise, and N:M says how the weights are pruned. Unlike there, the comma at a line's end may be
missing, and comments (#) and blank lines may stand anywhere.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from accelsim.errors import AccelsimError
from accelsim.synth.lines import csv_lines
from accelsim.synth.topology import Layer

_CONVOLUTION = (
    "name",
    "IFMAP height",
    "IFMAP width",
    "filter height",
    "filter width",
    "channels",
    "filters",
    "stride",
)
_GEMM = ("name", "M", "N", "K")
_CONVOLUTION_OPTIONS = ("stride width", "batch size", "sparsity")
_GEMM_OPTIONS = ("batch size", "sparsity")
_HEADERS = {  # in lower case, words apart by one space: what SCALE-Sim's files and its own writer call a column
    "name": "name",
    "layer": "name",
    "layer name": "name",
    "ifmap height": "IFMAP height",
    "ifmap width": "IFMAP width",
    "filter height": "filter height",
    "filter width": "filter width",
    "channels": "channels",
    "num filter": "filters",
    "num filters": "filters",
    "stride": "stride",
    "strides": "stride",
    "stride height": "stride",
    "stride width": "stride width",
    "m": "M",
    "n": "N",
    "k": "K",
    "batch": "batch size",
    "batch size": "batch size",
    "sparsity": "sparsity",
    "sparsity ratio": "sparsity",
    "sparsityratio": "sparsity",
}
_NAMELESS = "the last column"
_EXPECTED = (
    "expected a convolution (name, IFMAP height, IFMAP width, filter height, filter width, channels, filters, stride)"
    " or a matrix product (name, M, N, K)"
)


def read_topology(path: str | os.PathLike[str], *, first_reads_data: bool = True) -> tuple[Layer, ...]:
    """Read a SCALE-Sim topology.

    A convolution's `image` is its IFMAP size, enlarged to what SCALE-Sim's outputs (rounded up) reach, without padding;
    with DP in its name it has a group for each channel and as many filters in each as the file says. A matrix product
    is a linear layer from K to N channels with M tokens. A name given twice gets a number after it.

    Args:
        path: the file.
        first_reads_data: whether the first layer's input is the data, see `Layer`.

    Raises:
        AccelsimError: no readable text, a header with a column that is unknown, missing or there twice, a batch size
            other than 1, a line that is no layer, convolutions and matrix products in one file, or no layer at all;
            names file and line.
    """
    layers: list[Layer] = []
    header: tuple[str, ...] = ()
    first_is_gemm, first_line = False, 0
    names: dict[str, int] = {}
    for position, (line, cells) in enumerate(csv_lines(Path(path))):
        try:
            if position == 0 and _is_header(cells):
                header = _columns(cells)
                continue
            values = _values(cells, header)
            layer, is_gemm = _layer(values), "K" in values
            if layers and is_gemm != first_is_gemm:
                raise AccelsimError(f"convolutions and matrix products are mixed, line {first_line} has the other kind")
        except AccelsimError as error:
            raise AccelsimError(f"{path}:{line}: {error}") from None
        if not layers:
            first_is_gemm, first_line = is_gemm, line
        names[layer.name] = names.get(layer.name, 0) + 1
        if names[layer.name] > 1:
            layer = replace(layer, name=f"{layer.name}-{names[layer.name]}")
        layers.append(layer)
    if not layers:
        raise AccelsimError(f"{path}: no layer is in it, {_EXPECTED}")
    if first_reads_data:
        layers[0] = replace(layers[0], reads_data=True, after_relu=False)
    return tuple(layers)


def _is_header(cells: Sequence[str]) -> bool:
    others = cells[1:]
    return any(_key(cell) in _HEADERS for cell in others) or bool(
        others and not any(re.search(r"\d", cell) for cell in others)
    )


def _key(cell: str) -> str:
    return " ".join(re.split(r"[\s_]+", cell.strip().lower()))


def _columns(cells: Sequence[str]) -> tuple[str, ...]:
    """Return what each column of a header holds."""
    found = [_HEADERS.get(_key(cell), "") for cell in cells]
    if found[1:3] == ["IFMAP width", "IFMAP width"]:  # a slip in SCALE-Sim's MLPerf topologies
        found[1] = "IFMAP height"
    is_gemm = bool({"M", "N", "K"} & set(found))
    needed = _GEMM if is_gemm else _CONVOLUTION
    known = {*needed, *(_GEMM_OPTIONS if is_gemm else _CONVOLUTION_OPTIONS)}
    if unknown := [cell[:40] for cell, column in zip(cells, found, strict=True) if column not in known]:
        options = ", ".join(_GEMM_OPTIONS if is_gemm else _CONVOLUTION_OPTIONS)
        raise AccelsimError(f"unknown column {' and '.join(map(repr, unknown))}, {_EXPECTED}, and maybe {options}")
    if missing := [column for column in needed if column not in found]:
        raise AccelsimError(f"the header has no column {missing[0]}, {_EXPECTED}")
    if twice := [column for column in found if found.count(column) > 1]:
        raise AccelsimError(f"the header has two columns {twice[0]}, expected one")
    return tuple(found)


def _values(cells: Sequence[str], header: Sequence[str]) -> dict[str, str]:
    """Return a line's cells by column, "" where the line ends before."""
    comment = next((place for place, cell in enumerate(cells) if cell.startswith("#")), len(cells))
    row = list(cells[:comment])
    while row and not row[-1]:
        row.pop()
    nameless = {}
    if len(row) > 1 and ":" in row[-1] and "sparsity" not in header:  # SCALE-Sim goes by place and needs no header
        nameless = {_NAMELESS: row.pop()}
    if not header:
        orders = {len(order): order for order in (_GEMM, _CONVOLUTION, (*_CONVOLUTION, "stride width"))}
        if len(row) not in orders:
            raise AccelsimError(f"{len(row) + len(nameless)} columns, {_EXPECTED}")
        header = orders[len(row)]
    if len(row) > len(header):
        raise AccelsimError(f"{len(row)} cells, expected at most {len(header)}, as the header has columns")
    return dict.fromkeys(header, "") | dict(zip(header, row, strict=False)) | nameless


def _layer(values: dict[str, str]) -> Layer:
    """Return the layer that a line describes."""
    if not values["name"]:
        raise AccelsimError("the layer has no name")
    if values.get("batch size", "") not in ("", "1"):
        raise AccelsimError(
            f"the batch size is {values['batch size']!r}, expected 1: how many images a step has is said for all layers"
            " at once (--batch)"
        )
    ratio = "sparsity" if "sparsity" in values else _NAMELESS
    pattern = _pattern(ratio, values.get(ratio, ""))
    if "K" in values:
        m, n, k = (_number(column, values[column]) for column in ("M", "N", "K"))
        return Layer(name=values["name"], c_in=k, c_out=n, tokens=m, weight_pattern=pattern)
    height, width, filter_height, filter_width, channels, filters, stride = (
        _number(column, values[column]) for column in _CONVOLUTION[1:]
    )
    stride_width = _number("stride width", values.get("stride width", "") or values["stride"])
    for extent, reach, what in ((height, filter_height, "height"), (width, filter_width, "width")):
        if reach > extent:
            raise AccelsimError(f"the filter's {what} of {reach} is larger than the IFMAP's of {extent}")
    depthwise = "DP" in values["name"]
    return Layer(
        name=values["name"],
        c_in=channels,
        c_out=filters * (channels if depthwise else 1),
        kernel=(filter_height, filter_width),
        stride=(stride, stride_width),
        image=(_reached(height, filter_height, stride), _reached(width, filter_width, stride_width)),
        groups=channels if depthwise else 1,
        after_relu=True,
        weight_pattern=pattern,
    )


def _reached(extent: int, kernel: int, stride: int) -> int:
    """Input that the outputs reach, whose number is rounded up."""
    return -(-(extent - kernel) // stride) * stride + kernel


def _number(column: str, text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text) or not int(text):
        raise AccelsimError(f"{column} is {text!r}, expected a whole number of at least 1")
    return int(text)


def _pattern(column: str, ratio: str) -> str:
    """Return the pattern that a ratio such as 2:4 names, "" for none and for one that prunes nothing (1:1)."""
    if not ratio:
        return ""
    found = re.fullmatch(r"(\d{1,3}):(\d{1,3})", ratio)
    if not found or not 0 < int(found[1]) <= int(found[2]):
        raise AccelsimError(f"{column} is {ratio!r}, expected N:M with 0 < N <= M, such as 2:4")
    return "" if found[1] == found[2] else ratio
