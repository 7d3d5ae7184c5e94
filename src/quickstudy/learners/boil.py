"""Body only in the inner loop (BOIL; Oh, Yoo, Kim and Yun 2021)."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from quickstudy.errors import QuickstudyError
from quickstudy.inner.rules import Rule, State
from quickstudy.learners.gradient import GradientLearner
from quickstudy.models.device import like
from quickstudy.models.functional import Parameters
from quickstudy.models.heads import HEAD
from quickstudy.models.space import resolve_space
from quickstudy.tasks.batch import Batch


class BOIL(GradientLearner):
    """MAML whose head stays as it is in the inner loop, so that the body has to learn the task (equations 1 and 2).

    Head and body are both learned by the outer loop. On an encoder the head is one for all tasks, of orthogonal rows, of
    which a task takes as many as it has classes.

    Args:
        ways: the most classes that a task on an encoder may have.
    """

    kinds = ("classify",)

    def __init__(self, model: nn.Module, inner_lr: Any = 0.01, outer_lr: float = 0.001, *, ways: int = 20, **settings: Any):
        super().__init__(model, inner_lr, outer_lr, **settings)
        if self.makes_head:
            rows = torch.nn.init.orthogonal_(torch.empty(ways, self.dim), generator=torch.Generator().manual_seed(0))
            self.head = nn.Parameter(rows.to(like(model)))

    def resolve(self, space: Any) -> list[str]:
        """The space without the head."""
        names = super().resolve(space)
        if self.makes_head:
            return names
        head = set(resolve_space(self.model, "head"))
        if not set(names) - head:
            raise QuickstudyError("BOIL moves the body alone, and the adaptation space holds nothing but the head")
        return [name for name in names if name not in head]

    def _rule(self, rule: Any, inner_lr: Any) -> Rule:
        return _Still(super()._rule(rule, inner_lr), HEAD)

    def start(self, support: Batch) -> Parameters:
        """The body, and the head's first rows."""
        phi = super().start(support)
        if self.makes_head:
            ways = len(phi[HEAD[0]])
            if ways > len(self.head):
                raise QuickstudyError(f"a task of {ways} classes, and BOIL's head has {len(self.head)}: give ways={ways}")
            phi[HEAD[0]] = self.head[:ways]
        return phi


class _Still(Rule):
    """A rule that leaves some parameters where they are."""

    by_element = True

    def __init__(self, rule: Rule, names: tuple[str, ...]):
        super().__init__()
        self.rule, self.names = rule, names

    def init(self, phi: Parameters) -> State:
        return self.rule.init(self._moving(phi))

    def update(self, step: int, phi: Parameters, state: State, gradient: Parameters) -> tuple[Parameters, State]:
        moved, state = self.rule.update(step, self._moving(phi), state, self._moving(gradient))
        return {name: moved.get(name, value) for name, value in phi.items()}, state

    def _moving(self, values: Parameters) -> Parameters:
        return {name: value for name, value in values.items() if name not in self.names}
