"""The base of every learner that learns a task by gradient steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import nn

from quickstudy.errors import QuickstudyError
from quickstudy.inner.carry import with_gradient
from quickstudy.inner.derivatives import Autograd, Derivatives, plus
from quickstudy.inner.diverged import check_learned, check_outer, learning
from quickstudy.inner.loop import InnerLoop
from quickstudy.inner.losses import Loss, default_loss, total
from quickstudy.inner.meta_gradient import Learned, meta_gradient, weighted
from quickstudy.inner.rules import Rates, Rule
from quickstudy.inner.rules.settings import rule_from
from quickstudy.learners.adapted import Adapted
from quickstudy.learners.base import Learner
from quickstudy.learners.together.groups import together
from quickstudy.models.batch_norm import refuse_parts
from quickstudy.models.device import device_of, like
from quickstudy.models.encoder import Encoder
from quickstudy.models.functional import Functional, Parameters, seeded
from quickstudy.models.heads import HEAD, LinearHead
from quickstudy.models.space import Space, resolve_space
from quickstudy.tasks.batch import Batch
from quickstudy.tasks.targets import as_tensor, is_labels, number
from quickstudy.tasks.task import Task

Gradient = Literal["exact", "first_order"]


class GradientLearner(Learner):
    """phi_0 = start(support); K inner steps on the support; the outer loss is the query's at phi_K.

    Args:
        model: held, not copied: gradients land in its parameters' own `.grad`. An `Encoder` gets a head of as many
            ways as the task has, from zero; any other module's output is compared with the targets.
        inner_lr: the inner learning rate, or `Rates` that are learned.
        rule: the inner update rule: a name, `{"name": "adam", "betas": [0.9, 0.99]}`, or a function from the rate to a `Rule`.
        outer_lr: for the outer optimizer; an attribute.
        inner_steps: K.
        adapt_steps: steps in `adapt`, where a new task is learned; None: K. Rates of their own end with the last one's.
        gradient: "exact" (second order) or "first_order" (each step's gradient counts as constant).
        keep_graph: False recomputes each step on the way back (memory of one step); True keeps the graph of all K
            steps (faster while it fits). The numbers are the same.
        micro_batch: at most so many examples in one call of the model.
        loss: `(output, targets)` to unreduced values, or to `(values, weights)`.
        space: what the inner loop moves. What requires a gradient outside it is eta, learned by the outer loop alone.

    Raises:
        QuickstudyError: an empty space; `micro_batch` with batch statistics, which look across the batch.
    """

    kinds = ("classify", "regress", "language")

    def __init__(
        self,
        model: nn.Module,
        inner_lr: float | Rates = 0.01,
        outer_lr: float = 0.001,
        *,
        inner_steps: int = 5,
        adapt_steps: int | None = None,
        rule: str | Mapping[str, Any] | Callable[[Any], Rule] = "sgd",
        gradient: Gradient = "exact",
        keep_graph: bool = False,
        micro_batch: int | None = None,
        loss: Loss | None = None,
        space: Space = "trainable",
    ):
        super().__init__()
        if gradient not in ("exact", "first_order"):
            remedy = "that is the learner imaml" if gradient == "implicit" else "it is 'exact' or 'first_order'"
            raise QuickstudyError(f"gradient={gradient!r} is not known to {type(self).__name__}; {remedy}")
        for name, steps in (("inner_steps", inner_steps), ("adapt_steps", adapt_steps or 0)):
            if steps < 0:
                raise QuickstudyError(f"{name}={steps}: the number of inner steps cannot be negative")
        if micro_batch is not None:
            refuse_parts(model, micro_batch)
        self.model, self.outer_lr = model, outer_lr
        self.inner_steps, self.adapt_steps = inner_steps, adapt_steps
        self.gradient, self.keep_graph, self.micro_batch = gradient, keep_graph, micro_batch
        self.loss: Loss = loss or default_loss
        self.names = self.resolve(space)
        self._function = Functional(model)
        self.rule = self._rule(rule, inner_lr)
        shapes = {name: p.shape for name, p in model.named_parameters() if name in set(self.names)}
        self.rule.bind(shapes | dict.fromkeys(self.added, torch.Size()), like=like(model))

    def _rule(self, rule: Any, inner_lr: float | Rates) -> Rule:
        make = rule if callable(rule) else rule_from(rule)
        return make(inner_lr)  # type: ignore[return-value]

    def resolve(self, space: Space) -> list[str]:
        """The model's parameters that the inner loop moves, by name."""
        return [] if space == "head" and self.makes_head else resolve_space(self.model, space)

    def start(self, support: Batch) -> Parameters:
        """phi_0, as a differentiable function of what the learner learns."""
        own = dict(self.model.named_parameters())
        phi: Parameters = {name: own[name] for name in self.names}
        if self.makes_head:
            ways = int(as_tensor(support.targets).max()) + 1
            phi[HEAD[0]], phi[HEAD[1]] = (like(self.model).new_zeros(ways, *size) for size in ((self.dim,), ()))
        return phi

    def call(self, phi: Parameters, inputs: Any) -> Any:
        """The model's output for these parameters; with the task's head where phi holds one."""
        if HEAD[0] not in phi:
            return self._function(phi, inputs)
        body = {name: value for name, value in phi.items() if name not in HEAD}
        return F.linear(self._function(body, inputs), phi[HEAD[0]], phi[HEAD[1]])

    def inner_batches(self, support: Batch, steps: int) -> Sequence[Batch]:
        """What each of so many steps learns from."""
        return [support] * steps

    def forward(self, tasks: Sequence[Task]) -> torch.Tensor:
        """The mean query loss over tasks after learning each; carries the gradient it has already computed."""
        if not tasks:
            raise QuickstudyError("an outer step needs at least one task")
        learned = list(self.parameters()) if torch.is_grad_enabled() else []
        value, sums = 0.0, [torch.zeros_like(p) for p in learned]
        for more, gradients in together(self, tasks, learned) or self._in_turn(tasks, learned):
            value, sums = value + more, plus(sums, gradients)
        return with_gradient(torch.as_tensor(value / len(tasks)), learned, [s / len(tasks) for s in sums])

    def _in_turn(self, tasks: Sequence[Task], learned: Sequence[torch.Tensor]) -> Iterator[Learned]:
        """One task after the other."""
        for index, task in enumerate(tasks):
            with learning(self.model, task.seed, index):
                value, gradients = self.learn(task.to(device_of(self.model)), learned)
                check_outer(value, gradients)
            yield value, gradients

    def learn(self, task: Task, learned: Sequence[torch.Tensor]) -> Learned:
        """One task's query loss after adapting, and its gradient for each of `learned`."""
        self._check()
        (support, query), _ = self.numbered(task.support, task.query)
        with seeded(task.support.seed, self.model):
            with torch.set_grad_enabled(bool(learned)):
                phi_0 = self.start(support)
            batches = self.inner_batches(support, self.inner_steps)
            if learned:
                return self.differentiate(self._inner, self._outer, phi_0, batches, query, learned)
            weights = self.step_weights()
            path = self._loop.learn(phi_0, batches, record=any(weights[:-1]))
            phis = [*(step.phi for step in path.steps[1:]), path.phi]
            with torch.no_grad():
                return weighted(self._outer, weights[-len(phis) :], phis, query), []

    def differentiate(
        self,
        inner: Derivatives,
        outer: Derivatives,
        phi_0: Parameters,
        batches: Sequence[Batch],
        query: Batch,
        learned: Sequence[torch.Tensor],
    ) -> Learned:
        """The query loss at phi_K, and its gradient through the K steps: at the memory of one, or with all their graphs.

        Args:
            inner: the derivatives of the inner loss, and `outer` those of the outer one.
            phi_0: the start, as a function of what is learned.
            batches: what each step learns from.
        """
        loop, how = InnerLoop(inner, self.rule, self.model), {"second_order": self.second_order, "keep_graph": self.keep_graph}
        return meta_gradient(loop, outer, phi_0, batches, query, learned, weights=self.step_weights(), **how)

    def step_weights(self) -> list[float]:
        """How much the query loss after each of the K steps counts; the last alone."""
        return [0.0] * (self.inner_steps - 1) + [1.0]

    @property
    def added(self) -> Sequence[str]:
        """The names in phi of what the learner adds to the model's own."""
        return HEAD if self.makes_head else ()

    @property
    def makes_head(self) -> bool:
        """Whether each task gets a head on top of the model's output, which then counts as an embedding."""
        return isinstance(self.model, Encoder)

    @property
    def dim(self) -> int:
        """Of the embeddings that a head is made for."""
        return int(self.model.dim)  # type: ignore[arg-type]

    @property
    def second_order(self) -> bool:
        """Whether the gradient goes through the inner loop's own gradients."""
        return self.gradient == "exact"

    def adapt(self, support: Batch) -> Adapted:
        """Learns one task by K inner steps."""
        self._check()
        (support,), classes = self.numbered(support)
        steps = self.inner_steps if self.adapt_steps is None else self.adapt_steps
        with seeded(support.seed, self.model), learning(self.model, support.seed):
            with torch.no_grad():
                phi = self.start(support)
            phi = self._loop.learn(phi, self.inner_batches(support, steps)).phi
            check_learned(list(phi.values()), steps)
        return self._adapted(phi, support, classes)

    def _check(self) -> None:
        if self.micro_batch is not None:
            refuse_parts(self.model, self.micro_batch)

    @property
    def _inner(self) -> Autograd:
        return Autograd(self.inner_objective, self.model, self.micro_batch)

    @property
    def _outer(self) -> Autograd:
        return Autograd(self.objective, self.model, self.micro_batch)

    @property
    def _loop(self) -> InnerLoop:
        return InnerLoop(self._inner, self.rule, self.model)

    def objective(self, phi: Parameters, batch: Batch, whole: bool) -> tuple[torch.Tensor, torch.Tensor | float]:
        """The outer loss, as weighted sum and sum of weights."""
        return total(self.loss, self.call(phi, batch.inputs), batch.targets, whole=whole)

    def inner_objective(self, phi: Parameters, batch: Batch, whole: bool) -> tuple[torch.Tensor, torch.Tensor | float]:
        """The loss of the inner loop: the outer one, unless a learner says otherwise."""
        return self.objective(phi, batch, whole)

    def numbered(self, support: Batch, *others: Batch) -> tuple[list[Batch], Sequence[str] | Sequence[int] | None]:
        """Batches with class numbers in the place of labels, and what the numbers stand for (None: themselves)."""
        if is_labels(support.targets) or self.makes_head:
            return number(support, *others)
        return [support, *others], None

    def _adapted(self, phi: Parameters, support: Batch, classes: Sequence | None) -> Adapted:
        real = classes is None and support.targets is not None and as_tensor(support.targets).is_floating_point()
        call = self._function if type(self).call is GradientLearner.call else self.call
        if HEAD[0] in phi:
            body = {name: value for name, value in phi.items() if name not in HEAD}
            return Adapted(self.model, call, phi=body, head=LinearHead(phi[HEAD[0]], phi[HEAD[1]]), classes=classes)
        return Adapted(self.model, call, phi=phi, classes=classes, real=real)
