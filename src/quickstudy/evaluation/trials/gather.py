"""Everything that the page of an agent shows, as numbers and words; `page` only sets it."""

from __future__ import annotations

import platform
import time
from datetime import datetime, timezone
from typing import Any

from quickstudy.evaluation.evaluate import Progress, ranking, verdict
from quickstudy.evaluation.report import words
from quickstudy.evaluation.report.gather import command, peak_memory
from quickstudy.evaluation.trials.facts import beside_cosine, facts
from quickstudy.evaluation.trials.figures import of_bandits, of_models, of_points, of_trainings, over_a_trial
from quickstudy.evaluation.trials.models import halving
from quickstudy.evaluation.trials.observed import Observed
from quickstudy.evaluation.trials.setting import Setting, setting
from quickstudy.evaluation.trials.trainings import environment_of, tuned_cosine
from quickstudy.inner.training_loop import TrainingEnvironment
from quickstudy.inner.training_loop.schedules import GRID
from quickstudy.tasks.trials import Trials
from quickstudy.wording import counted


def gather(
    result: dict[str, Any],
    observed: Observed,
    trials: Trials,
    *,
    model: str,
    recipe: str,
    seeds: dict[str, int],
    tuned_on: Trials | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """What the page needs beyond the result.

    Args:
        result: of `evaluate`.
        observed: what it observed.
        trials: that it judged on.
        model: what was judged, as the user named it.
        recipe: the run's, as text.
        seeds: what each is of, and the seed.
        tuned_on: further trainings, by which a cosine is tuned; where trials are trainings.
    """
    memory, begun = peak_memory(), time.perf_counter()  # before the report itself needs some
    its, agents = setting(trials), observed.agents
    cosine, rate = None, False
    if isinstance(trials.environment, TrainingEnvironment) and tuned_on is not None:
        cosine, rate = tuned_cosine(trials, tuned_on, progress), "rate" in environment_of(trials).control
    headline = words.minus(verdict(result))
    if cosine:
        headline += f" Its last loss is {beside_cosine(agents[0], cosine)}."
    return {
        "model": model,
        "setting": its,
        "trials": f"{counted(len(trials), 'trial')} of {its.length}",
        "explored": trials.explored,
        "verdict": headline,
        "facts": facts(result, agents, its, cosine),
        "judged": agents[0].learner.title,
        "order": ranking(result),
        "rewards": over_a_trial(agents, its),
        "bandits": of_bandits(agents, its),
        "models": of_models(agents, halving(trials)),
        "points": of_points(agents),
        "trainings": of_trainings(agents, cosine, rate=rate),
        "cosine": cosine,
        "rates": len(GRID),
        "episodes": trials.episodes,
        "memory": memory,
        "protocol": _protocol(result, trials, its, seeds),
        "recipe": recipe,
        "command": command(),
        "seconds": time.perf_counter() - begun,
    }


def _protocol(result: dict[str, Any], trials: Trials, its: Setting, seeds: dict[str, int]) -> list[tuple[str, str]]:
    import torch

    from quickstudy import __version__

    return [
        ("Hash of the trials", result["episodes"]["hash"]),
        ("Environment", its.environment),
        ("Trials", f"{len(trials):,}, drawn apart from those of training and validation"),
        ("Episodes of a trial that count", f"{trials.episodes:,}"),
        ("Episodes before them, for learning alone", f"{trials.explored:,}"),
        *((f"Seed of {what}", str(seed)) for what, seed in seeds.items()),
        ("Return", "the sum of the rewards of all episodes that count"),
        ("Intervals", "95%, over trials; differences are paired by trial (bootstrap, 10,000 resamples)"),
        ("Versions", f"quickstudy {__version__}, torch {torch.__version__}, Python {platform.python_version()}"),
        ("Date", datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")),
    ]
