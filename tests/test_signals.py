"""A signal ends a command and all that it has started, quietly; `benchmarks/kills.py` tries many random moments."""

from __future__ import annotations

import importlib.util
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at processes in /proc")
ROOT = Path(__file__).parents[1]


def load_kills() -> Any:
    spec = importlib.util.spec_from_file_location("kills", ROOT / "benchmarks" / "kills.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["kills"] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


kills = load_kills()


def _heed_signals() -> None:
    """Undo what `nohup` or a shell's background job hands down: signals that are ignored."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def run(program: str, struck: signal.Signals | None = None, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a program; with `struck`, signal it when it has printed a line."""
    with subprocess.Popen(
        [sys.executable, "-u", "-c", program],
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=_heed_signals,  # noqa: PLW1509  (the tests have one thread)
        **options,
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        if struck is not None:
            process.send_signal(struck)
        said, complained = process.communicate(timeout=60)
    return subprocess.CompletedProcess([], process.returncode, first + said, complained)


AROUND = "from accelsim.signals import *\nimport os, signal, time, threading\n"
SLEEP = """
def command():
    try:
        print("ready")
        time.sleep(30)
    finally:
        print("left")
run_until_signal(command)
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGXCPU", "SIGALRM"])
def test_blocks_are_left_and_one_line_is_said(name: str) -> None:
    done = run(AROUND + SLEEP, signal.Signals[name])
    assert (done.stdout, done.stderr) == ("ready\nleft\n", "accelsim: interrupted\n")
    assert done.returncode == 128 + signal.Signals[name]


def test_an_ignored_signal_stays_ignored() -> None:
    program = AROUND + "signal.signal(signal.SIGHUP, signal.SIG_IGN)" + SLEEP.replace("30", "0.5")
    done = run(program, signal.SIGHUP)
    assert (done.stdout, done.returncode) == ("ready\nleft\n", 0)


def test_a_second_signal_does_not_cut_the_first_short() -> None:
    program = AROUND + SLEEP.replace('print("left")', 'os.kill(os.getpid(), signal.SIGTERM); print("left")')
    done = run(program, signal.SIGINT)
    assert (done.stdout, done.returncode) == ("ready\nleft\n", 130)


def test_raised_in_a_callback_it_is_silent_and_ends_all_the_same() -> None:
    program = AROUND + (
        "import accelsim.signals, multiprocessing\naccelsim.signals.GRACE_SECONDS = 0.3\n"
        "class Lost:\n"
        "    def __del__(self): print('ready'); time.sleep(1); print('woken')\n"
        "def command():\n"
        "    child = multiprocessing.get_context('fork').Process(target=time.sleep, args=(30,)); child.start()\n"
        "    Lost(); time.sleep(30)\n"
        "run_until_signal(command)"
    )
    start = time.monotonic()
    done = run(program, signal.SIGTERM)  # its output ends with the child
    assert (done.stdout, done.stderr, done.returncode) == ("ready\n", "accelsim: interrupted\n", 143)
    assert time.monotonic() - start < 15


def test_raised_in_a_callback_it_is_raised_again() -> None:
    program = AROUND + (
        "class Lost:\n"
        "    def __del__(self): print('ready'); time.sleep(1); print('woken')\n"
        "def command():\n"
        "    try: Lost(); time.sleep(30)\n"
        "    finally: print('left')\n"
        "import accelsim.signals\naccelsim.signals.GRACE_SECONDS = 60\n"
        "run_until_signal(command)"
    )
    done = run(program, signal.SIGTERM)
    assert (done.stdout, done.stderr, done.returncode) == ("ready\nleft\n", "accelsim: interrupted\n", 143)


@pytest.mark.parametrize("another", ["ImportError('no signal')", "SystemExit(2)", "KeyboardInterrupt"])
def test_turned_into_another_exception_it_ends_the_command_all_the_same(another: str) -> None:
    """As Pydantic does while it builds a model."""
    program = AROUND + (
        "def command():\n"
        "    try: print('ready'); time.sleep(30)\n"
        f"    except BaseException: raise {another}\n"
        "run_until_signal(command)"
    )
    done = run(program, signal.SIGTERM)
    assert (done.stdout, done.stderr, done.returncode) == ("ready\n", "accelsim: interrupted\n", 143)


@pytest.mark.parametrize(
    "stuck",
    [
        "while True:\n        try: time.sleep(30)\n        except BaseException: pass",
        "threading.Thread(target=time.sleep, args=(30,)).start(); time.sleep(30)",
    ],
)
def test_no_leak_is_reported_of_a_command_that_had_to_be_ended(stuck: str) -> None:
    program = AROUND + (
        "import accelsim.signals, multiprocessing\naccelsim.signals.GRACE_SECONDS = 0.3\n"
        "def command():\n"
        "    context = multiprocessing.get_context('spawn'); lock, queue = context.Lock(), context.Queue()\n"
        f"    print('ready')\n    {stuck}\n"
        "run_until_signal(command)"
    )
    done = run(program, signal.SIGTERM)  # its output ends with the resource tracker
    assert (done.stderr, done.returncode) == ("accelsim: interrupted\n", 143)


@pytest.mark.parametrize(
    "stuck",
    [
        "while True:\n        try: time.sleep(30)\n        except BaseException: pass",  # foreign code swallows it
        "import ctypes; ctypes.CDLL(None).sleep(30); ctypes.CDLL(None).sleep(30)",  # no Python runs
    ],
)
def test_what_cannot_be_interrupted_is_ended(stuck: str, tmp_path: Path) -> None:
    program = AROUND + (
        "import accelsim.signals\naccelsim.signals.GRACE_SECONDS = 0.3\n"
        "from accelsim.files import make_temporary_folder\n"
        f"def command():\n    make_temporary_folder('x', {str(tmp_path)!r}); print('ready')\n    {stuck}\n"
        "run_until_signal(command)"
    )
    done = run(program, signal.SIGTERM)
    assert (done.stderr, done.returncode) == ("accelsim: interrupted\n", 143)
    assert not list(tmp_path.iterdir())


def test_threads_that_go_on_do_not_keep_it() -> None:
    program = AROUND + "threading.Thread(target=time.sleep, args=(30,)).start()" + SLEEP
    start = time.monotonic()
    assert run(program, signal.SIGTERM).returncode == 143
    assert time.monotonic() - start < 15


def test_what_a_held_block_starts_is_known_to_the_one_who_ends_it() -> None:
    program = AROUND + (
        "def command():\n"
        "    with held():\n"
        "        print('ready'); time.sleep(0.5); print('started')\n"
        "    print('never')\n"
        "run_until_signal(command)"
    )
    done = run(program, signal.SIGTERM)
    assert (done.stdout, done.returncode) == ("ready\nstarted\n", 143)


def test_a_forked_child_is_an_ordinary_process() -> None:
    program = AROUND + (
        "def command():\n"
        "    child = os.fork()\n"
        "    if not child: time.sleep(30); os._exit(1)\n"
        "    print('ready'); os.kill(child, signal.SIGTERM); print(os.wait()[1])\n"
        "run_until_signal(command)"
    )
    done = run(program)
    assert (done.stdout, done.stderr, done.returncode) == (f"ready\n{int(signal.SIGTERM)}\n", "", 0)


EXIT = AROUND + (
    "import atexit, multiprocessing\n"
    "lock = multiprocessing.get_context('spawn').Lock()\n"
    "import multiprocessing.resource_tracker as tracker\n"
    "forget = tracker.unregister\n"
    "def slowly(*what): print('ready'); time.sleep({seconds}); forget(*what)\n"
    "tracker.unregister = slowly\n"
    "end_soon_on_signals()"
)


def test_what_is_tidied_at_the_end_is_not_cut_off() -> None:
    """The semaphore is gone, and its tracker was not told yet: it would complain."""
    done = run(EXIT.format(seconds=0.2), signal.SIGTERM)
    assert (done.stdout, done.stderr, done.returncode) == ("ready\n", "", 0)


def test_an_end_that_takes_long_is_cut_short() -> None:
    program = EXIT.format(seconds=0) + "\natexit.register(lambda: (print('ready'), time.sleep(30)))"
    start = time.monotonic()
    done = run(program, signal.SIGTERM)
    assert (done.stderr, done.returncode) == ("accelsim: interrupted\n", 143)
    assert time.monotonic() - start < 15


def test_before_signals_are_dealt_with_ctrl_c_ends_the_command_without_a_traceback() -> None:
    program = (
        "import signal, sys\n"
        "class Interrupted:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'accelsim.signals': print('ready'); signal.raise_signal(signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupted())\n"
        "from accelsim.__main__ import main\n"
        "main()"
    )
    done = run(program)
    assert (done.stdout, done.stderr, done.returncode) == ("ready\n", "", -signal.SIGINT)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kills")
    kills.prepare(folder)
    return folder


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize(("command", "processes"), [("sweep", 2), ("sweep", 4), ("profile", 2)])
def test_a_command_ends_with_all_that_it_has_started(
    place: Path, command: str, processes: int, number: signal.Signals
) -> None:
    """At the moment when processes start, and when they work."""
    kills.clean(place, command)
    arguments = kills.COMMANDS[command].format(root=ROOT).split()
    ended = kills.strike(arguments, place, number, 60, lambda mark: len(kills.marked(mark)) >= processes)
    assert ended is not None
    assert kills.wrong(ended, number) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_leaves_no_files(place: Path, number: signal.Signals) -> None:
    arguments = kills.COMMANDS["run"].format(root=ROOT).split()
    ended = kills.strike(arguments, place, number, 60, lambda _: any(place.glob(".accelsim-*")))
    assert ended is not None
    assert kills.wrong(ended, number) == []
    assert not (place / "t.json").exists()
