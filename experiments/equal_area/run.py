"""From which density on skipping zeros pays, against the best dense machine of the same area, by pattern and pass.

    python experiments/equal_area/run.py

replays training steps of `config.yaml`'s networks with every pattern and density of pruned weights on its machines, and
writes `density.csv` (a row per network, pattern, density, machine and pass), `crossings.csv` (where each machine begins
to win), `equal_area.svg` and `.png`. Beside the machines stand dense arrays of a few rows, of the README's machine's
area: dropping windows of so few rows is skipping zeros, too, so the best dense machine is never one of them.
"""

from __future__ import annotations

import argparse
import tempfile
from bisect import bisect_right
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from accelsim import Hardware, Result, load_hardware, open_trace, simulate_many, synthesize
from accelsim.area import area
from accelsim.explore.designs import merge
from accelsim.files import write_whole
from accelsim.show.figures.files import save_figure
from accelsim.show.figures.style import COLOURS, DASHES, MARKERS, new_figure, plain_axes
from accelsim.synth import Layer, SyntheticTrace
from accelsim.synth.weight_patterns import find_weight_pattern

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PASSES = ("forward", "input_grad", "weight_grad", "whole step")


def machines_of(config: dict[str, Any]) -> list[Hardware]:
    """Return the machines to compare, by their names in the configuration."""
    found = []
    for name, one in config["machines"].items():
        plain = load_hardware(ROOT / "hw_configs" / f"{one['hw']}.yaml").model_dump(mode="json", exclude_unset=True)
        found.append(Hardware.model_validate(merge(plain, one.get("set", {})) | {"name": name}))
    return found


def runs(machine: dict[str, Any], network: str, pattern: str) -> bool:
    """Whether a machine of the configuration is one that replays this."""
    return network in machine.get("networks", [network]) and pattern in machine.get("patterns", [pattern])


def short_arrays(hw: Hardware, rows: list[int], closing_up: list[bool]) -> Iterator[Hardware]:
    """Yield dense machines of few rows that drop windows of zeros, with as many columns as fit a machine's area.

    Args:
        closing_up: whether columns whose outputs nobody needs are left out and the others close up; in an array of a
            row or two any words of a buffer are then neighbours, and what brings them together is in no area.
    """
    plain = hw.model_dump(mode="json", exclude={"skipping"})
    every = ["weight", "activation", "gradient"]
    for count, closes in product(rows, closing_up):

        def of(cols: int, count: int = count, closes: bool = closes) -> Hardware:
            shape = {"array.rows": count, "array.cols": cols, "vector.lanes": hw.vector_lanes}
            dropping = {"kind": "dense", "blocks": every, "outputs": closes, "gate_zeros": True}
            named = {"skipping": dropping, "name": f"dense {count}x{cols}" + " closing up" * closes}
            return Hardware.model_validate(merge(plain | named, shape))

        yield of(bisect_right(range(1, 1024), area(hw).mm2, key=lambda cols: area(of(cols)).mm2))


def traces(
    config: dict[str, Any], network: dict[str, Any], folder: Path
) -> Iterator[tuple[str, float, SyntheticTrace]]:
    """Yield each pattern and density of weights with a training step that has it."""
    densities = folder / "densities.csv"
    densities.write_text("layer,weight,activation,gradient\n" + "".join(f"{name},1,,\n" for name in network["dense"]))
    pairs = [("element", 1.0)]
    for pattern in config["patterns"]:
        least = find_weight_pattern(pattern).least
        pairs += [(pattern, least)] if least else [(pattern, one) for one in network["densities"] if one < 1]
    for pattern, density in pairs:
        given: dict[str, Any] = {"weight_density": density, "pattern": pattern, "seed": config["seed"]}
        given["densities"] = densities
        if "like" in network:
            recorded = open_trace(ROOT / "traces" / f"{network['like']}.pkl").select(steps=[network["step"]])
            yield pattern, density, synthesize(recorded, **given)
            continue
        made_up = network.get("network") or [
            Layer(name=f"conv{i}", c_in=ins, c_out=outs, kernel=(3, 3), padding=(1, 1), image=(8, 8), after_relu=True)
            for i, (ins, outs) in enumerate(network["layers"])
        ]
        given |= {"batch": network["batch"], "activation_density": network["activations"]["density"]}
        yield pattern, density, synthesize(made_up, activation_clustering=network["activations"]["clustering"], **given)


