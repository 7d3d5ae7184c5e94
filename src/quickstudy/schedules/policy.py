"""`RatePolicy`: one that was trained on small classifiers, asked about the rate of a single training, one decision at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from quickstudy.errors import QuickstudyError
from quickstudy.inner.training_loop.controls import Controls
from quickstudy.inner.training_loop.environment import TrainingEnvironment
from quickstudy.learners.agents.acting import Acting
from quickstudy.learners.agents.strategy import Strategy
from quickstudy.runs.shipped import find_run
from quickstudy.tasks.batch import Batch
from quickstudy.tasks.environments.spaces import Discrete

CONTROL = ("rate",)
"""What it decides, and nothing else."""


class RatePolicy:
    """The most likely decisions of a `Strategy`, and what it remembers of one training.

    Args:
        strategy: the policy, or the folder of a run that trained one; `learned-rate` ships.

    Attributes:
        decisions: of the trainings that it has learned on.

    Raises:
        QuickstudyError: one that is no `Strategy`, or that decides other things; or the folder is no run.
    """

    def __init__(self, strategy: Strategy | str | Path):
        self.decisions, learner = TrainingEnvironment.horizon, strategy
        if isinstance(strategy, str | Path):
            self.decisions, learner = _opened(strategy)
        if not isinstance(learner, Strategy):
            raise QuickstudyError(
                f"strategy is a {type(learner).__name__}; give a Strategy, or the folder of a run with `learner: strategy`"
            )
        wanted = TrainingEnvironment.observation, Discrete(Controls(CONTROL).count)
        if (learner.model.observation, learner.model.action) != wanted:
            raise QuickstudyError(
                f"the Strategy reads {learner.model.observation} numbers and gives {learner.model.action.outputs}, and one that "
                f"sets the rate alone reads {wanted[0]} and gives {wanted[1].outputs}; {_REMEDY}"
            )
        self._learner = learner
        self._acting = Acting(learner, self._begin())

    def factor(self, seen: torch.Tensor) -> float:
        """What to multiply the rate by, for an observation `(1, 8)`."""
        return Controls(CONTROL).decode(self._acting.act(seen))[0].item()

    def told(self, reward: float) -> None:
        """What came of the last decision."""
        self._acting.told(torch.tensor([reward]), torch.tensor([False]))

    def state_dict(self) -> dict[str, Any]:
        """Its memory after the last decision `(1, 1, units)`, that decision, -1 for none, and the policy's width."""
        now = self._acting.memory
        # What it was told before the last decision is in that decision, and does not matter any more.
        memory, action = (now.state, -1) if now.thought is None else (now.thought[0], now.thought[1].item())
        return {"memory": memory.detach().cpu().clone(), "action": action, "width": self._learner.model.width}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Remembers what a policy of the same kind did; `memory` may be nested lists.

        Raises:
            QuickstudyError: a state of another kind of policy.
        """
        now, memory = self._begin(), torch.as_tensor(state["memory"])
        theirs, ours = (_kind(width, kept) for width, kept in ((state["width"], memory), (self._learner.model.width, now.state)))
        if theirs != ours:
            raise QuickstudyError(
                f"the state is of a policy {theirs}, and this one is {ours}; give the strategy that it was saved with"
            )
        if state["action"] >= 0:
            now = replace(now, thought=(memory.to(now.state, copy=True), torch.tensor([state["action"]])))
        self._acting.memory = now

    def _begin(self) -> Any:
        return self._learner.begin(Batch(torch.zeros(1)))


_REMEDY = "train one with `control: [rate]` in data.trials.training of its recipe"


def _opened(folder: str | Path) -> tuple[int, Any]:
    """The learner of a run, and how many decisions its trainings had."""
    from quickstudy.runs.opening import open_run

    recipe, learner = open_run(find_run(folder) or folder)
    part = recipe.data.trials and recipe.data.trials.training
    if part is None:
        raise QuickstudyError(f"{folder} is a run of {type(learner).__name__} that has not learned on trainings; {_REMEDY}")
    if tuple(part.control) != CONTROL:
        raise QuickstudyError(
            f"{folder} has learned to decide {' and '.join(part.control)}, and a schedule sets the rate alone; {_REMEDY}"
        )
    return part.horizon, learner


def _kind(width: int, memory: torch.Tensor) -> str:
    return f"of width {width} " + (f"with a memory of {memory.shape[-1]}" if memory.shape[-1] else "without a memory")
