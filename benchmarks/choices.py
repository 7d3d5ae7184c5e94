"""Policies that choose an optimizer, the rows to train on, or a model, beside fixed choices, on trainings that none has seen.

python benchmarks/choices.py RUN [RUN ...]      (runs of recipes/rl/optimizer-choice.yaml, data-choice.yaml and model-choice.yaml)

All are judged on the same 256 trainings of classes that nobody has seen, by the same minibatches. "Best" and "tuned" is what was
best on 64 trainings of the classes that the policy was trained on. Two have more than the policy has, and say so: "tuned" has a
rate of its own, where the policy has the one that it is given; "in hindsight" trains by every fixed choice and keeps the one that
ends best, at so many times the cost. Losses are geometric means over trainings, differences those of log losses.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch

from quickstudy.errors import QuickstudyError
from quickstudy.evaluation.statistics import paired_bootstrap
from quickstudy.inner.training_loop import SelectionEnvironment, TrainingEnvironment
from quickstudy.inner.training_loop.budgets import alone, greedy, in_hindsight, on_best, spend, successive_halving, uniform
from quickstudy.inner.training_loop.controls import OPTIMIZERS, PARTS
from quickstudy.inner.training_loop.schedules import GRID, train_by
from quickstudy.learners.agents.random_agent import RandomAgent
from quickstudy.runs.build import trials_of
from quickstudy.runs.opening import open_run
from quickstudy.tasks.trials import Trials

TASKS, BEFORE = 256, 64
NAMES = {"optimizer": list(OPTIMIZERS), "data": list(PARTS)}
PLANS = {"self-paced": ("easiest half", "without the hardest fifth", "all"), "hardest half first": ("hardest half", "all")}
WEIGHTS = 0.0, 0.5, 1.0, 2.0, 4.0
"""Of the log of a candidate's width, against that of its rate."""
ADAM = 0.1
"""The rate at which `OPTIMIZERS` has Adam at 0.001."""


@dataclass
class Found:
    """What came of the trainings: final losses and accuracies, `(trials,)`; actions and rewards, `(decisions, trials)`."""

    losses: torch.Tensor
    accuracy: torch.Tensor
    actions: torch.Tensor | None = None
    rewards: torch.Tensor | None = None


def played(trials: Trials, learner: Any) -> Found:
    agent, its, generator = learner.adapt(trials.support), trials.environment, chance()
    state, seen = its.reset(trials.tasks, generator)
    happened = []
    for _ in range(its.horizon):
        actions = agent.act(seen)
        state, seen, reward, done = its.step(trials.tasks, state, actions, generator)
        agent.told(reward, done)
        happened.append((actions, reward))
    assert isinstance(its, SelectionEnvironment | TrainingEnvironment)
    last = state.least if isinstance(its, SelectionEnvironment) else state.judged.validation
    return Found(last.exp(), its.accuracy(trials.tasks, state), *map(torch.stack, zip(*happened, strict=True)))


