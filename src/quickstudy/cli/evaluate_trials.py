"""`quickstudy evaluate RUN`: what `evaluate` does with a run that learned to act."""

from __future__ import annotations

from pathlib import Path

import typer

from quickstudy.errors import QuickstudyError
from quickstudy.runs.shipped import find_run

TABLES, OTHERS = 20_000, 128
"""Trials by default: of bandits and MDPs, and where each trial holds a simulator or a training of its own."""
TUNING = 64
"""Trainings that a report tunes a schedule on."""


def acts(model: str) -> bool:
    """Whether MODEL is a run that learned to act."""
    from quickstudy.runs.recipe import Recipe

    return (run := find_run(model)) is not None and Recipe.read(run / "recipe.yaml").data.trials is not None


def evaluate_trials(
    model: str,
    *,
    trials: int | None,
    seed: int,
    baselines: str,
    device: str,
    json_file: Path | None,
    report: Path | None,
) -> None:
    """Plays trials that training did not see, beside agents that learn nothing from one task to the next."""
    from quickstudy.atomic import write_json
    from quickstudy.cli.progress import progress_bar
    from quickstudy.evaluation.evaluate import evaluate
    from quickstudy.evaluation.table import render
    from quickstudy.evaluation.trials.observed import Observed
    from quickstudy.models.device import chosen
    from quickstudy.runs.agents import agents_for
    from quickstudy.runs.build import TEST_SEED, trials_of
    from quickstudy.runs.opening import open_run

    if trials is not None and trials < 1:
        raise QuickstudyError(f"--episodes {trials}: give a number of at least 1")
    run = find_run(model)
    assert run is not None  # `acts` has found it
    recipe, learner = open_run(run)
    learner.to(chosen(device))
    part = recipe.data.trials
    usual = TABLES if part is not None and (part.bandits or part.mdps) else OTHERS
    drawn = trials_of(recipe, trials or usual, seed=seed + TEST_SEED)
    observed = Observed() if report else None
    with progress_bar() as show:
        beside = [] if baselines == "none" else agents_for(drawn)
        result = evaluate(learner, drawn, baselines=beside, progress=show, observe=observed)
    typer.echo(render(result))
    if json_file:
        write_json(json_file, result)
    if not report or not observed:
        return
    from quickstudy.evaluation.trials.gather import gather
    from quickstudy.evaluation.trials.page import write
    from quickstudy.inner.training_loop import TrainingEnvironment

    with progress_bar() as show:  # a schedule that the page shows beside the run is tuned on further trainings
        tunes = isinstance(drawn.environment, TrainingEnvironment)
        tuned_on = trials_of(recipe, TUNING, part="train", seed=recipe.seed) if tunes else None
        text = (run / "recipe.yaml").read_text(encoding="utf-8")
        seeds = {"the trials (--seed)": seed, "the run": recipe.seed}
        found = gather(result, observed, drawn, model=model, recipe=text, seeds=seeds, tuned_on=tuned_on, progress=show)
    write(report, found)
    typer.echo(f"Report: {report}")
