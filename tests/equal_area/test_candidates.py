"""Dense machines of another machine's area: they fit, none could be larger, and they are otherwise the machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from accelsim import Hardware, load_hardware
from accelsim.area import area
from accelsim.equal_area import candidates

CONFIGS = Path(__file__).parents[2] / "hw_configs"
SIDES = {1, 2, 4} | set(range(8, 4097, 8))


def config(name: str) -> Hardware:
    return load_hardware(CONFIGS / f"{name}.yaml")


@pytest.mark.parametrize("name", ["pe16x16", "edge8x8", "tensorcore8", "tensordash16x16"])
def test_they_fit_and_are_otherwise_the_machine(name: str) -> None:
    hw = config(name)
    found = [one for one in candidates(hw, ("weight",)) if one is not hw]
    assert found
    for one in found:
        assert area(one).mm2 <= area(hw).mm2
        assert one.array.rows in SIDES
        assert min(one.array.rows, one.array.cols) >= 8
        assert one.skipping.kind == "dense"
        assert not one.skipping.tensors
        assert (one.skipping.gate_zeros, one.skipping.outputs) == (True, True)
        assert set(one.skipping.blocks) == {"weight", "activation", "gradient"}
        assert one.memory.compression == ("weight",)
        assert (one.memory.dram, one.clock_mhz, one.precision) == (hw.memory.dram, hw.clock_mhz, hw.precision)
        assert (one.array.lanes, one.array.count, one.array.drain) == (hw.array.lanes, hw.array.count, hw.array.drain)
        assert one.vector_lanes == hw.vector_lanes
        for size in ("weight_kib", "input_kib", "output_kib"):
            assert getattr(one.memory.buffers, size) >= getattr(hw.memory.buffers, size)


def test_neither_rows_nor_columns_could_be_added() -> None:
    """Columns in steps of 8, or as many as fit."""
    hw = config("edge8x8")
    found = {(one.array.rows, one.array.cols): one for one in candidates(hw, ())}
    assert any(cols % 8 for _, cols in found)

    def fits(rows: int, cols: int) -> bool:
        one = next(iter(found.values()))
        array = one.array.model_copy(update={"rows": rows, "cols": cols})
        buffers = one.memory.buffers.grown_to(array, one.precision, given=True)
        memory = one.memory.model_copy(update={"buffers": buffers})
        return area(one.model_copy(update={"array": array, "memory": memory})).mm2 <= area(hw).mm2

    for rows, cols in found:
        assert fits(rows, cols)
        assert not fits(rows, cols + (1 if cols % 8 else 8))
        assert not fits(rows + 8, cols)


def test_buffers_grow_where_the_array_needs_it() -> None:
    hw = config("pe16x16")
    wide = max(candidates(hw, ()), key=lambda one: one.array.cols)
    # two tiles of 64 words of 16 bits for each column
    assert wide.memory.buffers.input_kib == max(hw.memory.buffers.input_kib, -(-wide.array.cols * 2 * 64 * 2 // 1024))


def test_a_machine_without_scanners_is_its_own_candidate_and_an_idealised_one_has_none() -> None:
    for name in ("dense16x16", "systolic16x16", "tensorcore8"):
        hw = config(name)
        assert candidates(hw, ())[0] == hw
    assert {one.skipping.kind for one in candidates(config("systolic16x16"), ())} == {"systolic"}
    assert candidates(config("ideal16x16"), ()) == ()


def test_a_row_that_drops_windows_skips_single_zeros_and_is_no_candidate() -> None:
    plain = config("dense16x16").model_dump(mode="json")
    plain["array"] |= {"rows": 1, "cols": 128}
    assert candidates(hw := Hardware.model_validate(plain), ())[0] == hw
    plain["skipping"]["blocks"] = ["weight"]
    row = Hardware.model_validate(plain)
    found = candidates(row, ())
    assert row not in found
    assert found
    assert all(min(one.array.rows, one.array.cols) >= 8 for one in found)
