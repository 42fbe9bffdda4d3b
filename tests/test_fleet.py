"""Many machines at once: equal to one at a time, with what they share done once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import accelsim.fleet
import accelsim.replay
from accelsim import AccelsimError, Hardware, OpTrace, simulate, simulate_many
from accelsim.lowering import Lowering
from accelsim.results import Result
from tests.strategies import machines, operations, small_machines

BASE: dict[str, dict[str, object]] = {
    "array": {"rows": 4, "cols": 4},
    "skipping": {"tensors": ["weight", "activation"], "scan_width": 8, "fifo_depth": 8},
    "memory": {"dram": {"bytes_per_cycle": 8, "latency_cycles": 10}, "compression": ["weight"]},
}


def machine(**changes: dict[str, object]) -> Hardware:
    """The base machine with some keys of its sections changed."""
    return Hardware.model_validate({"name": "base"} | {key: part | changes.get(key, {}) for key, part in BASE.items()})


def layer(step: int = 0, *, groups: int = 1) -> OpTrace:
    rng = np.random.default_rng(step)
    return OpTrace(
        name="conv",
        step=step,
        groups=groups,
        weight=rng.random((8, 6 // groups, 3, 3)) < 0.3,
        input=rng.random((2, 6, 7, 7)) < 0.5,
        grad_output=rng.random((2, 8, 5, 5)) < 0.5,
    )


def assert_equal(result: Result, expected: Result) -> None:
    pd.testing.assert_frame_equal(result.layers, expected.layers, check_exact=True)
    assert result.summary == expected.summary


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often a trace's work is done: lowerings of a pass, timings of a GEMM, movements of a pass."""
    counts: Counter[str] = Counter()

    def counted(module: object, name: str) -> None:
        original: Callable[..., object] = getattr(module, name)

        def counting(*args: object) -> object:
            counts[name] += 1
            return original(*args)

        monkeypatch.setattr(module, name, counting)

    counted(Lowering, "gemms")
    counted(accelsim.replay, "time_tiled")
    counted(accelsim.fleet, "Mover")
    return counts


def test_machines_share_what_they_agree_in(calls: Counter[str]) -> None:
    """Two groups make two GEMMs of each of the three passes, which are stacked."""
    hardware = [
        machine(),
        machine(),  # all the same
        machine(skipping={"gate_zeros": True}),  # differs in energy
        machine(memory={"compression": []}),  # differs in movement
        machine(skipping={"sync": "pe"}),  # differs in timing, not in its baseline
        machine(array={"rows": 2}),  # differs in all
    ]
    results = simulate_many(hardware, [layer(groups=2)], equal_area=False, workers=1)
    assert calls == {
        "gemms": 3,
        "time_tiled": 3 * (3 + 2),  # row, pe, two rows; two baselines
        "Mover": 3 * (4 + 2),
    }
    for hw, result in zip(hardware, results, strict=True):
        assert_equal(result, simulate(hw, [layer(groups=2)], equal_area=False, workers=1))


def test_one_machine_is_timed_beside_its_baseline(calls: Counter[str]) -> None:
    simulate(machine(), [layer(0), layer(1)], equal_area=False, workers=1)
    assert calls == {"gemms": 6, "time_tiled": 12, "Mover": 12}


@pytest.mark.relations
@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.one_of(machines(), small_machines()), min_size=1, max_size=4),
    st.lists(operations(largest=5), min_size=1, max_size=2),
    st.sampled_from((1, 2)),
)
def test_many_equal_one_at_a_time(hardware: list[Hardware], ops: list[OpTrace], workers: int) -> None:
    alone = [simulate(hw, ops, vector_work=True, workers=1) for hw in hardware]
    together = simulate_many(hardware, ops, vector_work=True, workers=workers)
    for result, expected in zip(together, alone, strict=True):
        assert_equal(result, expected)


def test_a_trace_is_read_once() -> None:
    steps = iter([layer(0), layer(1)])
    first, second = simulate_many([machine(), machine(array={"cols": 3})], steps, workers=1)
    assert len(first.layers) == len(second.layers) == 6


def test_no_machine_no_result() -> None:
    assert simulate_many([], [layer()]) == []


def test_a_machine_without_its_energy_table_stops_all() -> None:
    with pytest.raises(AccelsimError, match="energy table 'unheard-of' is unknown"):
        simulate_many([machine(), machine().model_copy(update={"energy": "unheard-of"})], [layer()], workers=1)
