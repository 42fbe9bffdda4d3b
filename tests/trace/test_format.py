"""Only plain values within bounds come out of a trace's pickles, whatever goes in."""

from __future__ import annotations

import io
import os
import pickle
import struct
import tracemalloc
from collections import OrderedDict
from enum import IntEnum

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim.trace import format as trace_format
from accelsim.trace.format import FormatError, check_plain, load_plain

plain_keys = st.text(max_size=4) | st.integers(-(2**63), 2**63 - 1) | st.booleans() | st.none() | st.binary(max_size=3)
plain = st.recursive(
    plain_keys
    | st.floats(allow_nan=False)
    | st.text(min_size=250, max_size=300)
    | st.binary(min_size=250, max_size=300),
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(plain_keys, inner),
    max_leaves=40,
)


@given(plain)
def test_round_trip(value: object) -> None:
    check_plain(value, "it")
    loaded = load_plain(pickle.dumps(value, trace_format.PROTOCOL))
    assert loaded == value
    assert repr(loaded) == repr(value)  # types too: 1 == 1.0 == True


def test_large_containers_and_bytes_round_trip() -> None:
    value = {
        "names": [f"layer{i}" for i in range(3000)] * 2,
        "bits": bytes(100_000),
        "nested": [[i] for i in range(2000)],
    }
    assert load_plain(pickle.dumps(value, trace_format.PROTOCOL)) == value


class Colour(IntEnum):
    RED = 1


@pytest.mark.parametrize(
    ("value", "cause"),
    [
        ({"lr": np.float64(0.1)}, r"meta\['lr'\] is a numpy.float64, expected plain"),
        ({"a": [1, {"b": np.arange(2)}]}, r"meta\['a'\]\[1\]\['b'\] is a numpy.ndarray"),
        ({"a": Colour.RED}, "Colour"),
        ({"a": OrderedDict()}, "OrderedDict"),
        ({"a": {1, 2}}, "set"),
        ({"a": 1 << 63}, "more than 64 bits"),
        ({(np.int64(1),): 1}, "int64"),
    ],
)
def test_other_types_are_refused_before_writing(value: object, cause: str) -> None:
    with pytest.raises(FormatError, match=cause):
        check_plain(value, "meta")


def test_cycles_and_depth_are_refused() -> None:
    cycle: list[object] = []
    cycle.append(cycle)
    with pytest.raises(FormatError, match="nested more than 32 deep"):
        check_plain(cycle, "meta")
    with pytest.raises(FormatError, match="nested more than 32 deep"):
        load_plain(b"\x80\x04" + b"]" * 100_000 + b"a" * 99_999 + b".")


class _Runs:
    def __reduce__(self) -> tuple[object, ...]:
        return os.system, ("touch /tmp/never",)


HOSTILE = {
    "reduce": pickle.dumps(_Runs()),
    "reduce, old protocol": pickle.dumps(_Runs(), 0),
    "global": pickle.dumps(print),
    "extension": b"\x80\x02\x82\xf0.",
    "persistent": b"\x80\x04\x8c\x01aQ.",
    "persistent text": b"Pabc\n.",
    "instance": b"(ios\nsystem\n.",
    "build": b"\x80\x04}}b.",
    "memo bomb": b"\x80\x04Nr\xff\xff\xff\x7f.",
    "text integer": b"I" + b"9" * 100_000 + b"\n.",
    "long integer": b"\x80\x04\x8b\x00\x00\x00\x7f.",
    "huge bytes": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 40) + b".",
    "huge text": b"\x80\x04\x8d" + struct.pack("<Q", (1 << 63) + 5) + b".",
    "huge frame": b"\x80\x04\x95" + struct.pack("<Q", 1 << 50) + b"N.",
    "huge bytearray": b"\x80\x05\x96" + struct.pack("<Q", 1 << 40) + b".",
    "out-of-band": b"\x80\x05\x97.",
    "memo never written": b"\x80\x04h\x07.",
    "empty stack": b"\x80\x04.",
    "no mark": b"\x80\x04]e.",
    "append to a number": b"\x80\x04K\x01K\x02a.",
    "unhashable key": b"\x80\x04}]Ns.",
    "no end": b"\x80\x04N",
    "two": pickle.dumps(1) * 2,
    "nothing": b"",
    "protocol 99": b"\x80\x63N.",
    "bad utf-8": b"\x80\x04\x8c\x01\xff.",
    "set": pickle.dumps({1}),
    "long int": pickle.dumps(1 << 100),
    "many": b"\x80\x04(" + b"]" * 200_000 + b"t.",
    "billion laughs": b"\x80\x04]\x94" + b"".join(b"]\x94(" + bytes([104, i]) * 50 + b"e" for i in range(20)) + b".",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pickles_are_refused_cheaply(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_format, "MAX_VALUES", 1 << 16)  # the same code with less waiting
    tracemalloc.start()
    try:
        with pytest.raises(FormatError):
            load_plain(HOSTILE[name])
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


def test_unpickler_refuses_globals_even_if_the_scan_were_passed() -> None:
    for data in (pickle.dumps(_Runs()), b"\x80\x04\x8c\x01aQ."):
        with pytest.raises(FormatError, match="never does"):
            trace_format._PlainUnpickler(io.BytesIO(data)).load()


@given(st.binary(max_size=60))
def test_random_bytes_never_escape(data: bytes) -> None:
    try:
        value = load_plain(b"\x80\x04" + data + b".")
    except FormatError:
        return
    check_plain(value, "it")


def test_constants_fit_what_pickle_writes() -> None:
    assert trace_format.preamble()[trace_format._MAGIC_AT :].startswith(trace_format._MAGIC_BYTES)
