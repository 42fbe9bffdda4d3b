"""Densities by layer: which line holds, and what is wrong with a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from accelsim.errors import AccelsimError
from accelsim.synth import synthesize
from accelsim.synth.densities import read_densities


def written(folder: Path, text: str) -> Path:
    path = folder / "d.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_last_line_that_speaks_holds(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "layer,activation,weight\n# the stem\nconv1,0.75,1\nlayer1.*,,0.25\nlayer1.0.conv2,0.5\nlayer1.0.*,,0.125,\n",
    )
    made = synthesize("resnet18-cifar", batch=1, weight_density=0.5, gradient_density=0.5, densities=path)
    plans = {plan.name: plan for plan in made.plans}
    assert (plans["conv1"].weight, plans["conv1"].activation) == (1, 0.75)
    assert (plans["layer1.0.conv1"].weight, plans["layer1.0.conv1"].activation) == (0.125, 1)
    assert (plans["layer1.0.conv2"].weight, plans["layer1.0.conv2"].activation) == (0.125, 0.5)
    assert plans["layer1.1.conv1"].weight == 0.25
    assert (plans["fc"].weight, plans["fc"].activation) == (0.5, 1)
    assert {plan.gradient for plan in plans.values()} == {0.5}


def test_the_data_stay_dense_unless_named() -> None:
    first, second, *_ = synthesize("resnet18-cifar", batch=1, activation_density=0.5).plans
    assert (first.activation, second.activation) == (1, 0.5)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("layer,weights\n", 1, "the header is 'layer,weights', expected layer,weight,activation,gradient"),
        ("weight,activation\n", 1, "the header is"),
        ("layer,weight,weight\n", 1, "the header is"),
        ("layer,weight\nconv1,2\n", 2, "weight density is '2', expected a share from 0 to 1"),
        ("layer,weight\nconv1,nan\n", 2, "weight density is 'nan'"),
        ("layer,weight\nconv1,dense\n", 2, "weight density is 'dense'"),
        ("layer,weight\nconv1,1,1\n", 2, "3 columns, the header has 2"),
        ("layer,weight\n,0.5\n", 2, "no layer is named"),
        (
            "layer,weight\n\nlayer1.0.conv9,0.5\n",
            3,
            r"no layer is called 'layer1.0.conv9', did you mean 'layer1.0.conv2'",
        ),
        ("layer,weight\nxyz,0.5\n", 2, "it has conv1, layer1.0.conv1"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, line: int, words: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(AccelsimError, match=words) as caught:
        synthesize("resnet18-cifar", densities=path)
    assert str(caught.value).startswith(f"{path}:{line}: ")


def test_an_empty_file_says_nothing(tmp_path: Path) -> None:
    assert read_densities(written(tmp_path, "# nothing\n")) == ()
