"""A record's header, and how its masks are stored in the body that follows it."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from math import prod
from typing import Any, Literal, get_args

import numpy as np

from accelsim.errors import TraceError
from accelsim.trace.bitmask import BitMask
from accelsim.trace.fields import MAX_MASK_ELEMENTS, is_count, is_extent
from accelsim.trace.plain import FormatError
from accelsim.trace.record import MASK_NAMES, Facts, OpTrace

Pass = Literal["forward", "input_grad", "weight_grad"]

# Packed masks are nearly noise. ReLU outputs on photographs shrink to 0.46 at 80 MB/s (of packed bits) with level 1, to
# 0.42 at a third of the speed with level 6, to 0.57 by Huffman coding alone; the training run waits for it.
_ZLIB_LEVEL = 1
# Random masks of half density are noise entirely, and large ones cost seconds to find that out: a sample tells.
_SAMPLE_BYTES = 1 << 16
_WORTHWHILE = 0.98


@dataclass(frozen=True, slots=True)
class MaskEntry:
    """One mask of a record.

    Attributes:
        shape: four extents.
        nonzeros: set elements.
        storage: "zlib" or "raw" for bytes in the body, "ones" or "zeros" if they are not needed, or the name of the
            earlier mask of the same record that it equals.
        stored_bytes: bytes in the body.
    """

    shape: tuple[int, int, int, int]
    nonzeros: int
    storage: str
    stored_bytes: int

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def density(self) -> float:
        """Share of elements that are set; 0 for an empty mask."""
        return self.nonzeros / self.size if self.size else 0.0


@dataclass(kw_only=True)
class Entry(Facts):
    """One record of a trace without its masks' bits; `macs` are those of the dense forward pass."""

    order: int
    macs: int
    masks: Mapping[str, MaskEntry]

    @property
    def passes(self) -> tuple[Pass, ...]:
        """The passes that ran."""
        backward = "grad_output" in self.masks
        ran = (True, backward and self.needs_input_grad, backward and self.needs_weight_grad)
        return tuple(name for name, there in zip(get_args(Pass), ran, strict=True) if there)

    def to_plain(self) -> dict[str, Any]:
        """Return the header as the file holds it."""
        plain = self.facts() | {"macs": self.macs}
        plain["masks"] = {
            name: (mask.shape, mask.nonzeros, mask.storage, mask.stored_bytes) for name, mask in self.masks.items()
        }
        return plain

    @classmethod
    def from_plain(cls, plain: object) -> Entry:
        """Check a header read from a file.

        Raises:
            FormatError: fields are missing, unknown, or of the wrong type or size.
        """
        if not isinstance(plain, dict) or plain.keys() != {*_FIELDS, "masks"}:
            raise FormatError("it is no record: its fields are not those of an operation")
        for field, fits in _FIELDS.items():
            if not fits(plain[field]):
                raise FormatError(f"its field {field} has an impossible value")
        masks = plain["masks"]
        if not isinstance(masks, dict) or [name for name in MASK_NAMES if name in masks] != list(masks):
            raise FormatError(f"its masks are not among {', '.join(MASK_NAMES)}")
        if "weight" not in masks or "input" not in masks:
            raise FormatError("it has no mask of the weight or of the input")
        checked: dict[str, MaskEntry] = {}
        for name, described in masks.items():
            checked[name] = _mask_entry(name, described, checked)
        return cls(**{field: plain[field] for field in _FIELDS}, masks=checked)


_FIELDS: dict[str, Callable[[object], bool]] = {part.name: part.metadata["kind"].fits for part in fields(Facts)}
_FIELDS["macs"] = is_count


