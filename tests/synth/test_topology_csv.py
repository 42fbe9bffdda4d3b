"""SCALE-Sim's topology files, as it reads them, and what is wrong with one in a sentence."""

from __future__ import annotations

from math import ceil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim.errors import AccelsimError
from accelsim.synth import Layer, read_topology, synthesize
from accelsim.validate.networks import gemms

HEADER = "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "net.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_convolutions(tmp_path: Path) -> None:
    text = (
        HEADER + "Conv1, 230, 230, 7, 7, 3, 64, 2,\n\n# a comment\nConv2,58,58,3,3,64,64,1\nConv2,58,30,3,1,64,8,1,\n"
    )
    first, second, third = read_topology(written(tmp_path, text))
    assert first == Layer(
        name="Conv1", c_in=3, c_out=64, kernel=(7, 7), stride=(2, 2), image=(231, 231), reads_data=True
    )
    assert second == Layer(name="Conv2", c_in=64, c_out=64, kernel=(3, 3), image=(58, 58), after_relu=True)
    assert (third.name, third.image, third.output) == ("Conv2-2", (58, 30), (56, 30))


def test_matrix_products(tmp_path: Path) -> None:
    layers = read_topology(written(tmp_path, "Layer,M,N,K,\nqkv,197,1152,384,\nproj,197,384,384,\n"))
    assert layers[0] == Layer(name="qkv", c_in=384, c_out=1152, tokens=197, reads_data=True)
    assert not layers[1].after_relu
    (op, _) = synthesize(layers, batch=2)
    assert op.masks["input"].shape == (394, 384, 1, 1)
    assert op.macs == 2 * 197 * 1152 * 384


def test_depthwise_and_pruned_layers(tmp_path: Path) -> None:
    text = HEADER + "DPconv,114,114,3,3,32,1,1,\nconv,56,56,1,1,32,64,1,2:4,\nlast,56,56,1,1,32,64,1,1:1,\n"
    depthwise, pruned, last = read_topology(written(tmp_path, text), first_reads_data=False)
    assert (depthwise.groups, depthwise.c_out, depthwise.weight_shape) == (32, 32, (32, 1, 3, 3))
    assert (pruned.weight_pattern, last.weight_pattern) == ("2:4", "")
    trace = synthesize([depthwise, pruned, last], batch=1)
    assert [op.masks["weight"].density for op in trace] == [1, 0.5, 1]
    assert depthwise.after_relu
    assert not depthwise.reads_data


def test_stride_of_the_width_byte_order_mark_and_no_header(tmp_path: Path) -> None:
    (layer,) = read_topology(written(tmp_path, "﻿conv,9,9,3,3,2,4,2,3,\r\n"))
    assert layer.stride == (2, 3)


def test_columns_are_found_by_their_names(tmp_path: Path) -> None:
    text = "Layer_Name, Stride Width, stride height, Num Filters, channels, Filter Height, Filter width,"
    text += (
        " Ifmap  height, IFMAP Width, Sparsity,\nconv, 3, 2, 4, 2, 3, 1, 9, 8, 2:4,\nlast, 1, 1, 4, 2, 3, 1, 9, 8,\n"
    )
    conv, last = read_topology(written(tmp_path, text))
    assert (conv.name, conv.image, conv.kernel, conv.stride) == ("conv", (9, 10), (3, 1), (2, 3))
    assert (conv.c_in, conv.c_out, conv.weight_pattern, last.weight_pattern) == (2, 4, "2:4", "")
    (product,) = read_topology(written(tmp_path, "Layer, K, M, N, Sparsity,\nfc, 16, 3, 5, 3:4,\n"))
    assert (product.c_in, product.tokens, product.c_out, product.weight_pattern) == (16, 3, 5, "3:4")


def test_a_batch_size_is_no_stride(tmp_path: Path) -> None:
    header = HEADER.replace("Strides,", "Strides, Batch Size,")
    (layer,) = read_topology(written(tmp_path, header + "A, 16, 16, 1, 1, 8, 16, 1, 1,\n"))
    assert (layer.stride, layer.output) == ((1, 1), (16, 16))
    (layer,) = read_topology(written(tmp_path, "Layer, M, N, K, Batch,\nqk, 8, 8, 4, 1,\n"))
    assert layer.tokens == 8


def test_both_widths_of_scale_sims_mlperf_files(tmp_path: Path) -> None:
    text = HEADER.replace("IFMAP Height", "IFMAP Width") + "conv1,700,161,41,11,1,2,2,\n"
    (layer,) = read_topology(written(tmp_path, text))
    assert (layer.image, layer.kernel) == ((701, 161), (41, 11))


def test_what_follows_a_hash_is_a_comment(tmp_path: Path) -> None:
    (layer,) = read_topology(written(tmp_path, HEADER + "Conv2_dw, 112, 112, 3, 3, 1, 1, 2,#dw\n"))
    assert (layer.stride, layer.groups) == ((2, 2), 1)


