"""Where a training step ends: which optimizers step in it, and which of them is the last."""

from __future__ import annotations

import weakref

from torch import nn
from torch.optim import Optimizer


class Boundaries:
    """Follows the optimizers of a loop from step to step.

    A step is over when all optimizers that stepped in the step before have stepped, or one steps again. Ahead of the
    first end, when nothing is known yet, it is over when those that stepped hold all of the model's parameters that
    train. Otherwise it ends where the model's next forward begins.

    Holds no optimizer alive.

    Args:
        model: the model that trains.

    Attributes:
        waiting: whether some optimizers have stepped in the running step.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._last: weakref.WeakSet[Optimizer] = weakref.WeakSet()
        self._stepped: weakref.WeakSet[Optimizer] = weakref.WeakSet()
        self.waiting = False

    def stepped(self, optimizer: Optimizer) -> bool:
        """Take note of an optimizer that ran in the running step; return whether the step is over by that."""
        again = optimizer in self._stepped
        self._stepped.add(optimizer)
        self.waiting = True
        if self._last:
            return again or all(known in self._stepped for known in self._last)
        trained = {id(p) for known in self._stepped for group in known.param_groups for p in group["params"]}
        return again or all(id(p) in trained for p in self._model.parameters() if p.requires_grad)

    def stepped_late(self, optimizer: Optimizer) -> None:
        """Take note of an optimizer that belongs to the step before, as nothing ran since its end."""
        self._last.add(optimizer)

    def ended(self) -> None:
        """Begin a new step."""
        if self.waiting:  # a step that was ended by hand says nothing about optimizers
            self._last, self._stepped, self.waiting = self._stepped, weakref.WeakSet(), False
