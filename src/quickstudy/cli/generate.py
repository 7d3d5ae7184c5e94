"""`quickstudy generate adapter --prompt "..."`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from quickstudy.cli.device import Device
from quickstudy.errors import QuickstudyError


def generate(
    adapter: Annotated[Path, typer.Argument(help="A folder that `quickstudy adapt --text` wrote.")],
    prompt: Annotated[list[str], typer.Option(help="How the text begins; may be given several times.")],
    tokens: Annotated[int, typer.Option(help="Tokens to write, at most.")] = 60,
    temperature: Annotated[float, typer.Option(help="How bold the choice of words is; 0: always the likeliest.")] = 0.7,
    seed: Annotated[int, typer.Option(help="Of the choice of words.")] = 0,
    device: Device = "auto",
) -> None:
    """Continue a text with the language model before and after it learned, side by side."""
    from quickstudy.learners.artefact import load
    from quickstudy.models.adapters import without_adapters
    from quickstudy.models.device import chosen
    from quickstudy.models.language_model import LanguageModel

    if tokens < 1:
        raise QuickstudyError(f"--tokens {tokens}: give a number of at least 1")
    if temperature < 0:
        raise QuickstudyError(f"--temperature {temperature}: give 0, for the likeliest words, or more")
    if not all(map(str.strip, prompt)):
        raise QuickstudyError("--prompt: it is blank; write how the text begins")
    model: Any = load(adapter).model
    if not isinstance(model, LanguageModel):
        raise QuickstudyError(f"{adapter} is a classifier and writes no text; use it with `quickstudy predict {adapter}`")
    model = model.to(chosen(device))
    before: Any = without_adapters(model)
    for begun in prompt:
        how: Any = {"tokens": tokens, "temperature": temperature, "seed": seed}
        _show(begun, before.continued(begun, **how), model.continued(begun, **how))


def _show(prompt: str, before: str, after: str) -> None:
    """Two columns on a terminal that is wide enough; one text after the other elsewhere."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if not console.is_terminal or console.width < 80:
        typer.echo(f"before: {prompt}{before}\nafter: {prompt}{after}")
        return
    table = Table("before", "after", expand=True)
    table.add_row(*(Text.assemble((prompt, "dim"), text) for text in (before, after)))
    console.print(table)
