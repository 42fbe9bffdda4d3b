"""A sampled result says so: in its table, its summary, and in the terminal."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

from accelsim import AccelsimError, Hardware, OpTrace, Sampling, simulate
from accelsim.results import Result
from accelsim.sampling import Sampler
from accelsim.show.tables import result_tables

MACHINE = Hardware.model_validate(
    {
        "name": "small",
        "array": {"rows": 8, "cols": 8},
        "skipping": {"tensors": ["weight", "activation"], "scan_width": 8, "fifo_depth": 8, "sync": "row"},
    }
)


def layer(output_needed: NDArray[np.bool_] | None = None) -> OpTrace:
    rng = np.random.default_rng(0)
    return OpTrace(
        name="conv",
        step=0,
        padding=(1, 1),
        weight=rng.random((64, 64, 3, 3)) < 0.3,
        input=rng.random((16, 64, 64, 64)) < 0.5,
        output_needed=output_needed,
    )


@pytest.fixture(scope="module")
def sampled() -> Result:
    return simulate(MACHINE, [layer()], sample=Sampling(0.01, seed=1))


def test_the_table_and_the_summary_have_intervals(sampled: Result) -> None:
    row, sampling = sampled.layers.iloc[0], sampled.summary["sampling"]
    assert row["simulated_tiles"] < row["tiles"] / 2
    assert row["cycles_low"] < row["cycles"] < row["cycles_high"]
    assert sampling["by_pass"]["forward"]["cycles"] == pytest.approx([row["cycles_low"], row["cycles_high"]])
    between = sampled.summary["other_work"]["total"]["cycles"]
    assert sampling["total"]["cycles"] == pytest.approx([row["cycles_low"] + between, row["cycles_high"] + between])
    for bounds, speedup in (
        (sampling["by_pass"]["forward"], row["speedup"]),
        (sampling["total"], sampled.summary["total"]["speedup"]),
        (sampling["by_step"]["0"], sampled.summary["total"]["speedup"]),
    ):
        low, high = bounds["speedup"]
        assert low < speedup < high
    assert sampling["seed"] == 1


SEEDS = 20
COVERED = 16  # of 20: fewer have a chance of 0.3 % if 95 % are promised and kept


@pytest.mark.parametrize("rival_sampled", [False, True])
def test_ratios_at_equal_area_have_intervals_that_hold_the_truth(
    rival_sampled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dense machine is simulated whole, or a part of its tiles where outputs are left out: its energy varies."""
    op = layer(np.random.default_rng(1).random((16, 64, 64, 64)) < 0.3) if rival_sampled else layer()
    if rival_sampled:
        monkeypatch.setattr(Sampling, "sampler", lambda plan: Sampler(plan.share, plan.seed, lambda *_: True))
    truth = simulate(MACHINE, [op]).summary["total"]
    runs = [simulate(MACHINE, [op], sample=Sampling(0.01, seed=seed)) for seed in range(SEEDS)]
    for one in runs:
        (spread,) = one.rival_spreads
        assert (spread.simulated < spread.tiles) == ("energy_pj" in spread.variances) == rival_sampled
    for ratio in ("speedup_at_equal_area", "energy_ratio_at_equal_area"):
        low, high = np.array([one.summary["sampling"]["total"][ratio] for one in runs]).T
        assert ((low <= truth[ratio]) & (truth[ratio] <= high)).sum() >= COVERED
        assert 0 < (high - low).mean() < 0.06 * truth[ratio]


def test_the_terminal_says_that_these_are_estimates(sampled: Result) -> None:
    text = io.StringIO()
    Console(file=text, width=160).print(result_tables(sampled))
    assert "±" in text.getvalue()
    assert "Estimates:" in text.getvalue()


def test_a_full_share_is_the_exact_simulation() -> None:
    exact, whole = simulate(MACHINE, [layer()]), simulate(MACHINE, [layer()], sample=1.0)
    assert whole.layers[exact.layers.columns].equals(exact.layers)
    assert whole.summary["total"] == exact.summary["total"]
    low, high = whole.summary["sampling"]["total"]["cycles"]
    assert low == high == exact.summary["total"]["cycles"]


def test_auto_reaches_its_error() -> None:
    result = simulate(MACHINE, [layer()], sample=Sampling("auto", error=0.0015))
    low, high = result.summary["sampling"]["total"]["cycles"]
    assert (high - low) / 2 <= 0.0015 * result.summary["total"]["cycles"]
    assert simulate(MACHINE, [layer()], sample=Sampling("auto", error=0.0015)).summary == result.summary


def test_auto_needs_operations_that_can_be_read_again() -> None:
    with pytest.raises(AccelsimError, match="read only once"):
        simulate(MACHINE, iter([layer()]), sample=Sampling("auto", error=0.001))


@pytest.mark.parametrize(
    ("share", "error", "seed"), [(0.0, 0.01, 0), (1.5, 0.01, 0), ("auto", 0.0, 0), (0.1, 0.01, -1)]
)
def test_bad_requests(share: float, error: float, seed: int) -> None:
    with pytest.raises(AccelsimError, match="expected"):
        Sampling(share, error, seed)
