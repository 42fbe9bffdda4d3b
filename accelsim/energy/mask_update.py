"""What an update of the masks costs, an estimate: weights are judged and masks written anew on the training machine.

A selection (which weights go, or which come) goes over its candidates twice: one pass finds the threshold, from a
histogram of magnitudes, and one compares with it. In each pass a candidate is a word read from DRAM (its weight, moving
average or dense gradient; none where chance decides) and a comparison; the mask's bits are read and written once. The
vector unit of `vector_work` compares, a candidate a lane and cycle, while the data moves. Nothing else runs meanwhile.
The dense baseline trains dense and updates nothing.
"""

from __future__ import annotations

from accelsim.energy.account import Actions, EnergyBreakdown, account
from accelsim.energy.table import EnergyTable
from accelsim.energy.vector_work import VectorWork
from accelsim.hardware.model import Hardware
from accelsim.trace.training_run import MaskWork

SELECTION_PASSES = 2
MASK_MOVES = 2  # read and written


def mask_update(hw: Hardware, work: MaskWork) -> VectorWork:
    """Estimate the work of one update of the masks.

    Returns:
        Comparisons as ops, bytes (0 on a machine with ideal memory), and cycles: the longer of comparing
        (ops / lanes) and moving (dram_bytes / bytes_per_cycle).
    """
    word_bits = SELECTION_PASSES * work.words_read * hw.precision.operand_bits
    return VectorWork.on(hw, SELECTION_PASSES * work.judged, word_bits + MASK_MOVES * work.mask_bits)


def mask_update_energy(table: EnergyTable, hw: Hardware, work: VectorWork) -> EnergyBreakdown:
    """Energy of an update: a comparison is an addition at operand width; DRAM and leakage are added."""
    return account(table, hw, mask_update_actions(work))


def mask_update_actions(work: VectorWork) -> Actions:
    """Return what energy is charged for."""
    return Actions(cycles=work.cycles, comparisons=work.ops, dram_read_bytes=work.dram_bytes)
