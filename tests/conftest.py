"""Settings for all tests."""

from __future__ import annotations

import os

from hypothesis import settings

# Two-thread PyTorch collapses on a busy machine; before torch is imported, here and in the commands that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Kernels compile on their first call, which no deadline foresees.
settings.register_profile("accelsim", deadline=None, max_examples=200)
settings.register_profile("thorough", deadline=None, max_examples=10_000)
settings.load_profile("accelsim")

from tests.saved_results import results, sweep  # noqa: E402, F401  # fixtures, once OMP_NUM_THREADS is set
