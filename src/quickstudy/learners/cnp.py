"""Conditional neural processes (Garnelo, Rosenbaum, Maddison, Ramalho, Saxton, Shanahan, Teh, Rezende and Eslami 2018)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from quickstudy.errors import QuickstudyError
from quickstudy.inner.losses import default_loss
from quickstudy.learners.adapted import Adapted
from quickstudy.learners.base import Learner
from quickstudy.models.device import device_of, like
from quickstudy.models.functional import Functional, Parameters
from quickstudy.models.networks import Standardized, mlp
from quickstudy.tasks.batch import Batch
from quickstudy.tasks.task import Task


class CNP(Learner):
    """Learns a task by reading it: no gradient steps, and the outer gradient is plain autograd.

    r = mean_i h(x_i, y_i) over the support, and the answer to x is g(x, r) (equations 1 to 3). The mean is learned, by squared
    error, and no variance.

    Args:
        model: g, which reads r beside its inputs `(examples, inputs)`: its first linear layer takes `inputs + context` numbers.
        outer_lr: for the outer optimizer.
        context: numbers in r.
        width: units of each of the two hidden layers of h.

    Raises:
        QuickstudyError: a network without linear layers, or whose first takes no more numbers than the context has.
    """

    kinds = ("regress",)

    def __init__(self, model: nn.Module, outer_lr: float = 0.001, *, context: int = 16, width: int = 100):
        super().__init__()
        layers = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
        if not layers or layers[0].in_features <= context:
            raise QuickstudyError(
                f"context={context}: CNP needs a network of linear layers whose first takes inputs and context; widen it, such "
                f"as {{mlp: [{1 + context}, 40, 1]}} for one input"
            )
        self.model, self.outer_lr, self.context, self._function = model, outer_lr, context, Functional(model)
        pairs = layers[0].in_features - context + layers[-1].out_features
        self.encoder = mlp([pairs, width, width, context], seed=int(torch.randint(2**31, ()))).to(like(model))

    def forward(self, tasks: Sequence[Task]) -> torch.Tensor:
        """The mean over tasks of the query's squared error; all examples of all tasks go through h, and g, in one call."""
        if not tasks:
            raise QuickstudyError("an outer step needs at least one task")
        tasks = [task.to(device_of(self.model)) for task in tasks]
        contexts = self._read([task.support for task in tasks])
        queries = [task.query for task in tasks]
        counts = [len(query) for query in queries]
        repeated = contexts.repeat_interleave(torch.tensor(counts, device=contexts.device), dim=0)
        answers = self.call({"context": repeated}, torch.cat([query.inputs for query in queries]))
        pairs = zip(answers.split(counts), queries, strict=True)
        return torch.stack([default_loss(answer, query.targets).mean() for answer, query in pairs]).mean()  # type: ignore[union-attr]

    @torch.no_grad()
    def adapt(self, support: Batch) -> Adapted:
        """Reads the support."""
        return Adapted(self.model, self.call, phi=self.start(support), real=True)

    def start(self, support: Batch) -> Parameters:
        """r."""
        return {"context": self._read([support.to(device_of(self.model))])[0]}

    def call(self, phi: Parameters, inputs: torch.Tensor) -> torch.Tensor:
        """g(x, r)."""
        context = phi["context"]
        return self._function({}, torch.cat([inputs.to(context.device), context.expand(len(inputs), -1)], dim=1))

    def _read(self, supports: Sequence[Batch]) -> torch.Tensor:
        """r of each support, `(supports, context)`."""
        inputs = torch.cat([support.inputs for support in supports])
        for layer in self.model.modules():  # what g reads standardized, h does too
            if isinstance(layer, Standardized):
                inputs = layer(inputs)
        embedded = self.encoder(torch.cat([inputs, torch.cat([support.targets for support in supports])], dim=1))
        return torch.stack([each.mean(dim=0) for each in embedded.split([len(support) for support in supports])])
