"""`Adapted`: what was learned from one support."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from quickstudy.models.encoder import Encoder
from quickstudy.models.examples import Examples, Likeness
from quickstudy.models.functional import Parameters, seeded
from quickstudy.models.precision import MANY

Call = Callable[[Parameters, Any], Any]


class Adapted:
    """A model with what one task moved, and a head over it.

    Args:
        model: the learner's model, shared and never changed.
        call: `(phi, inputs) -> output`, usually the model as a function of its parameters.
        phi: the parameters that moved, by the model's names. Empty: the model is used as it is.
        head: from embeddings to logits. None: the model's output is the answer.
        classes: what the logits stand for: labels or class indices. None: indices as the model numbers them.
        real: whether the task's targets are real values.
        temperature: what logits are divided by before they become probabilities.
        examples: what was learned from, where it is kept beside what was learned.

    Attributes:
        candidates: where this was chosen among several, the share of held-out examples that each had right (None: it
            could not be measured), the chosen one first.
    """

    def __init__(
        self,
        model: nn.Module,
        call: Call,
        *,
        phi: Parameters | None = None,
        head: nn.Module | None = None,
        classes: Sequence[str] | Sequence[int] | None = None,
        real: bool = False,
        temperature: float = 1.0,
        examples: Examples | None = None,
    ):
        self.model, self.call, self.phi, self.head = model, call, phi or {}, head
        self.classes, self.real = list(classes) if classes is not None else None, real
        self.temperature, self.examples = temperature, examples
        self.candidates: dict[str, float | None] = {}

    @torch.no_grad()
    def logits(self, inputs: Any) -> torch.Tensor:
        """The head's output, `(examples, classes)`, or the values where the task has real targets."""
        output = self.embed(inputs)
        return output if self.head is None else self.head(output)

    @torch.no_grad()
    def embed(self, inputs: Any) -> torch.Tensor:
        """What the model gives with the parameters that moved: embeddings `(examples, dim)` where there is a head over them."""
        with seeded(0, self.model):
            if isinstance(self.model, Encoder) and not self.phi:
                output = self.model.embed(inputs)
            else:
                output = self.call(self.phi, inputs)
        return getattr(output, "logits", output)

    def predict(self, inputs: Any) -> list[str] | torch.Tensor:
        """Labels where the task has labels, class indices for whole-number targets, values for real ones."""
        output = self.logits(inputs)
        if self.real:
            return output
        best = output.argmax(dim=-1)
        if self.classes is None:
            return best
        chosen: list[Any] = [self.classes[i] for i in best.flatten().tolist()]
        return chosen if isinstance(self.classes[0], str) else torch.tensor(chosen).view(best.shape)  # type: ignore[return-value]

    def predict_proba(self, inputs: Any) -> torch.Tensor:
        """Probabilities, `(examples, classes)`, in the order of `classes`."""
        return (self.logits(inputs) / self.temperature).softmax(dim=-1)

    def likeness(self, inputs: Sequence[str]) -> list[Likeness] | None:
        """What each sentence is like among those that were learned from; None where they were not kept."""
        if self.examples is None or not isinstance(self.model, Encoder):
            return None
        return self.examples.like(self.embed(inputs))

    @contextmanager
    def remember(self, inputs: Sequence[str]) -> Iterator[None]:
        """Inside, these sentences are encoded once, whatever is asked of them."""
        if not isinstance(self.model, Encoder) or self.phi:
            yield
            return
        distinct = list(dict.fromkeys(inputs))
        if len(distinct) >= MANY:  # in half precision where that pays; for fewer, hashing the weights takes longer
            known = self.model.memory(distinct)
        else:
            known = dict(zip(distinct, self.model.embed(distinct), strict=True))
        with self.model.remember(known):
            yield

    def save_pretrained(self, folder: str | Path, *, card: str | None = None) -> None:
        """Writes what was learned as safetensors and JSON; `quickstudy.load(folder)` opens it.

        Args:
            folder: must be absent or empty.
            card: the text of its README; by default one that says what the folder holds.
        """
        from quickstudy.learners.artefact import save

        save(self, Path(folder), card=card)
