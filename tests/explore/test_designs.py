"""Which designs a space has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from accelsim.errors import SpaceError
from accelsim.explore import load_space
from accelsim.explore.designs import Chosen, choose

SpaceFile = Callable[..., Path]


def chosen(path: Path) -> Chosen:
    return choose(load_space(path))


def values(found: Chosen, key: str) -> list[Any]:
    return [design.values[key] for design in found.designs]


@pytest.mark.closed_form
def test_the_full_grid(space_file: SpaceFile) -> None:
    found = chosen(space_file("{array.rows: [4, 8], memory.dram: [null, {bytes_per_cycle: 4}]}"))
    machines = [(design.hardware.array.rows, design.hardware.memory.dram) for design in found.designs]
    assert [(rows, dram and dram.bytes_per_cycle) for rows, dram in machines] == [(4, None), (4, 4), (8, None), (8, 4)]
    assert {design.hardware.memory.compression for design in found.designs} == {("weight",)}


def test_conditions_and_defaults_that_the_file_does_not_say(space_file: SpaceFile) -> None:
    path = space_file("{array.rows: [2, 4, 8], array.cols: [2, 4, 8]}", "where: array.rows == array.cols\n")
    assert values(chosen(path), "array.rows") == [2, 4, 8]
    path = space_file("{array.rows: [2, 4]}", "where: [skipping.gate_zeros == false, array.count * array.rows > 2]\n")
    assert values(chosen(path), "array.rows") == [4]


def test_nothing_left(space_file: SpaceFile) -> None:
    with pytest.raises(SpaceError, match="none of the 2 designs is left"):
        chosen(space_file("{array.rows: [2, 4]}", "where: array.rows > 4\n"))


def test_impossible_combinations_are_refused_with_count_and_example(space_file: SpaceFile) -> None:
    grid = "{skipping.scan_width: [4, 16, 32], skipping.fifo_depth: [4, 16, 32], array.rows: [0, 4]}"
    with pytest.raises(SpaceError) as caught:
        chosen(space_file(grid))
    first, *kinds = str(caught.value).splitlines()
    assert "space.yaml: 12 combinations of the space are no machine" in first
    assert len(kinds) == 3
    by_count = {int(line.split()[0]): line for line in kinds if "rows: 0" not in line or "fifo_depth' is" not in line}
    assert "key 'array.rows' is 0, expected at least 1" in by_count[6]
    assert "space.yaml:3: key 'skipping.fifo_depth' is 4: a full window of scan_width 16" in by_count[3]
    assert "(skipping.scan_width: 16, skipping.fifo_depth: 4, array.rows: 4)" in by_count[3]


def test_impossible_combinations_are_left_out_on_request(space_file: SpaceFile) -> None:
    grid = "{skipping.scan_width: [4, 16], skipping.fifo_depth: [4, 16]}"
    skipped = chosen(space_file(grid, "on_invalid: skip\n"))
    assert (len(skipped.designs), skipped.impossible) == (3, 1)
    excluded = chosen(space_file(grid, "where: skipping.fifo_depth >= skipping.scan_width\n"))
    assert [design.number for design in excluded.designs] == [design.number for design in skipped.designs]
    assert excluded.impossible == 0


def test_a_sample_is_the_same_again_and_part_of_a_larger_one(space_file: SpaceFile) -> None:
    grid = "{array.rows: {from: 1, to: 100, step: 1}, array.cols: {from: 1, to: 100, step: 1}}"

    def numbers(count: int, seed: int) -> list[int]:
        more = f"where: array.rows >= array.cols\nsample: {{count: {count}, seed: {seed}}}\n"
        return [design.number for design in chosen(space_file(grid, more)).designs]

    twenty = numbers(20, 0)
    assert len(set(twenty)) == 20
    assert twenty == sorted(twenty) == numbers(20, 0)
    assert set(twenty) < set(numbers(40, 0))
    assert twenty != numbers(20, 1)
    assert all(number // 100 >= number % 100 for number in twenty)


def test_a_sample_of_a_grid_too_large_to_go_through(space_file: SpaceFile) -> None:
    axis = "{from: 1, to: 4096, step: 1}"
    grid = f"{{array.rows: {axis}, array.cols: {axis}, array.count: {axis}}}"
    with pytest.raises(SpaceError, match="has 68,719,476,736 designs, more than 1,000,000"):
        chosen(space_file(grid))
    assert len(chosen(space_file(grid, "sample: {count: 5}\n")).designs) == 5


def test_a_condition_that_cannot_be_worked_out_names_the_design(space_file: SpaceFile) -> None:
    path = space_file("{memory.dram: [null]}", "where: memory.dram.bytes_per_cycle > 3\n")
    with pytest.raises(SpaceError, match=r"space.yaml:4: condition .* in the design memory.dram: None"):
        chosen(path)


def test_a_condition_may_name_keys_that_only_some_kinds_of_pe_have(space_file: SpaceFile) -> None:
    grid = "{skipping.tensors: [[], [weight]], skipping.sync: [row, array]}"
    where = "where: [skipping.fifo_depth >= skipping.scan_width, skipping.sync == 'row']\n"
    found = chosen(space_file(grid, where))
    assert [design.hardware.skipping.kind for design in found.designs] == ["dense", "scanning"]
