"""The passes of a training step together: their order, and their sums where they overlap."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim import AccelsimError, Hardware, OpTrace, TraceWriter, simulate, simulate_many
from accelsim.energy.load import table_of
from accelsim.fleet import Fleet
from accelsim.memory.recurrence import pass_cycles
from accelsim.memory.steps import Steps
from accelsim.replay import Replay, execution_order
from accelsim.results import Result
from tests.strategies import operations, small_machines


def layer(name: str, *, trained: bool = True, **changes: object) -> OpTrace:
    rng = np.random.default_rng(len(name))
    fields = {
        "name": name,
        "step": 0,
        "weight": rng.random((8, 6, 3, 3)) < 0.3,
        "input": rng.random((2, 6, 7, 7)) < 0.5,
        "grad_output": rng.random((2, 8, 5, 5)) < 0.9 if trained else None,
    }
    return OpTrace(**(fields | changes))


def with_overlap(hw: Hardware, overlap: bool = True, bytes_per_cycle: float = 4) -> Hardware:
    memory = {"overlap": overlap, "dram": {"bytes_per_cycle": bytes_per_cycle, "latency_cycles": 7}}
    return Hardware.model_validate(hw.model_dump() | {"memory": hw.memory.model_dump() | memory})


SMALL = Hardware.model_validate(
    {
        "name": "small",
        "array": {"rows": 4, "cols": 4},
        "skipping": {"tensors": ["weight", "activation", "gradient"], "scan_width": 8, "fifo_depth": 8},
        "memory": {"buffers": {"weight_kib": 1, "input_kib": 1, "output_kib": 1}},
    }
)
APART, TOGETHER = with_overlap(SMALL, False), with_overlap(SMALL)


def test_forward_passes_come_first_and_backward_goes_from_the_last_operation_to_the_first() -> None:
    ops = [layer("a"), layer("momentum", trained=False), layer("b", needs_input_grad=False), layer("c")]
    replay = Replay(Fleet([TOGETHER]), [table_of(TOGETHER)])
    order = execution_order([tuple(replay.run(op)) for op in ops])
    assert [(one.describe.keywords["layer"], one.which) for one in order] == [
        *((name, "forward") for name in ("a", "momentum", "b", "c")),
        ("c", "input_grad"),
        ("c", "weight_grad"),
        ("b", "weight_grad"),
        ("a", "input_grad"),
        ("a", "weight_grad"),
    ]


def test_rows_add_up_to_all_steps_run_as_one_pass() -> None:
    ops = [layer("a"), layer("bb"), layer("ccc")]
    result = simulate(TOGETHER, ops)
    replay = Replay(Fleet([TOGETHER]), [table_of(TOGETHER)])
    ran = execution_order([tuple(replay.run(op)) for op in ops])
    joined = Steps.join([one.running.work(0).mover.steps for one in ran])
    assert TOGETHER.memory.dram is not None
    assert result.layers["cycles"].sum() == pass_cycles(TOGETHER.memory.dram, joined)
    assert result.layers["cycles"].sum() < simulate(APART, ops).layers["cycles"].sum()


@settings(max_examples=60)
@given(small_machines(), st.lists(operations(largest=5), min_size=1, max_size=4), st.floats(0.5, 40))
def test_no_step_is_slower_and_slots_fill_all_cycles(hw: Hardware, ops: Sequence[OpTrace], bandwidth: float) -> None:
    apart, together = simulate_many([with_overlap(hw, on, bandwidth) for on in (False, True)], ops, equal_area=False)
    array = hw.array
    for column in ("cycles", "dense_cycles"):
        assert together.layers[column].sum() <= apart.layers[column].sum()
    slots = together.layers.filter(like="slots_")
    assert (slots >= 0).all().all()
    lanes = array.rows * array.cols * array.lanes * array.count
    np.testing.assert_array_equal(slots.sum(axis=1), lanes * together.layers["cycles"])
    assert (together.layers["cycles"] >= together.layers["array_cycles"]).all()
    same = ["array_cycles", "dense_array_cycles", "dram_bytes", "dense_dram_bytes", "mapping"]
    assert together.layers[same].equals(apart.layers[same])


def test_one_pass_by_itself_is_the_same() -> None:
    op = layer("a", trained=False)
    assert rows(simulate(TOGETHER, [op])) == rows(simulate(APART, [op]))


def test_beside_machines_that_overlap_others_stay_the_same() -> None:
    ops = [layer("a"), layer("bb", step=1)]
    apart, together = simulate_many([APART, TOGETHER], ops)
    assert rows(apart) == rows(simulate(APART, ops))
    assert rows(together) == rows(simulate(TOGETHER, ops))


def test_ideal_memory_has_nothing_to_overlap() -> None:
    ideal = Hardware.model_validate(SMALL.model_dump() | {"memory": SMALL.memory.model_dump() | {"overlap": True}})
    ops = [layer("a"), layer("bb")]
    assert rows(simulate(ideal, ops)) == rows(simulate(SMALL, ops))
    assert simulate(ideal, ops, sample=0.5).summary["total"]["cycles"] > 0


def test_steps_and_files_do_not_overlap(tmp_path: Path) -> None:
    steps = [layer("a"), layer("bb")], [layer("a", step=1), layer("bb", step=1)]
    cycles = [simulate(TOGETHER, ops).layers["cycles"].tolist() for ops in steps]
    assert simulate(TOGETHER, [*steps[0], *steps[1]]).layers["cycles"].tolist() == cycles[0] + cycles[1]
    with TraceWriter(tmp_path / "run.pkl") as writer:  # in the order of the backward pass, as layers are recorded
        for order, op in reversed(list(enumerate(steps[0]))):
            op.order = order
            writer.write(op)
    assert simulate(TOGETHER, tmp_path / "run.pkl").layers["cycles"].tolist() == cycles[0]


def test_passes_are_told_in_the_trace_s_order() -> None:
    told: list[tuple[str, str, int]] = []
    result = simulate(
        TOGETHER,
        [layer("a"), layer("bb")],
        on_pass=lambda _, row, detail: told.append((row.layer, row.which, detail.actions.cycles)),
    )
    expected = result.layers[["layer", "pass", "cycles"]]
    assert told == [tuple(row) for row in expected.itertuples(index=False)]


def test_no_sample_of_passes_that_overlap() -> None:
    with pytest.raises(AccelsimError, match="do not sample"):
        simulate(TOGETHER, [layer("a")], sample=0.5)


def rows(result: Result) -> list[dict[str, object]]:
    return [{str(name): value for name, value in row.items()} for row in result.layers.to_dict("records")]
