"""A layer's shapes are those of its operation."""

from __future__ import annotations

import pytest

from accelsim.errors import AccelsimError
from accelsim.synth import Layer, synthesize


def test_shapes_and_macs_equal_the_operations() -> None:
    layer = Layer(
        name="l", c_in=6, c_out=4, kernel=(3, 2), stride=(2, 1), padding=(1, 0), image=(9, 7), groups=2, tokens=3
    )
    (op,) = synthesize([layer], batch=5)
    assert op.output_shape == layer.output_shape(5) == (15, 4, 5, 6)
    assert op.macs == 5 * layer.macs


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"c_in": 0}, "c_in is 0"),
        ({"stride": (1, 0)}, r"stride is \(1, 0\)"),
        ({"padding": (-1, 0)}, "padding"),
        ({"groups": 2}, "2 groups do not divide 3 input and 4 output channels"),
        ({"kernel": (9, 1)}, "a kernel of 9x1 is larger than its input of 8x8"),
    ],
)
def test_what_is_no_layer_is_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(AccelsimError, match=words):
        Layer(**{"name": "l", "c_in": 3, "c_out": 4, "image": (8, 8), **change})  # type: ignore[arg-type]
