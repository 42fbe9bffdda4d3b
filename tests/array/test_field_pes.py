"""Machines of the field as configurations: each one's closed form, on masks made to fit it."""

from __future__ import annotations

from math import ceil
from pathlib import Path

import numpy as np
import pytest

from accelsim import Hardware, OpTrace, load_hardware, simulate
from tests.array.test_closed_form import ALL, array_cycles, linear, machine

pytestmark = pytest.mark.closed_form
CONFIGS = Path(__file__).parents[2] / "hw_configs"
Mask = np.ndarray


def n_of_m(rng: np.random.Generator, rows: int, groups: int, n: int, m: int) -> Mask:
    """[rows, groups · m] with exactly n non-zeros in every m."""
    return (rng.random((rows, groups, m)).argsort(axis=2) < n).reshape(rows, groups * m)


def transposable(rng: np.random.Generator, rows: int, cols: int) -> Mask:
    """[4 · rows, 4 · cols] with exactly two non-zeros in every four, along rows and along columns."""
    ring = np.array([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1], [1, 0, 0, 1]], bool)
    blocks = [[ring[rng.permutation(4)][:, rng.permutation(4)] for _ in range(cols)] for _ in range(rows)]
    return np.block(blocks)


def convolution(weight: Mask) -> OpTrace:
    """A 3x3 layer [Cout, Cin, 3, 3] on images whose tensors hold no zero."""
    outputs, inputs = weight.shape[:2]
    return OpTrace(
        name="conv",
        step=0,
        weight=weight,
        input=np.ones((2, inputs, 5, 5)),
        grad_output=np.ones((2, outputs, 5, 5)),
        padding=(1, 1),
    )


def every_tap(rng: np.random.Generator, make) -> Mask:
    """[Cout, Cin, 3, 3], a fresh mask [Cout, Cin] for each tap."""
    return np.stack([make(rng) for _ in range(9)], axis=2).reshape(*make(rng).shape, 3, 3)


