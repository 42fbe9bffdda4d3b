"""The trace file's grammar: a stream of pickles that hold plain values only, each announced and checked.

    preamble    pickle of ("accelsim trace", format version, accelsim version)
    chunk       {"format", "accelsim", "meta"}: the preamble again, protected, and the metadata at the start
    chunks      for each record its header (a dict, see `entry`) and its body (bytes, the stored masks)
    chunk       {"meta", "index"}: the final metadata and where each record starts
    trailer     pickle of bytes: where the previous chunk starts

A chunk is two pickles: a prelude of fixed size (bytes: length and CRC-32 of what follows, CRC-32 of both) and the
value. So whatever is to be skipped is skipped unread, a cut is told from a damaged length, and nothing damaged
reaches the unpickler. CRCs find accidents, not intent: against hostile files, a pickle is first scanned for any
operation but those that build plain values within bounds, then loaded by an unpickler that knows no global.
"""

from __future__ import annotations

import io
import pickle
import struct
import zlib
from importlib.metadata import PackageNotFoundError, version
from typing import Any, BinaryIO, NoReturn

FORMAT_VERSION = 1
MAGIC = "accelsim trace"
PROTOCOL = 4

MAX_VALUES = 1 << 24
"""Values in one pickle, and visits when it is checked: bounds memory and time against a hostile file."""
MAX_DEPTH = 32
MAX_VALUE_BYTES = 1 << 28
"""Size of one pickle but a record's body, which is bounded by what its header declares."""

PREAMBLE_LIMIT = 256
_MAGIC_AT = 11  # behind PROTO and FRAME, of which the second holds a length
_MAGIC_BYTES = b"\x8c" + bytes([len(MAGIC)]) + MAGIC.encode()

_PRELUDE = struct.Struct("<QII")
_TRAILER = struct.Struct("<8sQI")
_TRAILER_MAGIC = b"acs-end\n"


class FormatError(Exception):
    """Why bytes are not what the grammar says; the reader adds file and record to make a `TraceError` of it."""


class CutError(FormatError):
    """The file ends inside a preamble or chunk: a run that was killed leaves such a file."""


def accelsim_version() -> str:
    """Return the installed version of accelsim, "unknown" in a checkout that is not installed."""
    try:
        return version("accelsim")
    except PackageNotFoundError:
        return "unknown"


# Arguments of the operations that pickles of plain values consist of: a number is a fixed size, in bytes; a format
# is that of a length, by which many bytes follow. Every other operation (globals, calls, persistent and extension
# references, memo slots of one's choice) is refused before anything is loaded.
_OPERATIONS: dict[int, int | struct.Struct] = {
    **dict.fromkeys(b"NK\x88\x89.(]}ea)t\x85\x86\x87us\x94", 0),
    **dict.fromkeys(b"K\x80h", 1),
    **dict.fromkeys(b"M", 2),
    **dict.fromkeys(b"Jj", 4),
    **dict.fromkeys(b"G\x95", 8),
    **dict.fromkeys(b"\x8a\x8cC", struct.Struct("<B")),
    **dict.fromkeys(b"XB", struct.Struct("<I")),
    **dict.fromkeys(b"\x8d\x8e", struct.Struct("<Q")),
}
_STOP = ord(".")


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str, /) -> NoReturn:
        raise FormatError(f"it refers to {module_name}.{global_name}, which a trace never does")

    def persistent_load(self, pid: Any) -> NoReturn:
        raise FormatError("it refers to an object outside the file, which a trace never does")


def _end_of_pickle(data: bytes) -> int:
    """Return the length of the pickle that `data` starts with.

    Raises:
        FormatError: an operation that plain values do not need, too many of them, or the end is missing.
    """
    at, operations = 0, 0
    size = len(data)
    while at < size:
        operation = data[at]
        argument = _OPERATIONS.get(operation)
        if argument is None:
            raise FormatError(f"it holds pickle operation 0x{operation:02x}, which plain data does not need")
        if isinstance(argument, int):
            at += 1 + argument
        else:
            counted = at + 1 + argument.size
            if counted > size:
                break
            at = counted + argument.unpack_from(data, at + 1)[0]
        if operation == _STOP:
            return at
        operations += 1
        if operations > 2 * MAX_VALUES:
            raise FormatError(f"one of its pickles has more than {MAX_VALUES} values")
    raise FormatError("one of its pickles has no end")


