"""`simulate`, end to end: equal to the reference, its relations, and how it treats a trace."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from accelsim import AccelsimError, Hardware, OpTrace, TraceWriter, load_hardware, open_trace, simulate
from accelsim.lowering import passes_of
from accelsim.trace.record import Kind
from tests.oracle.array import plain_time
from tests.oracle.lowering import plain_lower
from tests.strategies import machines, operations

UNLIMITED = {"weight_words_per_cycle": "unlimited", "input_words_per_cycle": "unlimited"}
SLOTS = ("effectual", "ineffectual", "edge", "barrier", "sync", "starved", "port", "skew", "memory")


def small(**changes: object) -> Hardware:
    machine = {
        "name": "small",
        "array": {"rows": 4, "cols": 4},
        "skipping": {"tensors": ["weight", "activation", "gradient"], "scan_width": 8, "fifo_depth": 8},
        "memory": {
            "dram": {"bytes_per_cycle": 8, "latency_cycles": 10},
            "buffers": {"weight_kib": 4, "input_kib": 8, "output_kib": 4, **UNLIMITED},
            "compression": ["weight", "activation"],
        },
    }
    return Hardware.model_validate(machine | changes)


def layer(name: str = "conv", step: int = 0, *, trained: bool = True, seed: int = 0, **changes: object) -> OpTrace:
    rng = np.random.default_rng(seed)
    fields = {
        "name": name,
        "step": step,
        "weight": rng.random((8, 6, 3, 3)) < 0.3,
        "input": rng.random((2, 6, 7, 7)) < 0.5,
        "grad_output": rng.random((2, 8, 7, 7)) < 0.9 if trained else None,
        "padding": (1, 1),
    }
    return OpTrace(**(fields | changes))


@pytest.mark.reference
@given(machines(), operations(largest=5))
def test_equals_the_reference(hw: Hardware, op: OpTrace) -> None:
    layers = simulate(hw, [op], workers=1).layers
    assert list(layers["pass"]) == list(passes_of(op))
    for row in layers.to_dict("records"):
        plain = [plain_time(hw, gemm) for gemm in plain_lower(op, row["pass"])]
        dense = [plain_time(hw.dense(), gemm) for gemm in plain_lower(op, row["pass"])]
        assert row["cycles"] == row["array_cycles"] == sum(sum(timing.tile_cycles) for timing in plain)
        assert row["dense_cycles"] == sum(sum(timing.tile_cycles) for timing in dense)
        for slot in SLOTS:
            assert row[f"slots_{slot}"] == sum(timing.slots[slot] for timing in plain)
        gemms = list(plain_lower(op, row["pass"]))
        assert row["macs"] == sum(gemm.a.size * gemm.b.shape[1] for gemm in gemms)
        assert row["effectual_macs"] == sum(int((gemm.a.astype(int) @ gemm.b).sum()) for gemm in gemms)


@pytest.mark.relations
@settings(max_examples=60, deadline=None)
@given(machines(), operations(largest=5))
def test_memory_relations(hw: Hardware, op: OpTrace) -> None:
    memory = small().memory
    hw = hw.model_copy(update={"memory": memory})
    slow = simulate(hw, [op], workers=1).layers
    dram = memory.dram.model_copy(update={"bytes_per_cycle": 3 * memory.dram.bytes_per_cycle})
    faster = hw.model_copy(update={"memory": memory.model_copy(update={"dram": dram})})
    fast = simulate(faster, [op], workers=1).layers
    ideal = simulate(hw.model_copy(update={"memory": memory.model_copy(update={"dram": None})}), [op]).layers
    assert (slow["cycles"] >= slow["array_cycles"]).all()
    assert (slow["cycles"] >= slow["dram_bytes"] / memory.dram.bytes_per_cycle).all()
    assert (fast["cycles"] <= slow["cycles"]).all()
    assert (ideal["cycles"] == slow["array_cycles"]).all()
    assert (ideal["slots_memory"] == 0).all()
    slots = slow[[f"slots_{name}" for name in SLOTS]]
    assert (slots >= 0).all(axis=None)
    assert (slots.sum(axis=1) == slow["cycles"] * hw.array.rows * hw.array.cols * hw.array.lanes).all()
    assert (slow["energy_pj"] >= 0).all()


@pytest.mark.relations
def test_dense_masks_on_a_machine_that_skips_nothing_gain_nothing() -> None:
    layers = simulate(small(skipping={}, memory={}), [layer()]).layers
    assert (layers["speedup"] == 1).all()
    assert (layers["energy_pj"] == layers["dense_energy_pj"]).all()


def test_forward_only_operations_have_one_pass_and_a_branch_of_their_own() -> None:
    result = simulate(small(), [layer("q"), layer("k", trained=False)])
    assert list(zip(result.layers["layer"], result.layers["pass"], strict=True)) == [
        ("q", "forward"),
        ("q", "input_grad"),
        ("q", "weight_grad"),
        ("k", "forward"),
    ]
    assert set(result.summary["by_branch"]) == {"online, call 0", "forward_only, call 0"}


@pytest.mark.relations
def test_groups_may_be_permuted() -> None:
    op = layer(weight=np.random.default_rng(5).random((8, 3, 3, 3)) < 0.4, groups=2)
    weight, image, grad = op.weight, op.input, op.grad_output
    swapped = layer(
        weight=np.roll(weight, 4, axis=0),
        input=np.roll(image, 3, axis=1),
        grad_output=np.roll(grad, 4, axis=1),
        groups=2,
    )
    ideal = small(memory={})
    first, second = simulate(ideal, [op]).layers, simulate(ideal, [swapped]).layers
    assert list(first["cycles"]) == list(second["cycles"])


@pytest.mark.relations
def test_a_split_batch_adds_up() -> None:
    """On an array of one column, images are independent in forward and input_grad."""
    op = layer()
    halves = [layer(input=op.input[i : i + 1], grad_output=op.grad_output[i : i + 1]) for i in range(2)]
    hw = small(array={"rows": 4, "cols": 1}, memory={})
    whole, parts = (simulate(hw, ops).layers.groupby("pass")["cycles"].sum() for ops in ([op], halves))
    assert whole["forward"] == parts["forward"]
    assert whole["input_grad"] == parts["input_grad"]


@pytest.mark.relations
def test_workers_change_nothing() -> None:
    ops = [layer(f"l{i}", seed=i) for i in range(7)]
    one, three = simulate(small(), ops, workers=1), simulate(small(), ops, workers=3)
    assert one.layers.equals(three.layers)


def test_a_trace_is_never_whole_in_memory() -> None:
    """Operations are taken from the trace only as results are done."""
    taken = done = ahead = 0

    def stream() -> Iterator[OpTrace]:
        nonlocal taken, ahead
        for i in range(20):
            taken += 1
            ahead = max(ahead, taken - done)
            yield layer(f"l{i}")

    def finished() -> None:
        nonlocal done
        done += 1

    simulate(small(), stream(), workers=2, on_operation=finished)
    assert done == 20
    assert ahead <= 4


def test_reads_a_file_and_keeps_where_it_came_from(tmp_path: Path) -> None:
    path = tmp_path / "run.pkl"
    with TraceWriter(path, meta={"model": "toy"}) as writer:
        writer.write(layer(step=3))
    result = simulate(small(), path)
    assert result.summary["trace"]["path"] == str(path)
    assert result.summary["trace"]["meta"]["model"] == "toy"
    assert result.summary["steps"] == [3]
    assert simulate(small(), open_trace(path)).layers.equals(result.layers)


def test_other_work_is_on_top_of_the_passes_and_the_same_in_the_baseline() -> None:
    first = layer(needs_input_grad=False)
    plain = simulate(small(), [first, layer(call=1)], vector_work=False).summary
    counted = simulate(small(), [first, layer(call=1)]).summary
    assert plain["other_work"]["basis"] == "left out"
    assert plain["total"]["cycles"] == sum(part["cycles"] for part in plain["by_pass"].values())
    assert counted["by_pass"] == plain["by_pass"]
    done = counted["other_work"]["total"]
    assert counted["other_work"]["basis"].startswith("assumed")
    for name in ("cycles", "dram_bytes"):
        assert counted["total"][name] == plain["total"][name] + done[name]
        assert counted["total"][f"dense_{name}"] == plain["total"][f"dense_{name}"] + done[name]
    assert counted["total"]["energy_pj"] == pytest.approx(plain["total"]["energy_pj"] + done["energy_pj"])
    assert 1 < counted["total"]["speedup"] < plain["total"]["speedup"]
    assert counted["by_step"]["0"] == counted["total"]


def test_the_optimiser_runs_once_a_step_and_no_part_of_a_trace_has_other_work() -> None:
    once, twice = (simulate(small(), ops) for ops in ([layer()], [layer(), layer(call=1)]))
    kinds = [result.summary["other_work"]["by_kind"] for result in (once, twice)]
    assert kinds[0]["optimizer"] == kinds[1]["optimizer"]
    assert kinds[1]["norm"]["ops"] == 2 * kinds[0]["norm"]["ops"]
    part = simulate(small(), [layer()], passes=["forward"]).summary
    assert part["other_work"]["basis"].startswith("not counted")
    assert part["total"]["cycles"] == part["by_pass"]["forward"]["cycles"]


def test_a_traces_own_count_goes_before_any_assumption(tmp_path: Path) -> None:
    tally = {"softmax": 1000, "gelu": 500, "adam": 70}
    with TraceWriter(tmp_path / "run.pkl") as writer:
        for step in (0, 1, 2):
            writer.write(layer(step=step))
        writer.meta["other_work"] = dict.fromkeys((0, 1, 2), tally)
    whole = open_trace(tmp_path / "run.pkl")
    result = simulate(small(), whole.select(steps=[0, 2]))
    assert result.summary["other_work"]["basis"] == "counted by the tracer"
    assert "other_work" not in result.summary["trace"]["meta"]
    assert list(result.summary["other_work"]["by_kind"]) == ["activation", "softmax", "optimizer"]
    assert result.summary["other_work"]["by_kind"]["softmax"]["ops"] == 2 * 8 * 1000
    assert result.summary["total"]["other_work_cycles"] == sum(result.other_work.table["cycles"])
    assert simulate(small(), whole.select(layers=["conv"])).summary["other_work"]["total"]["cycles"] > 0
    steps = result.steps.set_index(["step", "pass"])["cycles"]
    assert steps[0, "all passes"] == steps[0].drop("all passes").sum()


@pytest.mark.parametrize("kind", ["conv", "conv_transpose", "matmul"])
def test_an_empty_batch_takes_no_cycles(kind: Kind) -> None:
    none = np.ones((0, 2, 1, 1))
    op = OpTrace(name="empty", step=0, kind=kind, weight=np.ones((2, 2, 1, 1)), input=none, grad_output=none)
    assert simulate(small(), [op], workers=1).layers["cycles"].tolist() == [0, 0, 0]


def test_a_stride_beyond_the_image_costs_no_time() -> None:
    """A phase of such a stride has no pixel; a file may say any stride."""
    one = np.ones((1, 1, 1, 1))
    start = time.process_time()
    rows = [
        simulate(small(), [OpTrace(name="a", step=0, weight=one, input=one, grad_output=one, stride=stride)], workers=1)
        for stride in ((1, 1), (1 << 16, 1 << 16))
    ]
    assert rows[0].layers["cycles"].tolist() == rows[1].layers["cycles"].tolist()
    assert time.process_time() - start < 60


def test_nothing_to_simulate_is_said() -> None:
    with pytest.raises(AccelsimError, match="holds no operation of weight_grad"):
        simulate(small(), [layer(trained=False)], passes=["weight_grad"])


def test_a_minimal_large_array_runs() -> None:
    large = Hardware.model_validate({"name": "minimal", "array": {"rows": 128, "cols": 128, "drain": "free"}})
    rng = np.random.default_rng(0)
    op = OpTrace(name="fc", step=0, weight=rng.random((200, 70)) < 0.5, input=rng.random((150, 70)) < 0.5)
    assert simulate(large, [op]).layers["cycles"].item() == 2 * 2 * 70


@pytest.mark.parametrize("patch", [14, 16])
def test_patch_embeddings_run_on_every_shipped_machine(patch: int) -> None:
    rng, across = np.random.default_rng(patch), 224 // patch
    op = OpTrace(
        name="patch_embed",
        step=0,
        weight=rng.random((48, 3, patch, patch)) < 0.5,
        input=rng.random((2, 3, 224, 224)) < 0.9,
        grad_output=rng.random((2, 48, across, across)) < 0.5,
        stride=(patch, patch),
    )
    configs = sorted((Path(__file__).parents[1] / "hw_configs").glob("*.yaml"))
    assert len(configs) > 5
    for hw in map(load_hardware, configs):
        layers = simulate(hw, [op], workers=1).layers
        assert list(layers["pass"]) == ["forward", "input_grad", "weight_grad"]
        assert (layers["cycles"] >= layers["array_cycles"]).all()
        if hw.memory.dram is not None:
            assert (layers["cycles"] >= layers["dram_bytes"] / hw.memory.dram.bytes_per_cycle).all()
