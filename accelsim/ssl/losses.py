"""Contrastive losses."""

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
    """`nt_xent` as a module, so that a trace holds its matrix product under a name.

    Args:
        temperature: see `nt_xent`.
    """

    def __init__(self, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the loss of two views' embeddings, each [N, D]."""
        return nt_xent(first, second, self.temperature)
