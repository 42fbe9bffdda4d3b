"""What is no machine, trace, operation or space is refused in one sentence that says what is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from accelsim import AccelsimError, load_hardware, simulate, simulate_many
from accelsim.explain import explain
from accelsim.explore import search, sweep
from tests.test_pipeline import layer, small

CALLS: dict[str, tuple[Callable[[], object], str]] = {
    "path of a machine": (
        lambda: simulate("h.yaml", [layer()]),  # type: ignore[arg-type]
        "hw is the path 'h.yaml', expected a Hardware: load_hardware reads one from a file",
    ),
    "Path of a machine": (
        lambda: simulate(Path("h.yaml"), "run.pkl"),  # type: ignore[arg-type]
        "hw is the path 'h.yaml', expected a Hardware",
    ),
    "dict of a machine": (
        lambda: simulate({"name": "m"}, [layer()]),  # type: ignore[arg-type]
        r"hw is of type dict, expected a Hardware: .* Hardware\.model_validate makes one of a dict",
    ),
    "one machine for many": (
        lambda: simulate_many(small(), [layer()]),  # type: ignore[arg-type]
        "hardware is of type Hardware, expected a list of Hardware",
    ),
    "path for many": (
        lambda: simulate_many("h.yaml", [layer()]),  # type: ignore[arg-type]
        "hardware is the path 'h.yaml', expected a list of Hardware",
    ),
    "a path among many": (
        lambda: simulate_many([small(), "h.yaml"], [layer()]),  # type: ignore[list-item]
        r"hardware\[1\] is the path 'h.yaml', expected a Hardware",
    ),
    "one operation for a trace": (
        lambda: simulate(small(), layer()),  # type: ignore[arg-type]
        "trace is of type OpTrace, expected a trace file's path, an open reader, or a list of OpTraces",
    ),
    "no trace": (
        lambda: simulate(small(), None),  # type: ignore[arg-type]
        "trace is of type NoneType, expected a trace file's path",
    ),
    "no operations": (
        lambda: simulate(small(), [layer(), 3]),  # type: ignore[list-item]
        "operation 1 of the trace is of type int, expected an OpTrace",
    ),
    "an unknown pass": (
        lambda: simulate(small(), [layer()], passes=["forward", "backward"]),  # type: ignore[list-item]
        "passes names 'backward', expected some of forward, input_grad, weight_grad",
    ),
    "one pass for a list": (
        lambda: simulate_many([small()], [layer()], passes="forward"),  # type: ignore[arg-type]
        "passes is 'forward', expected a list of some of forward, input_grad, weight_grad",
    ),
    "no passes": (
        lambda: simulate(small(), [layer()], passes=None),  # type: ignore[arg-type]
        "passes is None, expected a list of some of forward",
    ),
    "explain an unknown pass": (
        lambda: explain(small(), layer(), ["fwd"]),  # type: ignore[list-item]
        "passes names 'fwd', expected some of forward, input_grad, weight_grad",
    ),
    "explain a path": (
        lambda: explain("h.yaml", layer()),  # type: ignore[arg-type]
        "hw is the path 'h.yaml', expected a Hardware",
    ),
    "explain a trace": (
        lambda: explain(small(), "run.pkl"),  # type: ignore[arg-type]
        "op is the path 'run.pkl', expected an OpTrace",
    ),
    "sweep a path": (
        lambda: sweep("space.yaml", "out"),  # type: ignore[arg-type]
        "space is the path 'space.yaml', expected a Space: load_space reads one from a file",
    ),
    "search a path": (
        lambda: search("space.yaml", "out"),  # type: ignore[arg-type]
        "space is the path 'space.yaml', expected a Space",
    ),
    "load a dict": (
        lambda: load_hardware({"name": "m"}),  # type: ignore[arg-type]
        "the file is of type dict, expected a path",
    ),
}


@pytest.mark.parametrize("call", CALLS)
def test_is_refused_in_a_sentence(call: str) -> None:
    run, sentence = CALLS[call]
    with pytest.raises(AccelsimError, match=sentence):
        run()


def test_live_takes_a_machine_or_its_path() -> None:
    torch = pytest.importorskip("torch")
    from accelsim import live

    with pytest.raises(AccelsimError, match="hw is of type dict, expected a Hardware"):
        live(torch.nn.Linear(2, 2), {"name": "m"})  # type: ignore[arg-type]
