"""k-NN: the vote against a plain loop, and what evaluation leaves alone."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from accelsim.ssl.data import ImageSet
from accelsim.ssl.evaluate import evaluate, knn_accuracy


@settings(deadline=None, max_examples=40)
@given(bank=st.integers(1, 12), queries=st.integers(1, 6), k=st.integers(1, 15), seed=st.integers(0, 50))
def test_vote_equals_a_plain_loop(bank: int, queries: int, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    known, asked = rng.standard_normal((bank, 4)), rng.standard_normal((queries, 4))
    labels, truth = rng.integers(0, 3, bank), rng.integers(0, 3, queries)
    right = 0
    for query, label in zip(asked, truth, strict=True):
        cosines = [float(query @ row / np.linalg.norm(query) / np.linalg.norm(row)) for row in known]
        votes = [0.0, 0.0, 0.0]
        for index in sorted(range(bank), key=lambda i: -cosines[i])[:k]:
            votes[labels[index]] += math.exp(cosines[index] / 0.2)
        right += max(range(3), key=votes.__getitem__) == label
    found = knn_accuracy(*map(torch.from_numpy, (known, labels, asked, truth)), k, 0.2)
    assert found == pytest.approx(right / queries)


def _two_colours() -> ImageSet:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(40) % 2
    images = torch.randint(0, 60, (40, 3, 32, 32), generator=generator)
    images[labels == 1, 0] += 150
    images = images.to(torch.uint8)
    return ImageSet("two colours", images[:30], labels[:30], images[30:], labels[30:], ("dark", "red"))


def test_separable_images_are_told_apart_and_the_encoder_stays_as_it_was() -> None:
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    encoder.train()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    state = torch.get_rng_state()
    assert evaluate(encoder, _two_colours(), limit=100) == 1.0
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    assert encoder.training
    assert torch.equal(torch.get_rng_state(), state)


def test_a_limit_still_sees_every_class() -> None:
    data = _two_colours()
    order = data.train_labels.argsort()  # sorted by class, as the photographs are
    by_class = replace(data, train=data.train[order], train_labels=data.train_labels[order])
    assert evaluate(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), by_class, limit=6) == 1.0
