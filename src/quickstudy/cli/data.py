"""`quickstudy data check my.csv`"""

from __future__ import annotations

from typing import Annotated

import typer

data = typer.Typer(help="Look at data before learning from it.", no_args_is_help=True, rich_markup_mode=None)


@data.callback()
def _data() -> None:
    """Look at data before learning from it."""


@data.command()
def check(
    table: Annotated[str, typer.Argument(help="A table (CSV, TSV, JSONL) or a named set.")],
    text: Annotated[str, typer.Option(help="The column of the sentences.")] = "text",
    label: Annotated[str, typer.Option(help="The column of the labels.")] = "label",
) -> None:
    """Say what is in a table, and what is wrong with it."""
    from quickstudy.tasks.checkup import checkup
    from quickstudy.tasks.table import Table

    typer.echo(checkup(Table.read(table, text=text, label=label)).text())
