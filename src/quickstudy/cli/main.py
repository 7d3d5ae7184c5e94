"""The command line: one command a file, one plain line for every error."""

from __future__ import annotations

import sys
import traceback
from typing import Any

import typer
from typer.core import TyperGroup

from quickstudy import __version__
from quickstudy.cli.adapt import adapt
from quickstudy.cli.check import check
from quickstudy.cli.data import data
from quickstudy.cli.demo import demo
from quickstudy.cli.evaluate import evaluate
from quickstudy.cli.generate import generate
from quickstudy.cli.plan import plan
from quickstudy.cli.playground import playground
from quickstudy.cli.predict import predict
from quickstudy.cli.robots import robots
from quickstudy.cli.train import train
from quickstudy.cli.tune import tune
from quickstudy.cli.warn import tell
from quickstudy.errors import QuickstudyError

_UsageError: Any = typer.BadParameter.__mro__[1]
"""The parser's own error, wherever this version of typer keeps it."""


class _InOrder(TyperGroup):
    def list_commands(self, ctx):
        return list(self.commands)


app = typer.Typer(
    name="quickstudy",
    help="Learn how to learn from many small tasks, so that a new one needs a handful of examples.",
    cls=_InOrder,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (demo, check, plan, train, tune, evaluate, adapt, predict, generate, playground):
    app.command()(command)
app.add_typer(data, name="data")
app.add_typer(robots, name="robots")


def _version(value: bool) -> None:
    if value:
        typer.echo(f"quickstudy {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    pass


def main(arguments: list[str] | None = None) -> None:
    """Runs the command line. Exits with 0; 2 for anything that the user can mend; 1 for a bug of ours."""
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """Runs the command line and returns its exit code."""
    try:
        code = app(args=arguments, standalone_mode=False)
        return code if isinstance(code, int) else 0
    except QuickstudyError as error:
        return _complain(str(error))
    except _UsageError as error:
        if "NoArgs" in type(error).__name__:  # the message is the help
            typer.echo(error.format_message())
            return 2
        return _complain(f"{error.format_message()} (quickstudy --help says more)")
    except (KeyboardInterrupt, typer.Abort):
        return _complain("stopped")
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except OSError as error:
        return _complain(f"{error.filename or 'the system'}: {error.strerror or error}")
    except Exception as error:
        traceback.print_exc()
        _complain(f"this is a bug of ours ({type(error).__name__}); please report it with the lines above")
        return 1


def _complain(message: str) -> int:
    tell(message)
    return 2
