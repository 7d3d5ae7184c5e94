"""Implicit MAML (Rajeswaran, Finn, Kakade and Levine 2019)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import nn

from quickstudy.errors import QuickstudyError
from quickstudy.inner.implicit import Proximal, Solution, conjugate_gradients
from quickstudy.inner.meta_gradient import with_start
from quickstudy.inner.rules import Rates, Rule
from quickstudy.learners.gradient import GradientLearner
from quickstudy.models.functional import Parameters, seeded
from quickstudy.tasks.task import Task


class IMAML(GradientLearner):
    """Learns a start that tasks are pulled back to; the outer gradient needs where the inner loop ends, not its way there.

    The inner problem is min_phi L_support(phi) + strength/2 |phi - phi_0|^2 (equation 3), solved by `inner_steps` of the
    rule. At its solution dL/dphi_0 = (I + H/strength)^-1 dL_query/dphi with H the support's Hessian (equation 6, lemma 1), by
    conjugate gradients (algorithm 2). It equals the exact gradient as the inner problem converges; memory and the cost of the
    way back do not depend on `inner_steps`.

    Args:
        strength: lambda, the pull towards phi_0.
        cg_steps: at most so many Hessian-vector products.
        tolerance: the relative residual at which conjugate gradients stop.

    Attributes:
        solution: of the last task: iterations and residual of conjugate gradients.
        gradient_norm: of the last task: the inner objective's gradient where the inner loop ended; zero at its solution.

    Raises:
        QuickstudyError: a rule that does not rest where the gradient is zero, learned rates (the solution does not depend on
            them), or a kept graph (there is none).
    """

    def __init__(
        self,
        model: nn.Module,
        inner_lr: float = 0.01,
        outer_lr: float = 0.001,
        *,
        inner_steps: int = 16,
        strength: float = 2.0,
        cg_steps: int = 5,
        tolerance: float = 1e-6,
        gradient: Literal["implicit"] = "implicit",
        **settings: Any,
    ):
        if gradient != "implicit" or settings.get("keep_graph"):
            raise QuickstudyError(
                "IMAML's gradient is implicit and keeps no graph: leave gradient= and keep_graph= out, or use MAML"
            )
        if strength <= 0:
            raise QuickstudyError(f"strength={strength:g}: the pull towards the start has to be above 0")
        self.strength, self.cg_steps, self.tolerance = strength, cg_steps, tolerance
        self.solution: Solution | None = None
        self.gradient_norm = 0.0
        super().__init__(model, inner_lr, outer_lr, inner_steps=inner_steps, **settings)

    def _rule(self, rule: Any, inner_lr: float | Rates) -> Rule:
        made = super()._rule(rule, inner_lr)
        if not made.stationary:
            raise QuickstudyError(
                f"an implicit gradient needs a rule that rests where the loss's gradient is zero, and {type(made).__name__} "
                "with weight decay does not: leave weight_decay out, or use MAML"
            )
        if any(isinstance(module, Rates) for module in made.modules()):
            raise QuickstudyError("the solution of the inner problem does not depend on rates: give fixed ones, or use MAML")
        return Proximal(made, self.strength)

    @contextmanager
    def solved(self, task: Task, *, precision: float = 1e-9) -> Iterator[None]:
        """Inside, the inner loop takes as many steps as it needs to solve this task, and conjugate gradients as many too.

        Raises:
            QuickstudyError: the inner loop does not get there.
        """
        before = self.inner_steps, self.cg_steps, self.tolerance
        try:
            self.cg_steps, self.tolerance = 500, precision
            while True:
                self([task])
                if self.gradient_norm <= precision:
                    break
                if not self.gradient_norm < 1e6 or self.inner_steps > 20_000:
                    raise QuickstudyError(
                        f"the inner problem is not solved: its gradient is {self.gradient_norm:.1e} after {self.inner_steps} "
                        "steps, so the implicit gradient is not its gradient; lower inner_lr, or raise strength"
                    )
                self.inner_steps *= 2
            yield
        finally:
            self.inner_steps, self.cg_steps, self.tolerance = before

    def learn(self, task: Task, learned: Sequence[torch.Tensor]):
        """One task's query loss at the end of the inner loop, and its implicit gradient."""
        self._check()
        (support, query), _ = self.numbered(task.support, task.query)
        with seeded(task.support.seed, self.model):
            with torch.set_grad_enabled(bool(learned)):
                phi_0 = self.start(support)
            phi = self._loop.learn(phi_0, self.inner_batches(support, self.inner_steps)).phi
            if not learned:
                with torch.no_grad():
                    return self._outer.mean(phi, query), []
            value, _, slope, d_learned = self._outer.slope(phi, query, learned)
            _, weight, end, _ = self._inner.slope(phi, support)
            pull = {name: end[name] + self.strength * (phi[name] - phi_0[name].detach()) for name in phi}
            self.gradient_norm = float(sum(g.square().sum() for g in pull.values()) ** 0.5)

            def apply(vector: Parameters) -> Parameters:
                curved, _ = self._inner.hessian_vector(support, phi, weight, vector, ())
                return {name: v + curved[name] / self.strength for name, v in vector.items()}

            self.solution = conjugate_gradients(apply, slope, iterations=self.cg_steps, tolerance=self.tolerance)
            _, mixed = self._inner.hessian_vector(support, phi, weight, self.solution.x, learned)
            d_learned = [a - b / self.strength for a, b in zip(d_learned, mixed, strict=True)]
            return value, with_start(learned, d_learned, phi_0, self.solution.x)
