"""`quickstudy playground [clf]`"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Annotated

import typer

from quickstudy.errors import QuickstudyError


def playground(
    classifier: Annotated[Path | None, typer.Argument(help="A folder that `quickstudy adapt` wrote, to begin with.")] = None,
    host: Annotated[
        str, typer.Option(help="The address to listen at. By default nobody but this machine can ask.")
    ] = "127.0.0.1",
    port: Annotated[int | None, typer.Option(help="Default: 7860, or the next one that is free; 0: any.")] = None,
) -> None:
    """A page in the browser: learn from a few sentences, see what was learned, take it along."""
    if importlib.util.find_spec("gradio") is None:
        raise QuickstudyError("the playground needs gradio: pip install 'quickstudy[playground]'")
    from quickstudy.playground.address import listen

    listening = listen(host, port)
    try:
        from quickstudy.playground.server import serve

        serve(listening, classifier, lambda address: typer.echo(f"{address} is ready; end it with Ctrl-C"))
    except KeyboardInterrupt:
        typer.echo("ended")
    finally:
        listening.close()
