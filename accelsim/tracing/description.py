"""What a trace's metadata say from the beginning: what was recorded, by what, and how."""

from __future__ import annotations

import platform
import shlex
import sys
from typing import Any

import torch
from torch import nn

from accelsim.trace.format import accelsim_version
from accelsim.tracing.ranks import rank_and_size
from accelsim.tracing.steps import StepPlan
from accelsim.tracing.zeros import Zeros


def description(model: nn.Module, plan: StepPlan, zeros: Zeros) -> dict[str, Any]:
    """Return the metadata of a trace of which nothing is recorded yet; what changes meanwhile has its first value."""
    rank, processes = rank_and_size()
    return {
        "model": type(model).__name__,
        "torch": str(torch.__version__),
        "accelsim": accelsim_version(),
        "python": platform.python_version(),
        "command": shlex.join(sys.argv),
        "rank": rank,
        "processes": processes,
        **plan.plain(),
        "zero_as": zeros.plain(),
        "dtype": "",
        "recorded_steps": 0,
        "incomplete_step": None,
        "failure": None,
        "steps": 0,
        "unlowered": {},
    }
