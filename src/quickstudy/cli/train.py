"""`quickstudy train RECIPE --out RUN`"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from quickstudy.cli.device import Device
from quickstudy.errors import QuickstudyError


def train(
    recipe: Annotated[Path, typer.Argument(help="A recipe (YAML), or the name of a shipped one such as own-labels.")],
    out: Annotated[Path, typer.Option(help="The run folder.")],
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint; nothing to do if finished.")] = False,
    changes: Annotated[list[str] | None, typer.Option("--set", help="Change a key of the recipe: --set steps=10")] = None,
    data: Annotated[
        str | None, typer.Option(help="In place of the recipe's data: a table (CSV, TSV, JSONL) or a named set.")
    ] = None,
    text: Annotated[str | None, typer.Option(help="The column of the sentences.")] = None,
    label: Annotated[str | None, typer.Option(help="The column of the labels.")] = None,
    device: Device = "auto",
) -> None:
    """Meta-train a learner: learn how to learn from many tasks."""
    from quickstudy.cli.progress import training_bar
    from quickstudy.runs.processes import Processes
    from quickstudy.runs.recipe import Recipe
    from quickstudy.runs.shipped import find_recipe
    from quickstudy.runs.strength import sentence
    from quickstudy.runs.train import train as run

    file = find_recipe(recipe)
    overrides = [*_data_changes(data, text, label), *(changes or [])]
    _need_data(file, overrides)
    with Processes.join() as processes, training_bar(quiet=processes.rank > 0) as show:
        summary = run(Recipe.read(file, overrides), out, resume=resume, device=device, progress=show, processes=processes)
    if processes.rank > 0:
        return
    best, found = summary["best"], summary["strength"]
    chosen = (
        "" if best is None else f"; best on the validation tasks at step {summary['best_step']}: {summary['metric']} {best:.4f}"
    )
    skipped = f", {summary['skipped']} of them skipped" if summary["skipped"] else ""
    typer.echo(f"{out}: {summary['steps']} steps done{skipped}{chosen}.")
    if found:
        said = sentence(found)
        typer.echo(f"{said[0].upper()}{said[1:]}.")
    typer.echo(f"Next: quickstudy evaluate {out}")


def _data_changes(data: str | None, text: str | None, label: str | None) -> list[tuple[str, str]]:
    """What the options say, as changes of the recipe: what it said of another source goes, the columns stay."""
    changes: list[tuple[str, str]] = []
    if data is not None:
        is_table = bool(Path(data).suffix) or Path(data).exists() or data.startswith("hf:")
        key = "table" if is_table else "set"
        gone = {"table", "set", "unlabelled", "source", "fold"} - {key}
        place = f"--data {data}"
        changes = [(f"data.{key}={json.dumps(data)}", place), *((f"data.{other}=null", place) for other in sorted(gone))]
    if text is not None:
        changes.append((f"data.text={json.dumps(text)}", f"--text {text}"))
    if label is not None:
        changes.append((f"data.label={json.dumps(label)}", f"--label {label}"))
    return changes


def _need_data(file: Path, overrides: list[str | tuple[str, str]]) -> None:
    """Recipes such as own-labels and unlabelled are for data that others bring."""
    from quickstudy.runs.yaml_positions import read

    given = any((change if isinstance(change, str) else change[0]).startswith("data") for change in overrides)
    if not given and "data" not in read(file).data:
        raise QuickstudyError(
            f"{file.stem} leaves the data to you: add --data FILE (CSV, TSV, JSONL) or --data NAME of a known set, or, for "
            "text without labels, --set data.unlabelled=FOLDER"
        )