def _mask_entry(name: str, described: object, earlier: Mapping[str, MaskEntry]) -> MaskEntry:
    match described:
        case ((int(n), int(c), int(h), int(w)), int(nonzeros), str(storage), int(stored_bytes)) if (
            all(map(is_extent, (n, c, h, w))) and is_count(nonzeros) and is_count(stored_bytes)
        ):
            mask = MaskEntry((n, c, h, w), nonzeros, storage, stored_bytes)
        case _:
            raise FormatError(f"its mask {name} is not described by shape, non-zeros, storage and bytes")
    if mask.size > MAX_MASK_ELEMENTS:
        raise FormatError(f"its mask {name} has {mask.size} elements, more than the {MAX_MASK_ELEMENTS} supported")
    raw_bytes = -(-mask.size // 8)
    match storage:
        case "zlib":
            consistent = 0 < stored_bytes < raw_bytes and nonzeros <= mask.size
        case "raw":
            consistent = stored_bytes == raw_bytes and nonzeros <= mask.size
        case "ones":
            consistent = stored_bytes == 0 and nonzeros == mask.size
        case "zeros":
            consistent = stored_bytes == 0 and nonzeros == 0
        case _:
            twin = earlier.get(storage)
            consistent = (
                twin is not None and stored_bytes == 0 and (twin.shape, twin.nonzeros) == (mask.shape, nonzeros)
            )
    if not consistent:
        raise FormatError(
            f"its mask {name} contradicts itself: {nonzeros} non-zeros in {mask.shape}, stored as {storage!r}"
        )
    return mask


def encode(op: OpTrace, order: int) -> tuple[Entry, bytes]:
    """Return the header and the body of a record.

    Args:
        order: stands in where the operation has none.

    Raises:
        TraceError: a mask or the output is larger than the format allows.
    """
    if (reason := _too_large(op)) is not None:
        raise TraceError(f"{op.name}: {reason}")
    masks: dict[str, MaskEntry] = {}
    parts: list[bytes] = []
    for name, mask in op.masks.items():
        storage, stored = _store(mask, {earlier: op.masks[earlier] for earlier in masks})
        n, c, h, w = mask.shape
        masks[name] = MaskEntry((n, c, h, w), mask.nonzeros, storage, len(stored))
        parts.append(stored)
    facts = op.facts()
    if op.order is None:
        facts["order"] = order
    entry = Entry(**facts, macs=op.macs, masks=masks)
    return entry, b"".join(parts)


def _too_large(op: OpTrace) -> str | None:
    """Say what of an operation is larger than the format allows."""
    sizes = {name: mask.size for name, mask in op.masks.items()} | {"output": prod(op.output_shape)}
    for name, size in sizes.items():
        if size > MAX_MASK_ELEMENTS:
            return f"{name} has {size} elements, more than the {MAX_MASK_ELEMENTS} supported"
    return None


def _store(mask: BitMask, earlier: Mapping[str, BitMask]) -> tuple[str, bytes]:
    nonzeros = mask.nonzeros
    if nonzeros in (0, mask.size):
        return "zeros" if nonzeros == 0 else "ones", b""
    for name, candidate in earlier.items():
        if candidate == mask:
            return name, b""
    raw = mask.bits.tobytes()
    if _is_noise(raw):
        return "raw", raw
    compressed = zlib.compress(raw, _ZLIB_LEVEL)
    return ("zlib", compressed) if len(compressed) < len(raw) else ("raw", raw)


def _is_noise(raw: bytes) -> bool:
    """Whether a large mask's middle is not worth compressing."""
    if len(raw) < 16 * _SAMPLE_BYTES:
        return False
    middle = len(raw) // 2
    sample = raw[middle : middle + _SAMPLE_BYTES]
    return len(zlib.compress(sample, _ZLIB_LEVEL)) > _WORTHWHILE * _SAMPLE_BYTES


def decode(entry: Entry, body: bytes) -> OpTrace:
    """Return the operation that a checked header and its body describe.

    Raises:
        FormatError: the body does not hold what the header says.
        TraceError: the shapes do not belong together.
    """
    if len(body) != sum(mask.stored_bytes for mask in entry.masks.values()):
        raise FormatError(f"its masks have {len(body)} bytes, not those its header says")
    masks: dict[str, BitMask] = {}
    at = 0
    for name, described in entry.masks.items():
        stored = memoryview(body)[at : at + described.stored_bytes]
        at += described.stored_bytes
        if described.storage in masks:
            masks[name] = masks[described.storage]
            continue
        masks[name] = _restore(name, described, stored)
        if masks[name].nonzeros != described.nonzeros:
            raise FormatError(f"its mask {name} has {masks[name].nonzeros} non-zeros, not {described.nonzeros}")
    given: dict[str, Any] = {**entry.facts(), **masks}
    op = OpTrace(**given)
    if (reason := _too_large(op)) is not None:
        raise FormatError(reason)
    if op.macs != entry.macs:
        raise FormatError(f"it has {op.macs} multiply-accumulates by its shapes, not {entry.macs}")
    return op


def _restore(name: str, described: MaskEntry, stored: memoryview) -> BitMask:
    size = described.size
    raw_bytes = -(-size // 8)
    match described.storage:
        case "zeros":
            return BitMask(described.shape, np.zeros(raw_bytes, np.uint8))
        case "ones":
            bits = np.full(raw_bytes, 0xFF, np.uint8)
            if size % 8:
                bits[-1] = (1 << size % 8) - 1
            return BitMask(described.shape, bits)
        case "raw":
            raw = bytes(stored)
        case _:
            stream = zlib.decompressobj()
            try:
                raw = stream.decompress(stored, raw_bytes)  # never more than the shape needs, whatever the file says
                surplus = stream.decompress(stream.unconsumed_tail, 1) + stream.unused_data
            except zlib.error as error:
                raise FormatError(f"its mask {name} cannot be decompressed: {error}") from None
            if len(raw) != raw_bytes or surplus or not stream.eof:
                raise FormatError(f"its mask {name} does not decompress to the {raw_bytes} bytes that it needs")
    return BitMask(described.shape, raw)
