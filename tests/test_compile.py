"""Kernels compile, and are cached, wherever the disk allows it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULE = "from accelsim.compile import kernel\n\n@kernel\ndef twice(x):\n    return x + x\n"


def twice_of_21(folder: Path, cache: Path) -> subprocess.CompletedProcess[str]:
    """Compile a kernel of a module in `folder` in a process of its own, and print what it gives."""
    home = folder / "home"  # a file: the user's cache cannot be written
    home.touch()
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "NUMBA_CACHE_DIR": str(cache),
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home),
    }
    command = [
        sys.executable,
        "-c",
        "from doubling import twice; print(twice(21), sum(twice.stats.cache_misses.values()))",
    ]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A module's directory whose own cache directory cannot be made (a file stands there; permissions do not stop an
    administrator)."""
    (tmp_path / "doubling.py").write_text(MODULE)
    (tmp_path / "__pycache__").touch()
    return tmp_path


def test_without_a_cache_that_can_be_written_kernels_still_run(folder: Path) -> None:
    (folder / "blocked").touch()
    done = twice_of_21(folder, folder / "blocked" / "cache")
    assert (done.returncode, done.stdout.split()[0]) == (0, "42"), done.stderr
    assert not list(folder.rglob("*.nbi"))


def test_a_missing_cache_directory_is_made_and_used(folder: Path) -> None:
    cache = folder / "not" / "there"
    first, second = twice_of_21(folder, cache), twice_of_21(folder, cache)
    assert (first.returncode, first.stdout) == (0, "42 1\n"), first.stderr
    assert list(cache.rglob("*.nbi"))
    assert (second.returncode, second.stdout) == (0, "42 0\n"), second.stderr
