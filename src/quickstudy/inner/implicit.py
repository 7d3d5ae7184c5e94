"""The gradient through a solved inner problem: conjugate gradients with Hessian-vector products."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from quickstudy.inner.rules import Rule, State
from quickstudy.models.functional import Parameters


class Proximal(Rule):
    """A rule on the loss plus strength/2 |phi - phi_0|^2.

    phi_0 is part of its state, and the recursion does not differentiate the first state: an implicit gradient need not.
    """

    def __init__(self, rule: Rule, strength: float):
        super().__init__()
        self.rule, self.strength = rule, strength

    @property
    def stationary(self) -> bool:
        """No: it rests where the loss and the pull balance."""
        return False

    def init(self, phi: Parameters) -> State:
        """The rule's own, and where phi started."""
        return {
            **{f"rule/{key}": value for key, value in self.rule.init(phi).items()},
            **{f"start/{k}": v for k, v in phi.items()},
        }

    def update(self, step: int, phi: Parameters, state: State, gradient: Parameters) -> tuple[Parameters, State]:
        """One step of the rule along the gradient with the pull towards the start."""
        own = {key.removeprefix("rule/"): value for key, value in state.items() if key.startswith("rule/")}
        pulled = {name: gradient[name] + self.strength * (value - state[f"start/{name}"]) for name, value in phi.items()}
        phi, own = self.rule.update(step, phi, own, pulled)
        return phi, {**state, **{f"rule/{key}": value for key, value in own.items()}}


@dataclass(frozen=True)
class Solution:
    """What conjugate gradients found."""

    x: Parameters
    iterations: int
    residual: float
    """|b - A x| / |b|"""


def conjugate_gradients(
    apply: Callable[[Parameters], Parameters], b: Parameters, *, iterations: int, tolerance: float
) -> Solution:
    """x with A x = b for a symmetric positive definite A that is given as a function (Hestenes and Stiefel 1952).

    Stops at the relative residual `tolerance`, after `iterations`, or where A turns out not to be positive definite along a
    direction: what was found until then is the answer, and its residual says how good it is.
    """
    x = {name: torch.zeros_like(value) for name, value in b.items()}
    r, p = dict(b), dict(b)
    squared = start = _dot(r, r)
    done = 0
    while done < iterations and squared > tolerance**2 * start and squared > 0:
        product = apply(p)
        curvature = _dot(p, product)
        if curvature <= 0:
            break
        done += 1
        step = squared / curvature
        x = {name: x[name] + step * p[name] for name in x}
        r = {name: r[name] - step * product[name] for name in r}
        squared, before = _dot(r, r), squared
        p = {name: r[name] + (squared / before) * p[name] for name in p}
    return Solution(x, done, float((squared / start) ** 0.5) if start > 0 else 0.0)


def _dot(a: Parameters, b: Parameters) -> float:
    return sum(float((a[name] * b[name]).sum()) for name in a)
