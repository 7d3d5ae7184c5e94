"""`quickstudy train RECIPE --out RUN`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def train(
    recipe: Annotated[Path, typer.Argument(help="A recipe (YAML).")],
    out: Annotated[Path, typer.Option(help="The run folder.")],
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint; nothing to do if finished.")] = False,
    changes: Annotated[list[str] | None, typer.Option("--set", help="Change a key of the recipe: --set steps=10")] = None,
) -> None:
    """Meta-train a learner: learn how to learn from many tasks."""
    from quickstudy.cli.progress import training_bar
    from quickstudy.runs.processes import Processes
    from quickstudy.runs.recipe import Recipe
    from quickstudy.runs.train import train as run

    with Processes.join() as processes, training_bar(quiet=processes.rank > 0) as show:
        summary = run(Recipe.read(recipe, changes or []), out, resume=resume, progress=show, processes=processes)
    if processes.rank == 0:
        best = summary["best"]
        chosen = (
            ""
            if best is None
            else f"; best on the validation tasks at step {summary['best_step']}: {summary['metric']} {best:.4f}"
        )
        typer.echo(f"{out}: {summary['steps']} steps done{chosen}.\nNext: quickstudy evaluate {out}")
