"""How one layer's cycles come about: shapes, tiles, windows, the slowest tile, slots and memory, as data."""

from accelsim.explain.explanation import Explanation, PassExplanation, explain, explain_pass

__all__ = ["Explanation", "PassExplanation", "explain", "explain_pass"]
