"""How good features are without labels in training: weighted k-nearest neighbours."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional

from accelsim.ssl.augment import plain
from accelsim.ssl.data import ImageSet

_BATCH = 256


def knn_accuracy(
    bank: Tensor,
    bank_labels: Tensor,
    queries: Tensor,
    query_labels: Tensor,
    neighbours: int = 20,
    temperature: float = 0.1,
) -> float:
    """Share of queries whose label wins the vote of their nearest neighbours.

    A neighbour votes with weight exp(cosine similarity / temperature) (Wu et al. 2018, section 3.4).

    Args:
        bank: features that have labels, [N, D]; need not be normalised.
        bank_labels: int64 [N].
        queries: features to label, [Q, D].
        query_labels: int64 [Q].
        neighbours: how many vote; all of the bank if it is smaller.
        temperature: lower lets the nearest decide.

    Returns:
        Accuracy, 0 to 1.
    """
    similarity = functional.normalize(queries, dim=1) @ functional.normalize(bank, dim=1).T
    weights, nearest = similarity.topk(min(neighbours, len(bank)), dim=1)
    classes = int(torch.maximum(bank_labels.max(), query_labels.max())) + 1
    votes = weights.new_zeros(len(queries), classes)
    votes.scatter_add_(1, bank_labels[nearest], (weights / temperature).exp())
    return float((votes.argmax(1) == query_labels).double().mean())


@torch.no_grad()
def evaluate(encoder: nn.Module, data: ImageSet, limit: int) -> float:
    """k-NN accuracy of an encoder on held-out images, with training images as the bank.

    Batch norm's statistics are estimated anew on the bank, in a copy of the encoder: without it an untrained network,
    whose running statistics mean nothing, would look worse than it is.

    Args:
        encoder: images float32 [N, 3, H, W] to features [N, D]; left as it is.
        data: the images.
        limit: most images used of the bank and of the held-out set each, spread evenly.

    Returns:
        Accuracy, 0 to 1.
    """
    encoder = copy.deepcopy(encoder)
    bank, held_out = _spread(len(data.train), limit), _spread(len(data.test), limit)
    for module in encoder.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.reset_running_stats()
            module.momentum = None  # a plain mean over batches
    encoder.train()
    # Shuffled, or a batch would hold one class only.
    mixed = bank[torch.randperm(len(bank), generator=torch.Generator().manual_seed(0))]
    for indices in torch.split(mixed, _BATCH):
        if len(indices) > 1:
            encoder(plain(data.train[indices]))
    encoder.eval()
    features, queries = (
        torch.cat([encoder(plain(images[part])) for part in torch.split(indices, _BATCH)])
        for images, indices in ((data.train, bank), (data.test, held_out))
    )
    return knn_accuracy(features, data.train_labels[bank], queries, data.test_labels[held_out])


def _spread(count: int, limit: int) -> Tensor:
    chosen = min(count, limit)
    return torch.arange(chosen) * count // max(chosen, 1)
