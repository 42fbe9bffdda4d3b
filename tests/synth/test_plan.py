"""Plans: what a recorded trace leaves as it was, and what densities may change."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelsim import OpTrace, TraceWriter, open_trace, synthesize
from accelsim.errors import AccelsimError
from accelsim.synth.clustering import clustering_of
from tests.strategies import operations


@given(ops=st.lists(operations(), min_size=1, max_size=3))
def test_like_a_recorded_trace(ops: list[OpTrace], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "recorded.pkl"
    with TraceWriter(path) as writer:
        for op in ops:
            writer.write(op)
    made = list(synthesize(open_trace(path)))
    assert len(made) == len(ops)
    for mine, theirs in zip(made, ops, strict=True):
        fields = ("name", "step", "call", "kind", "stride", "padding", "dilation", "output_padding", "groups")
        for field in (*fields, "needs_input_grad", "needs_weight_grad", "recomputed", "macs", "output_shape"):
            assert getattr(mine, field) == getattr(theirs, field)
        for name, mask in mine.masks.items():
            assert mask.shape == theirs.masks[name].shape
        for name in ("weight", "input", "grad_output", "output_needed"):
            assert (name in mine.masks) == (name in theirs.masks)
            if name in mine.masks:
                assert mine.masks[name].nonzeros == theirs.masks[name].nonzeros
        for name, source in (("input_grad_needed", "input"), ("weight_grad_needed", "weight")):
            if name in mine.masks and theirs.masks[name].nonzeros >= theirs.masks[source].nonzeros:
                assert mine.masks[name].nonzeros == theirs.masks[name].nonzeros
                assert not (mine.masks[source].to_array() & ~mine.masks[name].to_array()).any()


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    path = tmp_path / "recorded.pkl"
    with TraceWriter(path) as writer:
        for step in (3, 7):
            image = np.ones((2, 4, 6, 6), bool)
            for name in ("stem", "inner"):
                weight = rng.random((8, image.shape[1], 3, 3)) < 0.5
                writer.write(
                    OpTrace(
                        name=name,
                        step=step,
                        weight=weight,
                        input=image,
                        grad_output=np.ones((2, 8, 6, 6), bool),
                        padding=(1, 1),
                        input_grad_needed=None if name == "stem" else image,
                        weight_grad_needed=weight,
                        needs_input_grad=name != "stem",
                    )
                )
                image = rng.random((2, 8, 6, 6)) < 0.4
            writer.write(
                OpTrace(
                    name="attention",
                    step=step,
                    kind="matmul",
                    weight=rng.random((6, 4)) < 0.5,
                    input=rng.random((3, 8)) < 0.5,
                    groups=2,
                    grad_output=np.ones((3, 6), bool),
                )
            )
    return path


def test_densities_given_go_before_recorded_ones(recorded: Path) -> None:
    made = synthesize(
        open_trace(recorded), weight_density=0.75, activation_density=0.25, gradient_density=0.5, pattern="2:4"
    )
    stem, inner, attention = list(made)[:3]
    assert stem.masks["input"].density == 1  # recorded without a zero: the data
    assert (inner.masks["weight"].density, inner.masks["input"].density) == (0.75, 0.25)
    assert inner.masks["input_grad_needed"] == inner.masks["input"]
    assert inner.masks["weight_grad_needed"] == inner.masks["weight"]
    assert inner.masks["grad_output"].density == 0.5
    recorded_attention = list(open_trace(recorded))[2]
    for name, mask in attention.masks.items():
        assert mask.nonzeros == recorded_attention.masks[name].nonzeros


def test_like_clusters_as_recorded(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    common = rng.normal(size=(16, 32, 1, 1))
    path = tmp_path / "clustered.pkl"
    with TraceWriter(path) as writer:
        for call, share in enumerate((0.0, 0.5)):
            seen = share**0.5 * common + (1 - share) ** 0.5 * rng.normal(size=(16, 32, 8, 8))
            writer.write(OpTrace(name="l", step=0, call=call, weight=np.ones((4, 32)), input=seen > 0.3))
    reader = open_trace(path)
    assert [plan.clustering for plan in synthesize(reader).plans] == pytest.approx([0, 0.5], abs=0.06)
    assert [plan.clustering for plan in synthesize(reader, activation_clustering=0.2).plans] == [0.2, 0.2]
    made = [clustering_of(op.masks["input"]) for op in synthesize(reader)]
    assert made == pytest.approx([0, 0.5], abs=0.08)


def test_steps_keep_weights_and_change_activations(recorded: Path) -> None:
    ops = list(synthesize(open_trace(recorded), weight_density=0.5))
    assert [op.step for op in ops] == [3, 3, 3, 7, 7, 7]
    assert ops[1].masks["weight"] == ops[4].masks["weight"]
    assert ops[1].masks["input"] != ops[4].masks["input"]
    later = list(synthesize(open_trace(recorded).select(steps=[7]), weight_density=0.5))
    assert [op.masks for op in later] == [op.masks for op in ops[3:]]


def test_switches(recorded: Path) -> None:
    stem, inner, _ = synthesize(open_trace(recorded).select(steps=[3]), relu=False, sparse_weight_grad=False)
    assert "input_grad_needed" not in inner.masks
    assert "weight_grad_needed" not in inner.masks
    assert "input_grad_needed" not in stem.masks


def test_refused(recorded: Path) -> None:
    with pytest.raises(AccelsimError, match=r"a batch of 2 was given, but .*recorded\.pkl has its own"):
        synthesize(open_trace(recorded), batch=2)
    with pytest.raises(
        AccelsimError, match=r"stem: a weight density of 0\.\d+ cannot be had, pattern 7:8 leaves 0\.875"
    ):
        synthesize(open_trace(recorded), pattern="7:8")
