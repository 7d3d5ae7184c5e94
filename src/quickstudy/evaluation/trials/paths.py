"""Ways that an agent took in the plane: before it has learned anything of its task, and after."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from quickstudy.evaluation.trials.record import Record, Recording
from quickstudy.learners.agents.acting import Acting
from quickstudy.tasks.environments import Points
from quickstudy.tasks.trials import Trials

TASKS = 6
"""Of which ways are drawn."""


@dataclass(frozen=True, eq=False)
class Way:
    """One episode.

    Args:
        places: from the origin on, `(steps + 1, 2)`.
        goal: `(2,)`.
        circles: the centres of obstacles, `(obstacles, 2)`, and `radius` that of each.
    """

    places: torch.Tensor
    goal: torch.Tensor
    circles: torch.Tensor
    radius: float


@dataclass(frozen=True, eq=False)
class Ways:
    """Some tasks.

    Args:
        name: of what stands beside others.
        each: one way in each task.
        paid: the mean return of these episodes.
    """

    name: str
    each: list[Way]
    paid: float


def before_and_after(recording: Recording, trials: Trials) -> list[Ways]:
    """The first episode of one that knows nothing yet of its tasks, and the last that was recorded."""
    few = replace(trials[:TASKS], episodes=1)
    fresh = Recording(Acting(recording.agent, recording.agent.begin(few.support)))
    few.score(fresh)
    return [ways("before it learns", fresh.record, few), ways("after it", recording.record, few)]


def ways(name: str, record: Record, trials: Trials) -> Ways:
    """The last episode of a record, of the first tasks: no chance is in where an action leads."""
    its, tasks, last, chance = trials.environment, trials.tasks, record.last, torch.Generator()
    assert isinstance(its, Points)
    count = len(trials)
    state, _ = its.reset(tasks, chance)
    places = [state]
    for actions in last.actions[:, :count]:
        state = its.step(tasks, state, actions, chance)[0]
        places.append(state)
    found = torch.stack(places, dim=1)
    steps = last.live[:, :count].sum(0).tolist()
    each = [
        Way(places[: 1 + lived], goal, circles, its.radius)
        for places, lived, goal, circles in zip(found, steps, tasks["goal"], tasks["obstacles"], strict=True)
    ]
    return Ways(name, each, last.returns[:count].mean().item())
