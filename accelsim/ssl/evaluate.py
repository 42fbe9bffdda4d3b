"""How good features are without labels in training: weighted k-nearest neighbours and a linear probe."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from accelsim.ssl.augment import plain
from accelsim.ssl.image_set import ImageSet

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


def linear_probe(
    features: Tensor,
    labels: Tensor,
    queries: Tensor,
    query_labels: Tensor,
    penalty: float = 1e-3,
) -> float:
    """Accuracy of a linear classifier trained on frozen features.

    Multinomial logistic regression on features standardised by the training set's mean and deviation, from
    zero weights, in float64 by full-batch L-BFGS: convex, so there is neither a seed nor a learning rate to choose.

    Args:
        features: of the images to train on, [N, D].
        labels: int64 [N].
        queries: features to label, [Q, D].
        query_labels: int64 [Q].
        penalty: weight of half the squared norm of the classifier's weights, against the mean cross entropy; above 0.

    Returns:
        Accuracy, 0 to 1.
    """
    mean, deviation = features.double().mean(0), features.double().std(0, correction=0).clamp(min=1e-6)
    inputs, held_out = ((part.double() - mean) / deviation for part in (features, queries))
    classes = int(torch.maximum(labels.max(), query_labels.max())) + 1
    weight = torch.zeros(classes, features.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(classes, dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS(
        [weight, bias], max_iter=200, tolerance_grad=1e-6, tolerance_change=1e-12, line_search_fn="strong_wolfe"
    )

    def objective() -> Tensor:
        solver.zero_grad()
        loss = functional.cross_entropy(inputs @ weight.T + bias, labels) + penalty / 2 * weight.square().sum()
        torch.autograd.backward(loss)
        return loss

    with torch.enable_grad():
        solver.step(objective)
        scores = (held_out @ weight.T + bias).detach()
    return float((scores.argmax(1) == query_labels).double().mean())


@dataclass(frozen=True)
class Features:
    """What an encoder makes of labelled images.

    Attributes:
        bank, queries: features of training and of held-out images, [N, D] and [Q, D].
        bank_labels, query_labels: int64 [N] and [Q].
    """

    bank: Tensor
    bank_labels: Tensor
    queries: Tensor
    query_labels: Tensor

    def knn(self) -> float:
        """Return `knn_accuracy` of the held-out images."""
        return knn_accuracy(self.bank, self.bank_labels, self.queries, self.query_labels)

    def linear_probe(self) -> float:
        """Return `linear_probe` accuracy on the held-out images."""
        return linear_probe(self.bank, self.bank_labels, self.queries, self.query_labels)


@torch.no_grad()
def extract(encoder: nn.Module, data: ImageSet, limit: int) -> Features:
    """Compute an encoder's features of unaugmented images.

    Batch norm's statistics are estimated anew on the bank, in a copy of the encoder: without it an untrained network,
    whose running statistics mean nothing, would look worse than it is.

    Args:
        encoder: images float32 [N, 3, H, W] to features [N, D]; left as it is.
        data: the images.
        limit: most images used of the bank and of the held-out set each, spread evenly.
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
    return Features(features, data.train_labels[bank], queries, data.test_labels[held_out])


def _spread(count: int, limit: int) -> Tensor:
    chosen = min(count, limit)
    return torch.arange(chosen) * count // max(chosen, 1)
