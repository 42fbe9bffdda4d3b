"""How much to sample: what the user asked for, checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from accelsim.errors import AccelsimError
from accelsim.sampling.sampler import Sampler

DEFAULT_ERROR = 0.01


@dataclass(frozen=True)
class Sampling:
    """What the user asked for.

    Attributes:
        share: of the tiles of each GEMM, above 0 and at most 1; "auto" draws as many as `error` takes.
        error: half of the 95 % interval of the total of cycles, over that total; for "auto".
        seed: of the draw.

    Raises:
        AccelsimError: a share or error out of range, or a seed below 0.
    """

    share: float | Literal["auto"]
    error: float = DEFAULT_ERROR
    seed: int = 0

    def __post_init__(self) -> None:
        if self.share != "auto" and not 0 < self.share <= 1:
            raise AccelsimError(f"the share to sample is {self.share}, expected auto or a number above 0, at most 1")
        if not 0 < self.error < 1:
            raise AccelsimError(f"the error to reach is {self.error}, expected a share between 0 and 1, such as 0.01")
        if self.seed < 0:
            raise AccelsimError(f"the sample's seed is {self.seed}, expected at least 0")

    def sampler(self) -> Sampler:
        """Return what draws the sample; "auto" begins with the least of each GEMM."""
        return Sampler(0.0 if self.share == "auto" else self.share, self.seed)