def test_n_of_m_weights_run_at_half_the_dense_cycles_in_forward_only() -> None:
    hw, rng = load_hardware(CONFIGS / "nm24_tensorcore.yaml"), np.random.default_rng(0)
    op = convolution(every_tap(rng, lambda rng: n_of_m(rng, 32, 8, 2, 4)))
    rows = simulate(hw, [op], workers=1).layers.set_index("pass")
    assert 2 * rows["array_cycles"]["forward"] == rows["dense_array_cycles"]["forward"]
    assert rows["dense_array_cycles"]["forward"] == 2 * ceil(50 / 16) * (9 * 32 // 2)
    assert rows["array_cycles"]["input_grad"] > 1.3 * rows["dense_array_cycles"]["input_grad"] / 2
    assert rows["array_cycles"]["weight_grad"] >= rows["dense_array_cycles"]["weight_grad"]


def test_transposable_masks_restore_it_in_input_grad() -> None:
    hw, rng = load_hardware(CONFIGS / "nm24_tensorcore.yaml"), np.random.default_rng(0)
    rows = simulate(hw, [convolution(every_tap(rng, lambda rng: transposable(rng, 8, 8)))], workers=1).layers
    rows = rows.set_index("pass")
    for which in ("forward", "input_grad"):
        assert 2 * rows["array_cycles"][which] == rows["dense_array_cycles"][which]


@pytest.mark.parametrize(("n", "m"), [(1, 4), (2, 4), (2, 8), (4, 16), (1, 2)])
@pytest.mark.parametrize("sync", ["pe", "array"])
def test_any_n_of_m(n: int, m: int, sync: str) -> None:
    rng = np.random.default_rng(m)
    op = linear(n_of_m(rng, 8, 6, n, m), np.ones((8, 6 * m), bool))
    hw = machine(lanes=n, skipping={"tensors": ["weight"], "scan_width": m, "fifo_depth": m, "sync": sync})
    assert array_cycles(hw, op) * m == array_cycles(hw.dense(), op) * n


@pytest.mark.parametrize("scanning", [False, True])
@pytest.mark.parametrize("rows", [1, 8])
def test_pruned_blocks_vanish(scanning: bool, rows: int) -> None:
    """Blocks of R rows by 8 positions (R = 1: vector-wise): a row tile takes one cycle a kept block."""
    rng = np.random.default_rng(rows)
    kept = rng.random((24 // rows, 10)) < 0.3
    op = linear(np.repeat(np.repeat(kept, rows, axis=0), 8, axis=1), np.ones((20, 80), bool))
    skipping = {"tensors": ["weight"] if scanning else [], "scan_width": 8, "fifo_depth": 8, "blocks": ["weight"]}
    assert array_cycles(machine(rows, 4, 8, skipping=skipping), op) == kept.sum() * (20 // 4)


def test_pruned_blocks_vanish_in_input_grad_too() -> None:
    """Square blocks of channels, one mask for every tap: 8 rows by 8 positions either way round."""
    rng = np.random.default_rng(3)
    kept = rng.random((3, 3, 4, 2)) < 0.4  # taps, blocks of outputs, blocks of inputs
    weight = np.kron(kept.transpose(2, 3, 0, 1), np.ones((8, 8, 1, 1), bool))
    hw = load_hardware(CONFIGS / "tensorcore8.yaml")
    hw = hw.model_copy(update={"array": hw.array.model_copy(update={"drain": "free"})})
    for which in ("forward", "input_grad"):
        assert array_cycles(hw, convolution(weight), which) == kept.sum() * ceil(50 / 8)


@pytest.mark.parametrize("sync", ["pe", "column"])
def test_activation_only_skipping_takes_the_fullest_column(sync: str) -> None:
    """Weights count as all non-zero: every PE of a column has the column's pairs, and a whole row tile is alike."""
    rng = np.random.default_rng(1)
    weight, activation = rng.random((8, 40)) < 0.2, rng.random((12, 40)) < 0.4
    skipping = {"tensors": ["activation"], "scan_width": 40, "fifo_depth": 40, "sync": sync}
    per_column_tile = activation.sum(axis=1).reshape(3, 4).max(axis=1)
    assert array_cycles(machine(skipping=skipping), linear(weight, activation)) == 2 * per_column_tile.sum()


@pytest.mark.parametrize("sync", ["pe", "row"])
def test_weight_only_skipping_takes_the_fullest_row(sync: str) -> None:
    rng = np.random.default_rng(1)
    weight, activation = rng.random((8, 40)) < 0.2, rng.random((12, 40)) < 0.4
    skipping = {"tensors": ["weight"], "scan_width": 40, "fifo_depth": 40, "sync": sync}
    per_row_tile = weight.sum(axis=1).reshape(2, 4).max(axis=1)
    assert array_cycles(machine(skipping=skipping), linear(weight, activation)) == 3 * per_row_tile.sum()


def test_the_ideal_machine_takes_the_busiest_pe() -> None:
    """As long as one window holds all of K; a cycle where there is no pair at all."""
    rng = np.random.default_rng(2)
    hw = load_hardware(CONFIGS / "ideal16x16.yaml")
    weight, activation = rng.random((50, 300)) < 0.2, rng.random((70, 300)) < 0.5
    weight[16:32] = False
    pairs = weight.astype(int) @ activation.T
    expected = sum(max(1, pairs[i : i + 16, j : j + 16].max()) for i in range(0, 50, 16) for j in range(0, 70, 16))
    op = linear(weight, activation)
    assert array_cycles(hw, op) == expected
    scanning = load_hardware(CONFIGS / "pe16x16_rowsync.yaml")
    assert array_cycles(scanning, op) >= expected - 5  # it drops the empty row tile


@pytest.mark.parametrize("lanes", [1, 3])
@pytest.mark.parametrize("width", [4, 7, 64])
def test_a_queue_that_never_fills_ends_with_its_last_busy_period(lanes: int, width: int) -> None:
    """One PE, windows of e_0 … e_(W-1) pairs: max of W and of j + ceil((e_j + … + e_(W-1)) / L) over all j."""
    rng = np.random.default_rng(width * lanes)
    for density in (0.05, 0.3, 0.7):
        weight, activation = rng.random((1, 200)) < density, rng.random((1, 200)) < 0.8
        pairs = np.pad((weight & activation)[0], (0, -200 % width)).reshape(-1, width).sum(axis=1)
        behind = pairs[::-1].cumsum()[::-1]
        expected = max(len(pairs), *(j + ceil(rest / lanes) for j, rest in enumerate(behind)))
        skipping = {"tensors": ALL, "scan_width": width, "fifo_depth": 1 << 20, "sync": "pe"}
        assert array_cycles(machine(1, 1, lanes, skipping=skipping), linear(weight, activation)) == expected


def test_gating_saves_energy_and_no_cycle() -> None:
    rng = np.random.default_rng(0)
    op = linear(rng.random((16, 64)) < 0.3, rng.random((16, 64)) < 0.5)
    plain, gated = (
        simulate(machine(skipping={"gate_zeros": gate}), [op], workers=1).layers.iloc[0] for gate in (False, True)
    )
    assert gated["cycles"] == plain["cycles"] == 16 * 64
    assert gated["energy_pj"] < plain["energy_pj"]
    full = linear(np.ones((16, 64)), np.ones((16, 64)))
    plain, gated = (
        simulate(machine(skipping={"gate_zeros": gate}), [full], workers=1).layers.iloc[0] for gate in (False, True)
    )
    assert 1 <= gated["energy_pj"] / plain["energy_pj"] < 1.001  # no zero, nothing to gate; the tests for zeros leak


def test_a_hardware_that_skips_nothing_is_its_own_baseline() -> None:
    hw = Hardware.model_validate({"name": "m", "array": {"rows": 2, "cols": 2}})
    assert not hw.skips
    assert hw.dense() == hw
