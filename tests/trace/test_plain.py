"""Only plain values within bounds come out of a trace's pickles, whatever goes in."""

from __future__ import annotations

import os
import pickle
import struct
import subprocess
import sys
import time
import tracemalloc
from collections import OrderedDict
from enum import IntEnum
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim.trace import plain as trace_plain
from accelsim.trace.format import PROTOCOL
from accelsim.trace.plain import FormatError, check_plain, load_plain

plain_keys = st.text(max_size=4) | st.integers(-(2**63), 2**63 - 1)
plain = st.recursive(
    plain_keys
    | st.booleans()
    | st.none()
    | st.binary(max_size=3)
    | st.floats(allow_nan=False)
    | st.text(min_size=250, max_size=300)
    | st.binary(min_size=250, max_size=300),
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(plain_keys, inner),
    max_leaves=40,
)


@given(plain)
def test_round_trip(value: object) -> None:
    check_plain(value, "it")
    loaded = load_plain(pickle.dumps(value, PROTOCOL))
    assert loaded == value
    assert repr(loaded) == repr(value)  # types too: 1 == 1.0 == True


def test_large_containers_and_bytes_round_trip() -> None:
    value = {
        "names": [f"layer{i}" for i in range(3000)] * 2,
        "bits": bytes(100_000),
        "nested": [[i] for i in range(2000)],
    }
    assert load_plain(pickle.dumps(value, PROTOCOL)) == value


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
        ({"a": {np.int64(1): 1}}, r"meta\['a'\] has a key that is a numpy.int64, expected str or int"),
        ({"a": {(1,): 1}}, r"meta\['a'\] has a key that is a tuple"),
        ({"a": {b"k": 1}}, r"meta\['a'\] has a key that is a bytes"),
        ({"a": {10**5000: 1}}, r"meta\['a'\] has a key that is an integer of more than 64 bits"),
        ({"a": 10**5000}, r"meta\['a'\] is an integer of more than 64 bits"),
        ({"a": ["\ud800"]}, r"meta\['a'\]\[0\] holds half of a surrogate pair"),
        ({"a\udfff": 1}, "a key with half of a surrogate pair"),
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
    "integer of 5,000 digits": pickle.dumps(10**5000),
    "byte keys": pickle.dumps({b"k": 1}),
    "half a surrogate pair": pickle.dumps("\ud800"),
    "marks only": b"\x80\x04" + b"(" * 1_000_000 + b".",
    "memo of one value": b"\x80\x04N" + b"\x94" * 1_000_000 + b".",
    "set below the mark": b"\x80\x04}(K\x01s.",
    "two values": b"\x80\x04NN.",
    "many": b"\x80\x04(" + b"]" * 200_000 + b"t.",
    "billion laughs": b"\x80\x04]\x94" + b"".join(b"]\x94(" + bytes([104, i]) * 50 + b"e" for i in range(20)) + b".",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pickles_are_refused_cheaply(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_plain, "MAX_VALUES", 1 << 15)  # the same code with less waiting
    tracemalloc.start()
    try:
        with pytest.raises(FormatError):
            load_plain(HOSTILE[name])
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


def _collisions(exponent: int) -> bytes:
    """The pickle of a dict of 2 ** exponent tuples of -1 and -2, all of one hash."""
    keys = b"".join(pickle.dumps(key, 4)[11:-2] + b"N" for key in product((-1, -2), repeat=exponent))
    assert len({hash(key) for key in product((-1, -2), repeat=4)}) == 1
    return b"\x80\x04}(" + keys + b"u."


def test_keys_that_collide_are_refused_at_once() -> None:
    data = _collisions(16)  # Python's own unpickler takes minutes for it
    start = time.process_time()
    with pytest.raises(FormatError, match="it has a key that is a tuple, expected str or int"):
        load_plain(data)
    assert time.process_time() - start < 10


@pytest.mark.parametrize(
    ("value", "cause"), [(b"}", "more than 4194304 values"), (b"}\x94", "values"), (b"N", "values")]
)
def test_millions_of_small_values_are_refused(value: bytes, cause: str) -> None:
    """In little memory, too: 33 million empty dicts would take 2.6 GB."""
    program = """
import resource, sys
from accelsim.trace.plain import FormatError, load_plain
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    load_plain(b"\\x80\\x04](" + eval(sys.argv[1]) * 33_000_000 + b"e.")
except FormatError as error:
    print(error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    done = subprocess.run([sys.executable, "-c", program, repr(value)], check=True, capture_output=True, text=True)
    error, grown_mib = done.stdout.splitlines()
    assert "more than 4194304 values" in error
    assert int(grown_mib) < 600  # 63 of them the bytes themselves


def test_bounds_are_those_of_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_plain, "MAX_VALUES", 1000)
    fits: list[object] = [{"k": [i]} for i in range(249)]  # 4 values each: dict, key, list, number
    for value in (fits, [*fits, 1, 2, 3]):
        check_plain(value, "meta")
        assert load_plain(pickle.dumps(value, PROTOCOL)) == value
    with pytest.raises(FormatError, match=r"meta\[252\]: meta has more than 1000 values"):
        check_plain([*fits, 1, 2, 3, 4], "meta")
    with pytest.raises(FormatError, match="more than 1000 values"):
        load_plain(pickle.dumps([*fits, 1, 2, 3, 4], PROTOCOL))


@given(st.binary(max_size=60))
def test_random_bytes_never_escape(data: bytes) -> None:
    try:
        value = load_plain(b"\x80\x04" + data + b".")
    except FormatError:
        return
    check_plain(value, "it")
