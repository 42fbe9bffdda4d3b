"""What a recording lacks, in the one warning that a tracer gives when it closes."""

from __future__ import annotations

from pathlib import Path

from accelsim.trace.unlowered import EVALUATION
from accelsim.tracing.unlowered import OUTSIDE, Unlowered

_MOST_NAMES = 8


def shortfall(path: Path, unlowered: Unlowered, unseen: list[str], why_empty: str | None) -> str:
    """Say what is not in the trace; "" if nothing is known to be missing.

    Args:
        path: the trace file.
        unlowered: what multiplied and was not recorded.
        unseen: modules that ran and own weights, of which no operation had one.
        why_empty: why no step could be recorded, if the trace is empty and that is known; "" if it is empty though
            steps were to be recorded; None if it is not empty.
    """
    parts = []
    if why_empty is not None:
        parts.append(f"{path} is empty: {why_empty or _why_nothing(unlowered)}")
    if missing := unlowered.summary():
        parts.append(missing)
    if unseen:
        named = ", ".join(unseen[:_MOST_NAMES])
        named += f" and {len(unseen) - _MOST_NAMES} more" if len(unseen) > _MOST_NAMES else ""
        parts.append(
            f"modules whose weights were in no operation of PyTorch's though they ran: {named}; other kernels (pybind,"
            f" ctypes, Triton) cannot be recorded, and their MACs are unknown"
        )
    return ". ".join(parts)


def _why_nothing(unlowered: Unlowered) -> str:
    reasons = unlowered.reasons()
    if not reasons:
        return "no convolution and no matrix product ran inside the tracer's with block, in its thread"
    if reasons == {OUTSIDE}:
        return "all products ran outside any module: operations are recorded where a torch.nn.Module runs them"
    if reasons <= {EVALUATION, OUTSIDE}:
        return "the model was in eval mode and no backward followed: call model.train() to record forwards alone"
    return "nothing that ran can be recorded"
