"""k-NN: the vote against a plain loop, and what evaluation leaves alone."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from accelsim.ssl.evaluate import extract, knn_accuracy, linear_probe
from accelsim.ssl.image_set import ImageSet


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
    assert extract(encoder, _two_colours(), limit=100).knn() == 1.0
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    assert encoder.training
    assert torch.equal(torch.get_rng_state(), state)


def test_a_limit_still_sees_every_class() -> None:
    data = _two_colours()
    order = data.train_labels.argsort()  # sorted by class, as the photographs are
    by_class = replace(data, train=data.train[order], train_labels=data.train_labels[order])
    assert extract(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), by_class, limit=6).knn() == 1.0


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 1000), classes=st.integers(2, 4), d=st.integers(1, 5))
def test_the_probe_is_at_the_minimum_of_its_convex_problem(seed: int, classes: int, d: int) -> None:
    """An independent gradient descent in NumPy from a random start ends with the same classifier."""
    rng = np.random.default_rng(seed)
    features, labels = rng.standard_normal((40, d)) * 3 + 1, np.arange(40) % classes
    features[:, 0] += labels
    queries = rng.standard_normal((200, d)) * 3 + 1
    mean, deviation = features.mean(0), features.std(0)
    x = np.hstack([(features - mean) / deviation, np.ones((40, 1))])
    weights = rng.standard_normal((d + 1, classes))
    decay = np.full((d + 1, 1), 0.1)
    decay[-1] = 0
    for _ in range(3000):
        scores = np.exp(x @ weights)
        gradient = x.T @ (scores / scores.sum(1, keepdims=True) - np.eye(classes)[labels]) / 40 + decay * weights
        weights -= 0.5 * gradient
    asked = np.hstack([(queries - mean) / deviation, np.ones((200, 1))]) @ weights
    ranked = np.sort(asked, axis=1)
    clear = ranked[:, -1] - ranked[:, -2] > 1e-3  # ties are nobody's mistake
    truth, queries = asked.argmax(1)[clear], queries[clear]
    state = torch.get_rng_state()
    found = linear_probe(*map(torch.from_numpy, (features, labels, queries, truth)), penalty=0.1)
    assert found == 1.0
    assert torch.equal(torch.get_rng_state(), state)


def test_the_probe_survives_constant_features_and_separable_classes() -> None:
    features = torch.tensor([[0.0, 1.0], [0.0, 2.0], [0.0, 10.0], [0.0, 11.0]])
    labels = torch.tensor([0, 0, 1, 1])
    assert linear_probe(features, labels, features, labels) == 1.0
    with torch.no_grad():
        assert linear_probe(torch.zeros(4, 2), labels, torch.zeros(2, 2), torch.tensor([0, 1])) == 0.5


def test_features_give_both_accuracies() -> None:
    features = extract(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), _two_colours(), limit=100)
    assert (features.knn(), features.linear_probe()) == (1.0, 1.0)
