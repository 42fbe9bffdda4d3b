"""Ends commands at random moments and looks at what they leave.

    python benchmarks/kills.py --kills 50 --signals TERM INT HUP KILL

starts each command on a terminal of its own, sends it a signal after a random time, and prints one row per command and
signal: how often it was hit, how long it took to end at most, and what was wrong. Wrong is:

- another exit code than 128 plus the signal's number (a command that is hit by SIGKILL, or before it has begun, ends by
  the signal itself; Python's own start, up to the first line of accelsim's `main`, ends as Python likes),
- a traceback, or no word,
- processes that are there a second later (ten seconds after SIGKILL),
- files of accelsim's in the system's temporary folder, or temporary ones beside a file that is written,
- a hidden cursor,
- afterwards, a sweep that does not go on to the same file.

After SIGKILL, only processes and the sweep are looked at. Linux only.
"""

from __future__ import annotations

import argparse
import os
import pty
import random
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from accelsim import OpTrace, TraceWriter
from accelsim.signals import run_until_signal

ROOT = Path(__file__).parents[1]
MARK = "ACCELSIM_KILLS"
GRACE_SECONDS = 1.0
KILLED_GRACE_SECONDS = 10.0  # a worker looks for its parent once it has imported what it needs
PROMPT_SECONDS = 15.0  # by then a command has ended, whatever it was at, also on a machine that is busy

SPACE = """\
hw: {root}/hw_configs/pe16x16.yaml
traces: [small.pkl]
space: {{array.rows: {{from: 2, to: 31, step: 1}}, skipping.sync: [row, array]}}
"""
SCRIPT = """\
import torch
model = torch.nn.Sequential(torch.nn.Conv2d(3, 16, 3), torch.nn.ReLU(), torch.nn.Conv2d(16, 16, 3))
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
for step in range(10**6):
    optimizer.zero_grad()
    model(torch.randn(8, 3, 32, 32)).square().mean().backward()
    optimizer.step()
"""
COMMANDS = {
    "sweep": "sweep space.yaml --workers 2 --out out",
    "search": "search space.yaml --workers 2 --budget 30 --out out",
    "train": "train --width 4 --batch 4 --steps 100000 --knn-images 20 --record out.pkl --out out",
    "profile": "profile --hw {root}/hw_configs/pe16x16.yaml --every 3 train.py",
    "run": "run --hw {root}/hw_configs/pe16x16.yaml --trace {root}/traces/simclr_gmp_element.pkl --workers 2"
    " --timeline t.json --action-counts a.yaml --out out",
    "synth": "synth --network resnet18 --batch 16 --activation-density 0.5 --out s.pkl",
    "validate": "validate rtl --cases 12 --arrays 6",
}
LONGEST_SECONDS = {"sweep": 12, "search": 12, "train": 12, "profile": 12, "run": 12, "synth": 8, "validate": 15}


@dataclass
class Ended:
    """How one command ended.

    Attributes:
        code: the exit code, negative if a signal ended it.
        printed: on its terminal.
        said_since: whether it printed anything since it was signalled.
        left: names of processes that were still there after a second.
        files: what it left in temporary folders.
    """

    code: int
    seconds: float
    printed: str
    said_since: bool
    left: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)


