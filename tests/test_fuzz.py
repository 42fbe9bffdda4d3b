"""Damaged files are read, or refused in sentences: a small part of what `python -m tests.fuzz` tries."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.fuzz import Fuzzer, too_long

CASES = 20


@pytest.fixture(scope="module")
def fuzzer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzzer]:
    before = signal.signal(signal.SIGALRM, too_long)
    yield Fuzzer(tmp_path_factory.mktemp("fuzz"))
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("kind", ["trace", "result", "sweep", "hardware", "energy", "space", "topology", "config"])
def test_damaged_files_are_read_or_refused(fuzzer: Fuzzer, kind: str) -> None:
    outcomes = [fuzzer.run(kind, seed) for seed in range(CASES)]
    assert any(said is not None for said in outcomes)


def test_undamaged_files_are_read(fuzzer: Fuzzer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.fuzz.damaged_bytes", lambda draw, data: data)
    monkeypatch.setattr("tests.fuzz.damaged_value", lambda draw, value: value)
    monkeypatch.setattr("tests.fuzz.damaged_table", lambda draw, table: table)
    assert [fuzzer.run(kind, 0) for kind in fuzzer.kinds] == [None] * len(fuzzer.kinds)
