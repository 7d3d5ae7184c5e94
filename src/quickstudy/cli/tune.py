"""`quickstudy tune RECIPE --trials 20 --out TUNED`"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quickstudy.cli.device import Device
from quickstudy.errors import QuickstudyError
from quickstudy.wording import counted

if TYPE_CHECKING:
    from quickstudy.runs.trials import Found, Trial


def tune(
    recipe: Annotated[Path, typer.Argument(help="A recipe (YAML) that says under `tune:` what to try.")],
    out: Annotated[Path, typer.Option(help="The folder of the search.")],
    trials: Annotated[int, typer.Option(help="The budget; trial 0 is the recipe as it stands.")] = 20,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where it stopped; more --trials lengthen a search.")] = False,
    changes: Annotated[list[str] | None, typer.Option("--set", help="Change a key of the recipe: --set steps=10")] = None,
    device: Device = "auto",
) -> None:
    """Try a recipe with other values of a few settings, and keep the best."""
    from quickstudy.cli.progress import progress_bar
    from quickstudy.runs.recipe import Recipe
    from quickstudy.runs.tune import tune as run

    if trials < 1:
        raise QuickstudyError(f"--trials {trials}: give a number of at least 1")
    spent: list[float] = []

    def tell(trial: Trial, found: Found) -> None:
        spent.append(trial.seconds)
        left = trials - trial.number - 1
        time_left = f", about {left * sum(spent) / len(spent):.0f} s left" if left else ""
        best = f"best so far {_score(found.best)}"
        done = f"({trial.number + 1} of {trials}{time_left})"
        # not by way of typer, which would write into the bar instead of above it
        sys.stderr.write(f"trial {trial.number}  {_said(trial)}  {_values(trial)}  {best}  {done}\n")

    with progress_bar() as show:
        whole = Recipe.read(recipe, changes or [])
        found = run(whole, out, trials=trials, resume=resume, device=device, progress=show, tell=tell)
    typer.echo(_report(found, out))


def _report(found: Found, out: Path) -> str:
    """What was found and what it cost, the warning, and the next command."""
    best, first, count = found.best, found.trials[0], len(found.trials)
    assert best is not None  # `tune` raises where no trial has a score
    failed = sum(trial.score is None for trial in found.trials)
    lines = [f"{out}: {counted(count, 'trial')} in {found.seconds:.0f} seconds."]
    if failed:
        lines[0] += f" {failed} failed: see {out / 'trials.jsonl'}."
    if found.exhausted:
        lines[0] += " There is nothing left to try: these were all the combinations."
    stood = f"{_score(first)} with the recipe as it stood" if first.score is not None else "the recipe as it stood failed"
    if best is first:
        lines.append(f"No trial was better than the recipe as it stands: {best.metric} {_score(best)} on the validation tasks.")
    else:
        lines.append(f"Best: trial {best.number}, {best.metric} {_score(best)} on the validation tasks; {stood}.")
    width = max(map(len, best.settings))
    for key, value in best.settings.items():
        lines.append(f"  {key:<{width}}  {value}" + ("" if best is first else f"  (was {_shown(first.settings[key])})"))
    lines += [
        f"Its run is {out / 'trials' / f'{best.number:03d}'}; of the others the weights were removed.",
        f"This score was chosen as the best of {count} on the same validation tasks, so it is optimistic: new tasks will tell.",
        f"Next: quickstudy train {out / 'best.yaml'} --out {out}-run",
    ]
    return "\n".join(lines)


def _said(trial: Trial) -> str:
    return f"{trial.metric} {_score(trial)}" if trial.score is not None else f"failed ({trial.error})"


def _values(trial: Trial) -> str:
    return "  ".join(f"{key} {_shown(value)}" for key, value in trial.settings.items())


def _score(trial: Trial | None) -> str:
    return "none" if trial is None or trial.score is None else f"{trial.score:.4f}"


def _shown(value: Any) -> str:
    return "not set" if value is None else f"{value}"
