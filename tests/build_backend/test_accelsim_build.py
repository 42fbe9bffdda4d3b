"""Which compiler a build takes, and when it asks for one from PyPI."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

BACKEND = Path(__file__).parents[2] / "build_backend" / "accelsim_build.py"


@pytest.fixture
def backend() -> ModuleType:
    pytest.importorskip("setuptools")
    spec = importlib.util.spec_from_file_location("accelsim_build", BACKEND)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def compiler(folder: Path, name: str, status: int) -> None:
    """Put a compiler that ends with a status on the path."""
    program = folder / name
    program.write_text(f"#!/bin/sh\nexit {status}\n")
    program.chmod(0o755)


def test_a_compiler_is_asked_for_only_where_there_is_none(
    backend: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}")
    monkeypatch.chdir(tmp_path)
    assert backend.system_compiler() is None
    compiler(tmp_path, "c++", 1)  # there, but broken
    assert backend.system_compiler() is None
    compiler(tmp_path, "clang++", 0)
    assert backend.system_compiler() == ["clang++"]
    monkeypatch.setenv("CXX", "ccache-that-is-not-there g++")
    assert backend.system_compiler() is None


@pytest.mark.parametrize("hook", ["get_requires_for_build_wheel", "get_requires_for_build_editable"])
def test_the_hooks_say_so(backend: ModuleType, hook: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend.build_meta, hook, lambda _: [])
    monkeypatch.setattr(backend, "system_compiler", lambda: None)
    assert getattr(backend, hook)() == [backend.ZIG]
    monkeypatch.setattr(backend, "system_compiler", lambda: ["c++"])
    assert getattr(backend, hook)() == []
