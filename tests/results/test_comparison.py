"""Two results side by side."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from accelsim import AccelsimError, load_result
from accelsim.results.comparison import SLOT_NAMES, compare


@pytest.mark.relations
def test_differences_by_slot_sum_to_the_difference_in_cycles(results: dict[str, Path]) -> None:
    found = compare(load_result(results["small"]), load_result(results["other"]))
    rows = found.layers
    by_slot = sum(rows[f"{name}_b"] - rows[f"{name}_a"] for name in SLOT_NAMES)
    assert by_slot.to_list() == pytest.approx((rows["cycles_b"] - rows["cycles_a"]).to_list())
    assert (rows["cycles_a"] != rows["cycles_b"]).any()
    assert found.totals()["cycles_a"] == found.first.summary["total"]["cycles"]
    assert found.totals("forward")["energy_pj_b"] == pytest.approx(
        found.second.summary["by_pass"]["forward"]["energy_pj"]
    )
    assert found.seconds()[0] == pytest.approx(found.first.summary["total"]["seconds"])
    assert found.notes == ()


@pytest.mark.closed_form
def test_a_result_beside_itself_has_no_difference(results: dict[str, Path]) -> None:
    one = load_result(results["small"])
    rows = compare(one, one).layers
    for name in ("cycles", "energy_pj", *SLOT_NAMES):
        assert (rows[f"{name}_a"] == rows[f"{name}_b"]).all()


def test_other_masks_are_refused_by_their_hash(results: dict[str, Path]) -> None:
    one, other = load_result(results["small"]), load_result(results["different"])
    hashes = [str(result.trace["sha256"])[:12] for result in (one, other)]
    with pytest.raises(AccelsimError, match=f"different traces.*{hashes[0]}.*{hashes[1]}.*--unlike"):
        compare(one, other)
    (note,) = compare(one, other, unlike=True).notes
    assert note.startswith("The masks differ")


def _changed(folder: Path, tmp_path: Path, change: dict[str, object]) -> Path:
    shutil.copytree(folder, tmp_path / "changed")
    summary = json.loads((folder / "summary.json").read_text())
    for key, value in change.items():
        part, name = key.split(".") if "." in key else (None, key)
        (summary if part is None else summary[part])[name] = value
    (tmp_path / "changed" / "summary.json").write_text(json.dumps(summary))
    return tmp_path / "changed"


def test_what_else_differs_is_said(results: dict[str, Path], tmp_path: Path) -> None:
    change: dict[str, object] = {"hardware.clock_mhz": 123, "hardware.energy": "other", "accelsim_version": "0"}
    changed = _changed(results["small"], tmp_path, change | {"trace.sha256": None})
    table = pd.read_csv(changed / "layers.csv")
    table["dense_cycles"] += 1
    table.to_csv(changed / "layers.csv", index=False)
    notes = " ".join(compare(load_result(results["small"]), load_result(changed)).notes)
    for words in ("whether the masks are the same is not known", "baselines differ", "123 MHz", "energy tables", " 0."):
        assert words in notes


def test_other_operations_are_refused(results: dict[str, Path], tmp_path: Path) -> None:
    one, changed = load_result(results["small"]), _changed(results["small"], tmp_path, {})
    table = pd.read_csv(changed / "layers.csv")
    table[table["pass"] != "forward"].to_csv(changed / "layers.csv", index=False)
    with pytest.raises(AccelsimError, match=r"8 rows are in the former only, such as layer1\.0\.conv1"):
        compare(one, load_result(changed))
    table.assign(macs=table["macs"] + 1).to_csv(changed / "layers.csv", index=False)
    with pytest.raises(AccelsimError, match="not their sizes"):
        compare(one, load_result(changed))
    pd.concat([table, table]).to_csv(changed / "layers.csv", index=False)
    with pytest.raises(AccelsimError, match="are there twice"):
        compare(one, load_result(changed))
