"""Which traces are of one run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from accelsim import AccelsimError, OpTrace, TraceWriter, simulate
from accelsim.trace import TraceChain, open_trace, open_traces
from tests.test_pipeline import small


def write(
    path: Path, steps: tuple[int, ...] = (0,), *, images: int = 4, width: int = 3, name: str = "a", **meta: object
) -> Path:
    with TraceWriter(path, meta=meta) as writer:
        for step in steps:
            writer.write(OpTrace(name=name, step=step, weight=np.ones((2, width)), input=np.ones((images, width))))
    return path


def unlike(tmp_path: Path, first: dict[str, object], second: dict[str, object]) -> str | None:
    paths = [write(tmp_path / f"{name}.pkl", **facts) for name, facts in (("one", first), ("two", second))]  # type: ignore[arg-type]
    chain = open_traces(paths)
    assert isinstance(chain, TraceChain)
    return chain.unlike


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"rank": 0, "images": 4}, {"rank": 1, "images": 3}),  # the last rank's share is smaller
        ({"rank": 0, "name": "a"}, {"rank": 1, "name": "b"}),  # a pipeline of stages
        ({"rank": 0, "steps": (0, 10)}, {"rank": 0, "steps": (20,)}),  # resumed
        ({"model": "net"}, {}),  # by another writer
        ({}, {}),
        ({"dtype": "float32"}, {"dtype": ""}),  # killed before it knew
    ],
)
def test_ranks_and_parts_may_be_of_one_run(tmp_path: Path, first: dict[str, object], second: dict[str, object]) -> None:
    assert unlike(tmp_path, first, second) is None


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ({"model": "resnet18"}, {"model": "vgg"}, r"model \(resnet18, vgg\)"),
        ({"rank": 0, "dtype": "float16"}, {"rank": 1, "dtype": "float32"}, r"dtype \(float16, float32\)"),
        ({"zero_as": {"weight": "exact"}}, {"zero_as": {"weight": "int8"}}, r"zero_as \(weight exact, weight int8\)"),
        ({"images": 256}, {"images": 512}, r"images per operation \(256, 512\)"),
        ({"width": 3}, {"width": 5}, r"weights of a \(2×3×1×1, 2×5×1×1\)"),
        ({"name": "a"}, {"name": "b"}, "layers"),
        ({"rank": 0, "steps": (0, 5)}, {"rank": 0, "steps": (5,)}, "both are rank 0 and recorded step 5"),
    ],
)
def test_other_models_batches_and_formats_are_not(
    tmp_path: Path, first: dict[str, object], second: dict[str, object], words: str
) -> None:
    found = unlike(tmp_path, first, second)
    assert found is not None
    assert found.startswith(f"{tmp_path / 'one.pkl'} and {tmp_path / 'two.pkl'} are not of one run, they differ in ")
    with pytest.raises(AccelsimError, match=f"{words}.*simulate each by itself"):
        simulate(small(), open_traces([tmp_path / "one.pkl", tmp_path / "two.pkl"]))


def test_a_selection_does_not_hide_or_make_a_difference(tmp_path: Path) -> None:
    one = TraceWriter(tmp_path / "one.pkl")
    with one as writer:
        for name in ("a", "b"):
            writer.write(OpTrace(name=name, step=0, weight=np.ones((2, 3)), input=np.ones((4, 3))))
    chain = TraceChain([open_trace(tmp_path / "one.pkl"), open_trace(write(tmp_path / "two.pkl", name="b"))])
    assert chain.select(layers=["a"]).unlike is None
    other = TraceChain(
        [open_trace(tmp_path / "one.pkl"), open_trace(write(tmp_path / "three.pkl", images=5, name="b"))]
    )
    assert other.select(layers=["a"]).unlike is not None
