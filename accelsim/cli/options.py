"""Options that several commands have, and options made from the fields of a configuration."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields
from enum import StrEnum
from functools import wraps
from inspect import Parameter
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

HardwareFile = Annotated[Path, typer.Option(help="The machine, a YAML file; hw_configs/ has some.")]
Layers = Annotated[list[str] | None, typer.Option(help="Only this layer, or 'layer1.*'. Repeatable.")]
Steps = Annotated[list[int] | None, typer.Option(help="Only this step. Repeatable.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]

SpaceFile = Annotated[Path, typer.Argument(help="The space: a machine, traces, and values for hardware keys (YAML).")]
WorkerCount = Annotated[int | None, typer.Option(min=1, help="Processes; default: one a core.")]
Scheduler = Annotated[
    str | None, typer.Option(help="Use the workers of this Dask scheduler instead.", metavar="tcp://HOST:PORT")
]
SkipInvalid = Annotated[
    bool, typer.Option("--skip-invalid", help="Leave out combinations that are no machine, instead of refusing all.")
]


class PassName(StrEnum):
    """Passes of training."""

    forward = "forward"
    input_grad = "input_grad"
    weight_grad = "weight_grad"


def takes_fields_of(model: type[Any], into: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the fields of a dataclass as options; it gets their values by name, as one parameter.

    Args:
        model: a dataclass whose fields have defaults, and their help in `metadata["help"]`.
        into: the command's parameter, a dictionary; the options stand in its place.
    """
    types = get_type_hints(model)
    options = [
        Parameter(
            field.name,
            Parameter.KEYWORD_ONLY,
            default=typer.Option(field.default, help=field.metadata["help"]),
            annotation=types[field.name],
        )
        for field in fields(model)
    ]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command, eval_str=True)
        own = [parameter.replace(kind=Parameter.KEYWORD_ONLY) for parameter in signature.parameters.values()]
        place = [parameter.name for parameter in own].index(into)

        @wraps(command)
        def run(**given: Any) -> None:
            command(**{into: {option.name: given.pop(option.name) for option in options}}, **given)

        parameters = [*own[:place], *options, *own[place + 1 :]]
        run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        return run

    return decorate
