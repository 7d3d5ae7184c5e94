"""Agents for tabular MDPs that plan with what they counted; they know the prior of `MDPs`, and nothing else beforehand."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from quickstudy.errors import QuickstudyError
from quickstudy.learners.agents.acting import Agent
from quickstudy.tasks.batch import Batch
from quickstudy.tasks.environments.mdps import MDPs


@dataclass(frozen=True, eq=False)
class Lived:
    """What was counted of each trial, and where it stands.

    Args:
        paid, visits: the sum of the rewards of each state and action, and how many: `(trials, states, actions)`.
        moved: where each led, `(trials, states, actions, states)`.
        last: the last state and action, `(trials,)` each.
        plan: an action for each state, by the steps of an episode that went before: `(horizon, trials, states)`.
        step: of the episode.
    """

    paid: torch.Tensor
    visits: torch.Tensor
    moved: torch.Tensor
    last: tuple[torch.Tensor, torch.Tensor]
    plan: torch.Tensor
    step: int
    chance: torch.Generator


class PlanningAgent(Agent):
    """Counts, and plans as an episode begins; a subclass says for which MDP.

    Args:
        environment: the MDPs.

    Raises:
        QuickstudyError: another environment.
    """

    def __init__(self, environment: MDPs):
        super().__init__()
        if not isinstance(environment, MDPs):
            raise QuickstudyError(
                f"{type(self).__name__} counts the transitions of MDPs, and {type(environment).__name__} has no states that "
                "it could count; give MDPs(...)"
            )
        self.environment = environment

    def believe(self, memory: Lived, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """The MDP to plan for: means of rewards `(trials, states, actions)`, and transitions `(..., states)`."""
        raise NotImplementedError

    def begin(self, support: Batch) -> Lived:
        """Nothing was seen."""
        trials, states, actions = len(support), self.environment.states, self.environment.actions
        none = torch.zeros(trials, states, actions)
        nowhere = torch.zeros(trials, dtype=torch.long)
        plan = torch.zeros(self.environment.horizon, trials, states, dtype=torch.long)
        return Lived(
            none, none, torch.zeros(*none.shape, states), (nowhere, nowhere), plan, 0, torch.Generator().manual_seed(support.seed)
        )

    def choose(self, memory: Lived, seen: torch.Tensor) -> tuple[torch.Tensor, Lived]:
        """What the plan says, which is made as an episode begins."""
        state, rows = seen.argmax(-1), torch.arange(len(seen))
        if memory.step == 0:
            # Where the last action of an episode led is never shown: the first state of the next one is.
            generator = memory.chance.clone_state()
            memory = replace(memory, plan=solve(*self.believe(memory, generator), self.environment.horizon), chance=generator)
        else:
            memory = replace(memory, moved=_added(memory.moved, (*memory.last, state), torch.ones(len(seen))))
        actions = memory.plan[memory.step, rows, state]
        return actions, replace(memory, last=(state, actions))

    def told(self, memory: Lived, reward: torch.Tensor, ended: torch.Tensor, live: torch.Tensor) -> Lived:
        """One more reward."""
        step = (memory.step + 1) % self.environment.horizon  # episodes end by their horizon alone, all at once
        paid, visits = _added(memory.paid, memory.last, reward), _added(memory.visits, memory.last, torch.ones_like(reward))
        return replace(memory, paid=paid, visits=visits, step=step)


def posterior(memory: Lived) -> tuple[torch.Tensor, torch.Tensor]:
    """Rewards are N(means, 1 / (1 + visits)), from N(1, 1) and noise of variance 1; transitions are Dirichlet(these)."""
    return (1 + memory.paid) / (1 + memory.visits), 1 + memory.moved


def solve(rewards: torch.Tensor, transitions: torch.Tensor, horizon: int) -> torch.Tensor:
    """The best actions in known MDPs, `(horizon, trials, states)`, by value iteration from the last step to the first."""
    value, plan = torch.zeros_like(rewards[..., 0]), []
    for _ in range(horizon):
        value, best = (rewards + (transitions @ value[:, None, :, None]).squeeze(-1)).max(-1)
        plan.append(best)
    return torch.stack(plan[::-1])


def _added(counts: torch.Tensor, at: tuple[torch.Tensor, ...], values: torch.Tensor) -> torch.Tensor:
    """New counts with a value more for each trial."""
    return counts.index_put((torch.arange(len(values)), *at), values, accumulate=True)
