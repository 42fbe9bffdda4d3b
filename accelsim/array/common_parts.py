"""Parts of logic that several kinds of PE have: lanes, tests for zeros, filters of windows, the way of results out."""

from __future__ import annotations

from accelsim.hardware.logic import MULTIPLEXER_EQUIVALENTS, Logic, cells
from accelsim.hardware.parts import Array, Precision
from accelsim.hardware.skipping import Skipping


def lanes(array: Array, precision: Precision) -> Logic:
    """Return the PEs' multiply-accumulate lanes with their operand registers and accumulators.

    A product clocks the registers of a lane and its share of the accumulator, which all lanes of a PE add to. The
    energy of the arithmetic itself is that of multiply-accumulates, which the energy table has.
    """
    built = cells("mac_lanes", L=array.lanes, W=precision.operand_bits, ACC=precision.accumulator_bits)
    each = {"product": built.flip_flops / array.lanes}
    pes = array.rows * array.cols
    return Logic("lanes", pes, built.gates, built.flip_flops, built.equivalents_per_gate, clocked=each)


def zero_tests(array: Array, skipping: Skipping, precision: Precision) -> tuple[Logic, ...]:
    """Return what tells each lane that an operand is zero, with `skipping.gate_zeros`: an OR over each operand's bits.

    Their energy is part of a gated multiply-accumulate's, which the energy table has.
    """
    if not skipping.gate_zeros:
        return ()
    gates = 2 * (precision.operand_bits - 1) + 1
    return (Logic("zero tests", array.rows * array.cols, array.lanes * gates),)


def window_filters(array: Array, skipping: Skipping, window_positions: int) -> tuple[Logic, ...]:
    """Return what looks for windows without a non-zero, one for each row and column, with `skipping.blocks`.

    Each segment of a column has one.

    A filter sees a mask bit for each word that comes from the buffers.
    """
    if not skipping.blocks:
        return ()
    built = cells("window_filter", S=window_positions)
    each = {"word": built.gates / window_positions}
    return (
        Logic(
            "window filters", array.rows + array.segments * array.cols, built.gates, 0, built.equivalents_per_gate, each
        ),
    )


def way_out(array: Array, precision: Precision) -> tuple[Logic, ...]:
    """Return what moves results down the columns, a row of PEs in a cycle, and the second accumulators of `overlapped`.

    In each PE a multiplexer takes either its own result or that of the PE above. A result of the mean row moves through
    half of the rows, each of them a register (the accumulators themselves with `exposed`).
    """
    if array.drain == "free" or "output_stationary" not in array.dataflows:
        return ()
    bits, moves = precision.accumulator_bits, (array.rows + 1) / 2
    registers = bits if array.drain == "overlapped" else 0
    return (
        Logic(
            "way of results out",
            array.rows * array.cols,
            bits,
            registers,
            MULTIPLEXER_EQUIVALENTS,
            switching={"output": bits * moves},
            clocked={"output": bits * moves},
        ),
    )


def segment_parts(
    array: Array, skipping: Skipping, precision: Precision, window_positions: int, held_positions: int
) -> tuple[Logic, ...]:
    """Return what lets column wires be cut (`array.segments`).

    At the top of each segment but the first a multiplexer gives each column either what comes from the segment above or
    what registers hold of a column of its own. Each row of PEs chooses between as many rows of A as there are cuts.

    Args:
        window_positions: of a window, which a wire carries whole.
        held_positions: what the registers of a column hold.
    """
    if array.segments == 1:
        return ()
    bits = precision.operand_bits + (1 if skipping.tensors or skipping.blocks else 0)
    wires, word, choices = window_positions * bits, {"word": bits}, len(array.cuts) - 1
    columns = (array.segments - 1) * array.cols
    return (
        Logic("columns of segments", columns, wires, held_positions * bits, MULTIPLEXER_EQUIVALENTS, word, word),
        Logic("rows of segments", array.rows, choices * wires, 0, MULTIPLEXER_EQUIVALENTS, {"word": choices * bits}),
    )
