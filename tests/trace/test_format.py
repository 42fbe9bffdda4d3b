"""The grammar's constants are those that pickle writes."""

from __future__ import annotations

from accelsim.trace import format as trace_format


def test_constants_fit_what_pickle_writes() -> None:
    assert trace_format.preamble()[trace_format._MAGIC_AT :].startswith(trace_format._MAGIC_BYTES)
