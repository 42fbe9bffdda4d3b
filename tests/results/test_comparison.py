"""Two results side by side."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from accelsim import AccelsimError, OpTrace, TraceWriter, load_result, simulate
from accelsim.results.comparison import SLOT_NAMES, compare
from accelsim.results.differences import images_of
from accelsim.results.saved import SavedResult
from accelsim.show.comparison import comparison_tables
from tests.test_pipeline import small


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
    assert found.differs == {"machine": ("small", "other"), "skipping.sync": ("row", "array")}
    assert found.images == (4 * 2, 4 * 2)


@pytest.mark.closed_form
def test_a_result_beside_itself_has_no_difference(results: dict[str, Path]) -> None:
    one = load_result(results["small"])
    rows = compare(one, one).layers
    for name in ("cycles", "energy_pj", *SLOT_NAMES):
        assert (rows[f"{name}_a"] == rows[f"{name}_b"]).all()


def test_ratios_at_equal_area_are_those_of_either(results: dict[str, Path]) -> None:
    one, other = load_result(results["small"]), load_result(results["other"])
    found = compare(one, other).at_equal_area()
    for ratio in ("speedup_at_equal_area", "energy_ratio_at_equal_area"):
        for side, result in (("a", one), ("b", other)):
            assert found["total"][f"{ratio}_{side}"] == result.summary["total"][ratio]
            assert found["forward"][f"{ratio}_{side}"] == result.summary["by_pass"]["forward"][ratio]


def test_older_results_have_no_ratios_at_equal_area(results: dict[str, Path]) -> None:
    one, older = load_result(results["small"]), load_result(results["other"])
    for part in (older.summary["total"], *older.summary["by_pass"].values()):
        del part["speedup_at_equal_area"], part["energy_ratio_at_equal_area"]
    del older.summary["other_work"], older.summary["equal_area"]
    found = compare(one, older)
    assert found.at_equal_area()["total"]["speedup_at_equal_area_b"] is None
    assert compare(older, older).at_equal_area() == {}
    assert "=area: B" not in "".join(part for part in comparison_tables(found) if isinstance(part, str))


def test_other_masks_are_refused_by_their_hash(results: dict[str, Path]) -> None:
    one, other = load_result(results["small"]), load_result(results["different"])
    hashes = [str(result.trace["sha256"])[:12] for result in (one, other)]
    with pytest.raises(AccelsimError, match=f"different traces.*{hashes[0]}.*{hashes[1]}.*--unlike"):
        compare(one, other)
    (note,) = compare(one, other, unlike=True).notes
    assert note.startswith("The masks differ")


def _of_run(folder: Path, images: int, steps: int, **meta: object) -> SavedResult:
    """A result of a run of other images per step; each image has the masks of the first."""
    rng = np.random.default_rng(0)
    weight, image, gradient = rng.random((8, 6, 3, 3)) < 0.3, rng.random((1, 6, 6, 6)) < 0.5, np.ones((1, 8, 6, 6))
    folder.mkdir()
    with TraceWriter(folder / "run.pkl", meta=meta) as writer:
        for step in range(steps):
            for name in ("stem", "head"):
                op = OpTrace(
                    name=name,
                    step=step,
                    weight=weight,
                    input=np.repeat(image, images, axis=0),
                    grad_output=np.repeat(gradient, images, axis=0),
                    padding=(1, 1),
                )
                writer.write(op)
    simulate(small(), folder / "run.pkl", workers=1).save(folder)
    return load_result(folder)


@pytest.mark.relations
def test_other_batches_and_formats_are_said_and_compared_per_image(tmp_path: Path) -> None:
    """36 columns per image fill nine tiles of four, so that twice the images take twice the cycles."""
    one = _of_run(
        tmp_path / "one", 4, 1, model="net", dtype="float16", zero_as={"weight": "exact", "gradient": "exact"}
    )
    other = _of_run(tmp_path / "two", 8, 3, model="net", dtype="float8", zero_as={"weight": "fp8", "gradient": "fp8"})
    with pytest.raises(AccelsimError, match="different traces"):
        compare(one, other)
    found = compare(one, other, unlike=True)
    assert {name: found.differs[name] for name in ("dtype", "zero_as", "images per step", "recorded steps")} == {
        "dtype": ("float16", "float8"),
        "zero_as": ("exact", "fp8"),
        "images per step": (4, 8),
        "recorded steps": ([0], [0, 1, 2]),
    }
    assert "model" not in found.differs
    assert (found.images, found.per_image) == ((4, 24), True)
    assert found.totals()["cycles_a"] == one.summary["total"]["cycles"] / 4
    assert found.totals()["cycles_b"] == other.summary["total"]["cycles"] / 24
    forward = found.totals("forward")
    assert forward["effectual_a"] == pytest.approx(forward["effectual_b"])
    assert found.seconds()[1] == pytest.approx(other.summary["total"]["seconds"] / 24)
    shown = "\n".join(part for part in comparison_tables(found) if isinstance(part, str))
    assert "images per step 4 | 8" in shown
    assert "through the first layer went 4 images in A and 24 in B" in shown


def test_other_sizes_per_image_are_refused(tmp_path: Path) -> None:
    one, other = _of_run(tmp_path / "one", 4, 1), _of_run(tmp_path / "two", 8, 1)
    other.layers.loc[0, "macs"] += 1
    with pytest.raises(AccelsimError, match="not their sizes per image"):
        compare(one, other, unlike=True)


def test_images_are_those_of_the_first_layer() -> None:
    rows = [
        {"layer": "stem", "pass": "forward", "branch": "online", "images": 4},
        {"layer": "stem", "pass": "weight_grad", "branch": "online", "images": 4},
        {"layer": "head", "pass": "forward", "branch": "online", "images": 9},
        {"layer": "stem", "pass": "forward", "branch": "online", "images": 3},
        {"layer": "stem", "pass": "forward", "branch": "recomputed", "images": 4},
    ]
    assert images_of(pd.DataFrame(rows)) == 7
    assert images_of(pd.DataFrame(rows).drop(columns="images")) is None


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
    found = compare(load_result(results["small"]), load_result(changed))
    for words in ("whether the masks are the same is not known", "baselines differ"):
        assert words in " ".join(found.notes)
    assert {name: found.differs[name][1] for name in ("clock_mhz", "energy", "accelsim")} == {
        "clock_mhz": 123,
        "energy": "other",
        "accelsim": "0",
    }


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
