"""Texts of somebody else's, so that they cannot steer the terminal that shows them."""

from __future__ import annotations


def printable(text: str) -> str:
    """Return a text with its control characters escaped, line feeds too."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def printable_lines(text: str) -> str:
    """Return a text of several lines with all other control characters escaped."""
    return "\n".join(map(printable, text.split("\n")))
