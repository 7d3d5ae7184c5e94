"""Rules that spend a budget on candidates in a `SelectionEnvironment`: what one that chooses is compared with."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from quickstudy.errors import QuickstudyError
from quickstudy.inner.training_loop.selection import SelectionEnvironment
from quickstudy.tasks.environments.environment import Tensors

Budget = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Who is trained next, `(trials,)`, by the decisions that each candidate has had and its validation loss (or the log of it),
`(trials, candidates)` each."""


def alone(candidate: int | torch.Tensor = 0) -> Budget:
    """All of it to one: the same number in every trial, or `(trials,)`. The first one drawn is any one, at random."""
    return lambda spent, losses: torch.as_tensor(candidate).expand(len(spent))


def uniform(spent: torch.Tensor, losses: torch.Tensor) -> torch.Tensor:
    """Each in turn."""
    return spent.argmin(1)


def greedy(spent: torch.Tensor, losses: torch.Tensor) -> torch.Tensor:
    """Each once, and from then on the one with the least loss."""
    return losses.masked_fill(spent == 0, -math.inf).argmin(1)


def successive_halving(candidates: int, decisions: int) -> Budget:
    """The better half goes on, round by round (Jamieson and Talwalkar 2016).

    S_0 is all n candidates. In round k = 0 .. ceil(log2 n) - 1 each of S_k gets floor(B / (|S_k| ceil(log2 n))) of the B
    decisions, and the floor(|S_k| / 2) with the least losses are S_{k+1}. What rounding leaves goes to the best of the last
    round.

    Raises:
        QuickstudyError: too few decisions for the first round.
    """
    count = math.ceil(math.log2(candidates))
    if decisions < (least := candidates * count):
        raise QuickstudyError(
            f"{decisions} decisions are too few to halve {candidates} candidates {count} times; give at least {least}"
        )
    rounds, left, level, end = [], candidates, 0, 0.0
    for _ in range(count):
        low, level = level, level + decisions // (left * count)
        end += left * (level - low)
        rounds.append((end, low, level))
        left //= 2
    rounds.append((math.inf, level, math.inf))

    def budget(spent: torch.Tensor, losses: torch.Tensor) -> torch.Tensor:
        """Of those that have had as much as is needed to be in this round, the best is next, until it has had its share."""
        low, high = next((low, high) for end, low, high in rounds if spent[0].sum() < end)
        waiting, begun = spent == low, (spent > low) & (spent < high)
        return losses.masked_fill(~waiting, math.inf).masked_fill(begun, -math.inf).argmin(1)

    return budget


@dataclass(frozen=True, eq=False)
class Spent:
    """What came of a budget.

    Args:
        chosen: who was trained, `(decisions, trials)`.
        losses: validation loss of the best model so far in nats, after each decision, `(decisions, trials)`.
        accuracy: of the best model in the end, on the validation rows, `(trials,)`.
    """

    chosen: torch.Tensor
    losses: torch.Tensor
    accuracy: torch.Tensor


@torch.no_grad()
def spend(environment: SelectionEnvironment, tasks: Tensors, budget: Budget, generator: torch.Generator) -> Spent:
    """Trains candidates as a rule says."""
    state, _ = environment.reset(tasks, generator)
    chosen, losses = [], []
    for _ in range(environment.horizon):
        chosen.append(budget(state.spent, state.candidates["validation"]))
        state, *_ = environment.step(tasks, state, chosen[-1], generator)
        losses.append(state.least.exp())
    return Spent(torch.stack(chosen), torch.stack(losses), environment.accuracy(tasks, state))


def in_hindsight(environment: SelectionEnvironment, tasks: Tensors, generator: torch.Generator) -> Spent:
    """A ceiling: each candidate gets the whole budget, and the one that ends best counts. It costs `candidates` times as much."""
    begun = generator.get_state()
    each = [spend(environment, tasks, alone(number), generator.set_state(begun)) for number in range(environment.candidates)]
    best = torch.stack([found.losses[-1] for found in each]).argmin(0)
    its = ..., torch.arange(len(best)), best
    return Spent(*(torch.stack(values, dim=-1)[its] for values in zip(*(vars(found).values() for found in each), strict=True)))


def on_best(chosen: torch.Tensor, losses: torch.Tensor) -> torch.Tensor:
    """Whether each decision went to the candidate that the best model in the end is of, `(decisions, trials)`.

    Args:
        chosen, losses: as of `Spent`; the losses may be logarithms, less those at the start.
    """
    made = (losses == losses[-1]).int().argmax(0)  # the decision after which nothing better came
    return chosen == chosen.gather(0, made[None])
