"""What a header may say, and that a body is held to it."""

from __future__ import annotations

import tracemalloc
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim.errors import TraceError
from accelsim.trace import BitMask, Entry, OpTrace
from accelsim.trace import entry as trace_entry
from accelsim.trace.entry import decode, encode
from accelsim.trace.format import FormatError
from tests.trace.operations import content, ops, small_op


@given(ops(), st.integers(0, 99))
def test_round_trip(op: OpTrace, order: int) -> None:
    entry, body = encode(op, order)
    read = Entry.from_plain(entry.to_plain())
    assert read == entry
    again = decode(read, body)
    assert content(again) == content(op)
    assert again.order == (order if op.order is None else op.order)
    for name, described in read.masks.items():
        array = getattr(op, name)
        assert (described.shape, described.nonzeros) == (array.shape, array.sum())
        assert described.density == pytest.approx(array.mean())


def test_ones_zeros_and_repeated_masks_cost_nothing() -> None:
    random = np.random.default_rng(1).random((1, 3, 6, 5)) < 0.5
    op = small_op(
        weight=np.ones((2, 3, 3, 3)),
        input=random,
        input_grad_needed=random,
        grad_output=np.zeros((1, 2, 4, 3)),
        weight_grad_needed=np.ones((2, 3, 3, 3)),
    )
    entry, body = encode(op, 0)
    assert {name: mask.storage for name, mask in entry.masks.items()} == {
        "weight": "ones",
        "input": "raw",
        "grad_output": "zeros",
        "input_grad_needed": "input",
        "weight_grad_needed": "ones",
    }
    assert body == np.packbits(random, bitorder="little").tobytes()


def test_structured_masks_shrink() -> None:
    weight = np.zeros((64, 64, 3, 3))
    weight[::8] = 1
    entry, body = encode(OpTrace(name="c", step=0, weight=weight, input=np.ones((1, 64, 3, 3))), 0)
    assert entry.masks["weight"].storage == "zlib"
    assert len(body) < weight.size / 8 / 20


def test_large_noise_is_not_compressed_and_the_rest_is() -> None:
    rng = np.random.default_rng(0)
    noise = BitMask((1, 1, 4096, 4096), rng.bytes(1 << 21))
    clustered = BitMask((1, 1, 4096, 4096), np.repeat(np.frombuffer(rng.bytes(1 << 19), np.uint8), 4))
    op = small_op(weight=np.ones((1, 1, 1, 1)), input=noise, grad_output=clustered)
    entry, body = encode(op, 0)
    assert entry.masks["input"].storage == "raw"
    assert entry.masks["grad_output"].storage == "zlib"
    assert content(decode(entry, body)) == content(op)


@pytest.mark.parametrize(
    ("passes", "changes"),
    [
        (("forward", "input_grad", "weight_grad"), {}),
        (("forward", "weight_grad"), {"needs_input_grad": False}),
        (("forward", "input_grad"), {"needs_weight_grad": False}),
        (("forward",), {"grad_output": None}),
    ],
)
def test_passes_that_ran(passes: tuple[str, ...], changes: dict[str, Any]) -> None:
    assert encode(small_op(**changes), 0)[0].passes == passes


def _plain(**changes: Any) -> dict[str, Any]:
    return {**encode(small_op(), 0)[0].to_plain(), **changes}


SHAPE = (2, 3, 3, 3)


@pytest.mark.parametrize(
    "plain",
    [
        "text",
        {},
        {**_plain(), "extra": 1},
        _plain(name=1),
        _plain(step=-1),
        _plain(step=True),
        _plain(step=1.0),
        _plain(kind="conv3d"),
        _plain(stride=[1, 1]),
        _plain(stride=(1, 1, 1)),
        _plain(recomputed=1),
        _plain(masks=[]),
        _plain(masks={"weight": _plain()["masks"]["weight"]}),
        _plain(masks={**_plain()["masks"], "bias": (SHAPE, 0, "zeros", 0)}),
        *(
            _plain(masks={**_plain()["masks"], "weight": fields})
            for fields in [
                (SHAPE, 0, "zeros"),
                ((2, 3, 9), 0, "zeros", 0),
                ((-2, -3, 3, 3), 0, "zeros", 0),
                (SHAPE, 1, "zeros", 0),
                (SHAPE, 53, "ones", 0),
                (SHAPE, 5, "raw", 6),
                (SHAPE, 55, "raw", 7),
                (SHAPE, 5, "zlib", 7),
                (SHAPE, 5, "zlib", 0),
                (SHAPE, 5, "input", 0),
                (SHAPE, 5, "lzma", 0),
                ((1 << 20, 1 << 20, 3, 3), 9 << 40, "ones", 0),
            ]
        ),
    ],
)
def test_headers_that_contradict_themselves(plain: object) -> None:
    with pytest.raises(FormatError):
        Entry.from_plain(plain)


