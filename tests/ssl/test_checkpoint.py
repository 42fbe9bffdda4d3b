"""Checkpoints that are not what they should be."""

import os
import pickle
from pathlib import Path

import pytest
import torch

from accelsim.errors import TrainingError
from accelsim.ssl.checkpoint import load_checkpoint, save_checkpoint
from accelsim.ssl.image_set import ImageSet
from accelsim.ssl.training import Training
from tests.ssl.conftest import TINY


class _Hostile:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("hostile",)


def test_damaged_foreign_and_hostile_files_are_refused(tmp_path: Path, monkeypatch, tiny_data: ImageSet) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "checkpoint.pt"
    with pytest.raises(TrainingError, match="start it without --resume"):
        load_checkpoint(path)
    save_checkpoint(path, Training(TINY, tiny_data).state())
    whole = path.read_bytes()
    assert [entry.name for entry in tmp_path.iterdir()] == ["checkpoint.pt"]
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TrainingError, match="no readable checkpoint"):
        load_checkpoint(path)
    torch.save({"model": {}}, path)
    with pytest.raises(TrainingError, match="not a checkpoint of accelsim train"):
        load_checkpoint(path)
    torch.save({**Training(TINY, tiny_data).state(), "version": 99}, path)
    with pytest.raises(TrainingError, match="version 99"):
        load_checkpoint(path)
    path.write_bytes(pickle.dumps(_Hostile(), 2))
    with pytest.raises(TrainingError, match="no readable checkpoint"):
        load_checkpoint(path)
    torch.save(_Hostile(), path)
    with pytest.raises(TrainingError, match="no readable checkpoint"):
        load_checkpoint(path)
    assert not (tmp_path / "hostile").exists()
