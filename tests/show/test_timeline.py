"""A timeline's slices add up to the result, whatever is merged."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accelsim import AccelsimError, Hardware, OpTrace, TraceWriter, simulate
from accelsim.fleet import PassDetail
from accelsim.memory.spans import CAUSES
from accelsim.results import PassResult
from accelsim.show.timeline import Timeline
from accelsim.trace import open_traces

Event = dict[str, Any]
CLOCK_MHZ = 700  # a cycle is no whole number of nanoseconds


@dataclass
class Slice:
    """What a viewer shows: `outer` are the names of the slices around it on its track."""

    track: str
    name: str
    facts: Event
    outer: tuple[str, ...]
    start_us: float
    stop_us: float = math.nan

    @property
    def cycles(self) -> int:
        return round((self.stop_us - self.start_us) * CLOCK_MHZ)


def machine(count: int = 1, dram: dict[str, float] | None = None) -> Hardware:
    """Small buffers, so that passes have many steps."""
    return Hardware.model_validate(
        {
            "name": "small",
            "clock_mhz": CLOCK_MHZ,
            "array": {"rows": 4, "cols": 4, "count": count},
            "skipping": {"tensors": ["weight", "activation"], "scan_width": 4, "fifo_depth": 4},
            "memory": {"dram": dram, "buffers": {"weight_kib": 8, "input_kib": 8, "output_kib": 1}},
        }
    )


def layer(name: str, step: int = 0) -> OpTrace:
    rng = np.random.default_rng(len(name))
    return OpTrace(
        name=name,
        step=step,
        weight=rng.random((24, 12, 3, 3)) < 0.3,
        input=rng.random((2, 12, 12, 12)) < 0.5,
        grad_output=np.ones((2, 24, 12, 12)),
        padding=(1, 1),
    )


def draw(path: Path, hw: Hardware, limit: int = 10**6) -> tuple[list[Event], list[PassResult], list[PassDetail]]:
    """Events, and what they must add up to."""
    results, details = [], []

    def add(_: int, result: PassResult, detail: PassDetail) -> None:
        results.append(result)
        details.append(detail)
        timeline.add(result, detail)

    with Timeline(path, hw, limit) as timeline:
        simulate(hw, [layer("a"), layer("b"), layer("a", 3)], on_pass=add)
    return json.loads(path.read_text())["traceEvents"], results, details


def slices_of(events: list[Event]) -> list[Slice]:
    """Match begins and ends as viewers do: on each track an end closes the innermost slice, whose name it must have."""
    tracks = {event["tid"]: event["args"]["name"] for event in events if event["name"] == "thread_name"}
    running: dict[str, list[Slice]] = {track: [] for track in tracks.values()}
    found: list[Slice] = []
    for event in events:
        if event["ph"] == "B":
            track = tracks[event["tid"]]
            outer = tuple(around.name for around in running[track])
            found.append(Slice(track, event["name"], event.get("args", {}), outer, event["ts"]))
            running[track].append(found[-1])
        elif event["ph"] == "E":
            closed = running[tracks[event["tid"]]].pop()
            assert event["name"] == closed.name
            closed.stop_us = event["ts"]
    assert not any(running.values())
    return found


def by_pass(events: list[Event]) -> list[dict[str, list[Slice]]]:
    """The slices of each pass by track, in the order of the passes."""
    passes: list[dict[str, list[Slice]]] = []
    for one in slices_of(events):
        if one.name in ("forward", "input_grad", "weight_grad"):
            passes.append(defaultdict(list))
        elif one.track != "steps, layers, passes":
            passes[-1][one.track].append(one)
    return passes


def duration(slices: list[Slice]) -> int:
    return sum(one.cycles for one in slices)


@pytest.mark.relations
@pytest.mark.parametrize("limit", [1, 7, 10**6])
@pytest.mark.parametrize("dram", [None, {"bytes_per_cycle": 3, "latency_cycles": 40}])
@pytest.mark.parametrize("count", [1, 3])
def test_durations_add_up(tmp_path: Path, count: int, dram: dict[str, float] | None, limit: int) -> None:
    hw = machine(count, dram)
    events, results, details = draw(tmp_path / "t.json", hw, limit)
    passes = by_pass(events)
    assert len(passes) == len(results) == 9
    for tracks, result, detail in zip(passes, results, details, strict=True):
        assert len(detail.steps) > 8  # there is something to merge
        arrays = [f"array {array}" for array in range(count)] if count > 1 else ["array"]
        for number, name in enumerate(arrays):
            work, waits = duration(tracks[name]), duration(tracks[f"{name} waits"])
            assert work + waits == result.machine.cycles
            assert work == detail.steps.array_cycles[:, number].sum()
            assert {one.name for one in tracks[f"{name} waits"]} <= set(CAUSES)
        channel = tracks["DRAM channel"]
        if dram is None:
            assert not channel
            continue
        steps = detail.steps
        sizes = [size for moved in (steps.load_bytes, steps.store_bytes, steps.return_bytes) for size in moved.tolist()]
        assert duration(channel) == sum(math.ceil(size / dram["bytes_per_cycle"]) for size in sizes)
        assert sum(one.facts["bytes"] for one in channel) == result.machine.dram_bytes
        for slices in tracks.values():
            assert limit > 7 or len(slices) <= limit + len(CAUSES)
            assert all(one.facts["cycles"] == one.cycles > 0 for one in slices)


@pytest.mark.relations
@pytest.mark.parametrize("limit", [1, 7, 10**6])
def test_slices_of_a_track_do_not_overlap_and_stay_in_their_pass(tmp_path: Path, limit: int) -> None:
    events, results, _ = draw(tmp_path / "t.json", machine(2, {"bytes_per_cycle": 3, "latency_cycles": 40}), limit)
    start = 0
    for tracks, result in zip(by_pass(events), results, strict=True):
        stop = start + result.machine.cycles
        for slices in tracks.values():
            assert slices[0].start_us >= start / CLOCK_MHZ
            assert slices[-1].stop_us <= stop / CLOCK_MHZ
            assert all(one.stop_us <= other.start_us for one, other in pairwise(slices))
            assert not any(one.outer for one in slices)
        start = stop


@pytest.mark.relations
@pytest.mark.parametrize("limit", [1, 7, 10**6])
@pytest.mark.parametrize("count", [1, 3])
def test_buffers_are_drawn_and_never_hold_more_than_they_can(tmp_path: Path, count: int, limit: int) -> None:
    hw = machine(count, {"bytes_per_cycle": 3, "latency_cycles": 40})
    events, results, _ = draw(tmp_path / "t.json", hw, limit)
    counters = [event for event in events if event["ph"] == "C"]
    buffers = hw.memory.buffers
    kib = {"weight": buffers.weight_kib, "input": buffers.input_kib, "output": buffers.output_kib}
    for buffer, size in kib.items():
        points = [event for event in counters if event["name"].startswith(buffer)]
        halves = np.array([list(event["args"].values()) for event in points])
        assert halves.shape[1] == 2
        assert 0 < halves.max() <= size * 512
        assert halves.min() == 0
        times = [event["ts"] for event in points]
        assert times == sorted(times)
        start = 0
        for result in results:  # empty at the end of each pass
            stop = start + result.machine.cycles
            of_pass = [number for number, time in enumerate(times) if start <= time * CLOCK_MHZ + 1e-6 < stop + 1e-3]
            last = max(number for number in of_pass if not halves[number].any())
            assert times[last] * CLOCK_MHZ <= stop + 1e-3
            assert limit > 7 or len(of_pass) <= 2 * (limit + 2)
            start = stop


def test_ideal_memory_has_no_buffers(tmp_path: Path) -> None:
    events, _, _ = draw(tmp_path / "t.json", machine())
    assert not [event for event in events if event["ph"] == "C"]


def test_steps_layers_and_passes_are_nested(tmp_path: Path) -> None:
    events, results, _ = draw(tmp_path / "t.json", machine())
    found = [one for one in slices_of(events) if one.track == "steps, layers, passes"]
    assert [(*one.outer, one.name) for one in found[:3]] == [
        ("step 0",),
        ("step 0", "a"),
        ("step 0", "a", "forward"),
    ]
    assert ("step 3", "a", "weight_grad") in [(*one.outer, one.name) for one in found]
    assert Counter(len(one.outer) for one in found) == {0: 2, 1: 3, 2: 9}
    passes = [one for one in found if len(one.outer) == 2]
    assert [one.cycles for one in passes] == [one.facts["cycles"] for one in passes]
    assert duration([one for one in found if not one.outer]) == sum(result.machine.cycles for result in results)


def test_times_are_microseconds_at_the_clock(tmp_path: Path) -> None:
    hw = machine().model_copy(update={"clock_mhz": 250.0})
    op = OpTrace(name="a", step=0, weight=np.ones((4, 4, 1, 1)), input=np.ones((1, 4, 2, 2)), grad_output=None)
    with Timeline(tmp_path / "t.json", hw) as timeline:
        (cycles,) = simulate(hw, [op], on_pass=lambda _, *ran: timeline.add(*ran)).layers["cycles"]
    events = json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    (on_array,) = [one for one in slices_of(events) if one.track == "array"]
    assert (on_array.start_us, on_array.stop_us) == (0, cycles / 250)


def test_a_pass_without_a_cycle_is_an_instant(tmp_path: Path) -> None:
    """A slice without a cycle would end where it begins, and viewers disagree which comes first."""
    rng = np.random.default_rng(0)
    nothing = OpTrace(
        name="a",
        step=0,
        weight=rng.random((8, 4, 1, 1)) < 0.5,
        input=rng.random((1, 4, 2, 2)) < 0.5,
        grad_output=np.ones((1, 8, 2, 2)),
        weight_grad_needed=np.zeros((8, 4, 1, 1)),
    )
    hw = machine()
    hw = hw.model_copy(update={"skipping": hw.skipping.model_copy(update={"outputs": True})})
    with Timeline(tmp_path / "t.json", hw) as timeline:
        result = simulate(hw, [nothing], on_pass=lambda _, *ran: timeline.add(*ran))
    events = json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    assert result.layers["cycles"].to_list()[2] == 0
    assert [one.name for one in slices_of(events) if len(one.outer) == 2] == ["forward", "input_grad"]
    assert [event["name"] for event in events if event["ph"] == "i"] == ["weight_grad"]


def test_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text("before")
    with pytest.raises(RuntimeError), Timeline(path, machine()):
        raise RuntimeError
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_refuses_what_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(AccelsimError, match="cannot be written"), Timeline(tmp_path / "no" / "t.json", machine()):
        pass
    with pytest.raises(AccelsimError, match="limit is 0"):
        Timeline(tmp_path / "t.json", machine(), 0)


def test_ranks_have_steps_of_their_own(tmp_path: Path) -> None:
    """Their records agree in step, layer and call."""
    paths = [tmp_path / "rank0.pkl", tmp_path / "rank1.pkl"]
    for path in paths:
        with TraceWriter(path) as writer:
            writer.write(layer("a"))
    hw = machine()
    with Timeline(tmp_path / "t.json", hw) as timeline:
        simulate(hw, open_traces(paths), on_pass=lambda _, *ran: timeline.add(*ran))
    tracks = slices_of(json.loads((tmp_path / "t.json").read_text())["traceEvents"])
    steps = [one for one in tracks if one.name == "step 0"]
    assert [one.facts["trace"] for one in steps] == [0, 1]
    assert steps[0].stop_us <= steps[1].start_us
