"""What traces tell of the work between the products."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from accelsim import OpTrace, TraceWriter, open_trace
from accelsim.trace import OtherWork, assumed_tally, open_traces

TOLD = {3: {"relu": 8, "momentum": 2}, 5: {"softmax_backward": 1}}


def test_metadata_come_back() -> None:
    work = OtherWork.from_meta({"other_work": TOLD})
    assert work is not None
    assert work.plain() == TOLD


@pytest.mark.parametrize(
    "told",
    [
        None,
        [],
        {"3": {}},
        {3: [("relu", 1)]},
        {3: {"dance": 1}},
        {3: {"relu": -1}},
        {3: {"relu": 1.5}},
        {3: {"relu": True}},
        {-1: {}},
    ],
)
def test_what_a_foreign_writer_says_is_nothing(told: object) -> None:
    assert OtherWork.from_meta({"other_work": told}) is None
    assert OtherWork.from_meta({}) is None


def test_ranks_add_up(tmp_path: Path) -> None:
    for rank in (0, 1):
        with TraceWriter(tmp_path / f"{rank}.pkl", meta={"rank": rank}) as writer:
            writer.write(OpTrace(name="a", step=3, weight=np.ones((2, 2)), input=np.ones((2, 2))))
            writer.meta["other_work"] = TOLD
    paths = [tmp_path / "0.pkl", tmp_path / "1.pkl"]
    assert OtherWork.from_meta(open_traces(paths).meta) == OtherWork(
        {3: {"relu": 16, "momentum": 4}, 5: {"softmax_backward": 2}}
    )
    with TraceWriter(paths[1], meta={"rank": 1}) as writer:
        writer.write(OpTrace(name="a", step=3, weight=np.ones((2, 2)), input=np.ones((2, 2))))
    assert "other_work" not in open_traces(paths).meta
    assert open_trace(paths[0]).meta["other_work"] == TOLD


def test_assumptions() -> None:
    weight, image = np.ones((4, 3, 3, 3)), np.ones((2, 3, 6, 6))
    trained = OpTrace(name="a", step=0, weight=weight, input=image, grad_output=np.ones((2, 4, 4, 4)))
    forward = {"batch_norm": 128, "relu": 128}
    backward = {"batch_norm_backward": 128, "relu_backward": 128}
    assert assumed_tally(trained) == forward | backward | {"momentum": 108}
    frozen = OpTrace(name="a", step=0, weight=weight, input=image)
    assert assumed_tally(frozen) == forward
    second = OpTrace(name="a", step=0, call=1, weight=weight, input=image, grad_output=np.ones((2, 4, 4, 4)))
    assert assumed_tally(second) == forward | backward
    attention = OpTrace(name="a", step=0, kind="matmul", weight=np.ones((4, 3)), input=np.ones((2, 3)))
    assert assumed_tally(attention) == {}
