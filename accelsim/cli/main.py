"""The `accelsim` command."""

from __future__ import annotations

import os
import sys

import typer

from accelsim.cli.compare import compare
from accelsim.cli.explain import explain
from accelsim.cli.import_scalesim import import_
from accelsim.cli.inspect import inspect
from accelsim.cli.plot import plot
from accelsim.cli.profile import profile
from accelsim.cli.report import report
from accelsim.cli.run import run
from accelsim.cli.search import search
from accelsim.cli.sweep import sweep
from accelsim.cli.synth import synth
from accelsim.cli.train import train
from accelsim.cli.validate import validate_app
from accelsim.errors import AccelsimError
from accelsim.printable import printable_lines
from accelsim.show.terminal import print_anywhere
from accelsim.signals import run_until_signal

app = typer.Typer(
    name="accelsim",
    help="How much faster would your sparse training run on real hardware?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(run)
app.command()(explain)
app.command()(inspect)
app.command()(plot)
app.command()(report)
app.command()(compare)
app.command()(train)
app.command()(synth)
app.command("import")(import_)
app.command(context_settings={"allow_interspersed_args": False})(profile)
app.command()(sweep)
app.command()(search)
app.add_typer(validate_app)


def main() -> None:
    """Run the command line: bad input ends in one line on stderr and exit code 2, a signal in 128 plus its number."""
    print_anywhere()
    try:
        run_until_signal(app)
    except AccelsimError as error:
        typer.echo(f"accelsim: {printable_lines(str(error))}", err=True)
        sys.exit(2)
    except BrokenPipeError:  # the reader of our output has gone, as in `accelsim run … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
