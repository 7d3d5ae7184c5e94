"""Fine-tuning on the support, from the pretrained model, without any meta-learning."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from torch import nn

from quickstudy.inner.rules import Adam
from quickstudy.learners.gradient import GradientLearner
from quickstudy.models.encoder import Encoder
from quickstudy.models.functional import Functional, Parameters
from quickstudy.tasks.batch import Batch

CHOSEN: dict[str, dict[str, Any]] = {
    "LoRA": {"space": "trainable", "lr": 0.001, "steps": 10},
    "all": {"space": ".", "lr": 0.00003, "steps": 10},
    "head": {"space": "head", "lr": 0.001, "steps": 50},
}
"""What to fine-tune, with the rate and the number of steps that were best on validation classes (docs/results/fine-tuning.md)."""


class FineTune(GradientLearner):
    """Adam on the support for a number of steps.

    Args:
        lr: Adam's rate.
        steps: how many.
        batch: examples in a step, drawn from the support's seed.
        space: `"trainable"` moves the adapters of a model that has some; `"."` all weights; `"head"` the head alone.
    """

    def __init__(
        self, model: nn.Module, lr: float = 0.001, *, steps: int = 50, batch: int = 32, space: Any = "trainable", **settings: Any
    ):
        super().__init__(model, lr, inner_steps=steps, rule=Adam, gradient="first_order", space=space, **settings)
        self.batch, self.space = batch, space
        if isinstance(model, Encoder) and not self.names and not any(p.requires_grad for p in model.parameters()):
            self.frozen_features, self._function = True, _LookedUp(model)

    @property
    def title(self) -> str:
        """Its name, and what it moves."""
        lora = self.space == "trainable" and isinstance(self.model, Encoder) and self.model.spec.get("lora")
        moved = "LoRA" if lora else {".": "all", "head": "head"}.get(self.space) if isinstance(self.space, str) else None
        return f"{type(self).__name__} ({moved})" if moved else type(self).__name__

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """Nothing is meta-learned."""
        return iter(())

    def inner_batches(self, support: Batch, steps: int) -> Sequence[Batch]:
        """The minibatch of each step."""
        return support.minibatches(steps, self.batch)


class _LookedUp(Functional):
    """An encoder of which nothing moves: the steps on its head find embeddings that it remembers."""

    def __call__(self, parameters: Parameters, inputs: Any) -> Any:
        encoder: Any = self.model
        return super().__call__(parameters, inputs) if parameters else encoder.embed(inputs)