def _zlib_record(weight_bytes: bytes, nonzeros: int = 8) -> tuple[Entry, bytes]:
    """A record whose weight, 64x64x1x1 with 8 ones, is stored as the bytes given."""
    described = {
        "weight": ((64, 64, 1, 1), nonzeros, "zlib", len(weight_bytes)),
        "input": ((1, 64, 1, 1), 64, "ones", 0),
    }
    op = OpTrace(name="c", step=0, weight=np.ones((64, 64)), input=np.ones((1, 64)))
    return Entry.from_plain({**encode(op, 0)[0].to_plain(), "masks": described}), weight_bytes


def test_a_body_is_held_to_its_header() -> None:
    good = zlib.compress(b"\xff" + bytes(511))
    assert decode(*_zlib_record(good)).masks["weight"] == BitMask((64, 64, 1, 1), b"\xff" + bytes(511))
    for damaged, cause in [
        (zlib.compress(b"\xff" + bytes(512)), "does not decompress to the 512 bytes"),
        (zlib.compress(b"\xff" + bytes(510)), "does not decompress to the 512 bytes"),
        (zlib.compress(b"\xff" + bytes(1 << 18)), "does not decompress to the 512 bytes"),
        (good[:-1], "does not decompress"),
        (good + b"\0", "does not decompress"),
        (good[:-1] + b"\1", "cannot be decompressed"),
        (zlib.compress(b"\x7f" + bytes(511)), "has 7 non-zeros, not 8"),
    ]:
        with pytest.raises(FormatError, match=cause):
            decode(*_zlib_record(damaged))
    entry, body = _zlib_record(good)
    with pytest.raises(FormatError, match="not those its header says"):
        decode(entry, body + b"\0")


def test_a_bomb_is_not_inflated() -> None:
    bomb = zlib.compress(bytes(1 << 26))
    described = {"weight": ((1024, 1024, 1, 1), 1, "zlib", len(bomb)), "input": ((1, 1024, 1, 1), 1024, "ones", 0)}
    op = OpTrace(name="c", step=0, weight=np.ones((1024, 1024)), input=np.ones((1, 1024)))
    entry = Entry.from_plain({**encode(op, 0)[0].to_plain(), "masks": described})
    tracemalloc.start()
    try:
        with pytest.raises(FormatError, match="does not decompress to the 131072 bytes"):
            decode(entry, bomb)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_macs_and_shapes_are_checked() -> None:
    entry, body = encode(small_op(), 0)
    with pytest.raises(FormatError, match="multiply-accumulates by its shapes, not 1"):
        decode(Entry.from_plain({**entry.to_plain(), "macs": 1}), body)
    with pytest.raises(TraceError, match="groups"):
        decode(Entry.from_plain({**entry.to_plain(), "groups": 2}), body)


def test_too_large_a_mask_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_entry, "MAX_MASK_ELEMENTS", 53)
    with pytest.raises(TraceError, match="conv1: weight has 54 elements, more than the 53 supported"):
        encode(small_op(), 0)


def test_too_large_an_output_is_refused() -> None:
    """A forward-only record's output is in no mask: a padding is all that a file needs to make it huge."""
    with pytest.raises(TraceError, match=r"conv1: output has 8\d+ elements, more than the 8589934592 supported"):
        encode(small_op(grad_output=None, padding=(1 << 20, 1 << 20)), 0)
    entry, body = encode(small_op(grad_output=None), 0)
    with pytest.raises(FormatError, match=r"output has 8\d+ elements"):
        decode(Entry.from_plain({**entry.to_plain(), "padding": (1 << 20, 1 << 20)}), body)


@pytest.mark.parametrize(
    "shape", [(0, 1 << 62, 1, 1), (1 << 34, 0, 1, 1), (1.0, 3, 6, 5), (True, 3, 6, 5), (-1, 3, 6, -5)]
)
def test_impossible_extents(shape: tuple[object, ...]) -> None:
    plain = encode(small_op(), 0)[0].to_plain()
    with pytest.raises(FormatError, match="its mask input is not described by shape"):
        Entry.from_plain({**plain, "masks": {**plain["masks"], "input": (shape, 0, "zeros", 0)}})


@pytest.mark.parametrize("field", ["stride", "padding", "dilation", "output_padding"])
def test_impossible_geometry(field: str) -> None:
    plain = encode(small_op(), 0)[0].to_plain()
    for value in ((1 << 62, 1), (1, 1, 1), (True, 1), [1, 1], None):
        with pytest.raises(FormatError, match=f"its field {field} has an impossible value"):
            Entry.from_plain({**plain, field: value})
