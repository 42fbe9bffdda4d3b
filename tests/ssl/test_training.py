"""One run in memory: it learns, and its steps are what they say."""

import math
from dataclasses import replace

import pytest
import torch

from accelsim.errors import TrainingError
from accelsim.ssl.config import TrainConfig
from accelsim.ssl.data import load_data
from accelsim.ssl.image_set import ImageSet
from accelsim.ssl.training import Training
from tests.ssl.conftest import TINY


def test_training_on_photographs_lowers_the_loss() -> None:
    training = Training(TrainConfig(width=4, steps=60, batch=16, sparsity=0.5, learning_rate=3e-3), load_data("photos"))
    for _ in range(60):
        training.advance()
    first, last = sum(training.losses[:10]) / 10, sum(training.losses[-10:]) / 10
    assert last < first - 0.25
    assert training.sparsity == pytest.approx(0.5, abs=1e-4)


def test_masks_are_on_the_encoder_but_not_its_first_layer_nor_the_projector(tiny_data: ImageSet) -> None:
    training = Training(TINY, tiny_data)
    masked = {name.removesuffix(".parametrizations.weight.0.mask") for name, _ in training.model.named_buffers()}
    assert "encoder.layer1.0.conv1" in masked
    assert "encoder.layer4.0.downsample.0" in masked
    assert "encoder.conv1" not in masked
    assert not [name for name in masked if name.startswith("projector") or (".bn" in name and "mask" in name)]


def test_an_epoch_sees_every_image_once_and_the_next_in_another_order(tiny_data: ImageSet) -> None:
    training = Training(TINY, tiny_data)
    batches = []
    for _ in range(4):
        batches.append(training._batch().tolist())
        training.step += 1
    epochs = [batches[0] + batches[1], batches[2] + batches[3]]
    assert all(len(set(epoch)) == 8 for epoch in epochs)
    assert epochs[0] != epochs[1]


def test_the_seed_decides_everything(tiny_data: ImageSet) -> None:
    def losses(seed: int) -> list[float]:
        training = Training(replace(TINY, seed=seed), tiny_data)
        return [training.advance() for _ in range(3)]

    assert losses(1) == losses(1)
    assert losses(1) != losses(2)


def test_a_checkpoint_of_another_model_is_refused(tiny_data: ImageSet) -> None:
    training = Training(TINY, tiny_data)
    state = training.state()
    del state["model"]["encoder.conv1.weight"]
    with pytest.raises(TrainingError, match="another model or optimiser"):
        training.load_state(state)


def test_a_batch_larger_than_the_data_and_a_loss_that_explodes_are_refused(tiny_data: ImageSet) -> None:
    with pytest.raises(TrainingError, match="batch is 11, but photos has 10"):
        Training(replace(TINY, batch=11), tiny_data)
    training = Training(TINY, tiny_data)
    with torch.no_grad():
        training.model.projector[0].weight.fill_(float("inf"))  # type: ignore[operator,union-attr]
    with pytest.raises(TrainingError, match="loss is nan at step 0"):
        training.advance()


@pytest.mark.parametrize("framework", ["moco", "byol"])
def test_the_momentum_encoder_follows_behind_every_step(framework: str, tiny_data: ImageSet) -> None:
    training = Training(replace(TINY, framework=framework, queue=6, momentum=0.75), tiny_data)
    encoder, follower = training.model.encoder, training.model.momentum_encoder
    assert follower is not None
    for step in range(3):
        before = follower.conv1.weight.clone()  # type: ignore[operator,union-attr]
        training.advance()
        rate = 0.25 if framework == "moco" else 0.25 * (math.cos(math.pi * step / TINY.steps) + 1) / 2
        expected = before.lerp(encoder.conv1.weight, rate)  # type: ignore[union-attr,arg-type]
        torch.testing.assert_close(follower.conv1.weight, expected)  # type: ignore[union-attr]
        assert not torch.equal(follower.conv1.weight, before)  # type: ignore[union-attr,arg-type]
