"""Finished points on disk, and what it takes to write them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from accelsim.errors import SpaceError
from accelsim.explore import load_space, sweep
from accelsim.explore.parts import Parts

from .test_sweep import Here


def test_without_pyarrow(space_file: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    space = load_space(space_file("{array.rows: [2]}"))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(SpaceError, match=r"pip install 'accelsim\[explore\]'"):
        sweep(space, tmp_path / "out", Here())


def test_what_was_being_written_when_it_was_killed_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / ".abc.parquet.123").write_bytes(b"half")
    assert len(Parts(tmp_path)) == 0
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SpaceError, match="cannot be used"):
        Parts(tmp_path / "file")
