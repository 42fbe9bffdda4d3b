"""Options made from a configuration's fields."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Annotated, Any

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from accelsim.cli.main import app as accelsim
from accelsim.cli.options import takes_fields_of
from accelsim.sparsity import CRITERIA, METHODS
from accelsim.sparsity.densities import DENSITIES
from accelsim.ssl.config import TrainConfig, option
from accelsim.ssl.encoders import ARCHITECTURES
from accelsim.ssl.frameworks import FRAMEWORKS
from accelsim.ssl.optimizers import OPTIMIZERS


@dataclass
class Oven:
    degrees: int = field(default=180, metadata={"help": "How hot."})
    two_fans: bool = field(default=False, metadata={"help": "Both of them."})


def test_a_field_is_an_option_with_its_help_and_default() -> None:
    app, ran = typer.Typer(), []

    @app.command()
    @takes_fields_of(Oven, "settings")
    def bake(
        cake: Annotated[str, typer.Argument(help="What.")],
        settings: dict[str, Any],
        minutes: Annotated[int, typer.Option(help="How long.")] = 40,
    ) -> None:
        """Bake."""
        ran.append((cake, Oven(**settings), minutes))

    said = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "100"}).output
    places = [said.index(text) for text in ("Bake.", "--degrees", "How hot.", "180", "--two-fans", "--minutes")]
    assert places == sorted(places)
    assert CliRunner().invoke(app, ["plum", "--two-fans", "--minutes", "5"]).exit_code == 0
    assert CliRunner().invoke(app, ["plum", "--degrees", "200"]).exit_code == 0
    assert ran == [("plum", Oven(two_fans=True), 5), ("plum", Oven(degrees=200), 40)]
    assert CliRunner().invoke(app, ["plum", "--degrees", "hot"]).exit_code == 2


def test_train_has_all_choices_of_its_configuration() -> None:
    parameters = {one.name: one for one in get_command(accelsim).commands["train"].params}  # type: ignore[attr-defined]
    for part in fields(TrainConfig):
        parameter = parameters[part.name]
        assert parameter.opts == [option(part.name)]
        assert (parameter.default, parameter.help) == (part.default, part.metadata["help"])


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("framework", FRAMEWORKS),
        ("arch", ARCHITECTURES),
        ("method", METHODS),
        ("criterion", CRITERIA),
        ("distribution", DENSITIES),
        ("allocation", ["global", *DENSITIES]),
        ("optimizer", OPTIMIZERS),
    ],
)
def test_help_names_every_choice(name: str, known: Any) -> None:
    [part] = [part for part in fields(TrainConfig) if part.name == name]
    words = part.metadata["help"].replace(",", " ").replace(".", " ").replace("(", " ").split()
    assert set(known) <= set(words)
