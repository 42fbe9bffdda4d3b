"""Operation and pass → masked GEMMs on packed bits."""

from accelsim.lowering.gemm import PASSES, Footprint, MaskedGemm, Pass, chosen_passes
from accelsim.lowering.lower import Lowering, lower, passes_of

__all__ = ["PASSES", "Footprint", "Lowering", "MaskedGemm", "Pass", "chosen_passes", "lower", "passes_of"]
