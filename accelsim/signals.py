"""Ends a command that gets a signal: soon, quietly, and with nothing left of it.

`run_until_signal` turns the first signal that would end the process into `Stopped`, raised in the main thread, so that
the command leaves its `with` blocks: processes, temporary files and the terminal's cursor are put right there. Later
signals change nothing. Where Python swallows it (in a `__del__`, or in a callback of an import), it is raised again.
What has not ended after `GRACE_SECONDS` (a computation that Python cannot interrupt, an exception that foreign code
swallowed) is ended by a thread that waits for that. The exit code is 128 plus the signal's number. SIGKILL cannot be
caught: worker processes watch for the end of the process that started them.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.util
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from functools import cache, partial
from types import FrameType

from accelsim.files import remove_temporary_files

GRACE_SECONDS = 5.0
_LOOK_SECONDS = 0.5
_AGAIN_SECONDS = 0.1
_THREADS_SECONDS = 0.5  # for those that are about to end; what they have left behind is then cleaned up
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGXCPU", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGBREAK")
ENDING = tuple(getattr(signal, name) for name in _NAMES if hasattr(signal, name))
"""Signals that end a process that does nothing about them, and that it can do something about."""
_ASKING = tuple(number for number in ENDING if number.name in ("SIGINT", "SIGTERM", "SIGHUP"))
_DEFAULT = (signal.SIG_DFL, signal.default_int_handler)


class Stopped(BaseException):
    """A signal ends the command; no `Exception` and no `KeyboardInterrupt`, so only `finally` and `with` see it.

    Attributes:
        number: the signal's.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class _State:
    """Of this process.

    Attributes:
        first: the signal that ends it.
        lost: whether `Stopped` was raised where nobody could see it.
        said: whether the command said that it was interrupted.
        holding, pending: whether that has to wait, and waits.
        put_off: the signal that asked it to end when it can.
        mask: of signals, before a fork.
    """

    first: int | None = None
    lost = False
    said = False
    holding = 0
    pending = False
    put_off: int | None = None
    mask: Collection[int] = ()


def run_until_signal(command: Callable[[], None]) -> None:
    """Run a command, and end the process if a signal arrives; signals that are ignored (as under nohup) stay so.

    Raises:
        SystemExit: a signal arrived; and whatever the command raises.
    """
    if threading.current_thread() is not threading.main_thread():
        command()  # signals reach the main thread only
        return
    _register_at_fork()
    try:
        read, write = os.pipe()
        os.set_blocking(write, False)
        threading.Thread(target=_end_what_goes_on, args=(read,), name="accelsim-signals", daemon=True).start()
        woken = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        before = {number: signal.getsignal(number) for number in ENDING}
        hook = sys.unraisablehook
        try:
            sys.unraisablehook = partial(_complain, hook)
            for number in ENDING:
                if before[number] in _DEFAULT:
                    signal.signal(number, _raise)
            command()
        except BaseException:
            if _State.first is None:
                raise
        finally:
            _State.holding += 1  # from here on, a signal comes too late
            for number, handler in before.items():
                if handler in _DEFAULT:
                    signal.signal(number, handler)
            signal.set_wakeup_fd(woken)
            os.close(write)
            sys.unraisablehook = hook
            _State.holding -= 1
    except Stopped:  # as the handlers were set or taken away
        pass
    if _State.first is not None:  # also where foreign code swallowed `Stopped`, or made another exception of it
        _end(_State.first)


def end_soon_on_signals() -> None:
    """From here on, where the process has nothing left to do but to end, a signal lets that take half a second more."""
    for number in ENDING:
        if signal.getsignal(number) in _DEFAULT:
            signal.signal(number, _end_soon)


