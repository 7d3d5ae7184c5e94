"""`quickstudy evaluate RUN`: what `evaluate` does with a run that learned to do what is shown."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from quickstudy.errors import QuickstudyError
from quickstudy.runs.shipped import find_run

EPISODES = 3
"""Of each task, as in the protocol of Meta-World."""


def imitates(model: str) -> bool:
    """Whether MODEL is a run that learned from demonstrations."""
    from quickstudy.runs.recipe import Recipe

    return (run := find_run(model)) is not None and Recipe.read(run / "recipe.yaml").data.demonstrations is not None


def evaluate_imitation(
    model: str,
    data: str | None,
    *,
    robot: str | None,
    tasks: int | None,
    seed: int,
    baselines: str,
    device: str,
    json_file: Path | None,
) -> None:
    """Learns each task from one demonstration, and lets the robot try it in the simulator."""
    from quickstudy.cli.progress import progress_bar
    from quickstudy.evaluation.evaluate import evaluate
    from quickstudy.evaluation.expert import Expert
    from quickstudy.evaluation.table import render, with_interval
    from quickstudy.models.device import chosen
    from quickstudy.runs.cloning import Cloning, clone, fine_tuned
    from quickstudy.runs.imitation import check_policy
    from quickstudy.runs.recordings import read_demonstrations
    from quickstudy.runs.train import open_run
    from quickstudy.tasks.robots.find import find_robot

    if tasks is not None and tasks < 1:
        raise QuickstudyError(f"--episodes {tasks}: give a number of at least 1")
    run = find_run(model)
    assert run is not None  # `imitates` has found it
    recipe, learner = open_run(run)
    learner.to(chosen(device))
    shown = read_demonstrations(data or str(recipe.data.demonstrations), "test")
    check_policy(recipe, learner, shown)
    player = find_robot(robot or shown.robot)
    drawn = shown.attempts(player, episodes=EPISODES, seed=seed)[:tasks]
    with progress_bar() as show:
        expert = None
        if baselines != "none" and player.expert is not None:
            expert = evaluate(Expert(player), drawn, progress=show)["results"][0]
        beside = []
        if baselines == "full":
            policy = clone(recipe, learner, show)
            beside = [Cloning(policy), fine_tuned(recipe, policy, player, show)]
        result = evaluate(learner, drawn, baselines=beside, progress=show) | ({"expert": expert} if expert else {})
    typer.echo(render(result))
    starts = f"{EPISODES} episodes of at most {player.horizon} steps each, from other starts than the demonstration"
    typer.echo(f"{len(drawn)} tasks of {player.name} that training did not see, one demonstration each; {starts}.")
    if expert:
        typer.echo(
            f"The expert, which knows the task: success {with_interval(expert['mean'], expert['ci95'], True, signed=False)}."
        )
    if json_file:
        json_file.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