def marked(mark: str) -> dict[int, str]:
    """Return the processes that carry a mark in their environment, by number: what they run."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes():
                    found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:120]
            except OSError:
                continue
    return found


def strike(
    arguments: list[str],
    folder: Path,
    number: signal.Signals,
    after: float,
    sooner: Callable[[str], bool] = lambda mark: False,
) -> Ended | None:
    """Start a command on a terminal of its own, and signal it after some seconds; None: it had ended before.

    Args:
        sooner: when to signal it before that; its processes are those `marked` so.
    """
    mark = f"{os.getpid()}-{random.getrandbits(64):x}"
    temporary = folder / f"tmp-{mark}"
    temporary.mkdir()
    environment = os.environ | {MARK: mark, "TMPDIR": str(temporary), "XDG_CACHE_HOME": str(folder / "cache")}
    environment |= {"PYTHONPATH": str(ROOT), "TERM": "xterm", "OMP_NUM_THREADS": "1"}
    screen, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "accelsim", *arguments],
        cwd=folder,
        env=environment,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    printed = bytearray()

    def listen(until: Callable[[], bool]) -> None:
        while not until():
            if select.select([screen], [], [], 0.005)[0]:
                try:
                    printed.extend(os.read(screen, 1 << 16))
                except OSError:  # nobody writes to it any more
                    time.sleep(0.005)

    try:
        moment = time.monotonic() + after
        listen(lambda: time.monotonic() >= moment or process.poll() is not None or sooner(mark))
        listen(lambda: process.poll() is not None or not select.select([screen], [], [], 0)[0])
        if process.poll() is not None:
            return None
        said = len(printed)
        process.send_signal(number)
        struck = time.monotonic()
        listen(lambda: process.poll() is not None or time.monotonic() > struck + 60)
        seconds = time.monotonic() - struck
        last = time.monotonic() + (KILLED_GRACE_SECONDS if number == signal.SIGKILL else GRACE_SECONDS)
        while (left := marked(mark)) and time.monotonic() < last:
            time.sleep(0.02)
        end = time.monotonic() + 0.05
        listen(lambda: time.monotonic() > end)
        code = process.poll()
    finally:
        for pid in marked(mark):
            os.kill(pid, signal.SIGKILL)
        process.wait()
        os.close(screen)
    files = [str(path.relative_to(temporary)) for path in temporary.iterdir() if path.name.startswith("accelsim")]
    files += [str(path.relative_to(folder)) for path in folder.rglob(".accelsim-*")]
    files += [str(path.relative_to(folder)) for path in (folder / "cache" / "accelsim").rglob("build-*")]
    shutil.rmtree(temporary)
    return Ended(
        code=1000 if code is None else code,
        seconds=seconds,
        printed=printed.decode(errors="replace"),
        said_since=len(printed) > said,
        left=list(left.values()),
        files=files,
    )


def wrong(ended: Ended, number: signal.Signals) -> list[str]:
    """Say what is wrong with how a command ended."""
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", ended.printed).replace("\r", "\n")
    lines = [line for line in plain.splitlines() if line.strip()]
    if ended.code == 0 and not ended.said_since and not ended.files and not ended.left:
        return []  # it had done all that it was to do
    in_accelsim = re.search(r"accelsim/(?!__(?:init|main)__\.py)", plain) is not None
    starting = not in_accelsim and (ended.code == -number or lines[-1:] == ["KeyboardInterrupt"])
    found = []
    if ended.code not in (128 + number, -number) and not (starting and ended.code == 1):
        found.append(f"exit code {ended.code}")
    if ended.seconds > PROMPT_SECONDS:
        found.append(f"took {ended.seconds:.0f} s")
    found += [f"still runs: {what}" for what in ended.left]
    if number == signal.SIGKILL:
        return found
    if ended.files:
        found.append(f"left {', '.join(sorted(ended.files)[:3])}")
    if ended.printed.rfind("\x1b[?25l") > ended.printed.rfind("\x1b[?25h"):
        found.append("hidden cursor")
    if starting:
        return found
    if "Traceback" in plain:
        found.append("traceback: " + " | ".join(lines[-3:]))
    elif "leaked" in plain or "Exception ignored" in plain:
        found.append(" | ".join(lines[-3:]))
    elif ended.code > 0 and not any(word in plain for word in ("interrupted", "stopped")):
        found.append("says nothing")
    return found


def prepare(folder: Path) -> None:
    """Put the files that the commands need into a folder."""
    (folder / "space.yaml").write_text(SPACE.format(root=ROOT))
    (folder / "train.py").write_text(SCRIPT)
    draw = np.random.default_rng(0)
    with TraceWriter(folder / "small.pkl") as writer:
        for layer in range(8):
            shapes = {"weight": (16, 16, 3, 3), "input": (4, 16, 16, 16), "grad_output": (4, 16, 16, 16)}
            masks = {name: draw.random(shape) < 0.4 for name, shape in shapes.items()}
            writer.write(OpTrace(name=f"conv{layer}", step=0, padding=(1, 1), **masks))


def clean(folder: Path, command: str) -> None:
    """Remove what would keep a command from starting again; points of a sweep stay, so that it goes on."""
    if command == "train":
        shutil.rmtree(folder / "out", ignore_errors=True)
        for path in folder.glob("out*.pkl"):
            path.unlink()
    if command in ("sweep", "search") and len(list((folder / "out" / "parts").glob("*"))) > 20:
        shutil.rmtree(folder / "out")


def goes_on(folder: Path) -> list[str]:
    """Let a sweep that was ended many times go on, and compare its file with one that never was."""
    for out in ("out", "whole"):
        command = COMMANDS["sweep"].replace("--out out", f"--out {out}").split()
        done = subprocess.run(
            [sys.executable, "-m", "accelsim", *command],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            return [f"does not go on: {done.stderr[-300:]}"]
    one, other = ((folder / out / "sweep.parquet").read_bytes() for out in ("out", "whole"))
    return [] if one == other else ["goes on to another file"]


def heed_signals() -> None:
    """Undo what `nohup` or a shell's background job hands down: signals that are ignored, also by what we start."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def main() -> int:
    """Print the table; exit code 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50, help="of each command by each signal")
    parser.add_argument("--signals", nargs="+", default=["TERM", "INT", "HUP", "KILL"])
    parser.add_argument("--commands", nargs="+", default=list(COMMANDS), choices=list(COMMANDS))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    random.seed(options.seed)
    heed_signals()
    bad = False
    print("| command | signal | hit | slowest to end, s | wrong |\n|---|---|---|---|---|")
    for command in options.commands:
        for name in options.signals:
            number = signal.Signals[f"SIG{name}"]
            found: Counter[str] = Counter()
            slowest, hit = 0.0, 0
            with tempfile.TemporaryDirectory(prefix="kills-") as folder:
                place = Path(folder)
                prepare(place)
                while hit < options.kills:
                    clean(place, command)
                    after = random.uniform(0, LONGEST_SECONDS[command])
                    ended = strike(COMMANDS[command].format(root=ROOT).split(), place, number, after)
                    if ended is None:
                        continue
                    hit += 1
                    slowest = max(slowest, ended.seconds)
                    for what in wrong(ended, number):
                        found[what] += 1
                        moment = f"after {after:.2f} s, {ended.seconds:.1f} s to end"
                        print(f"{command}, {name} {moment}: {what}", file=sys.stderr, flush=True)
                if command == "sweep":
                    found.update(goes_on(place))
            bad |= bool(found)
            said = "; ".join(f"{count} x {what}" for what, count in found.items()) or "nothing"
            print(f"| {command} | {name} | {hit} | {slowest:.1f} | {said} |", flush=True)
    return int(bad)


if __name__ == "__main__":
    run_until_signal(lambda: sys.exit(main()))
