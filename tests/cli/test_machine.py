"""A machine file of an earlier version is told what its silence means now."""

from __future__ import annotations

from pathlib import Path

import pytest

from accelsim.cli.machine import read_machine

ARRAY = "name: m\narray: {rows: 2, cols: 2%s}\n"
PORTS = "memory: {buffers: {weight_words_per_cycle: %s, input_words_per_cycle: %s}}\n"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (ARRAY % "", ["array.drain", "words_per_cycle"]),
        (ARRAY % ", drain: free", ["words_per_cycle"]),
        (ARRAY % "" + PORTS % ("null", "null"), ["array.drain"]),
        (ARRAY % ", drain: overlapped" + PORTS % ("window", "8"), []),
        (ARRAY % ", interconnect: systolic", []),
        (ARRAY % ", interconnect: systolic" + "memory: {dram: {bytes_per_cycle: 8}}\n", ["memory.dram.kind"]),
        (ARRAY % ", interconnect: systolic" + "memory: {dram: {bytes_per_cycle: 8, kind: ddr3}}\n", []),
    ],
)
def test_silence_is_explained(text: str, named: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "m.yaml"
    path.write_text(text)
    read_machine(path)
    said = capsys.readouterr().err
    assert said.count("\n") == bool(named)
    assert all(f" {name}" in said or f"*_{name}" in said for name in named)


def test_null_is_the_former_spelling_of_unlimited(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(ARRAY % "" + PORTS % ("null", "unlimited"))
    buffers = read_machine(tmp_path / "m.yaml").memory.buffers
    assert buffers.weight_words_per_cycle == buffers.input_words_per_cycle == "unlimited"
