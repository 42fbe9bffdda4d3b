"""Macro-tiles, stored formats, and the discrete-event model of DRAM, buffers and array."""

from accelsim.memory.move import Movement, Mover

__all__ = ["Movement", "Mover"]
