"""Trajectories of several tasks side by side, and what a policy gradient takes from them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch

from quickstudy.errors import QuickstudyError
from quickstudy.inner.policy_gradient import Steps, advantages, linear_baseline, normalised, returns_to_go
from quickstudy.tasks.environments.sound import Sound
from quickstudy.tasks.playing import Playing

Draw = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
"""Observations `(tasks, episodes, observation)` -> actions `(tasks, episodes, ...)`, and their log-probabilities."""


@dataclass(frozen=True)
class Lives:
    """What was played of some tasks, `(tasks, steps, episodes, ...)` each: before each inner step, and after the last."""

    before: list[Steps]
    after: Steps

    def __len__(self) -> int:
        return len(self.after.live)


def trajectories(playing: Playing, draw: Draw, *, gamma: float, lam: float) -> Steps:
    """All episodes of each task, side by side, `(tasks, steps, episodes, ...)`.

    Advantages are beside a baseline that is linear in observations and time, and are normalised; both for each task. A
    trajectory in which a number is not finite does not count.

    Raises:
        QuickstudyError: none is finite.
    """
    environment, count = Sound(playing.environment), playing.count
    rows = {name: values.repeat_interleave(count, 0) for name, values in playing.tasks.items()}
    happened: list[list[torch.Tensor]] = []

    def act(seen: torch.Tensor) -> torch.Tensor:
        seen = seen.unflatten(0, (-1, count))
        actions, log_probs = draw(seen)
        happened.append([seen, actions, log_probs])
        return actions.flatten(0, 1)

    for reward, _, live in Playing(environment, rows, 1, playing.seed).steps(act):
        happened[-1] += [each.unflatten(0, (-1, count)) for each in (reward, live)]
    seen, actions, log_probs, rewards, live = (torch.stack(each) for each in zip(*happened, strict=True))
    live = live & ~_broken(environment).unflatten(0, (-1, count))
    returns = returns_to_go(rewards, gamma)
    read, told, counted = (each.transpose(0, 1) for each in (seen, returns, live))
    expected = linear_baseline(read, told, counted).transpose(0, 1) * live
    ahead = advantages(rewards, expected, gamma, lam).transpose(0, 1)
    ahead = torch.stack([normalised(*each) for each in zip(ahead, counted, strict=True)])
    ahead = torch.where(counted, ahead, 0.0)  # of what does not count it is no number where nothing of the task does
    return Steps(read, actions.transpose(0, 1), log_probs.transpose(0, 1), ahead, told, counted)


def _broken(environment: Sound) -> torch.Tensor:
    """Which of the trajectories are not finite, `(rows,)`; says how many."""
    broken = environment.broken
    if count := int(broken.sum()):
        if count == len(broken):
            raise QuickstudyError(f"{environment.name}: none of {count} trajectories is finite; mend the environment")
        said = f"{environment.name}: {count} of {len(broken)} trajectories are not finite, and left out; mend the environment"
        warnings.warn(said, stacklevel=2)
    return broken
