"""Branches: nested, restored after errors, and known to recomputed forwards."""

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from accelsim.errors import TrainingError
from accelsim.sparsity import GatedConv2d, MaskedBranch, branch, current_branch


def test_blocks_nest_and_end_with_an_error() -> None:
    assert current_branch() == 0
    with branch(1):
        with branch(0):
            assert current_branch() == 0
        assert current_branch() == 1
    with pytest.raises(KeyError), branch(1):
        raise KeyError
    assert current_branch() == 0


def _layer(kind: str) -> nn.Module:
    torch.manual_seed(0)
    if kind == "gate":
        return GatedConv2d(nn.Conv2d(4, 4, 1), 2, (0.0, 0.5))
    layer = nn.Conv2d(4, 4, 1)
    for index in (0, 1):
        for mask in MaskedBranch({"a": layer}, index=index).masks.values():  # type: ignore[arg-type]
            mask.copy_(torch.rand(mask.shape) < 0.5)
    return layer


@pytest.mark.parametrize("kind", ["gate", "masks"])
@pytest.mark.parametrize("reentrant", [False, True])
def test_a_recomputed_forward_runs_in_its_own_branch_or_not_at_all(kind: str, reentrant: bool) -> None:
    layer = _layer(kind)
    x = torch.randn(2, 4, 3, 3, requires_grad=True)

    def second(x: Tensor) -> Tensor:
        with branch(1):
            out: Tensor = layer(x).square()
        return out

    second(x).sum().backward()
    expected = x.grad.clone()  # type: ignore[union-attr]
    x.grad = None
    checkpoint(second, x, use_reentrant=reentrant).sum().backward()  # type: ignore[union-attr]
    torch.testing.assert_close(x.grad, expected)
    with branch(1):
        out = checkpoint(lambda x: layer(x).square(), x, use_reentrant=reentrant)
    with pytest.raises(TrainingError, match="inside the function that is checkpointed"):
        out.sum().backward()  # type: ignore[union-attr]


def test_one_mask_needs_no_branch_to_be_recomputed() -> None:
    layer = nn.Conv2d(4, 4, 1)
    MaskedBranch({"a": layer})
    x = torch.randn(2, 4, 3, 3, requires_grad=True)
    checkpoint(layer, x, use_reentrant=False).sum().backward()  # type: ignore[union-attr]
    assert x.grad is not None
