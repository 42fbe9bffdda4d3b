"""What a trace holds, as data: steps, layers, densities and multiply-accumulates, from the records' headers alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, get_args

from accelsim.trace.entry import Entry, Pass
from accelsim.trace.fields import Kind, Padding, Pair
from accelsim.trace.other_work import OtherWork
from accelsim.trace.reader import TraceReader
from accelsim.trace.record import MASK_NAMES
from accelsim.trace.training_run import TrainingRun
from accelsim.trace.unlowered import UnloweredNote, read_unlowered

Shape = tuple[int, int, int, int]


@dataclass(frozen=True)
class StepSummary:
    """One recorded step; `macs` is the dense multiply-accumulates of each pass that ran."""

    step: int
    records: int
    macs: Mapping[Pass, int]


@dataclass(frozen=True)
class LayerSummary:
    """All records of a layer that have the same geometry.

    Attributes:
        weight_shape, input_shape: see `OpTrace`.
        calls_per_step: greatest number of calls in one step.
        steps: number of steps in which it ran.
        forward_only: records without a backward pass.
        recomputed: records of a forward that activation checkpointing ran again.
        densities: share of set elements over all records that have the mask, under the mask's name.
        macs: dense multiply-accumulates of each pass that ran, over all records; a backward pass has as many as the
            forward pass (the border of a strided convolution's image is counted as if it were inside).
    """

    name: str
    kind: Kind
    weight_shape: Shape
    input_shape: Shape
    stride: Pair
    padding: Padding
    dilation: Pair
    groups: int
    records: int
    calls_per_step: int
    steps: int
    forward_only: int
    recomputed: int
    densities: Mapping[str, float]
    macs: Mapping[Pass, int]


@dataclass(frozen=True)
class TraceSummary:
    """What `accelsim inspect` shows, of a whole trace or a selection; layers in the order of their first record.

    Attributes:
        other_work: elements that the work between the products went over in these steps, by kind; None: not told.
    """

    path: str
    file_bytes: int
    format_version: int
    accelsim_version: str
    complete: bool
    records_in_file: int
    records: int
    meta: Mapping[str, Any]
    steps: tuple[StepSummary, ...]
    layers: tuple[LayerSummary, ...]
    macs: Mapping[Pass, int]
    unlowered: tuple[UnloweredNote, ...]
    training: TrainingRun | None
    other_work: Mapping[str, int] | None


def summarize(reader: TraceReader) -> TraceSummary:
    """Summarize a trace, or a selection of it; reads no mask.

    Raises:
        TraceError: a record's header is damaged.
    """
    entries = reader.entries
    by_step: dict[int, list[Entry]] = {}
    by_layer: dict[tuple[object, ...], list[Entry]] = {}
    for entry in entries:
        by_step.setdefault(entry.step, []).append(entry)
        by_layer.setdefault(_geometry(entry), []).append(entry)
    return TraceSummary(
        path=str(reader.path),
        file_bytes=reader.path.stat().st_size,
        format_version=reader.format_version,
        accelsim_version=reader.accelsim_version,
        complete=reader.complete,
        records_in_file=reader.records_in_file,
        records=len(reader),
        meta={key: value for key, value in reader.meta.items() if key not in ("unlowered", "training", "other_work")},
        training=TrainingRun.from_meta(reader.meta),
        steps=tuple(StepSummary(step, len(members), _macs(members)) for step, members in by_step.items()),
        layers=tuple(map(_layer, by_layer.values())),
        macs=_macs(entries),
        unlowered=read_unlowered(reader.meta),
        other_work=_other_work(reader),
    )


def _other_work(reader: TraceReader) -> dict[str, int] | None:
    told = OtherWork.from_meta(reader.meta)
    if told is None:
        return None
    chosen = [told.steps[step] for step in reader.steps if step in told.steps]
    return {kind: sum(tally.get(kind, 0) for tally in chosen) for kind in dict.fromkeys(chain.from_iterable(chosen))}


def _geometry(entry: Entry) -> tuple[object, ...]:
    shapes = entry.masks["weight"].shape, entry.masks["input"].shape
    return entry.name, entry.kind, shapes, entry.stride, entry.padding, entry.dilation, entry.groups


def _layer(members: list[Entry]) -> LayerSummary:
    first = members[0]
    calls: dict[int, int] = {}
    for entry in members:
        calls[entry.step] = calls.get(entry.step, 0) + 1
    densities = {}
    for name in MASK_NAMES:
        masks = [entry.masks[name] for entry in members if name in entry.masks]
        if masks:
            densities[name] = sum(mask.nonzeros for mask in masks) / max(1, sum(mask.size for mask in masks))
    return LayerSummary(
        name=first.name,
        kind=first.kind,
        weight_shape=first.masks["weight"].shape,
        input_shape=first.masks["input"].shape,
        stride=first.stride,
        padding=first.padding,
        dilation=first.dilation,
        groups=first.groups,
        records=len(members),
        calls_per_step=max(calls.values()),
        steps=len(calls),
        forward_only=sum("grad_output" not in entry.masks for entry in members),
        recomputed=sum(entry.recomputed for entry in members),
        densities=densities,
        macs=_macs(members),
    )


def _macs(members: Iterable[Entry]) -> dict[Pass, int]:
    macs: dict[Pass, int] = dict.fromkeys(get_args(Pass), 0)
    for entry in members:
        for name in entry.passes:
            macs[name] += entry.macs
    return macs
