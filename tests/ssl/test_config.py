"""What a configuration refuses, and the ramp it asks for."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.errors import TrainingError
from accelsim.ssl.config import TrainConfig


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("framework", "simsiam2"),
        ("pattern", "square"),
        ("method", "magic"),
        ("criterion", "luck"),
        ("distribution", "even"),
        ("allocation", "fair"),
        ("initial_density", 0.1),
        ("exchange", 1.5),
        ("gap", 1.0),
        ("gate_penalty", -1e-4),
        ("gate_target", math.inf),
        ("optimizer", "adam"),
        ("gradient_sparsity", 1.0),
        ("gradient_sparsity", -0.1),
        ("gate_channels", -1),
        ("gate_threshold", math.nan),
        ("steps", 0),
        ("batch", 1),
        ("prune_every", 0),
        ("knn_images", 0),
        ("threads", 0),
        ("learning_rate", 0.0),
        ("learning_rate", math.nan),
        ("temperature", -1.0),
        ("weight_decay", -0.1),
        ("momentum", 1.1),
        ("momentum", math.nan),
        ("queue", 0),
        ("queue", 10**12),
        ("seed", -1),
        ("seed", 2**32),
        ("sparsity", 1.0),
        ("sparsity", -0.1),
        ("prune_start", 0.9),
        ("prune_end", 1.1),
    ],
)
def test_values_that_make_no_sense_are_refused_by_name(field: str, value: object) -> None:
    said = "pruning runs" if field in ("prune_start", "prune_end") else field.removeprefix("prune_")
    with pytest.raises(TrainingError, match=said):
        replace(TrainConfig(), **{field: value})


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"pattern": "2:4"}, "2:4 removes 0.5 at most"),
        ({"method": "sr-ste", "pattern": "2:4", "sparsity": 0.4}, "sr-ste with 2:4 is 0.5 sparse"),
        ({"pattern": "0x4"}, "0x4|block"),
        ({"exchange_final": -0.1}, "exchange"),
    ],
)
def test_sparse_methods_that_cannot_be_built_are_refused(fields: dict[str, object], said: str) -> None:
    with pytest.raises(TrainingError, match=said):
        TrainConfig(**fields)  # type: ignore[arg-type]


@settings(deadline=None)
@given(steps=st.integers(2, 300), ramp=st.tuples(st.floats(0, 1), st.floats(0, 1)), every=st.integers(1, 50))
def test_every_run_ends_at_its_sparsity(steps: int, ramp: tuple[float, float], every: int) -> None:
    start, end = sorted(ramp)
    if start == end:
        return
    schedule = TrainConfig(steps=steps, prune_start=start, prune_end=end, prune_every=every).sparse_plan.schedule
    updates = [step for step in range(steps) if schedule.updates_at(step)]
    assert schedule.sparsity(updates[-1]) == pytest.approx(0.8)


def test_a_dense_run_has_no_plan() -> None:
    assert TrainConfig(sparsity=0).sparse_plan is None


def test_learning_rate_is_half_a_cosine() -> None:
    config = TrainConfig(steps=100, learning_rate=2.0)
    assert [config.learning_rate_at(step) for step in (0, 25, 50, 100)] == pytest.approx([2, 1 + 0.5**0.5, 1, 0])
