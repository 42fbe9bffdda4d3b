"""The optimisers of a training run by name."""

from __future__ import annotations

from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from accelsim.errors import TrainingError
from accelsim.sparsity import GatedConv2d

OPTIMIZERS = ("adamw", "sgd")

SGD_MOMENTUM = 0.9
"""As SimSiam and MoCo publish it, and SimCLR and VICReg for LARS."""


def build_optimizer(model: nn.Module, name: str, learning_rate: float, weight_decay: float) -> Optimizer:
    """Return an optimiser of a model's parameters that have gradients.

    Thresholds of gates do not decay: it would draw them to 0, which opens half of the gates.

    Args:
        model: with gates and masks in place.
        name: one of `OPTIMIZERS`: AdamW, or SGD with momentum 0.9, whose decay is an L2 penalty.
        learning_rate: of the first step.
        weight_decay: of all parameters but thresholds.

    Raises:
        TrainingError: an unknown name.
    """
    check_optimizer(name)
    thresholds = {module.threshold for module in model.modules() if isinstance(module, GatedConv2d)}
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [parameter for parameter in learning if parameter not in thresholds], "weight_decay": weight_decay},
        {"params": [parameter for parameter in learning if parameter in thresholds], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if name == "sgd":
        return SGD(groups, lr=learning_rate, momentum=SGD_MOMENTUM)
    return AdamW(groups, lr=learning_rate)


def check_optimizer(name: str) -> None:
    """Check the name of an optimiser.

    Raises:
        TrainingError: not one of `OPTIMIZERS`.
    """
    if name not in OPTIMIZERS:
        raise TrainingError(f"unknown optimizer {name!r}, expected one of {', '.join(OPTIMIZERS)}")
