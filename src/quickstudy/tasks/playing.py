"""`Playing`: episodes that are still to be played, of many trials side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from quickstudy.errors import QuickstudyError
from quickstudy.tasks.environments.environment import Environment, Tensors

if TYPE_CHECKING:
    from quickstudy.learners.agents.acting import Acting


@dataclass(frozen=True, eq=False)
class Playing:
    """Episodes of trials, to be played by an agent.

    Args:
        environment: what it plays in.
        tasks: what distinguishes the trials, `(trials, ...)` each.
        count: episodes of each.
        seed: of all chance in the environment.
    """

    environment: Environment
    tasks: Tensors
    count: int
    seed: int

    def __len__(self) -> int:
        return len(next(iter(self.tasks.values())))

    @torch.no_grad()
    def steps(self, act: Callable[[torch.Tensor], torch.Tensor]) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        """Plays: `act` gives actions for observations; yields rewards, whether the episode is over, and whether the step counts.

        Each `(trials,)`. An episode of some trial that ends before the others' waits for them; its steps do not count then.

        Raises:
            QuickstudyError: an observation or a reward that is not finite, or of another shape than the environment says.
        """
        environment, tasks = self.environment, self.tasks
        generator = torch.Generator().manual_seed(self.seed)
        for _ in range(self.count):
            state, seen = environment.reset(tasks, generator)
            live = torch.ones(len(self), dtype=torch.bool)
            for step in range(environment.horizon):
                _check(environment, "an observation", seen, (len(self), environment.observation))
                actions = act(seen)
                state, seen, reward, done = environment.step(tasks, state, actions, generator)
                _check(environment, "a reward", reward, (len(self),))
                over = done | (step == environment.horizon - 1)
                yield torch.where(live, reward, torch.zeros_like(reward)), over, live
                live = live & ~done
                if not live.any():
                    break

    def returns(self, adapted: Acting) -> torch.Tensor:
        """The sum of the rewards of each trial, `(trials,)`; the agent goes on from what it knows, which stays as it is."""
        total = torch.zeros(len(self))
        agent = adapted.again()
        for reward, ended, live in self.steps(agent.act):
            agent.told(reward, ended, live)
            total += reward
        return total


def _check(environment: Environment, what: str, values: torch.Tensor, shape: tuple[int, ...]) -> None:
    name = getattr(environment, "name", type(environment).__name__)
    if tuple(values.shape) != shape:
        raise QuickstudyError(f"{name} gave {what} of shape {tuple(values.shape)} for {shape[0]} trials; it should be {shape}")
    if not torch.isfinite(values).all():
        row = int((~torch.isfinite(values)).nonzero()[0, 0])
        raise QuickstudyError(f"{name} gave {what} that is not finite in trial {row}; mend the environment")
