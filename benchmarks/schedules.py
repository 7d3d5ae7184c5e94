"""A learned rate beside tuned schedules, on trainings that none of them has seen.

python benchmarks/schedules.py RUN [RUN ...]      (runs of recipes/rl/learned-rate.yaml; one of each seed)

Constant and cosine get the best of a grid of 14 rates on the classes that the policy was trained on; it begins at a random rate
instead. All are judged on the same trainings of classes that neither has seen, and then, untouched, on wider nets, longer
trainings and another data set. Losses are geometric means over trainings, differences those of log losses.
"""

from __future__ import annotations

import json
import math
import sys
from dataclasses import replace
from typing import Any

import torch

from quickstudy.evaluation.statistics import paired_bootstrap
from quickstudy.inner.training_loop.environment import TrainingEnvironment
from quickstudy.inner.training_loop.schedules import GRID, Schedule, cosine, train_by, train_by_plateau, tuned
from quickstudy.runs.build import trials_of
from quickstudy.runs.opening import open_run
from quickstudy.runs.trials_part import TrainingPart
from quickstudy.tasks.trials import Trials

TASKS = 256


def constant(rate: float) -> Schedule:
    return lambda progress, decision: rate


def train(trials: Trials, schedule: Schedule) -> tuple[torch.Tensor, torch.Tensor]:
    """Final losses and accuracies."""
    losses, accuracy = train_by(environment(trials), trials.tasks, schedule, torch.Generator().manual_seed(1))
    return losses[-1], accuracy


def environment(trials: Trials) -> TrainingEnvironment:
    assert isinstance(trials.environment, TrainingEnvironment)
    return trials.environment


def played(trials: Trials, learner: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Final losses, accuracies, and the rates that were chosen, `(decisions, trials)`."""
    agent, rates, its = learner.adapt(trials.support), [], environment(trials)
    generator = torch.Generator().manual_seed(1)
    state, seen = its.reset(trials.tasks, generator)
    for _ in range(its.horizon):
        state, seen, reward, done = its.step(trials.tasks, state, agent.act(seen), generator)
        agent.told(reward, done)
        rates.append(state.rates)
    return state.judged.validation.exp(), its.accuracy(trials.tasks, state), torch.stack(rates)


def main(runs: list[str]) -> None:
    recipe, _ = open_run(runs[0])
    its = trials_of(recipe, TASKS, part="train", seed=7)
    rates = {
        name: tuned(environment(its), its.tasks, schedule) for name, schedule in (("constant", constant), ("cosine", cosine))
    }
    plateau = min(GRID, key=lambda rate: _plateau(its, rate)[0].log().mean().item())
    print(json.dumps({"tuned on the classes of training": rates | {"plateau": plateau}}), flush=True)
    base = trials_of(recipe, TASKS, part="test", seed=8)
    part = recipe.data.trials and recipe.data.trials.training
    assert part is not None
    other = Trials.draw(TrainingPart(set="banking77").environment("test"), TASKS, seed=9)
    places = {
        "unseen classes": base,
        "three times as wide": _drawn(base, hidden=3 * environment(base).hidden),
        "twice as long": _drawn(base, horizon=2 * environment(base).horizon),
        "banking77": other,
    }
    for place, trials in places.items():
        found = {
            "constant": train(trials, constant(rates["constant"])),
            "cosine": train(trials, cosine(rates["cosine"])),
            "plateau": _plateau(trials, plateau),
            "random first rate, kept": train(trials, lambda progress, decision, its=trials: its.tasks["rate"]),
        }
        for run in runs:
            learned = played(trials, open_run(run)[1])
            row: dict[str, Any] = {"place": place, "run": run.rsplit("/", 1)[-1], "loss": _mean(learned[0])}
            row["accuracy"] = round(learned[1].mean().item(), 4)
            for name, (losses, accuracy) in found.items():
                lead, interval = paired_bootstrap(learned[0].log().tolist(), losses.log().tolist())
                assert interval is not None
                row[name] = {
                    "loss": _mean(losses),
                    "accuracy": round(accuracy.mean().item(), 4),
                    "learned less it, %": [round(100 * math.expm1(each), 1) for each in (lead, *interval)],
                }
            if place in ("unseen classes", "twice as long"):
                row["median rate by decision"] = [round(each, 3) for each in learned[2].median(1).values.tolist()]
            print(json.dumps(row), flush=True)


def _plateau(trials: Trials, rate: float) -> tuple[torch.Tensor, torch.Tensor]:
    losses, accuracy = train_by_plateau(environment(trials), trials.tasks, rate, torch.Generator().manual_seed(1))
    return losses[-1], accuracy


def _drawn(like: Trials, **settings: Any) -> Trials:
    return Trials.draw(replace(environment(like), **settings), TASKS, seed=8)


def _mean(losses: torch.Tensor) -> float:
    return round(losses.log().mean().exp().item(), 4)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(sys.argv[1:])
