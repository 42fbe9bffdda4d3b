"""Machines with one key time every GEMM alike."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelsim.array import time_gemm, timing_key
from accelsim.hardware.model import Hardware
from accelsim.lowering import PASSES, lower
from accelsim.trace.record import OpTrace
from tests.strategies import machines, operations

CHANGES: dict[str, dict[str, object]] = {
    "skipping": {"scan_width": 3, "fifo_depth": 90, "sync": "array", "gate_zeros": True, "stage_depth": 1},
    "array": {"count": 3},
    "memory": {"compression": ("weight",), "dram": {"bytes_per_cycle": 1.0}},
    "precision": {"operand_bits": 8},
}


@st.composite
def relatives(draw) -> tuple[Hardware, Hardware]:
    """Two machines, the second with one section's value changed; TensorDash machines among them."""
    given_hw = draw(machines()).model_dump()
    if draw(st.booleans()):
        given_hw["array"]["lanes"] = 16
        given_hw["skipping"] |= {"scheduler": "tensordash", "tensors": ("weight", "gradient")}
    section = draw(st.sampled_from(sorted(CHANGES)))
    key = draw(st.sampled_from(sorted(CHANGES[section])))
    changed = given_hw | {section: given_hw[section] | {key: CHANGES[section][key]}}
    width, depth = (changed["skipping"].get(name, 16) for name in ("scan_width", "fifo_depth"))
    changed["skipping"] = changed["skipping"] | {"fifo_depth": max(width, depth)}
    return Hardware.model_validate(given_hw), Hardware.model_validate(changed)


@pytest.mark.relations
@settings(max_examples=100, deadline=None)
@given(relatives(), operations(largest=5), st.sampled_from(PASSES))
def test_one_key_one_timing(pair: tuple[Hardware, Hardware], op: OpTrace, which: str) -> None:
    first, second = pair
    if timing_key(first) != timing_key(second):
        return
    for gemm in lower(op, which):
        one, other = (time_gemm(hw, gemm) for hw in pair)
        assert (one.tile_cycles == other.tile_cycles).all()
        for name in ("slots", "scan_windows", "fifo_pushes", "streamed_a", "streamed_b", "outputs"):
            assert getattr(one, name) == getattr(other, name)


def test_what_makes_a_difference_makes_a_key() -> None:
    base = {"name": "m", "array": {"rows": 2, "cols": 2}, "skipping": {"tensors": ["weight"]}}
    key = timing_key(Hardware.model_validate(base))
    for section, change in (
        ("array", {"rows": 3}),
        ("array", {"cols": 3}),
        ("array", {"lanes": 2}),
        ("array", {"drain": "free"}),
        ("array", {"drain": "exposed"}),
        ("array", {"count": 2}),
        ("skipping", {"sync": "pe"}),
        ("skipping", {"scan_width": 8}),
        ("skipping", {"fifo_depth": 32}),
        ("skipping", {"outputs": True}),
        ("skipping", {"blocks": ["weight"]}),
        ("skipping", {"tensors": ["activation"]}),
        ("mapping", {"row_order": "density"}),
        ("mapping", {"row_order": "packed"}),
        ("memory", {"buffers": {"input_words_per_cycle": 1}}),
    ):
        assert timing_key(Hardware.model_validate(base | {section: base.get(section, {}) | change})) != key


@pytest.mark.parametrize(
    ("array", "skipping", "section", "change"),
    [
        ({"interconnect": "systolic"}, {}, "array", {"dataflow": "weight_stationary"}),
        ({"lanes": 16}, {"scheduler": "tensordash", "tensors": ["weight"]}, "skipping", {"stage_depth": 2}),
        ({"lanes": 16}, {"scheduler": "tensordash", "tensors": ["weight"]}, "skipping", {"advance": "alone"}),
        ({"lanes": 16}, {"tensors": ["weight"]}, "skipping", {"scheduler": "tensordash"}),
    ],
)
def test_what_makes_a_difference_to_other_kinds(
    array: dict[str, object], skipping: dict[str, object], section: str, change: dict[str, object]
) -> None:
    machine = {"name": "m", "array": {"rows": 2, "cols": 2} | array, "skipping": skipping}
    changed = machine | {section: machine[section] | change}  # type: ignore[operator]
    assert timing_key(Hardware.model_validate(changed)) != timing_key(Hardware.model_validate(machine))
