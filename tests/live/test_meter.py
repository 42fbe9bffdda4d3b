"""A live meter sees what a recording would, and never stands in the training's way."""

from __future__ import annotations

import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from accelsim import AccelsimError, AccelsimWarning, Hardware, HardwareError, Tracer, simulate
from accelsim.live import live
from accelsim.live import meter as meter_module
from accelsim.live.remote import Remote
from accelsim.trace.bitmask import BitMask
from accelsim.tracing import recorder
from tests.live.loops import HARDWARE, network, train

HW = Hardware.model_validate(HARDWARE)


@pytest.mark.reference
def test_equals_recording_and_simulating_afterwards(tmp_path: Path) -> None:
    with Tracer(network(), tmp_path / "run.pkl", every=2) as tracer:
        train(tracer._model, 5)
    expected = simulate(HW, tmp_path / "run.pkl", equal_area=False)
    model = network()
    with live(model, HW, every=2, waiting=10, out=tmp_path / "out") as meter:
        losses = train(model, 5)
    assert losses == train(network(), 5)
    assert meter.result is not None
    pd.testing.assert_frame_equal(meter.result.layers, expected.layers)
    assert meter.result.training == expected.training
    assert meter.result.summary["total"] == expected.summary["total"]
    assert (meter.simulated, meter.skipped) == (3, 0)
    assert meter.speedup == expected.summary["total"]["speedup"]
    assert meter.energy_pj == pytest.approx(expected.summary["total"]["energy_pj"])
    pd.testing.assert_frame_equal(
        pd.read_csv(tmp_path / "out" / "layers.csv", dtype={"layer": str}), expected.layers, check_dtype=False
    )


def test_skips_what_is_due_while_the_worker_is_busy() -> None:
    model = network()
    with live(model, HW, every=1, waiting=1) as meter:
        train(model, 20)  # done before the worker has started
    assert meter.simulated >= 1
    assert meter.simulated + meter.skipped == 20
    assert meter.result is not None
    assert meter.result.trace["meta"]["skipped_steps"] == meter.skipped
    assert meter.result.layers["step"].nunique() == meter.simulated


def test_leaves_no_files_behind() -> None:
    model = network()
    with live(model, HW, waiting=1) as meter:
        train(model, 2)
        assert meter._remote is not None
        folder = meter._remote.folder
        assert folder.exists()
    assert not folder.exists()


@pytest.mark.parametrize("program", ["import sys; sys.exit('out of memory')", "import os; os.read(0, 10); os.abort()"])
def test_a_crash_of_the_worker_is_a_warning(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    monkeypatch.setattr(meter_module, "Remote", lambda hw: Remote(hw, ("-c", program)))
    model = network()
    told = pytest.warns(AccelsimWarning, match="nothing more of this training is simulated")
    with told as caught, live(model, HW, every=1) as meter:
        losses = train(model, 30)
    assert len(caught) == 1
    assert losses == train(network(), 30)
    assert meter.result is None


def test_a_defect_of_the_recording_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = 0
    pack = recorder.pack

    def breaks(*args: Any) -> BitMask:
        nonlocal packed
        packed += 1
        if packed > 20:
            raise RuntimeError("it broke")
        return pack(*args)

    monkeypatch.setattr(recorder, "pack", breaks)
    model = network()
    told = pytest.warns(AccelsimWarning, match="the training goes on: RuntimeError: it broke")
    with told as caught, live(model, HW, every=1, waiting=10) as meter:
        losses = train(model, 10)
    assert len(caught) == 1
    assert losses == train(network(), 10)
    assert 0 < meter.simulated < 10
    assert meter.result is not None


def test_an_error_of_the_simulation_is_a_warning(tmp_path: Path) -> None:
    table = tmp_path / "table.yaml"
    table.write_text((files("accelsim.energy") / "tables" / "horowitz-45nm.yaml").read_text())
    hw, model = Hardware.model_validate(HARDWARE | {"energy": str(table)}), network()
    meter = live(model, hw)
    table.unlink()
    with pytest.warns(AccelsimWarning, match=r"simulated: .*table\.yaml"), meter:
        train(model, 2)
    assert meter.result is None


def test_an_exception_of_the_loop_passes_and_does_not_wait() -> None:
    model = network()
    meter = live(model, HW, every=1)

    def fail() -> None:
        with meter:
            train(model, 2)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert meter._remote is not None
    assert not meter._remote.folder.exists()


def test_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HardwareError):
        live(network(), tmp_path / "none.yaml")
    with pytest.raises(AccelsimError, match="waiting is 0"):
        live(network(), HW, waiting=0)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard.writer", None)
    with pytest.raises(AccelsimError, match="pip install tensorboard"):
        live(network(), HW, tensorboard=tmp_path)


@pytest.mark.parametrize("first", ["", "import accelsim.live.messages;"])
def test_is_a_public_name(first: str) -> None:
    code = (
        f"import accelsim; {first} print(accelsim.live.__name__ in ('live', 'accelsim.live'), callable(accelsim.live))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True True\n"
