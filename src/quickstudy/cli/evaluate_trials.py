"""`quickstudy evaluate RUN`: what `evaluate` does with a run that learned to act."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from quickstudy.errors import QuickstudyError

TABLES, OTHERS = 20_000, 128
"""Trials by default: of bandits and MDPs, and where each trial holds a simulator or a training of its own."""


def acts(model: str) -> bool:
    """Whether MODEL is a run that learned to act."""
    from quickstudy.runs.recipe import Recipe

    recipe = Path(model).expanduser() / "recipe.yaml"
    return recipe.is_file() and Recipe.read(recipe).data.trials is not None


def evaluate_trials(model: str, *, trials: int | None, seed: int, baselines: str, device: str, json_file: Path | None) -> None:
    """Plays trials that training did not see, beside agents that learn nothing from one task to the next."""
    from quickstudy.cli.progress import progress_bar
    from quickstudy.evaluation.evaluate import evaluate
    from quickstudy.evaluation.table import render
    from quickstudy.models.device import chosen
    from quickstudy.runs.agents import agents_for
    from quickstudy.runs.build import TEST_SEED, trials_of
    from quickstudy.runs.train import open_run

    if trials is not None and trials < 1:
        raise QuickstudyError(f"--episodes {trials}: give a number of at least 1")
    recipe, learner = open_run(model)
    learner.to(chosen(device))
    part = recipe.data.trials
    usual = TABLES if part is not None and (part.bandits or part.mdps) else OTHERS
    drawn = trials_of(recipe, trials or usual, seed=seed + TEST_SEED)
    with progress_bar() as show:
        result = evaluate(learner, drawn, baselines=[] if baselines == "none" else agents_for(drawn), progress=show)
    typer.echo(render(result))
    if json_file:
        json_file.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
