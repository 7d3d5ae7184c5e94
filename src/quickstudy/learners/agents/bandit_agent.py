"""Agents for bandits that count what each arm paid; they know that arms are uniform on [0, 1], and nothing else beforehand."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from quickstudy.errors import QuickstudyError
from quickstudy.learners.agents.acting import Agent
from quickstudy.tasks.batch import Batch
from quickstudy.tasks.environments.bandits import Bandits


@dataclass(frozen=True, eq=False)
class Pulled:
    """How often each arm paid, and how often it was pulled, `(trials, arms)` each; the last pulls, `(trials,)`."""

    paid: torch.Tensor
    pulls: torch.Tensor
    last: torch.Tensor
    chance: torch.Generator


class BanditAgent(Agent):
    """Counts; a subclass says which arm to pull.

    Args:
        environment: the bandits.

    Raises:
        QuickstudyError: another environment.
    """

    def __init__(self, environment: Bandits):
        super().__init__()
        if not isinstance(environment, Bandits):
            raise QuickstudyError(
                f"{type(self).__name__} counts what the arms of Bandits pay, and {type(environment).__name__} has none; "
                "give Bandits(arms=...)"
            )
        self.environment = environment

    def pull(self, memory: Pulled, generator: torch.Generator) -> torch.Tensor:
        """An arm for each trial, `(trials,)`."""
        raise NotImplementedError

    def begin(self, support: Batch) -> Pulled:
        """Nothing was pulled."""
        none = torch.zeros(len(support), self.environment.arms)
        return Pulled(none, none, self.environment.action.none(len(support)), torch.Generator().manual_seed(support.seed))

    def choose(self, memory: Pulled, seen: torch.Tensor) -> tuple[torch.Tensor, Pulled]:
        """The arm to pull; there is nothing to see."""
        generator = memory.chance.clone_state()
        arms = self.pull(memory, generator)
        return arms, replace(memory, last=arms, chance=generator)

    def told(self, memory: Pulled, reward: torch.Tensor, ended: torch.Tensor, live: torch.Tensor) -> Pulled:
        """One more count; every pull is an episode."""
        pulled = self.environment.action.encode(memory.last)
        return replace(memory, paid=memory.paid + reward[:, None] * pulled, pulls=memory.pulls + pulled)
