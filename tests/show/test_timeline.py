"""A timeline's slices add up to the result, whatever is merged."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from accelsim import AccelsimError, Hardware, OpTrace, simulate
from accelsim.fleet import PassDetail
from accelsim.memory.spans import CAUSES
from accelsim.results import PassResult
from accelsim.show.timeline import Timeline

Event = dict[str, Any]


def machine(count: int = 1, dram: dict[str, float] | None = None) -> Hardware:
    """Small buffers, so that passes have many steps."""
    return Hardware.model_validate(
        {
            "name": "small",
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


def by_pass(events: list[Event]) -> list[dict[str, list[Event]]]:
    """The slices of each pass by track, in the order of the passes."""
    tracks = {event["tid"]: event["args"]["name"] for event in events if event["name"] == "thread_name"}
    passes: list[dict[str, list[Event]]] = []
    for event in events:
        if event["ph"] == "B" and event["name"] in ("forward", "input_grad", "weight_grad"):
            passes.append(defaultdict(list))
        elif event["ph"] == "X":
            passes[-1][tracks[event["tid"]]].append(event)
    return passes


def duration(events: list[Event]) -> int:
    return sum(event["dur"] for event in events)


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
            assert work + waits == result.run.cycles
            assert work == detail.steps.array_cycles[:, number].sum()
            assert {event["name"] for event in tracks[f"{name} waits"]} <= set(CAUSES)
        channel = tracks["DRAM channel"]
        if dram is None:
            assert not channel
            continue
        sizes = [*detail.steps.load_bytes.tolist(), *detail.steps.store_bytes.tolist()]
        assert duration(channel) == sum(ceil(size / dram["bytes_per_cycle"]) for size in sizes)
        assert sum(event["args"]["bytes"] for event in channel) == result.run.dram_bytes
        for slices in tracks.values():
            assert limit > 7 or len(slices) <= limit + len(CAUSES)


@pytest.mark.relations
@pytest.mark.parametrize("limit", [1, 7, 10**6])
def test_slices_of_a_track_do_not_overlap_and_stay_in_their_pass(tmp_path: Path, limit: int) -> None:
    events, results, _ = draw(tmp_path / "t.json", machine(2, {"bytes_per_cycle": 3, "latency_cycles": 40}), limit)
    start = 0
    for tracks, result in zip(by_pass(events), results, strict=True):
        for slices in tracks.values():
            assert slices[0]["ts"] >= start
            assert slices[-1]["ts"] + slices[-1]["dur"] <= start + result.run.cycles
            assert all(one["ts"] + one["dur"] <= other["ts"] for one, other in pairwise(slices))
        start += result.run.cycles


def test_steps_layers_and_passes_are_nested(tmp_path: Path) -> None:
    events, results, _ = draw(tmp_path / "t.json", machine())
    stack: list[Event] = []
    found = []
    for event in events:
        if event["ph"] == "B":
            stack.append(event)
            found.append([outer["name"] for outer in stack])
        elif event["ph"] == "E":
            opened = stack.pop()
            if event["name"]:
                assert event["ts"] - opened["ts"] == opened["args"]["cycles"]
    assert not stack
    assert found[:3] == [["step 0"], ["step 0", "a"], ["step 0", "a", "forward"]]
    assert ["step 3", "a", "weight_grad"] in found
    assert Counter(map(len, found)) == {1: 2, 2: 3, 3: 9}
    assert event["ts"] == sum(result.run.cycles for result in results)


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
