"""Texts on whatever terminal there is."""

from __future__ import annotations

import codecs
import sys
from io import TextIOWrapper

_IN_ASCII = {"×": "x", "·": "*", "±": "+-", "–": "-", "−": "-", "→": "->", "µ": "u", "…": "...", "²": "^2"}
_IN_ASCII |= {"√": "sqrt", "∞": "inf", "━": "-", "•": "*"}


def print_anywhere() -> None:
    """Let standard output and error spell out what their encoding does not have, instead of raising an error.

    A terminal of code page 1252 or of the C locale shows µJ as uJ; what has no such spelling is escaped.
    """
    codecs.register_error("accelsim", _spell_out)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # none where there is no terminal, another under a test
            stream.reconfigure(errors="accelsim")


def _spell_out(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return "".join(_IN_ASCII.get(letter, ascii(letter)[1:-1]) for letter in text), error.end
