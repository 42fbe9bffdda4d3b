"""Speedup against the granularity of sparsity, at equal sparsity, by machine and pass.

    python experiments/granularity/run.py

makes up a training step of `config.yaml`'s network for every pattern and density, replays it and the late steps of
recorded traces on all machines, and writes `table.csv`, a row a trace, machine and pass. The figure is
`accelsim plot granularity` of that table; this script draws it, too.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from accelsim import Hardware, Result, load_hardware, open_trace, simulate_many, synthesize
from accelsim.files import write_whole
from accelsim.lowering import PASSES
from accelsim.results.result import ENERGY_COLUMNS, SLOT_COLUMNS
from accelsim.results.row import speedup
from accelsim.show.figures.registry import find_kind, plot
from accelsim.show.figures.source import read_source
from accelsim.synth import Layer
from accelsim.synth.weight_patterns import find_weight_pattern

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SUMMED = ["macs", "effectual_macs", "cycles", "array_cycles", "dense_cycles", *SLOT_COLUMNS]
SUMMED += ["dram_bytes", "dense_dram_bytes", "energy_pj", "dense_energy_pj", *ENERGY_COLUMNS]


def rows_of(results: list[Result], facts: dict[str, Any], call: int | None = None) -> Iterator[dict[str, Any]]:
    """Yield a row a machine and pass, steps and layers added up."""
    for result in results:
        layers = result.layers if call is None else result.layers[result.layers["call"] == call]
        for which in PASSES:
            of_pass = layers[layers["pass"] == which]
            sums = {name: of_pass[name].sum(skipna=False).item() for name in SUMMED}
            faster = speedup(sums["dense_cycles"], sums["cycles"])
            yield facts | {"machine": result.hardware.name, "pass": which, "speedup": faster} | sums


def synthetic(config: dict[str, Any], machines: list[Hardware]) -> Iterator[dict[str, Any]]:
    """Replay every pattern at every density, and the unpruned network."""
    network = config["network"]
    if not isinstance(network, str):
        network = [
            Layer(name=f"conv{i}", c_in=ins, c_out=outs, kernel=(3, 3), padding=(1, 1), image=(8, 8), after_relu=True)
            for i, (ins, outs) in enumerate(network)
        ]
    pairs = [("none", 1.0)]
    for density in config["densities"]:
        # N:M leaves one density only
        pairs += [(name, density) for name in config["patterns"] if find_weight_pattern(name).least in (0, density)]
    for pattern, density in pairs:
        trace = synthesize(
            network,
            batch=config["batch"],
            weight_density=density,
            activation_density=config["activations"]["density"],
            activation_clustering=config["activations"]["clustering"],
            pattern="element" if pattern == "none" else pattern,
            seed=config["seed"],
        )
        name = f"{trace.meta['network']} {pattern} {density:g}"
        print(name, flush=True)
        facts = {"trace": name, "origin": "synthetic", "pattern": pattern, "weight_density": density}
        yield from rows_of(simulate_many(machines, trace, equal_area=False, workers=1), facts)


def recorded(config: dict[str, Any], machines: list[Hardware]) -> Iterator[dict[str, Any]]:
    """Replay the late steps of recorded traces; their density is that of the encoder's pruned layers."""
    for one in config["recorded"]:
        print(one["trace"], flush=True)
        trace = open_trace(ROOT / "traces" / f"{one['trace']}.pkl").select(steps=[one["step"]])
        if "layers" in one:
            trace = trace.select(layers=one["layers"])
        words = trace.meta["command"].split()
        pattern, sparsity = (words[words.index(option) + 1] for option in ("--pattern", "--sparsity"))
        facts = {"trace": one["trace"], "origin": "recorded", "pattern": pattern}
        facts["weight_density"] = round(1 - float(sparsity), 6)
        yield from rows_of(simulate_many(machines, trace, equal_area=False, workers=1), facts, one["call"])


def main() -> None:
    """Measure and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="default: beside this file; with --quick, runs/granularity/quick")
    parser.add_argument("--quick", action="store_true", help="quick.yaml instead of config.yaml")
    options = parser.parse_args()
    out = options.out or (ROOT / "runs" / HERE.name / "quick" if options.quick else HERE)
    config = yaml.safe_load((HERE / ("quick.yaml" if options.quick else "config.yaml")).read_text())
    machines = [load_hardware(ROOT / "hw_configs" / f"{name}.yaml") for name in config["machines"]]
    table = pd.DataFrame([*synthetic(config, machines), *recorded(config, machines)])
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / "table.csv", table.to_csv(index=False))
    source = read_source(out / "table.csv")
    for suffix in (".svg", ".png"):
        plot(find_kind("granularity"), [source], (out / "granularity").with_suffix(suffix))


if __name__ == "__main__":
    main()
