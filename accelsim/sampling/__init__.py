"""A random part of the tiles in place of all: estimates with 95 % intervals, as docs/sampling.md says."""

from accelsim.sampling.allocate import allocate, is_sure
from accelsim.sampling.estimate import CONFIDENCE, Variance
from accelsim.sampling.plan import Sampling
from accelsim.sampling.sampler import Sampler
from accelsim.sampling.spread import Spread, combine

__all__ = ["CONFIDENCE", "Sampler", "Sampling", "Spread", "Variance", "allocate", "combine", "is_sure"]