def rows_of(result: Result, facts: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield one row per pass, and one for the step with its other work."""
    summary = result.summary
    for which, sums in (summary["by_pass"] | {"whole step": summary["total"]}).items():
        names = ("cycles", "equal_area_cycles", "energy_pj", "equal_area_energy_pj")
        yield facts | {
            "machine": result.hardware.name,
            "area_mm2": area(result.hardware).mm2,
            "pass": which,
            "rival": summary["equal_area"]["machine"],
            **{name: sums[name] for name in names},
        }


def measure(config: dict[str, Any]) -> pd.DataFrame:
    """Replay every pattern and density on all machines; a short array's rival is the README's machine's."""
    machines = machines_of(config)
    readme = next(one for one in machines if one.name == config["readme"])
    short = list(short_arrays(readme, **config["short"]))
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for name, network in config["networks"].items():
            for pattern, density, trace in traces(config, network, Path(folder)):
                print(name, pattern, density, flush=True)
                facts = {"network": name, "pattern": pattern, "weight_density": density}
                running = [one for one in machines if runs(config["machines"][one.name], name, pattern)]
                for result in simulate_many(running, trace, workers=1):
                    rows += rows_of(result, facts)
                for result in simulate_many(short, trace, workers=1, equal_area=False):
                    rows += rows_of(result, facts)
    table = pd.DataFrame(rows)
    keys = ["network", "pattern", "weight_density", "pass"]
    rivals = table[table["machine"] == readme.name].set_index(keys)
    for column in ("rival", "equal_area_cycles", "equal_area_energy_pj"):
        of_readme = pd.Series(rivals[column].reindex(pd.MultiIndex.from_frame(table[keys])).array, table.index)
        table[column] = table[column].where(~table["machine"].isin([one.name for one in short]), of_readme)
    table["speedup_at_equal_area"] = table["equal_area_cycles"] / table["cycles"]
    table["energy_ratio_at_equal_area"] = table["equal_area_energy_pj"] / table["energy_pj"]
    return table


def crossings(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row per network, machine, pattern and pass: the share of zero weights from which on it wins.

    Between two densities the speedup is taken to change evenly; 0 where it wins without pruning, empty where it never
    does. Beside it the largest speedup, and the share of zeros that has it.
    """
    rows = []
    for (network, machine, pattern, which), some in table.groupby(
        ["network", "machine", "pattern", "pass"], sort=False
    ):
        unpruned = table[
            (table["network"] == network)
            & (table["machine"] == machine)
            & (table["pass"] == which)
            & (table["weight_density"] == 1)
        ]
        if ":" in pattern:  # an N:M has one density
            continue
        curve = pd.concat([unpruned, some[some["weight_density"] < 1]])
        zeros, speedups = 1 - curve["weight_density"].to_numpy(), curve["speedup_at_equal_area"].to_numpy()
        first = next((place for place in range(len(zeros)) if (speedups[place:] >= 1).all()), None)
        start = None if first is None else zeros[first]
        if first:
            low, high = speedups[first - 1], speedups[first]
            start = zeros[first - 1] + (1 - low) / (high - low) * (zeros[first] - zeros[first - 1])
        best = int(speedups.argmax())
        facts = {"network": network, "machine": machine, "pattern": pattern, "pass": which, "wins_from_zeros": start}
        rows.append(facts | {"most": speedups[best], "at_zeros": zeros[best]})
    return pd.DataFrame(rows)


def draw(table: pd.DataFrame, machine: str, short: str | None, stem: Path) -> None:
    """Draw the machine over its dense rival, a row of panels per network, and what the rival itself makes of the zeros.

    Args:
        short: of the short arrays, the one to draw beside it, for single weights.
    """
    beside, table = (
        table[(table["machine"] == short) & (table["pattern"] == "element")],
        table[table["machine"] == machine],
    )
    networks, patterns = table["network"].unique(), [one for one in table["pattern"].unique() if ":" not in one]
    figure = new_figure(11, 2.6 + 2.2 * len(networks))
    axes = figure.subplots(len(networks) + 1, len(PASSES), sharex=True, sharey="row", squeeze=False)
    for row, (network, quantity) in enumerate([*((one, "speedup") for one in networks), (networks[0], "rival")]):
        of_network = table[table["network"] == network]
        for axis, which in zip(axes[row], PASSES, strict=True):
            of_pass = of_network[of_network["pass"] == which]
            unpruned = of_pass[of_pass["weight_density"] == 1]

            def heights(some: pd.DataFrame, start: pd.DataFrame = unpruned, what: str = quantity) -> Any:
                if what == "speedup":
                    return some["speedup_at_equal_area"]
                return start["equal_area_cycles"].item() / some["equal_area_cycles"]

            for place, pattern in enumerate(patterns):
                some = pd.concat([unpruned, of_pass[(of_pass["pattern"] == pattern) & (of_pass["weight_density"] < 1)]])
                label = {"element": "single weights"}.get(pattern, f"blocks of {pattern.replace('x', '×')}")
                style = {"color": COLOURS[place], "marker": MARKERS[place], "ls": DASHES[place % len(DASHES)]}
                axis.plot(100 * (1 - some["weight_density"]), heights(some), label=label, ms=4, lw=1.4, **style)
            grouped = of_pass[of_pass["pattern"].str.contains(":")]
            style = {"color": COLOURS[6], "marker": "*", "ls": "", "ms": 10, "mfc": "none"}
            axis.plot(100 * (1 - grouped["weight_density"]), heights(grouped), label="N:4 (2:4 at 50 %)", **style)
            row_array = beside[(beside["network"] == network) & (beside["pass"] == which)]
            if quantity == "speedup":
                style = {"color": COLOURS[7], "marker": ".", "ls": ":"}
                label = f"single weights, {short} instead".replace("x", "×")
                axis.plot(
                    100 * (1 - row_array["weight_density"]), row_array["speedup_at_equal_area"], label=label, **style
                )
            axis.axhline(1, color="black", lw=0.8)
            plain_axes(axis)
            axis.yaxis.set_major_formatter(lambda value, _: f"{value:g}×")
            if row == 0:
                axis.set_title(which if which != "whole step" else "whole step, other work included", fontsize=9)
            if row == len(networks):
                axis.set_xlabel("zero weights, %", fontsize=8)
        what = f"{machine} over the best\ndense machine of its area,\n{network} network"
        axes[row][0].set_ylabel(
            what if quantity == "speedup" else f"that dense machine over\nitself unpruned,\n{network} network",
            fontsize=8,
        )
    for row_of_axes in axes:  # when all is drawn, as they share the scale
        row_of_axes[0].set_ylim(0)
    axes[0][2].legend(frameon=False, fontsize=7, loc="upper center")
    for suffix in (".svg", ".png"):
        save_figure(figure, stem.with_suffix(suffix))


def main() -> None:
    """Measure and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="default: beside this file; with --quick, runs/equal_area/quick")
    parser.add_argument("--quick", action="store_true", help="quick.yaml instead of config.yaml")
    options = parser.parse_args()
    out = options.out or (ROOT / "runs" / HERE.name / "quick" if options.quick else HERE)
    config = yaml.safe_load((HERE / ("quick.yaml" if options.quick else "config.yaml")).read_text())
    table = measure(config)
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / "density.csv", table.to_csv(index=False, float_format="%.6g"))
    write_whole(out / "crossings.csv", crossings(table).to_csv(index=False, float_format="%.3g"))
    first_short = next((name for name in table["machine"] if name not in config["machines"]), None)
    draw(table, config["readme"], first_short, out / "equal_area")


if __name__ == "__main__":
    main()
