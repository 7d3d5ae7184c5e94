"""`quickstudy evaluate RUN`: what `evaluate` does with a run that learned to do what is shown."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from quickstudy.errors import QuickstudyError
from quickstudy.runs.shipped import find_run

if TYPE_CHECKING:
    from quickstudy.tasks.robots.robot import Robot

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
    report: Path | None,
) -> None:
    """Learns each task from one demonstration, and lets the robot try it in the simulator."""
    from quickstudy.atomic import write_json
    from quickstudy.cli.progress import progress_bar
    from quickstudy.evaluation.evaluate import evaluate
    from quickstudy.evaluation.expert import Expert
    from quickstudy.evaluation.report.observed import Observed
    from quickstudy.evaluation.table import render, with_interval
    from quickstudy.models.device import chosen
    from quickstudy.runs.cloning import Cloning, clone, fine_tuned
    from quickstudy.runs.imitation import check_policy
    from quickstudy.runs.opening import open_run
    from quickstudy.runs.recordings import read_demonstrations

    if tasks is not None and tasks < 1:
        raise QuickstudyError(f"--episodes {tasks}: give a number of at least 1")
    run = find_run(model)
    assert run is not None  # `imitates` has found it
    recipe, learner = open_run(run)
    learner.to(chosen(device))
    shown = read_demonstrations(data or str(recipe.data.demonstrations), "test")
    check_policy(recipe, learner, shown)
    player = _player(robot, shown.robot)
    drawn = shown.attempts(player, episodes=EPISODES, seed=seed)[:tasks]
    observed = Observed() if report else None
    with progress_bar() as show:
        expert = None
        if baselines != "none" and player.expert is not None:
            expert = evaluate(Expert(player), drawn, progress=show)["results"][0]
        beside = []
        if baselines == "full":
            policy = clone(recipe, learner, show)
            beside = [Cloning(policy), fine_tuned(recipe, policy, player, show)]
        result = evaluate(learner, drawn, baselines=beside, progress=show, observe=observed)
        result |= {"expert": expert} if expert else {}
    typer.echo(render(result))
    starts = f"{EPISODES} episodes of at most {player.horizon} steps each, from other starts than the demonstration"
    typer.echo(f"{len(drawn)} tasks of {player.name} that training did not see, one demonstration each; {starts}.")
    if expert:
        typer.echo(
            f"The expert, which knows the task: success {with_interval(expert['mean'], expert['ci95'], True, signed=False)}."
        )
    if json_file:
        write_json(json_file, result)
    if not report or not observed:
        return
    from quickstudy.evaluation.imitation.gather import gather
    from quickstudy.evaluation.imitation.page import write

    with progress_bar() as show:
        text = (run / "recipe.yaml").read_text(encoding="utf-8")
        seeds = {"the starts (--seed)": seed, "the run": recipe.seed}
        found = gather(result, observed, [learner, *beside], drawn, model=model, recipe=text, seeds=seeds, progress=show)
    write(report, found)
    if not found["films"]:
        typer.echo(f"No films: {found['why_none']}.")
    typer.echo(f"Report: {report}")


def _player(robot: str | None, shown: str) -> Robot:
    """The robot that is asked for, or else the one that demonstrations are of."""
    from quickstudy.tasks.robots.find import find_robot

    if robot is None and not re.search(r"-v\d+$", shown):  # as all families of Meta-World end
        raise QuickstudyError(f"the demonstrations are of {shown!r}; give --robot with the file that it is in: my_arm.py:arm")
    return find_robot(shown if robot is None else robot)
