"""ZigZag's best mapping of GEMMs, for `benchmarks/peers_traffic.py`; runs in ZigZag's own environment.

    python -m venv zigzag-venv && zigzag-venv/bin/pip install zigzag-dse==3.9.1 six

Reads `Problem`s as JSON from standard input, a line each, and answers each with a line of `Answer`. It imports nothing
of accelsim, which need not be installed there.

The accelerator is an output-stationary array: each PE has one register for a sum, each operand and the sums have an
SRAM of their own, DRAM has all three. An SRAM is as large as a half of accelsim's buffer and not double-buffered: the
other half is what the next data fills meanwhile. Sums have accumulator width in the output SRAM, done or not.
Energy is a unit for each word read from or written to DRAM and nothing for anything else, so the mapping of the least
energy is the one of the least DRAM traffic.

ZigZag's SALSA searches: it anneals the order of the prime factors of all loops. (LOMA enumerates orders. It
merges prime factors until six are left: with seven dimensions, one loop for each, it cuts none of them.)
"""

from __future__ import annotations

import json
import logging
import random
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

PE_ROWS = PE_COLS = 16


@dataclass(frozen=True)
class Axis:
    """An axis of an image: `grid` positions p and `taps` taps t read p * step + t, of which `source` exist."""

    grid: int
    taps: int
    step: int
    source: int


@dataclass(frozen=True)
class Problem:
    """A GEMM as loops, and half of each buffer in bits.

    Attributes:
        grid_is_k: whether images and grid are the reduction (weight_grad) or kernel and channels are.
        annealings, iterations: the most runs of SALSA, of which the best counts, and the steps of each.
    """

    rows: int
    images: int
    y: Axis
    x: Axis
    channels: int
    grid_is_k: bool
    a_bits: int
    b_bits: int
    output_bits: int
    word_bits: int
    sum_bits: int
    annealings: int
    iterations: int


@dataclass(frozen=True)
class Answer:
    """Elements that cross the DRAM channel, and which mapping moves them.

    Attributes:
        a, b: elements of the operands that are read.
        spilled: sums that are written to DRAM before they are done, and as many read again.
        loops: temporal loops, innermost first: dimension, size, and the operands whose SRAM holds what it runs over.
        across: the dimension that is laid along the array's columns, and of how many positions.
        words: DRAM words of the best mapping of each annealing, a sum being sum_bits / word_bits of them.
    """

    a: int
    b: int
    spilled: int
    loops: list[tuple[str, int, str]]
    across: tuple[str, int]
    words: list[float]


def accelerator(problem: Problem) -> dict[str, Any]:
    """Describe the machine as ZigZag's files do."""

    def memory(operands: dict[str, str], size: int, cost: float, width: int, served: list[str]) -> dict[str, Any]:
        port = {
            "name": "rw_port_1",
            "type": "read_write",
            "bandwidth_min": width,
            "bandwidth_max": width,
            "allocation": [f"{operand}, {way}" for operand, ways in operands.items() for way in ways.split()],
        }
        return {
            "size": size,
            "r_cost": cost,
            "w_cost": cost,
            "area": 0.0,
            "latency": 1,
            "operands": list(operands),
            "ports": [port],
            "served_dimensions": served,
        }

    both, every = "fh tl", "fh tl fl th"
    return {
        "name": "output_stationary",
        "memories": {
            "sum": memory({"O": every}, problem.sum_bits, 0.0, problem.sum_bits, []),
            "weight": memory({"I2": both}, problem.a_bits, 0.0, PE_ROWS * problem.word_bits, ["D1", "D2"]),
            "input": memory({"I1": both}, problem.b_bits, 0.0, PE_COLS * problem.word_bits, ["D1", "D2"]),
            "output": memory({"O": every}, problem.output_bits, 0.0, 256 * problem.sum_bits, ["D1", "D2"]),
            "dram": memory({"I1": both, "I2": both, "O": every}, 1 << 40, 1.0, problem.word_bits, ["D1", "D2"]),
        },
        "operational_array": {
            "unit_energy": 0.0,
            "unit_area": 1.0,
            "dimensions": ["D1", "D2"],
            "sizes": [PE_ROWS, PE_COLS],
        },
    }


def layer(problem: Problem) -> dict[str, Any]:
    """Describe the GEMM as ZigZag's files do; W is operand A and I operand B, whichever tensors they are."""
    axes = {"y": problem.y, "x": problem.x}
    sizes = {"B": problem.images, "K": problem.rows, "C": problem.channels}
    for name, axis in axes.items():
        sizes |= {f"O{name.upper()}": axis.grid, f"F{name.upper()}": axis.taps}
    equation = (
        "O[k][c][fy][fx]+=W[b][k][oy][ox]*I[b][c][iy][ix]"
        if problem.grid_is_k
        else "O[b][k][oy][ox]+=W[k][c][fy][fx]*I[b][c][iy][ix]"
    )
    return {
        "id": 0,
        "name": "gemm",
        "operator_type": "Conv",
        "equation": equation,
        "dimension_relations": [f"i{name}={axis.step}*o{name}+1*f{name}" for name, axis in axes.items()],
        "loop_dims": list(sizes),
        "loop_sizes": list(sizes.values()),
        "pr_loop_dims": ["IY", "IX"],
        "pr_loop_sizes": [min(axis.source, _reach(axis)) for axis in axes.values()],
        "operand_precision": {
            "W": problem.word_bits,
            "I": problem.word_bits,
            "O": problem.sum_bits,
            "O_final": problem.sum_bits,
        },
        "operand_source": {"W": 0, "I": 0},
    }


