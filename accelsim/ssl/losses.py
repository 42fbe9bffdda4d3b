"""The frameworks' losses, each a module, so that a trace holds its matrix products under a name.

All take two views' embeddings [N, D] and return a scalar. Row-wise cosines are elementwise products and sums, so only
what compares everything with everything (views, queue, dimensions) is a matrix product.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def nt_xent(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Normalised temperature-scaled cross entropy (Chen et al. 2020, equation 1), mean over all 2 N views.

    For view i with partner j: -log( exp(cos(i, j) / t) / sum over k != i of exp(cos(i, k) / t) ).

    Args:
        first: embeddings of the first views, [N, D].
        second: embeddings of the second views of the same images, [N, D].
        temperature: t, above 0.

    Returns:
        The loss, a scalar; log(2 N - 1) for embeddings that tell nothing apart.
    """
    views = functional.normalize(torch.cat([first, second]), dim=1)
    similarity = views @ views.T / temperature
    similarity.fill_diagonal_(-torch.inf)
    n = first.shape[0]
    partner = torch.arange(2 * n, device=views.device).roll(n)
    return functional.cross_entropy(similarity, partner)


class NTXent(nn.Module):
    """`nt_xent` as a module.

    Args:
        temperature: see `nt_xent`.
    """

    def __init__(self, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the loss of two views' embeddings, each [N, D]."""
        return nt_xent(first, second, self.temperature)


class InfoNCE(nn.Module):
    """MoCo's loss (He et al. 2020, equation 1): each query against its key and all keys in a queue, mean over queries.

    -log( exp(cos(q, k) / t) / (exp(cos(q, k) / t) + sum over queued k' of exp(cos(q, k') / t)) )

    Args:
        temperature: t, above 0.
    """

    def __init__(self, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, queries: Tensor, keys: Tensor, queue: Tensor) -> Tensor:
        """Return the loss; log(1 + K) for embeddings that tell nothing apart.

        Args:
            queries: [N, D].
            keys: [N, D], of the other views of the same images.
            queue: [K, D], of other images, each of length 1.
        """
        queries, keys = functional.normalize(queries, dim=1), functional.normalize(keys, dim=1)
        positive = (queries * keys).sum(1, keepdim=True)
        scores = torch.cat([positive, queries @ queue.T], dim=1) / self.temperature
        return functional.cross_entropy(scores, scores.new_zeros(len(scores), dtype=torch.long))


class CosineDistance(nn.Module):
    """1 - cosine, mean over rows: twice that is BYOL's equation 2, and SimSiam's equation 1 is less by 1."""

    def forward(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """Return the mean distance of rows [N, D], 0 to 2; the targets are taken as constants (stop-gradient)."""
        return 1 - functional.cosine_similarity(predictions, targets.detach(), dim=1).mean()


class CrossCorrelation(nn.Module):
    """Barlow Twins' loss (Zbontar et al. 2021, equations 1 and 2).

    With C the correlation over the batch of each dimension of one view with each of the other:
    sum of (1 - C_ii)^2 + redundancy * sum over i != j of C_ij^2.

    Args:
        dim: D, length of the embeddings.
        redundancy: lambda, weight of the off-diagonal terms; 5e-3 as published.
    """

    def __init__(self, dim: int, redundancy: float = 5e-3) -> None:
        super().__init__()
        self.redundancy = redundancy
        # As in the published code: standardised by a batch norm of its own, its running statistics for evaluation only.
        self.standardise = nn.BatchNorm1d(dim, affine=False)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the loss of two views' embeddings, each [N, D]."""
        correlation = self.standardise(first).T @ self.standardise(second) / len(first)
        diagonal = correlation.diagonal()
        redundant = correlation.square().sum() - diagonal.square().sum()
        out: Tensor = (1 - diagonal).square().sum() + self.redundancy * redundant
        return out


class VarianceInvarianceCovariance(nn.Module):
    """VICReg's loss (Bardes et al. 2022, equations 1 to 6), averaged as in the published code.

    invariance * mean of (z - z')^2 over all N * D elements
    + variance * mean over both views and all dimensions of max(0, 1 - sqrt(var + 1e-4))
    + covariance * sum over both views of the squared off-diagonal covariances / D.

    The weights 25, 25, 1 belong to these averages; the paper prints equation 5 as a sum over dimensions and equation 6
    with the sum of the two variance terms.

    Args:
        invariance, variance, covariance: lambda, mu and nu.
    """

    def __init__(self, invariance: float = 25.0, variance: float = 25.0, covariance: float = 1.0) -> None:
        super().__init__()
        self.invariance, self.variance, self.covariance = invariance, variance, covariance

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the loss of two views' embeddings, each [N, D], N at least 2."""
        out: Tensor = self.invariance * functional.mse_loss(first, second)
        for view in (first, second):
            spread = (view.var(dim=0) + 1e-4).sqrt()
            centred = view - view.mean(dim=0)
            covariances = centred.T @ centred / (len(view) - 1)
            redundant = covariances.square().sum() - covariances.diagonal().square().sum()
            out = out + self.variance * functional.relu(1 - spread).mean() / 2
            out = out + self.covariance * redundant / view.shape[1]
        return out
