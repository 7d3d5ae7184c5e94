"""`quickstudy check RECIPE`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

SHOWN = 10
"""Tensors in the table: those with the largest errors."""


def check(
    recipe: Annotated[Path, typer.Argument(help="A recipe (YAML), or the name of a shipped one.")],
    changes: Annotated[list[str] | None, typer.Option("--set", help="Change a key of the recipe: --set steps=10")] = None,
    seed: Annotated[int, typer.Option(help="Draws the directions in which the gradient is checked.")] = 0,
) -> None:
    """Is the gradient right that a recipe trains with? In float64, on a small task of its data."""
    from quickstudy.errors import QuickstudyError
    from quickstudy.evaluation.gradients import check_gradients
    from quickstudy.learners.gradient import GradientLearner
    from quickstudy.runs.build import build_learner, train_episodes
    from quickstudy.runs.recipe import Recipe
    from quickstudy.runs.shipped import find_recipe

    file, given = find_recipe(recipe), list(changes or [])
    full = Recipe.read(file, given)
    small = Recipe.read(file, [*given, "episodes.shots=2", "episodes.queries=1", "episodes.tasks=1"])
    learner = build_learner(full).eval()
    if not any(True for _ in learner.parameters()):
        raise QuickstudyError(f"{file}: {learner.title} has nothing to meta-learn, so there is no gradient to check")
    learner.progress = 1.0  # what is annealed has its final form
    with_steps = f", {learner.inner_steps} inner steps" if isinstance(learner, GradientLearner) else ""
    if small.data.trials is not None:
        raise QuickstudyError("check compares gradients of losses with finite differences; those of an agent are estimates")
    task = train_episodes(small)[0][0]
    typer.echo(f"{learner.title}{with_steps}; a task of {len(task.support)} + {len(task.query)} examples, seed {task.seed}")
    report = check_gradients(learner, task, seed=seed)
    worst = sorted(report.errors.items(), key=lambda each: -each[1])
    if worst:
        typer.echo(f"\nerror    tensor (against {report.oracle})")
    for name, error in worst[:SHOWN]:
        typer.echo(f"{error:.1e}  {name}")
    if len(worst) > SHOWN:
        typer.echo(f"         and {len(worst) - SHOWN} more, none larger")
    typer.echo(f"\n{report}" if worst else str(report))
    raise typer.Exit(0 if report else 2)
