"""The compiled module: checked sizes, the interpreter's lock given up, Ctrl-C, the choice of an instruction set."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from accelsim import kernel

LONG = """
import numpy as np
from accelsim import Hardware, OpTrace
from accelsim.lowering import lower
from accelsim.array import time_gemm
skipping = {"tensors": ["weight", "activation"]}
hw = Hardware.model_validate({"name": "m", "array": {"rows": 4, "cols": 4}, "skipping": skipping})
rng = np.random.default_rng(0)
op = OpTrace(name="fc", step=0, weight=rng.random((2048, 8192)) < 0.5, input=rng.random((16384, 8192)) < 0.5)
(gemm,) = lower(op, "forward")
print("ready", flush=True)
time_gemm(hw, gemm)
"""


def scan_arguments(m: int = 5, n: int = 7, k: int = 70) -> list[object]:
    """Arguments of a small `scan` on a 2 x 3 array with four windows of 16 and one of 6 positions."""
    rng = np.random.default_rng(0)
    a, b = (rng.integers(0, 2**6, (rows, -(-k // 64)), np.uint64) for rows in (m, n))
    starts, stops = np.zeros(3, np.int64), np.full(3, n)
    scanner = [1, 16, 16, 0, 0, 0, True, True, False, False, True]
    return [1, m, n, k, a, b, None, None, np.arange(n), starts, stops, 2, 3, *scanner, np.zeros((10, 9), np.int64)]


@pytest.mark.parametrize("name", ["scan", "inner_join"])
def test_arguments_that_fit_are_taken(name: str) -> None:
    arguments = scan_arguments()
    if name == "inner_join":
        arguments[15] = 4  # windows, where a queue has its depth
    getattr(kernel.compiled, name)(*arguments)
    totals = arguments[-1]
    assert isinstance(totals, np.ndarray)
    assert totals[2].sum() == 5 * 7


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (0, 2),  # more GEMMs than there are
        (1, 6),  # more rows than A has
        (2, 8),
        (3, 129),
        (4, np.zeros((5, 3), np.uint64)),
        (5, np.zeros((7, 1), np.uint64)),
        (6, np.full(7, 7, np.int32)),  # a row that B does not have
        (6, np.full(7, -1, np.int32)),
        (7, np.zeros((5, 2), np.uint64)),
        (8, np.full(7, 7)),  # a column that the GEMM does not have
        (9, np.full(3, -1)),
        (10, np.full(3, 8)),
        (10, np.full(2, 7)),
        (11, 0),
        (12, 0),
        (14, 0),
        (15, 15),  # a queue shorter than a window
        (16, 4),
        (24, np.zeros((10, 8), np.int64)),
        (1, 2**40),
    ],
)
def test_arguments_that_do_not_fit_are_refused(place: int, value: object) -> None:
    arguments = scan_arguments()
    arguments[place] = value
    with pytest.raises(ValueError, match=r"\w"):
        kernel.compiled.scan(*arguments)


@pytest.mark.parametrize("windows", [0, 3, 5, 8])
def test_windows_that_a_group_cannot_hold_are_refused(windows: int) -> None:
    arguments = scan_arguments()
    arguments[15] = windows
    with pytest.raises(ValueError, match=r"out of range|1, 2 and 4"):
        kernel.compiled.inner_join(*arguments)


@pytest.mark.parametrize("cols", [3, 70])
@pytest.mark.parametrize(("sync", "ports"), [(0, 0), (1, 0), (2, 40), (3, 40), (3, 0)])
@pytest.mark.parametrize("windows", [1, 2, 4])
def test_all_instruction_sets_count_the_same_windows(windows: int, sync: int, ports: int, cols: int) -> None:
    rng = np.random.default_rng(windows)
    m, n, k = 40, 90, 200
    a, b = (rng.integers(0, 2**63, (rows, -(-k // 64)), np.uint64) & np.uint64(0xFFFF0FF000FF) for rows in (m, n))
    b[:, -1] = a[:, -1] = 3
    row_tiles = -(-m // 4)
    schedule = [np.arange(n), np.zeros(row_tiles, np.int64), np.full(row_tiles, n), 4, cols]
    counted = []
    for name in kernel.INSTRUCTION_SETS:
        for width in (8, 33, 100):
            totals = np.zeros((10, row_tiles * -(-n // cols)), np.int64)
            own = [3, width, windows, sync, ports, ports, True, True, True, True, True]
            kernel.load(name).inner_join(1, m, n, k, a, b, None, None, *schedule, *own, totals)
            counted.append(totals)
    assert counted[0][0].max() > k / 8 / 3
    for place, totals in enumerate(counted):
        assert (totals == counted[place % 3]).all()


def test_arrays_of_another_layout_or_without_leave_to_write_are_refused() -> None:
    arguments = scan_arguments()
    arguments[4] = np.zeros((5, 4), np.uint64)[:, ::2]
    with pytest.raises((ValueError, BufferError)):
        kernel.compiled.scan(*arguments)
    arguments = scan_arguments()
    totals = np.zeros((10, 9), np.int64)
    totals.flags.writeable = False
    arguments[-1] = totals
    with pytest.raises((ValueError, BufferError)):
        kernel.compiled.scan(*arguments)


def test_other_threads_run_meanwhile() -> None:
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 2**63, (3000, 64), np.uint64)
    every = np.full((3000, 47), ~np.uint64(0))
    spent: list[float] = []

    def count() -> None:
        start = time.perf_counter()
        kernel.compiled.effectual_where_needed(rows, rows, None, 1, 3000, 3000, 64, every)
        spent.append(time.perf_counter() - start)

    thread = threading.Thread(target=count)
    thread.start()
    turns = 0
    while thread.is_alive():
        turns += 1
        time.sleep(0.001)
    assert turns > 1, f"the interpreter stood still for {spent[0]:.3f} s"


@pytest.mark.skipif(sys.platform == "win32", reason="no signals to send")
def test_ctrl_c_ends_a_long_call() -> None:
    process = subprocess.Popen([sys.executable, "-c", LONG], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.3)
    assert process.poll() is None, "the call ended by itself: make it longer"
    process.send_signal(signal.SIGINT)
    _, problems = process.communicate(timeout=20)
    assert process.returncode != 0
    assert "KeyboardInterrupt" in problems


def run_with(name: str) -> subprocess.CompletedProcess[str]:
    """Import the kernels with an instruction set asked for."""
    command = "from accelsim import kernel; print(kernel.compiled.__name__)"
    environment = os.environ | {"ACCELSIM_INSTRUCTION_SET": name}
    return subprocess.run([sys.executable, "-c", command], env=environment, capture_output=True, text=True, check=False)


def test_an_instruction_set_can_be_asked_for() -> None:
    for name in kernel.INSTRUCTION_SETS:
        assert run_with(name).stdout == f"accelsim.kernel._{name}\n"
    refused = run_with("avx1024")
    assert "'avx1024', which this processor does not have: expected one of" in refused.stderr
