"""What differs between two results: runs, recorded steps, machines, how they were simulated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from accelsim.results.other_work import NOT_ASKED, OTHER_WORK
from accelsim.results.saved import SavedResult
from accelsim.trace.kinship import RUN_FACTS

Difference = tuple[Any, Any]


def find_differences(first: SavedResult, second: SavedResult) -> dict[str, Difference]:
    """Return all that differs by name, with the value of either; plain values, None where one does not say.

    Names are `trace` (paths and SHA-256), the facts of the run that traces tell (`RUN_FACTS`), `images per step`,
    `recorded steps`, the machine's keys under their dotted names, `other work`, `sampled` and `accelsim`.
    """
    facts = [dict(_facts(result)) for result in (first, second)]
    names = dict.fromkeys(name for one in facts for name in one)
    return {name: pair for name in names if (pair := (facts[0].get(name), facts[1].get(name)))[0] != pair[1]}


def images_of(layers: pd.DataFrame) -> int | None:
    """Return how many images the recorded steps took through the first layer, all calls and ranks; None: unknown.

    Each view of an image counts. In a network of linear layers only, an image is a row of the first one's input.
    """
    if "images" not in layers.columns:
        return None
    first = layers.iloc[0]
    chosen = (layers["layer"] == first["layer"]) & (layers["pass"] == first["pass"])
    if "branch" in layers.columns:
        chosen &= layers["branch"] != "recomputed"
    return int(layers.loc[chosen, "images"].sum()) or None


def _facts(result: SavedResult) -> Iterator[tuple[str, Any]]:
    summary, trace, meta = result.summary, result.trace, result.trace["meta"]
    if trace.get("sha256") is None:
        yield "trace", trace["path"]
    else:
        yield "trace", short_hash(trace["sha256"])
    for name in RUN_FACTS:
        yield name, _plain(meta.get(name))
    images = images_of(result.layers)
    steps = sorted(int(step) for step in np.unique(result.layers["step"]))
    if images is not None:
        yield "images per step", images / len(steps)
    yield "recorded steps", steps
    hardware = dict(_flat(summary["hardware"]))
    yield "machine", hardware.pop("name")
    yield from hardware.items()
    yield OTHER_WORK, summary.get("other_work", {}).get("basis", NOT_ASKED)
    yield "sampled", summary.get("sampling", {}).get("share")
    yield "accelsim", summary["accelsim_version"]


def short_hash(sha256: str | list[str]) -> str:
    """Return the first digits of one hash or several."""
    return ", ".join(one[:12] for one in ([sha256] if isinstance(sha256, str) else sha256))


def _plain(value: Any) -> Any:
    """Return one number format of three that are alike: traces tell it for weights, activations and gradients."""
    if isinstance(value, Mapping) and len({str(one) for one in value.values()}) == 1:
        return next(iter(value.values()))
    return value


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
