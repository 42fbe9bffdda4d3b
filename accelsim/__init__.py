"""How much faster would your sparse training run on real hardware?

record    with Tracer(model, "run.pkl"): ...        PyTorch, any training loop, unchanged
replay    result = simulate(load_hardware("machine.yaml"), "run.pkl")
read      result.layers, result.summary, result.save("out")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from accelsim.errors import AccelsimError, AccelsimWarning, HardwareError, TraceError, TracingError
    from accelsim.hardware.load import load_hardware
    from accelsim.hardware.model import Hardware
    from accelsim.live.meter import live
    from accelsim.pipeline import simulate, simulate_many
    from accelsim.results.result import Result
    from accelsim.results.saved import SavedResult, load_result
    from accelsim.sampling.plan import Sampling
    from accelsim.synth.generate import synthesize
    from accelsim.trace.bitmask import BitMask
    from accelsim.trace.reader import TraceReader, open_trace
    from accelsim.trace.record import OpTrace
    from accelsim.trace.writer import TraceWriter
    from accelsim.tracing.tracer import Tracer

_WHERE = {
    "AccelsimError": "errors",
    "AccelsimWarning": "errors",
    "HardwareError": "errors",
    "TraceError": "errors",
    "TracingError": "errors",
    "Hardware": "hardware.model",
    "load_hardware": "hardware.load",
    "BitMask": "trace.bitmask",
    "OpTrace": "trace.record",
    "TraceReader": "trace.reader",
    "TraceWriter": "trace.writer",
    "open_trace": "trace.reader",
    "Tracer": "tracing",
    "live": "live",
    "Result": "results.result",
    "Sampling": "sampling.plan",
    "SavedResult": "results.saved",
    "load_result": "results.saved",
    "simulate": "pipeline",
    "simulate_many": "pipeline",
    "synthesize": "synth.generate",
}

__all__ = [
    "AccelsimError",
    "AccelsimWarning",
    "BitMask",
    "Hardware",
    "HardwareError",
    "OpTrace",
    "Result",
    "Sampling",
    "SavedResult",
    "TraceError",
    "TraceReader",
    "TraceWriter",
    "Tracer",
    "TracingError",
    "live",
    "load_hardware",
    "load_result",
    "open_trace",
    "simulate",
    "simulate_many",
    "synthesize",
]


def __getattr__(name: str) -> Any:
    """Load a public name's room on first use: torch and pandas cost nothing until they are needed."""
    if name not in _WHERE:
        raise AttributeError(f"module 'accelsim' has no attribute {name!r}")
    value = getattr(import_module(f"accelsim.{_WHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