def load_plain(data: bytes) -> Any:
    """Return the plain value that exactly these bytes are the pickle of.

    Raises:
        FormatError: anything but plain values, sizes out of bounds, or bytes that are no pickle.
    """
    if _end_of_pickle(data) != len(data):
        raise FormatError("bytes follow a pickle's end")
    try:
        value = _PlainUnpickler(io.BytesIO(data)).load()
    except FormatError:
        raise
    except Exception as error:
        raise FormatError(f"its pickle cannot be loaded ({type(error).__name__})") from None
    check_plain(value, "it")
    return value


def check_plain(value: object, where: str) -> None:
    """Check that a value consists of str, int (64 bits), float, bool, None, bytes, list, tuple and dict only.

    Subclasses are refused too: a numpy.float64 is a float, but its pickle names a class.

    Raises:
        FormatError: names the place inside `where` and the type found.
    """
    visits = 0

    def check(value: object, keys: tuple[object, ...]) -> None:
        nonlocal visits
        visits += 1
        if visits > MAX_VALUES:
            raise FormatError(f"{where} has more than {MAX_VALUES} values")
        kind = type(value)
        if kind in (str, float, bool, bytes, type(None)):
            return
        if isinstance(value, int) and kind is int:
            if not -(1 << 63) <= value < 1 << 63:
                raise FormatError(f"{_place(where, keys)} is an integer of more than 64 bits")
        elif len(keys) == MAX_DEPTH:
            raise FormatError(f"{where} is nested more than {MAX_DEPTH} deep")
        elif isinstance(value, dict) and kind is dict:
            for key, item in value.items():
                check(key, keys)
                check(item, (*keys, key))
        elif isinstance(value, (list, tuple)) and kind in (list, tuple):
            for position, item in enumerate(value):
                check(item, (*keys, position))
        else:
            raise FormatError(
                f"{_place(where, keys)} is a {kind.__module__}.{kind.__qualname__}, expected plain str, int, float,"
                f" bool, None, bytes, list, tuple or dict"
            )

    check(value, ())


def _place(where: str, keys: tuple[object, ...]) -> str:
    return where + "".join(f"[{key!r:.40}]" for key in keys[:4])


def _fixed(payload: bytes) -> bytes:
    return pickle.dumps(payload, PROTOCOL)


def _fixed_payload(data: bytes, size: int) -> bytes | None:
    """Return the bytes that `data` is the pickle of, None if it is another pickle."""
    payload = data[-2 - size : -2]
    return payload if data == _fixed(payload) else None


PRELUDE_BYTES = len(_fixed(bytes(_PRELUDE.size)))
TRAILER_BYTES = len(_fixed(bytes(_TRAILER.size)))


def preamble() -> bytes:
    """Return the start of a file of this version."""
    return pickle.dumps((MAGIC, FORMAT_VERSION, accelsim_version()), PROTOCOL)


def chunk(value: object) -> bytes:
    """Return prelude and pickle of a plain value; the caller has checked that it is plain."""
    data = pickle.dumps(value, PROTOCOL)
    announced = struct.pack("<QI", len(data), zlib.crc32(data))
    return _fixed(announced + struct.pack("<I", zlib.crc32(announced))) + data


def trailer(footer_offset: int) -> bytes:
    """Return the end of a complete file, whose footer chunk starts at the offset."""
    start = _TRAILER_MAGIC + struct.pack("<Q", footer_offset)
    return _fixed(start + struct.pack("<I", zlib.crc32(start)))


