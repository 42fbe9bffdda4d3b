"""The momentum branch: an encoder and projector that follow another as a moving average and run forward only."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from accelsim.errors import TrainingError
from accelsim.sparsity.branch import branch

_PARAMETRISED, _ORIGINAL = ".parametrizations.", ".original"


class MomentumBranch(nn.Module):
    """A copy of encoder and projector without gradients, moved by `follow`.

    Its batch norm is in training mode as the online branch's is: each branch normalises with its own batch's
    statistics. Shuffling samples among devices before the key encoder (MoCo's shuffled batch norm) needs several
    devices and is not done: of all keys, the positive one alone then carries this step's batch statistics.

    Args:
        encoder, projector: the online ones; copied, so both branches start alike.

    Attributes:
        encoder, projector: the momentum ones.
    """

    def __init__(self, encoder: nn.Module, projector: nn.Module) -> None:
        super().__init__()
        self.encoder, self.projector = copy.deepcopy(encoder), copy.deepcopy(projector)
        self.requires_grad_(False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Return projections [N, D] of images [N, 3, H, W]; nothing is kept for a backward pass."""
        with branch(1):
            out: Tensor = self.projector(self.encoder(images))
        return out

    def follow(self, encoder: nn.Module, projector: nn.Module, momentum: float) -> None:
        """Move every weight towards the online branch's, see `follow`."""
        follow(self.encoder, encoder, momentum)
        follow(self.projector, projector, momentum)


@torch.no_grad()
def follow(target: nn.Module, online: nn.Module, momentum: float) -> None:
    """Set every parameter of `target` to momentum * itself + (1 - momentum) * the online network's.

    What is followed are the weights the online network computes with: where a mask is on a layer, its zeros. The target
    may have masks of its own, others, or none; its masks and the batch norm's statistics stay as they are.

    Args:
        target: moved in place; the same architecture as `online`.
        online: left as it is.
        momentum: 0 copies, 1 keeps.

    Raises:
        TrainingError: the two have other parameters; names the first.
    """
    followed = _weights_in_use(online)
    for name, parameter in target.named_parameters():
        plain = _plain_name(name)
        source = followed.pop(plain, None)
        if source is None or source.shape != parameter.shape:
            raise TrainingError(f"the momentum encoder's {plain} has no counterpart in the online encoder")
        parameter.mul_(momentum).add_(source, alpha=1 - momentum)
    if followed:
        raise TrainingError(f"the online encoder's {next(iter(followed))} has no counterpart in the momentum encoder")


def _weights_in_use(model: nn.Module) -> dict[str, Tensor]:
    """Parameters by name, each as the layers read it: through its parametrisation, if it has one."""
    return {
        (plain := _plain_name(name)): _attribute(model, plain) if _PARAMETRISED in name else parameter
        for name, parameter in model.named_parameters()
    }


def _plain_name(name: str) -> str:
    """Turn "conv1.parametrizations.weight.original" into "conv1.weight"."""
    return name.replace(_PARAMETRISED, ".").removesuffix(_ORIGINAL)


def _attribute(model: nn.Module, name: str) -> Tensor:
    path, _, attribute = name.rpartition(".")
    out: Tensor = getattr(model.get_submodule(path), attribute)
    return out