@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 5), st.integers(1, 4), st.integers(1, 4))
def test_gemms_are_scale_sims(tmp_path_factory, extent: int, kernel: int, stride: int, channels: int, filters: int):
    extent = max(extent, kernel)
    path = written(
        tmp_path_factory.getbasetemp(), f"l,{extent},{extent},{kernel},{kernel},{channels},{filters},{stride}\n"
    )
    (layer,) = read_topology(path)
    side = ceil((extent - kernel + stride) / stride)  # outputs as SCALE-Sim's topology_utils.py counts them
    assert list(gemms(layer, "forward")) == [(filters, side * side, kernel * kernel * channels)]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("conv,9,9,3,3,2,4\n", 1, "7 columns, expected a convolution .* or a matrix product"),
        ("a,1,2,3,4\n", 1, "5 columns"),
        (HEADER + "conv,9,9,3,x,2,4,1,\n", 2, "filter width is 'x', expected a whole number of at least 1"),
        (HEADER + "\n# c\nconv,9,9,3,3,2,0,1,\n", 4, "filters is '0'"),
        (HEADER + "conv,9,9,3,3,2.5,1,1,\n", 2, "channels is '2.5'"),
        (HEADER + "conv,9,9,3,3,2,1,-1,\n", 2, "stride is '-1'"),
        (HEADER + "conv,9,2,3,3,2,1,1,\n", 2, "the filter's width of 3 is larger than the IFMAP's of 2"),
        (HEADER + ",9,9,3,3,2,1,1,\n", 2, "the layer has no name"),
        (HEADER + "conv,9,9,3,3,2,1,1,4:2,\n", 2, "the last column is '4:2', expected N:M"),
        ("a,1,2,3,\nconv,9,9,3,3,2,4,1,\n", 2, "mixed, line 1 has the other kind"),
        ("a,1,,3,\n", 1, "N is ''"),
        (
            HEADER.replace("Strides,", "Strides, Batch Size,") + "A,16,16,1,1,8,16,1,4,\n",
            2,
            "batch size is '4', expected 1",
        ),
        ("Layer,M,N,K,Batch,\nqk,8,8,4,12,\n", 2, "batch size is '12', expected 1"),
        (
            HEADER.replace("Strides,", "Strides,, Target") + "A,9,9,1,1,8,16,1, NPU\n",
            1,
            "unknown column '' and 'Target'",
        ),
        (HEADER.replace("Strides,", "Strides, Dilation,") + "A,9,9,1,1,8,16,1,2,\n", 1, "unknown column 'Dilation'"),
        ("Layer,M,N,K,FFN_up,\nup,1378,18944,3584,", 1, "unknown column 'FFN_up'"),
        ("Layer,M,N,K,Strides,\nup,1378,18944,3584,1,", 1, "unknown column 'Strides'"),
        ("Layer,rows,columns\na,1,2,3\n", 1, "unknown column 'rows' and 'columns'"),
        (HEADER.replace("Channels, ", "") + "A,9,9,1,1,16,1,\n", 1, "the header has no column channels"),
        (HEADER.replace("Channels", "Num Filter") + "A,9,9,1,1,8,16,1,\n", 1, "the header has no column channels"),
        (HEADER.replace("Strides,", "Strides, Strides,") + "A,9,9,1,1,8,16,1,1,\n", 1, "two columns stride"),
        (HEADER + "A, 96, 96, 3, 3, 3, 8, 2, 2\n", 2, "9 cells, expected at most 8"),
        (HEADER + "A, 96, 96, 3, 3, 3, 8,\n", 2, "stride is ''"),
        (HEADER.replace("Strides,", "Strides, Sparsity,") + "A,9,9,3,3,2,1,1,1,\n", 2, "sparsity is '1', expected N:M"),
        (HEADER, None, "no layer is in it"),
        ("", None, "no layer is in it"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, line: int | None, words: str) -> None:
    path = written(tmp_path, text)
    place = str(path) if line is None else f"{path}:{line}"
    with pytest.raises(AccelsimError, match=words) as caught:
        read_topology(path)
    assert str(caught.value).startswith(f"{place}: ")
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(AccelsimError, match=r"missing\.csv: cannot be read: No such file"):
        read_topology(tmp_path / "missing.csv")
    with pytest.raises(AccelsimError, match="cannot be read: Is a directory"):
        read_topology(tmp_path)
    path = tmp_path / "latin.csv"
    path.write_bytes(b"a,1,2,3\n\xe9,1,2,3\n")
    with pytest.raises(AccelsimError, match=r"latin\.csv:2: byte 0xe9 is not UTF-8"):
        read_topology(path)
    path.write_bytes(b"a" * (1 << 23))
    with pytest.raises(AccelsimError, match="larger than 4 MiB"):
        read_topology(path)
    path.write_text('a,1,2,"3\n', encoding="utf-8")
    with pytest.raises(AccelsimError, match=r"latin\.csv:1"):
        read_topology(path)
