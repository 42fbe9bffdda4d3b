"""The trace file's grammar: a stream of pickles that hold plain values only, each announced and checked.

    preamble    pickle of ("accelsim trace", format version, accelsim version)
    chunk       {"format", "accelsim", "meta"}: the preamble again, protected, and the metadata at the start
    chunks      for each record its header (a dict, see `entry`) and its body (bytes, the stored masks)
    chunk       {"meta", "index"}: the final metadata and where each record starts
    trailer     pickle of bytes: where the previous chunk starts

A chunk is two pickles: a prelude of fixed size (bytes: length and CRC-32 of what follows, CRC-32 of both) and the
value. So whatever is to be skipped is skipped unread, a cut is told from a damaged length, and nothing damaged
is decoded. CRCs find accidents, not intent: against hostile files, pickles are decoded by `plain`, which knows no
operation but those that build plain values, and bounds their number, size and depth.
"""

from __future__ import annotations

import pickle
import struct
import zlib
from importlib.metadata import PackageNotFoundError, version
from typing import Any, BinaryIO

from accelsim.trace.plain import MAX_VALUE_BYTES, MAX_VALUES, FormatError, load_first_plain, load_plain

FORMAT_VERSION = 1
MAX_RECORDS = 1 << 19
"""Records in one file."""
MAX_META_VALUES = MAX_VALUES - 5 * MAX_RECORDS - 8
"""Values in the metadata: what a full index leaves of the last chunk's."""
MAGIC = "accelsim trace"
PROTOCOL = 4

PREAMBLE_LIMIT = 256
_MAGIC_AT = 11  # after PROTO and FRAME, of which the second holds a length
_MAGIC_BYTES = b"\x8c" + bytes([len(MAGIC)]) + MAGIC.encode()

_PRELUDE = struct.Struct("<QII")
_TRAILER = struct.Struct("<8sQI")
_TRAILER_MAGIC = b"acs-end\n"


class CutError(FormatError):
    """The file ends inside a preamble or chunk: a run that was killed leaves such a file."""


def accelsim_version() -> str:
    """Return the installed version of accelsim, "unknown" in a checkout that is not installed."""
    try:
        return version("accelsim")
    except PackageNotFoundError:
        return "unknown"


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
    """Return prelude and pickle of a plain value; the caller has checked that it is plain.

    Raises:
        FormatError: it is not bytes (a record's body), and larger than a reader accepts.
    """
    data = pickle.dumps(value, PROTOCOL)
    if len(data) > MAX_VALUE_BYTES and not isinstance(value, bytes):
        raise FormatError(f"it takes {len(data)} bytes, more than the {MAX_VALUE_BYTES} that it may have")
    announced = struct.pack("<QI", len(data), zlib.crc32(data))
    return _fixed(announced + struct.pack("<I", zlib.crc32(announced))) + data


def trailer(footer_offset: int) -> bytes:
    """Return the end of a complete file, whose footer chunk starts at the offset."""
    start = _TRAILER_MAGIC + struct.pack("<Q", footer_offset)
    return _fixed(start + struct.pack("<I", zlib.crc32(start)))


def read_preamble(file: BinaryIO) -> tuple[int, str]:
    """Read the format version and the version of the accelsim that wrote the file; leaves the file after them.

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
        start, end = load_first_plain(data)
    except FormatError:
        if len(data) < PREAMBLE_LIMIT:
            raise CutError("the file ends inside its first bytes") from None
        raise FormatError("its first bytes are damaged") from None
    match start:
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
    """Read the chunk at the file's position and return its value; leaves the file after it.

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
