"""Settings for all tests."""

from __future__ import annotations

import os
import signal

from hypothesis import settings

# Two-thread PyTorch collapses on a busy machine; before torch is imported, here and in the commands that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell that runs pytest in the background has it ignore the keyboard's signals, and so would what tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGQUIT") and signal.getsignal(signal.SIGQUIT) is signal.SIG_IGN:
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)

# Machines are shared: a deadline would measure their other work.
settings.register_profile("accelsim", deadline=None, max_examples=200)
settings.register_profile("thorough", deadline=None, max_examples=10_000)
settings.load_profile("accelsim")

from tests.saved_results import results, sweep  # noqa: E402, F401  # fixtures, once OMP_NUM_THREADS is set
