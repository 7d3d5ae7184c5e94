"""The Bayes-optimal policy of a bandit, by dynamic programming."""

from __future__ import annotations

import numpy as np
import torch

from quickstudy.errors import QuickstudyError
from quickstudy.learners.agents.bandit_agent import BanditAgent, Pulled
from quickstudy.tasks.environments.bandits import Bandits

STATES = 200_000
"""The most that `OptimalBandit` solves: 5 arms and 19 pulls, or 2 arms and 54."""


class OptimalBandit(BanditAgent):
    """The Bayes-optimal policy: no agent gets more on average (Bellman 1956). Exact, so for few arms and pulls alone.

    Args:
        environment: the bandits.
        pulls: of a trial, all of which pay.

    Raises:
        QuickstudyError: too many states, or (as it plays) more pulls than these.
    """

    def __init__(self, environment: Bandits, pulls: int):
        super().__init__(environment)
        self.pulls = pulls
        self._levels, self._best, _ = _solve(environment.arms, pulls)

    def pull(self, memory: Pulled, generator: torch.Generator) -> torch.Tensor:
        """The best arm of the state; deterministic."""
        done = int(memory.pulls[0].sum())
        if done >= self.pulls:
            raise QuickstudyError(
                f"OptimalBandit was solved for {self.pulls} pulls, and a trial goes on; give it pulls of a trial"
            )
        states = self._levels[done]
        arms, order = _code(memory.paid.long(), memory.pulls.long()).sort(-1, descending=True)
        # All states of this level are among the distinct rows of both, and nothing else is.
        both = torch.cat((states, arms[:, : states.shape[1]]))
        at = torch.unique(both, dim=0, return_inverse=True)[1][len(states) :]
        return order.gather(-1, self._best[done][at, None]).squeeze(-1)


def optimal_return(arms: int, pulls: int) -> float:
    """What `OptimalBandit` gets in a trial on average: 6.660 of 5 arms and 10 pulls.

    Raises:
        QuickstudyError: too many states.
    """
    return _solve(arms, pulls)[-1]


def _code(paid: torch.Tensor, pulls: torch.Tensor) -> torch.Tensor:
    """A number for an arm's counts: all of fewer pulls come before it, and those of as many pulls that paid less often."""
    return pulls * (pulls + 1) // 2 + paid


def _solve(arms: int, pulls: int) -> tuple[list[torch.Tensor], list[torch.Tensor], float]:
    """States after 0, 1, ... pulls, `(states, arms)`; the place of the best arm in each, `(states,)`; and the value of the first.

    A state is the `_code` of each arm, the largest first: which of the arms has which counts makes no difference.
    """
    if arms < 1 or pulls < 1:
        raise QuickstudyError(f"{arms} arms and {pulls} pulls: give at least 1 of each")
    arms = min(arms, pulls)  # no more can be pulled, and arms that never were are alike
    _refuse_many(arms, pulls)
    count = torch.arange(pulls).repeat_interleave(torch.arange(1, pulls + 1))  # pulls of each code
    mean = (torch.arange(len(count)) - _code(torch.zeros_like(count), count) + 1.0).double() / (count + 2)
    levels, after = [torch.zeros(1, arms, dtype=torch.long)], []
    for _ in range(pulls - 1):
        # One more pull of some arm moves its code by pulls + 1, and by 1 more where it paid.
        moved = torch.diag_embed(count[levels[-1]] + 1)[:, :, None] + torch.eye(arms).long()[:, None] * torch.arange(2)[:, None]
        states = (levels[-1][:, None, None] + moved).sort(-1, descending=True)[0]
        distinct, at = torch.unique(states.flatten(0, 2), dim=0, return_inverse=True)
        levels.append(distinct)
        after.append(at.view(-1, arms, 2))
    value, best = mean[levels[-1]].max(-1)
    places = [best]
    for states, at in zip(reversed(levels[:-1]), reversed(after), strict=True):
        paying, (fails, pays) = mean[states], value[at].unbind(-1)
        value, best = (paying * (1 + pays) + (1 - paying) * fails).max(-1)
        places.append(best)
    return levels, places[::-1], float(value)


def _refuse_many(arms: int, pulls: int) -> None:
    """Counts states as one counts the ways to give change: with j arms that were pulled, by the pulls of them all."""
    ways = np.zeros((arms + 1, pulls))
    ways[0, 0] = 1
    for each in range(1, pulls):
        for _ in range(each + 1):  # how many of an arm's pulls paid
            for used in range(arms):
                ways[used + 1, each:] += ways[used, :-each]
        if ways.sum() > STATES:
            raise QuickstudyError(
                f"{arms} arms and {pulls} pulls have more than {STATES:,} states, too many to solve exactly; "
                "give fewer, or compare with GreedyBandit and UCB1Bandit"
            )
