"""`quickstudy robots record reach-v3 --out demos/reach-v3`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from quickstudy.errors import QuickstudyError

robots = typer.Typer(help="Robots that learn a task from one demonstration.", no_args_is_help=True, rich_markup_mode=None)


@robots.callback()
def _robots() -> None:
    """Robots that learn a task from one demonstration."""


@robots.command()
def record(
    robot: Annotated[str, typer.Argument(help="A family of Meta-World such as reach-v3, or a robot of yours: my_arm.py:arm.")],
    out: Annotated[Path, typer.Option(help="The folder; what is there already is left as it is, and the rest is made.")],
    part: Annotated[str, typer.Option(help="train: to learn from. test: to be judged on.")] = "train",
    goals: Annotated[int | None, typer.Option(help="How many tasks. Default: all, 50 in Meta-World.")] = None,
    each: Annotated[int, typer.Option(help="Demonstrations of each.")] = 4,
    steps: Annotated[int, typer.Option(help="Of a demonstration, at most.")] = 100,
    noise: Annotated[float, typer.Option(help="What disturbs the expert: the standard deviation of each number.")] = 0.1,
    seed: Annotated[int, typer.Option(help="Of starts and noise.")] = 0,
) -> None:
    """Let an expert show tasks, and keep what succeeds."""
    from quickstudy.cli.progress import progress_bar
    from quickstudy.runs.recordings import Recording
    from quickstudy.runs.recordings import record as run
    from quickstudy.tasks.robots.find import find_robot

    how = Recording(each, steps, noise, seed)
    with progress_bar() as show:
        its = find_robot(robot)
        found = run(its, part, out, how, tasks=goals, progress=show)
    kept, wanted = found["demonstrations"], each * (goals or len(its.tasks[part]))
    spoilt = f"{found['failed']} tries that failed, and {found['not finite']} that were not finite"
    remedy = "mend the expert or the simulator, or give more --steps or less --noise"
    remedy += "; and another --out, since what is recorded is not tried again"
    if not kept:
        raise QuickstudyError(f"{out / part}: no demonstration was kept, of {spoilt}; {remedy}")
    typer.echo(f"{out / part}: {kept} demonstrations{f' of the {wanted} asked for' if kept < wanted else ''}.")
    if found["failed"] or found["not finite"]:
        typer.echo(f"Not kept: {spoilt}{f'; {remedy}' if kept < wanted else ''}.")
    other = f"quickstudy robots record {robot} --out {out} --part test" if part == "train" else ""
    typer.echo(f"Next: {other or f'quickstudy train RECIPE --out RUN --set data.demonstrations={out}'}")
