"""Intervals of the ratios of energies: of the recorded steps, and of the whole training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from accelsim import Hardware, OpTrace, simulate
from accelsim.energy.account import Actions
from accelsim.energy.load import table_of
from accelsim.energy.mask_update import mask_update, mask_update_actions
from accelsim.energy.uncertainty import counts, drawn, interval, prices
from accelsim.pipeline import mask_update_costs
from accelsim.results import Result, WholeRun
from accelsim.results.other_work import actions_of
from accelsim.trace import MaskWork, TrainingRun

HW = Hardware.model_validate(
    {
        "name": "m",
        "array": {"rows": 4, "cols": 4},
        "skipping": {"tensors": ["weight", "activation"], "scan_width": 8, "fifo_depth": 8},
        "memory": {"dram": {"bytes_per_cycle": 16}},
    }
)
RATIOS = ("energy_ratio", "energy_ratio_at_equal_area")
UPDATE = MaskWork(2, 50_000, 50_000, 50_000, 1, 1)


def op(step: int) -> OpTrace:
    rng = np.random.default_rng(step)
    return OpTrace(
        name="fc",
        step=step,
        weight=rng.random((16, 64)) < 0.6 - 0.1 * step,
        input=rng.random((16, 64)) < 0.5,
        grad_output=rng.random((16, 16)) < 0.5,
    )


@pytest.fixture(scope="module")
def result() -> Result:
    whole = WholeRun(TrainingRun(0, 10, (), (UPDATE,)))
    simulated = simulate(HW, [op(0), op(4)], workers=1)
    return replace(simulated, run=whole, mask_updates=mask_update_costs(HW, table_of(HW), whole))


@pytest.mark.parametrize("ratio", RATIOS)
def test_every_ratio_of_a_training_has_its_interval(result: Result, ratio: str) -> None:
    training = result.training
    parts = [training["total"], *(one for by in ("by_pass", "by_branch", "by_kind") for one in training[by].values())]
    assert len(parts) == 6
    for part in parts:
        assert part[f"{ratio}_low"] < part[ratio] < part[f"{ratio}_high"]


@pytest.mark.closed_form
@pytest.mark.parametrize("ratio", RATIOS)
def test_a_training_draws_prices_for_all_that_its_steps_stand_for(result: Result, ratio: str) -> None:
    """By hand: steps 0 to 9 are 3 of step 0 and 7 of step 4, less what lies between them."""
    weights = dict(result.steps.groupby("step")["stands_for"].first())
    assert weights == {0: 2.5, 4: 7.5}
    both = [(weight, actions_of(result.other_work.sums({step: 1.0}))) for step, weight in weights.items()]
    found = result.energy_range if ratio == "energy_ratio" else result.equal_area.energy_range
    assert found is not None
    table, energies = drawn(table_of(HW)), []
    for hw, done in ((HW, found.own), (found.baseline, found.dense)):
        rows = [(weights[step], did) for step, did in zip(result.layers["step"], done, strict=True)] + both
        if hw is HW:
            rows.append((1.0, mask_update_actions(mask_update(HW, UPDATE))))
        energies.append(sum(weight * counts(hw, [did])[0] for weight, did in rows) @ prices(table, hw))
    total = result.training["total"]
    assert (total[f"{ratio}_low"], total[f"{ratio}_high"]) == pytest.approx(interval(*energies), rel=1e-6)


def test_mask_updates_move_the_interval(result: Result) -> None:
    without = replace(result, mask_updates=result.mask_updates.iloc[:0]).training["total"]
    assert result.training["total"]["energy_ratio_high"] < without["energy_ratio_high"]
    assert actions_of({"cycles": 1, "ops": 2, "dram_bytes": 3}) == Actions(cycles=1, vector_ops=2, dram_read_bytes=3)
