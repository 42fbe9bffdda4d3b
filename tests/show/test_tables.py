"""Tables fit a terminal."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from accelsim import Hardware, simulate
from accelsim.show.tables import result_tables
from tests.test_pipeline import layer, small


@pytest.mark.parametrize("width", [80, 120, 200])
def test_no_number_is_cut_off(width: int) -> None:
    result = simulate(small(), [layer("layer1.0.conv1"), layer("momentum.layer1.0.conv1", trained=False)])
    console = Console(file=io.StringIO(), width=width)
    console.print(result_tables(result))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "…" not in shown
    assert max(map(len, shown.splitlines())) <= width


@pytest.mark.parametrize(
    ("weight", "input_", "operands"),
    [("unlimited", "unlimited", "AB"), ("unlimited", 8, "A"), ("window", None, "B"), ("window", "window", "")],
)
def test_rates_are_shown_of_unlimited_ports_only(weight: object, input_: object, operands: str) -> None:
    machine = small().model_dump(mode="json")
    machine["memory"]["buffers"] |= {"weight_words_per_cycle": weight, "input_words_per_cycle": input_}
    result = simulate(Hardware.model_validate_json(json.dumps(machine)), [layer("conv1")], equal_area=False)
    console = Console(file=io.StringIO(), width=120)
    console.print(result_tables(result))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert ("Words per cycle" in shown) == ("Unlimited ports" in shown) == bool(operands)
    for operand, port in (("A", "weight"), ("B", "input")):
        rate = f"{result.summary['total'][f'{port}_words_per_cycle']:.3g}"
        assert (f"operand {operand}" in shown) == (operand in operands)
        assert operand not in operands or rate in shown