@contextmanager
def held() -> Iterator[None]:
    """Put `Stopped` and `KeyboardInterrupt` off until the block ends: what it starts is then known to who ends it.

    Processes started in the block never see Ctrl-C, which a terminal sends to all processes of a command.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _State.holding += 1
    interrupts = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if interrupts:
        signal.signal(signal.SIGINT, _interrupt_later)
    masks = hasattr(signal, "pthread_sigmask")
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if masks else set()
    try:
        yield
    finally:
        if masks:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if interrupts:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        _State.holding -= 1
        if _State.pending and not _State.holding:
            _State.pending = False
            raise KeyboardInterrupt if _State.first is None else Stopped(_State.first)


@contextmanager
def put_off_signals() -> Iterator[Callable[[], bool]]:
    """Yield a function that says whether SIGINT, SIGTERM or SIGHUP has asked to stop; a second one acts at once."""
    _State.put_off = None
    before = {number: signal.getsignal(number) for number in _ASKING}
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False  # signals reach the main thread only
        return

    def request(number: int, frame: FrameType | None) -> None:
        if _State.put_off is None:
            _State.put_off = number
        elif callable(handler := before[number]):
            handler(number, frame)
        else:
            signal.signal(number, handler)
            signal.raise_signal(number)

    try:
        for number, handler in before.items():
            if handler not in (signal.SIG_IGN, None):  # ignored, as under nohup; not Python's
                signal.signal(number, request)
        yield lambda: _State.put_off is not None
    finally:
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)


def signal_put_off() -> int | None:
    """Return the number of the signal that `put_off_signals` put off last; None: there was none."""
    return _State.put_off


@contextmanager
def ending_with_parent() -> Iterator[None]:
    """While the block goes on, end this process within a second of the end of the one that started it."""
    parent, over = os.getppid(), threading.Event()

    def watch() -> None:
        while not over.wait(_LOOK_SECONDS):
            if os.getppid() != parent:
                os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        over.set()


@contextmanager
def keyboard_interrupts() -> Iterator[None]:
    """Let Ctrl-C raise `KeyboardInterrupt` in the block, as in any Python program."""
    before = signal.getsignal(signal.SIGINT)
    if before is not _raise:
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _raise(number: int, _: FrameType | None) -> None:
    again, _State.lost = _State.lost, False
    if _State.first is None:
        _State.first = number
    elif not again:
        return
    if not _State.holding:
        raise Stopped(_State.first)
    _State.pending = True


def _end_soon(number: int, _: FrameType | None) -> None:
    """Let what is tidied just now be tidied to its end, but do not wait for threads or processes that go on."""

    def wait() -> None:
        time.sleep(_THREADS_SECONDS)
        _end_now(number)

    if _State.first is None:
        _State.first = number
        with suppress(RuntimeError):  # no thread can be started any more: it ends
            threading.Thread(target=wait, daemon=True).start()


def _complain(usually: Callable[[sys.UnraisableHookArgs], object], lost: sys.UnraisableHookArgs) -> None:
    """Say nothing of `Stopped` where it was raised in a callback that raises nothing: it is raised again after it."""
    if lost.exc_type is Stopped:
        _State.lost = True
    else:
        usually(lost)


def _interrupt_later(_: int, __: FrameType | None) -> None:
    _State.pending = True


def _end_what_goes_on(read: int) -> None:
    """Wait for a signal, which the interpreter writes down even while it runs no Python, and then end the process."""
    with os.fdopen(read, "rb", buffering=0) as arrived:
        while number := arrived.read(1):
            if signal.getsignal(number[0]) is _raise:  # else the command deals with it
                last = time.monotonic() + GRACE_SECONDS
                while (left := last - time.monotonic()) > 0:
                    time.sleep(min(_AGAIN_SECONDS, left))
                    main = threading.main_thread().ident
                    again = _State.lost and signal.getsignal(number[0]) is _raise
                    if again and main is not None and hasattr(signal, "pthread_kill"):
                        signal.pthread_kill(main, number[0])  # `raise_signal` would not wake it
                _end_now(number[0])


def _end(number: int) -> None:
    """End the process from the main thread, all blocks left.

    Raises:
        SystemExit: always, unless threads go on with something; these end with the process.
    """
    _tidy()
    deadline = time.monotonic() + _THREADS_SECONDS
    for thread in threading.enumerate():
        # One that is still being started is not alive yet, and cannot be waited for.
        if thread is not threading.main_thread() and not thread.daemon and thread.is_alive():
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                _release_what_is_shared()
                os._exit(128 + number)
    sys.exit(128 + number)


def _end_now(number: int) -> None:
    for child in multiprocessing.active_children():  # no block was left that would have ended them
        child.kill()
    _release_what_is_shared()
    _tidy()
    os._exit(128 + number)


def _release_what_is_shared() -> None:
    """Give back the semaphores of pools and queues, or multiprocessing's resource tracker complains of a leak."""
    # Whatever holds a lock for good would keep the finalizers, too.
    finalize = multiprocessing.util._run_finalizers  # type: ignore[attr-defined]
    releasing = threading.Thread(target=finalize, args=(0,), daemon=True)
    with suppress(RuntimeError):  # no thread can be started any more, as the interpreter ends
        releasing.start()
        releasing.join(_THREADS_SECONDS)


def _tidy() -> None:
    remove_temporary_files()
    for stream in (sys.__stdout__, sys.__stderr__):  # a progress bar may stand before sys.stderr, with locks of its own
        if stream is None:
            continue
        try:
            stream.flush()
            if stream is sys.__stderr__ and not _State.said:
                _State.said = True
                show_cursor = "\x1b[?25h" if stream.isatty() else ""
                os.write(stream.fileno(), f"{show_cursor}accelsim: interrupted\n".encode())
        except (OSError, ValueError):  # the terminal or the reader is gone
            with suppress(OSError, ValueError):  # or Python complains about it in the end
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


@cache
def _register_at_fork() -> None:
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child
        )


def _before_fork() -> None:
    """Let signals wait until the child is a process like any other, which they end without a word."""
    _State.mask = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)


def _after_fork_in_parent() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _State.mask)


def _after_fork_in_child() -> None:
    for number in ENDING:
        if signal.getsignal(number) is _raise:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
            signal.set_wakeup_fd(-1)
    signal.pthread_sigmask(signal.SIG_SETMASK, _State.mask)