def read_preamble(file: BinaryIO) -> tuple[int, str]:
    """Read the format version and the version of the accelsim that wrote the file; leaves the file behind them.

    Raises:
        FormatError: this is no trace; the sentence says what it looks like.
        CutError: the file ends inside the preamble.
    """
    file.seek(0)
    data = file.read(PREAMBLE_LIMIT)
    if not data:
        raise CutError("the file is empty")
    if data[_MAGIC_AT : _MAGIC_AT + len(_MAGIC_BYTES)] != _MAGIC_BYTES:
        if len(data) < PREAMBLE_LIMIT and preamble().startswith(data):
            raise CutError("the file ends inside its first bytes")
        raise FormatError(_foreign(data))
    try:
        end = _end_of_pickle(data)
    except FormatError:
        if len(data) < PREAMBLE_LIMIT:
            raise CutError("the file ends inside its first bytes") from None
        raise FormatError("its first bytes are damaged") from None
    match load_plain(data[:end]):
        case (str(), int(format_version), str(writer_version)) if type(format_version) is int:
            file.seek(end)
            return format_version, writer_version
    raise FormatError("its first bytes are damaged")


def _foreign(data: bytes) -> str:
    wanted = "expected a file written by accelsim.TraceWriter or `accelsim train`"
    if data.startswith(b"PK\x03\x04"):
        return f"it is a zip archive (a PyTorch checkpoint is one), not an accelsim trace; {wanted}"
    if data.startswith(b"\x1f\x8b"):
        return "it is compressed with gzip, not an accelsim trace; decompress it first (gunzip)"
    if data.startswith(b"\x80"):
        return f"it is some other pickle, not an accelsim trace; {wanted}"
    return f"it is not an accelsim trace; {wanted}"


def read_prelude(file: BinaryIO, file_bytes: int) -> tuple[int, int]:
    """Read the prelude at the file's position; return length in bytes and CRC-32 of the pickle that follows it.

    Raises:
        CutError: the file ends before the chunk does.
        FormatError: the prelude is damaged.
    """
    data = file.read(PRELUDE_BYTES)
    if len(data) < PRELUDE_BYTES:
        raise CutError("the file ends inside it")
    payload = _fixed_payload(data, _PRELUDE.size)
    if payload is None or zlib.crc32(payload[:-4]) != _PRELUDE.unpack(payload)[2]:
        raise FormatError("it is damaged: a length does not match its checksum")
    length, checksum, _ = _PRELUDE.unpack(payload)
    if file.tell() + length > file_bytes:
        raise CutError("the file ends inside it")
    return length, checksum


def read_chunk(file: BinaryIO, file_bytes: int, limit: int = MAX_VALUE_BYTES) -> Any:
    """Read the chunk at the file's position and return its value; leaves the file behind it.

    Args:
        file_bytes: the file's size.
        limit: greatest size accepted of the chunk's pickle, in bytes.

    Raises:
        CutError: the file ends before the chunk does.
        FormatError: the chunk is damaged, larger than the limit, or holds anything but plain values.
    """
    length, checksum = read_prelude(file, file_bytes)
    if length > limit:
        raise FormatError(f"a part of it has {length} bytes, more than the {limit} that it may have")
    data = file.read(length)
    if zlib.crc32(data) != checksum:
        raise FormatError("it is damaged: its bytes do not match their checksum")
    return load_plain(data)


def read_trailer(file: BinaryIO, file_bytes: int) -> int | None:
    """Return where the footer chunk starts, None if the file does not end in a valid trailer."""
    if file_bytes < TRAILER_BYTES:
        return None
    file.seek(file_bytes - TRAILER_BYTES)
    payload = _fixed_payload(file.read(TRAILER_BYTES), _TRAILER.size)
    if payload is None:
        return None
    magic, offset, checksum = _TRAILER.unpack(payload)
    if magic != _TRAILER_MAGIC or checksum != zlib.crc32(payload[:-4]):
        return None
    return int(offset)
