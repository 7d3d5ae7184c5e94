"""`Acting`: what was learned of trials so far, by one that acts in them and goes on learning."""

from __future__ import annotations

from typing import Any, Protocol

import torch

from quickstudy.errors import QuickstudyError
from quickstudy.learners.adapted import Adapted
from quickstudy.learners.base import Learner
from quickstudy.tasks.batch import Batch


class Player(Protocol):
    """How one acts, and learns from what comes of it. Memories are values: nothing changes the one that is given."""

    def begin(self, support: Batch) -> Any:
        """The memory of one that knows nothing yet of these trials; all its chance comes from `support.seed`.

        A generator in a memory is a value like the rest of it: whoever draws from it draws from a `clone_state()`.
        """
        ...

    def choose(self, memory: Any, seen: torch.Tensor) -> tuple[torch.Tensor, Any]:
        """Actions for observations `(trials, observation)`, and the memory after it."""
        ...

    def told(self, memory: Any, reward: torch.Tensor, ended: torch.Tensor, live: torch.Tensor) -> Any:
        """The memory once it is known what came of the actions, as `Acting.told` says."""
        ...


class Acting(Adapted):
    """An agent in trials.

    Args:
        player: how it acts.
        memory: what it has learned.
    """

    def __init__(self, player: Player, memory: Any):
        self.player, self.memory = player, memory

    @torch.no_grad()
    def act(self, seen: torch.Tensor) -> torch.Tensor:
        """Actions for observations `(trials, observation)`."""
        actions, self.memory = self.player.choose(self.memory, seen)
        return actions

    @torch.no_grad()
    def told(self, reward: torch.Tensor, ended: torch.Tensor, live: torch.Tensor | None = None) -> None:
        """Learns what came of the actions, `(trials,)` each.

        Args:
            reward: what they earned.
            ended: whether this was the last step of an episode.
            live: whether the step counts; where an episode was over before, nothing came of it. None: it does everywhere.
        """
        self.memory = self.player.told(self.memory, reward, ended, torch.ones_like(ended) if live is None else live)

    def again(self) -> Acting:
        """Another that knows the same; what either learns from here on the other does not."""
        return Acting(self.player, self.memory)

    def predict(self, inputs: Any) -> Any:
        """An agent predicts nothing."""
        raise QuickstudyError(
            "an agent predicts nothing; ask act(observation), and say what came of it with told(reward, ended, live)"
        )


class Agent(Learner):
    """A learner that acts: learning a task is playing its first episodes."""

    kinds = ("act",)

    def begin(self, support: Batch) -> Any:
        """As in `Player`."""
        raise NotImplementedError

    def choose(self, memory: Any, seen: torch.Tensor) -> tuple[torch.Tensor, Any]:
        """As in `Player`."""
        raise NotImplementedError

    def told(self, memory: Any, reward: torch.Tensor, ended: torch.Tensor, live: torch.Tensor) -> Any:
        """As in `Player`."""
        raise NotImplementedError

    def adapt(self, support: Batch) -> Acting:
        """Plays the episodes that are for learning alone."""
        agent = Acting(self, self.begin(support))
        for came_of_it in support.inputs.steps(agent.act):
            agent.told(*came_of_it)
        return agent
