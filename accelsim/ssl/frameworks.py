"""Self-supervised frameworks by name, each made from an encoder and a run's options."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from torch import nn

from accelsim.ssl.barlow_twins import BarlowTwins
from accelsim.ssl.byol import BYOL
from accelsim.ssl.framework import Framework
from accelsim.ssl.moco import MoCo
from accelsim.ssl.simclr import SimCLR
from accelsim.ssl.simsiam import SimSiam
from accelsim.ssl.vicreg import VICReg


class FrameworkOptions(Protocol):
    """The options that some framework has; see `config.TrainConfig`."""

    @property
    def temperature(self) -> float: ...

    @property
    def momentum(self) -> float: ...

    @property
    def queue(self) -> int: ...


FRAMEWORKS: dict[str, Callable[[nn.Module, FrameworkOptions], Framework]] = {
    "simclr": lambda encoder, options: SimCLR(encoder, temperature=options.temperature),
    "moco": lambda encoder, options: MoCo(
        encoder, temperature=options.temperature, momentum=options.momentum, queue=options.queue
    ),
    "byol": lambda encoder, options: BYOL(encoder, momentum=options.momentum),
    "simsiam": lambda encoder, options: SimSiam(encoder),
    "barlow": lambda encoder, options: BarlowTwins(encoder),
    "vicreg": lambda encoder, options: VICReg(encoder),
}
