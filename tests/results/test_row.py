"""What a row says: the rates that the buffers' ports were asked for."""

from __future__ import annotations

import numpy as np
import pytest

from accelsim import Hardware, OpTrace, simulate
from accelsim.results import Result


def run(array: dict[str, object], words: object, m: int) -> Result:
    """Two lanes a PE, sixteen positions of K, two columns: tiles of eight cycles."""
    buffers = {"weight_words_per_cycle": words, "input_words_per_cycle": words}
    hw = Hardware.model_validate(
        {
            "name": "dense",
            "array": {"rows": 2, "cols": 2, "lanes": 2, "drain": "free"} | array,
            "memory": {"buffers": buffers},
        }
    )
    op = OpTrace(name="fc", step=0, weight=np.ones((m, 16), bool), input=np.ones((2, 16), bool))
    return simulate(hw, [op], workers=1)


@pytest.mark.closed_form
@pytest.mark.parametrize("words", ["unlimited", 2])
@pytest.mark.parametrize(
    ("array", "m", "array_cycles", "working_cycles", "rates"),
    [
        ({}, 2, 8, 8, (4, 4)),
        ({}, 4, 16, 16, (4, 4)),
        ({}, 3, 16, 16, (3, 4)),
        ({"count": 2}, 4, 8, 16, (4, 4)),  # an array's
        ({"count": 2}, 6, 16, 24, (4, 4)),  # the second one is done first
    ],
)
def test_rates_of_the_ports(
    array: dict[str, object],
    m: int,
    array_cycles: int,
    working_cycles: int,
    rates: tuple[int, int],
    words: object,
) -> None:
    slower = 2 if words == 2 else 1  # a port of half the rate takes twice as long, and is asked for half as much
    result = run(array, words, m)
    row, total = result.layers.iloc[0], result.summary["total"]
    assert (row["array_cycles"], row["working_cycles"]) == (slower * array_cycles, slower * working_cycles)
    assert (row["weight_words_per_cycle"], row["input_words_per_cycle"]) == tuple(rate / slower for rate in rates)
    assert (row["weight_read_words"], row["input_read_words"]) == tuple(rate * working_cycles for rate in rates)
    assert {name: total[name] for name in row.index if "words" in name} == {
        name: row[name] for name in row.index if "words" in name
    }


def test_nothing_to_run_asks_for_nothing() -> None:
    array = {"rows": 2, "cols": 2, "drain": "free"}
    hw = Hardware.model_validate({"name": "dropping", "array": array, "skipping": {"blocks": ["weight"]}})
    op = OpTrace(name="fc", step=0, weight=np.zeros((1, 4), bool), input=np.ones((1, 4), bool))
    assert simulate(hw, [op], workers=1).summary["total"]["weight_words_per_cycle"] == 0
