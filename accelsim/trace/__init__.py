"""What happened: one operation's record (`OpTrace`), packed masks, and the file that keeps them.

    with TraceWriter("run.pkl", meta={"model": "resnet18"}) as writer:
        writer.write(op)
    for op in open_trace("run.pkl"):
        ...

Needs numpy only.
"""

from accelsim.trace.bitmask import BitMask
from accelsim.trace.chain import TraceChain, open_traces
from accelsim.trace.entry import Entry, MaskEntry
from accelsim.trace.fields import Kind
from accelsim.trace.other_work import OtherWork, assumed_tally
from accelsim.trace.reader import TraceReader, open_trace
from accelsim.trace.record import MASK_NAMES, OpTrace
from accelsim.trace.training_run import MaskWork, TrainingRun
from accelsim.trace.writer import TraceWriter

__all__ = [
    "MASK_NAMES",
    "BitMask",
    "Entry",
    "Kind",
    "MaskEntry",
    "MaskWork",
    "OpTrace",
    "OtherWork",
    "TraceChain",
    "TraceReader",
    "TraceWriter",
    "TrainingRun",
    "assumed_tally",
    "open_trace",
    "open_traces",
]
