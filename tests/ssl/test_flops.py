"""Operations of a step, against PyTorch's own counter and against masks."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from accelsim.sparsity import apply_masks
from accelsim.ssl.flops import count_flops

LAYERS = {
    "strided": nn.Conv2d(3, 8, 3, stride=2, padding=1),
    "one dimension": nn.Conv1d(4, 5, 3),
    "linear": nn.Linear(7, 5),
    "linear on tokens": nn.Linear(7, 5),
}
INPUTS = {
    "strided": (2, 3, 9, 8),
    "one dimension": (2, 4, 11),
    "linear": (6, 7),
    "linear on tokens": (2, 4, 7),
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("frozen", ["nothing", "weight", "input", "everything"])
def test_a_layer_counts_what_pytorch_counts(name: str, frozen: str) -> None:
    layer = LAYERS[name].requires_grad_(frozen not in ("weight", "everything"))
    x = torch.randn(INPUTS[name], requires_grad=frozen in ("nothing", "weight"))
    with FlopCounterMode(display=False) as theirs, count_flops(layer) as ours:
        out = layer(x).sum()
        if frozen != "everything":
            out.backward()
    assert ours.dense == ours.masked == theirs.get_total_flops()


def test_a_forward_without_gradients_counts_once() -> None:
    layer = nn.Conv2d(3, 8, 3)
    with torch.no_grad(), count_flops(layer) as flops:
        layer(torch.zeros(1, 3, 5, 5))
    assert flops.dense == 2 * 9 * 8 * 27


def test_groups_count_in_every_pass() -> None:
    """By hand: PyTorch's counter forgets the groups in the weight gradient."""
    layer = nn.Conv2d(6, 9, (3, 1), groups=3)
    with count_flops(layer) as flops:
        layer(torch.zeros(2, 6, 5, 5, requires_grad=True))
    assert flops.dense == 3 * 2 * (2 * 3 * 5) * 9 * (2 * 3)


def test_masked_weights_count_in_proportion() -> None:
    model = nn.Sequential(nn.Conv2d(2, 4, 1), nn.Conv2d(4, 4, 1))
    mask = apply_masks({"1": model[1]})["1"].mask
    mask.view(-1)[:12] = False
    with count_flops(model) as flops:
        model(torch.zeros(3, 2, 5, 5))
        model(torch.zeros(3, 2, 5, 5))
    # Per position: first layer 8 weights in forward and weight gradient, second 16 (4 kept) in all three passes.
    assert flops.dense == 2 * 2 * 75 * (8 * 2 + 16 * 3)
    assert flops.masked == 2 * 2 * 75 * (8 * 2 + 4 * 3)
    assert not model[0]._forward_hooks