def planned(trials: Trials, plan: Sequence[int]) -> Found:
    """By these actions in order, each for an equal share of the decisions."""
    its, generator = trials.environment, chance()
    assert isinstance(its, TrainingEnvironment)
    state, _ = its.reset(trials.tasks, generator)
    for decision in range(its.horizon):
        action = plan[decision * len(plan) // its.horizon]
        state, *_ = its.step(trials.tasks, state, torch.full((len(trials),), action), generator)
    return Found(state.judged.validation.exp(), its.accuracy(trials.tasks, state))


def constant(trials: Trials, optimizer: str, rate: float) -> Found:
    """By an optimizer at the same rate in every training."""
    assert isinstance(trials.environment, TrainingEnvironment)
    losses, accuracy = train_by(trials.environment, trials.tasks, lambda *_: rate, chance(), optimizer=optimizer)
    return Found(losses[-1], accuracy)


def of_trainings(trials: Trials, before: Trials, control: str) -> dict[str, Found]:
    """Fixed choices of optimizers or of rows, and plans of two."""
    names = NAMES[control]
    numbers = range(len(names))
    plans = {plan: mean(planned(before, plan)) for plan in product(numbers, repeat=2)}
    best = min(numbers, key=lambda number: plans[number, number])
    first, second = min(plans, key=lambda plan: plans[plan])
    fixed = [planned(trials, [number]) for number in numbers]
    found = {f"always {name}": each for name, each in zip(names, fixed, strict=True)}
    found[f"best: always {names[best]}"] = fixed[best]
    found[f"best plan of two halves: {names[first]}, then {names[second]}"] = planned(trials, [first, second])
    if control == "data":
        found |= {name: planned(trials, [names.index(part) for part in plan]) for name, plan in PLANS.items()}
    else:
        found["adam at 0.001"] = constant(trials, "adam", ADAM)
        optimizer, rate = min(product(OPTIMIZERS, GRID), key=lambda each: mean(constant(before, *each)))
        found[f"knows more: {optimizer} at {rate:.3g}, tuned"] = constant(trials, optimizer, rate)
    least = torch.stack([each.losses for each in fixed]).argmin(0), torch.arange(len(trials))
    hindsight = (torch.stack([getattr(each, name) for each in fixed])[least] for name in ("losses", "accuracy"))
    return found | {f"{len(names)} times the cost: always one, in hindsight": Found(*hindsight)}


def of_models(trials: Trials, before: Trials) -> dict[str, Found]:
    """Rules that spend a budget."""

    def spent(its: Trials, budget: Any) -> Found:
        assert isinstance(its.environment, SelectionEnvironment)
        found = spend(its.environment, its.tasks, budget, chance())
        return Found(found.losses[-1], found.accuracy)

    def likely(its: Trials, rate: float, weight: float) -> torch.Tensor:
        """The candidate with a rate near this one and many units."""
        return ((its.tasks["rate"] / rate).log().abs() - weight * its.tasks["width"].log()).argmin(1)

    its, rows = trials.environment, torch.arange(len(before))
    assert isinstance(its, SelectionEnvironment)
    each = torch.stack([spent(before, alone(number)).losses for number in range(its.candidates)], dim=1).log()
    rate, weight = min(product(GRID, WEIGHTS), key=lambda prior: each[rows, likely(before, *prior)].mean().item())
    budgets = {
        "one at random": alone(),
        f"best guess: near a rate of {rate:.3g}, {weight} for width, without any loss": alone(likely(trials, rate, weight)),
        "uniform": uniform,
        "greedy": greedy,
        "successive halving": successive_halving(its.candidates, its.horizon),
    }
    ceiling = in_hindsight(its, trials.tasks, chance())
    found = {name: spent(trials, budget) for name, budget in budgets.items()}
    return found | {f"{its.candidates} times the cost: one, in hindsight": Found(ceiling.losses[-1], ceiling.accuracy)}


def chosen(trials: Trials, found: Found) -> dict[str, list[float]]:
    """Shares of what was chosen, by decision; of models, of the one that is best in the end, and medians of rate and width."""
    actions, rewards, its = found.actions, found.rewards, trials.environment
    assert actions is not None
    assert rewards is not None
    if isinstance(its, TrainingEnvironment):
        return {name: _rounded((actions == number).float().mean(1)) for number, name in enumerate(NAMES[its.control[0]])}
    rows = torch.arange(len(trials))
    best = on_best(actions, -rewards.cumsum(0))
    medians = {name: _rounded(trials.tasks[name][rows, actions].double().median(1).values) for name in ("rate", "width")}
    return {"the best in the end": _rounded(best.float().mean(1)), **medians}


def main(runs: list[str]) -> None:
    for run in runs:
        recipe, learner = open_run(run)
        part = recipe.data.trials and recipe.data.trials.training
        if part is None or part.control not in (("optimizer",), ("data",), ("model",)):
            raise QuickstudyError(f"{run} chooses neither an optimizer nor data nor a model; give a run of one of those recipes")
        trials = trials_of(recipe, TASKS, part="test", seed=8)
        before = trials_of(recipe, BEFORE, part="train", seed=7)
        control = part.control[0]
        others = of_models(trials, before) if control == "model" else of_trainings(trials, before, control)
        others = {"random policy": played(trials, RandomAgent(trials.environment))} | others
        policy = played(trials, learner)
        print(json.dumps({"run": run.rsplit("/", 1)[-1], "control": control, **_row(policy)}), flush=True)
        for name, other in others.items():
            lead, ends = paired_bootstrap(policy.losses.log().tolist(), other.losses.log().tolist())
            assert ends is not None
            percent = [round(100 * math.expm1(each), 1) for each in (lead, *ends)]
            print(json.dumps({"beside": name, **_row(other), "policy less it, %": percent}), flush=True)
        print(json.dumps({"chosen by decision": chosen(trials, policy)}), flush=True)


def chance() -> torch.Generator:
    """Of the minibatches, the same for all."""
    return torch.Generator().manual_seed(1)


def mean(found: Found) -> float:
    """Geometric."""
    return found.losses.log().mean().exp().item()


def _row(found: Found) -> dict[str, float]:
    return {"loss": round(mean(found), 4), "accuracy": round(found.accuracy.mean().item(), 4)}


def _rounded(values: torch.Tensor) -> list[float]:
    return [round(each, 3) for each in values.tolist()]


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(sys.argv[1:])
