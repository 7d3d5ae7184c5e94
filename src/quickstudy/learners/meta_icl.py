"""MetaICL (Min et al. 2022): learning to learn in context."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import nn

from quickstudy.errors import QuickstudyError
from quickstudy.inner.carry import with_gradient
from quickstudy.inner.derivatives import Autograd, plus
from quickstudy.inner.diverged import check_outer, learning
from quickstudy.learners.base import Learner
from quickstudy.learners.baselines.in_context import InContext
from quickstudy.models.device import device_of
from quickstudy.models.functional import Functional, Parameters, seeded
from quickstudy.models.prefix import Prefix
from quickstudy.models.prompts import Method
from quickstudy.models.window import Window
from quickstudy.tasks.batch import Batch
from quickstudy.tasks.task import Task


class MetaICL(InContext):
    """The model is trained to say each query after its task's support, as it will be asked to (section 3.1).

    min_theta of the mean over tasks of -log P_theta(y | x_1, y_1, .., x_k, y_k, x); channel: of -log P_theta(x | y_1, x_1, ..,
    y_k, x_k, y) (section 3.2). Of blocks of tokens: nats a token; of sentences with labels, as in the authors' code, the mean
    over the tokens of each answer, then over the examples. Only the right label enters training. The gradient is plain autograd.

    Args:
        model: a `LanguageModel`; what requires a gradient (adapters) is learned.
        outer_lr: for the outer optimizer.
        method: for sentences with labels, "direct" or "channel".
        context: as of `InContext`.
        micro_batch: at most so many queries of a task in one call of the model; memory is that of these and the support.
    """

    def __init__(
        self,
        model: nn.Module,
        outer_lr: float = 0.001,
        *,
        method: Method = "direct",
        context: int = 1024,
        micro_batch: int | None = 4,
    ):
        super().__init__(model, method=method, context=context)
        self.outer_lr, self.micro_batch, self._function = outer_lr, micro_batch, Functional(model)

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """What of the model requires a gradient."""
        return Learner.parameters(self, recurse)

    def forward(self, tasks: Sequence[Task]) -> torch.Tensor:
        """The mean query loss over tasks; carries the gradient it has already computed."""
        if not tasks:
            raise QuickstudyError("an outer step needs at least one task")
        learned = list(self.parameters()) if torch.is_grad_enabled() else []
        value, sums = 0.0, [torch.zeros_like(p) for p in learned]
        for index, task in enumerate(tasks):
            with learning(self.model, task.seed, index), seeded(task.seed, self.model):
                more, gradients = self.learn(task.to(device_of(self.model)), learned)
                check_outer(more, gradients)
            value, sums = value + more, plus(sums, gradients)
        return with_gradient(torch.as_tensor(value / len(tasks)), learned, [s / len(tasks) for s in sums])

    def learn(self, task: Task, learned: Sequence[torch.Tensor]) -> tuple[torch.Tensor, Sequence[torch.Tensor]]:
        """One task's query loss after its support, and its gradient for each of `learned`."""
        window = self.window(task.support)

        def objective(phi: Parameters, query: Batch, whole: bool) -> tuple[torch.Tensor, float]:
            return self.objective(window, query)

        outer = Autograd(objective, self.model, self.micro_batch)
        if not learned:
            return outer.value({}, task.query), []
        value, _, _, gradients = outer.slope({}, task.query, learned)
        return value, gradients

    def objective(self, window: Window, query: Batch) -> tuple[torch.Tensor, float]:
        """The weighted sum of the nats of all that is asked, and the sum of the weights."""
        questions = window.questions(query)
        sums, weights = [], 0.0
        for tokens, chosen in window.grouped([question.length for question in questions]):
            asked = [questions[at] for at in chosen]
            logits = Prefix(self.model, tokens)([q.block for q in asked], [q.wanted for q in asked])
            nats = F.cross_entropy(logits, torch.cat([q.targets for q in asked]).to(logits.device), reduction="none")
            parts = nats.split([len(q.targets) for q in asked])
            sums += [q.weight * part.sum() for q, part in zip(asked, parts, strict=True)]
            weights += sum(q.weight * len(q.targets) for q in asked)
        return torch.stack(sums).sum(), weights
