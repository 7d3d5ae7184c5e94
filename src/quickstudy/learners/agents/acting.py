"""`Acting`: what was learned of trials so far, by one that acts in them and goes on learning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from quickstudy.errors import QuickstudyError
from quickstudy.learners.adapted import Adapted
from quickstudy.learners.base import Learner
from quickstudy.tasks.batch import Batch


class Acting(Adapted):
    """An agent in trials.

    Args:
        agent: how it acts, and learns from what comes of it.
        memory: what it has learned.
    """

    def __init__(self, agent: Agent, memory: Any):
        self.agent, self.memory = agent, memory

    @torch.no_grad()
    def act(self, seen: torch.Tensor) -> torch.Tensor:
        """Actions for observations `(trials, observation)`."""
        actions, self.memory = self.agent.choose(self.memory, seen)
        return actions

    @torch.no_grad()
    def told(self, reward: torch.Tensor, ended: torch.Tensor, live: torch.Tensor | None = None) -> None:
        """Learns what came of the actions, `(trials,)` each.

        Args:
            reward: what they earned.
            ended: whether this was the last step of an episode.
            live: whether the step counts; where an episode was over before, nothing came of it. None: it does everywhere.
        """
        self.memory = self.agent.told(self.memory, reward, ended, torch.ones_like(ended) if live is None else live)

    def again(self) -> Acting:
        """Another that knows the same; what either learns from here on the other does not."""
        return Acting(self.agent, self.memory)

    def predict(self, inputs: Any) -> Any:
        """An agent predicts nothing."""
        raise QuickstudyError(
            "an agent predicts nothing; ask act(observation), and say what came of it with told(reward, ended, live)"
        )

    def save_pretrained(self, folder: str | Path, *, card: str | None = None) -> None:
        """What is learned of trials ends with them."""
        raise QuickstudyError(
            "what an agent learned of these trials ends with them; the run keeps how it learns, so open that again"
        )


class Agent(Learner):
    """A learner that acts: learning a task is playing its first episodes.

    Its memories are values: none that is given is changed.
    """

    kinds = ("act",)

    def begin(self, support: Batch) -> Any:
        """The memory of one that knows nothing yet of these trials; all its chance comes from `support.seed`.

        A generator in a memory is a value like the rest of it: whoever draws from it draws from a `clone_state()`.
        """
        raise NotImplementedError

    def choose(self, memory: Any, seen: torch.Tensor) -> tuple[torch.Tensor, Any]:
        """Actions for observations `(trials, observation)`, and the memory after it."""
        raise NotImplementedError

    def told(self, memory: Any, reward: torch.Tensor, ended: torch.Tensor, live: torch.Tensor) -> Any:
        """The memory once it is known what came of the actions, as `Acting.told` says."""
        raise NotImplementedError

    def adapt(self, support: Batch) -> Acting:
        """Plays the episodes that are for learning alone."""
        acting = Acting(self, self.begin(support))
        for came_of_it in support.inputs.steps(acting.act):
            acting.told(*came_of_it)
        return acting
