from __future__ import annotations

from accelsim.printable import printable, printable_lines


def test_what_is_printable_stays() -> None:
    assert printable("layer1.0 [conv] × 層") == "layer1.0 [conv] × 層"
    assert printable("\x1b\u202e\n") == r"\x1b\u202e\n"
    assert printable_lines("a\x1b[2J\nb\tc") == "a\\x1b[2J\nb\\tc"