def _reach(axis: Axis) -> int:
    """Different source positions that all positions and taps reach, padding included: as ZigZag counts them."""
    return axis.grid * axis.taps - max(0, axis.taps - axis.step) * (axis.grid - 1)


def across(problem: Problem) -> tuple[str, int]:
    """Lay channels or positions of the grid's lines along the columns, as many as divide them evenly."""
    name, extent = ("C", problem.channels) if problem.grid_is_k else ("OX", problem.x.grid)
    return name, max(size for size in range(1, PE_COLS + 1) if extent % size == 0)


def solve(problem: Problem) -> Answer:
    """Search, and read off the best mapping what fills the SRAMs from DRAM."""
    from zigzag.datatypes import LayerOperand
    from zigzag.mapping.data_movement import DataDirection, DataMoveAttr
    from zigzag.mapping.temporal_mapping import TemporalMappingType
    from zigzag.opt.salsa.engine import SalsaEngine
    from zigzag.opt.salsa.state import SalsaState
    from zigzag.stages.mapping.spatial_mapping_conversion import SpatialMappingConversionStage

    machine, node = parsed(problem)
    conversion = SpatialMappingConversionStage([None], accelerator=machine, layer=node)
    laid, _ = conversion.convert_user_spatial_mapping(node.spatial_mapping)
    SalsaState.__deepcopy__ = lambda state, _: state  # nothing changes a state, and copying takes half of the time
    annealed = _Annealed()
    while not annealed.settled(problem.annealings):
        SalsaEngine(
            accelerator=machine,
            layer=node,
            spatial_mapping=laid,
            mapping_type=TemporalMappingType.UNEVEN,
            salsa_iteration_number=problem.iterations,
        ).run(annealed)
    best = min(annealed.found, key=lambda one: one.energy_total)

    def filled(operand: str, level: int) -> int:
        counts = best.mapping.unit_mem_data_movement[LayerOperand(operand)][level]
        return int(counts.get_attribute(DataMoveAttr.DATA_ELEM_MOVE_COUNT).get(DataDirection.WR_IN_BY_HIGH))

    levels = best.mapping.temporal_mapping.mapping_dic_origin
    held = {operand: sum(map(len, levels[LayerOperand(operand)][:-1])) for operand in "WIO"}
    loops = [
        (str(dim), int(size), "".join(operand for operand in "WIO" if place < held[operand]))
        for place, (dim, size) in enumerate(loop for level in levels[LayerOperand("O")] for loop in level)
    ]
    return Answer(
        a=filled("W", 0),
        b=filled("I", 0),
        spilled=filled("O", 1),
        loops=loops,
        across=across(problem),
        words=[float(one.energy_total) for one in annealed.found],
    )


class _Annealed:
    """What SALSA puts its best mappings into, in place of a queue between processes."""

    def __init__(self) -> None:
        self.found: list[Any] = []

    def put(self, found: Any) -> None:
        self.found.append(found)

    def settled(self, most: int) -> bool:
        """Return whether two of at least three annealings have come to the best mapping, or there were enough."""
        words = [one.energy_total for one in self.found]
        return len(words) >= most or (len(words) > 2 and words.count(min(words)) > 1)


def parsed(problem: Problem) -> tuple[Any, Any]:
    """Have ZigZag read the accelerator, the layer and how it is laid on the array."""
    import yaml
    from zigzag.datatypes import OADimension
    from zigzag.parser.accelerator_factory import AcceleratorFactory
    from zigzag.parser.accelerator_validator import AcceleratorValidator
    from zigzag.stages.parser.workload_parser import WorkloadParserStage

    checked = AcceleratorValidator(accelerator(problem))
    if not checked.validate():
        raise ValueError("ZigZag refuses the accelerator")
    machine = AcceleratorFactory(checked.normalized_data).create()
    with TemporaryDirectory() as folder:
        path = Path(folder, "mapping.yaml")
        rows = max(size for size in range(1, PE_ROWS + 1) if problem.rows % size == 0)
        laid = {
            "name": "default",
            "spatial_mapping": {"D1": [f"K, {rows}"], "D2": ["{}, {}".format(*across(problem))]},
            "memory_operand_links": {"O": "O", "W": "I2", "I": "I1"},
        }
        path.write_text(yaml.safe_dump([laid]), encoding="utf-8")
        workload = WorkloadParserStage([None], workload=[layer(problem)], mapping=str(path)).parse_workload()
    (node,) = workload.node_list
    node.spatial_mapping.initialize_oa_dims({OADimension("D1"): PE_ROWS, OADimension("D2"): PE_COLS})
    return machine, node


def main() -> None:
    """Answer each line."""
    import numpy as np

    logging.disable(logging.WARNING)
    for line in sys.stdin:
        told = json.loads(line)
        problem = Problem(**told | {name: Axis(**told[name]) for name in ("y", "x")})
        random.seed(0)
        np.random.seed(0)  # ZigZag draws from both
        print(json.dumps(asdict(solve(problem))), flush=True)


if __name__ == "__main__":
    main()
