"""The model as it comes, without learning from any example."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from quickstudy.learners.adapted import Adapted
from quickstudy.learners.base import Learner
from quickstudy.models.encoder import Encoder
from quickstudy.models.functional import Functional
from quickstudy.models.heads import LinearHead, prototype_head
from quickstudy.tasks.batch import Batch
from quickstudy.tasks.names import readable
from quickstudy.tasks.targets import as_tensor, classes_of, is_labels


class ZeroStep(Learner):
    """Zero steps of adaptation: what is known before the first example.

    A model with outputs of its own answers with them. A sentence encoder knows the labels' names alone, and answers
    with the nearest name ("card_lost" read as "card lost"); where classes are numbers, or the encoder reads images, it
    knows nothing, and every class is as likely.
    """

    kinds = ("classify", "regress", "language")
    frozen_features = True

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model, self._function = model, Functional(model)

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """Nothing is meta-learned."""
        return iter(())

    def adapt(self, support: Batch) -> Adapted:
        """Reads which classes there are, and nothing else."""
        if not isinstance(self.model, Encoder):
            real = as_tensor(support.targets).is_floating_point() if not is_labels(support.targets) else False
            classes: Any = classes_of(support.targets) if is_labels(support.targets) else None
            return Adapted(self.model, self._function, classes=classes, real=real)
        classes = classes_of(support.targets)
        if is_labels(support.targets) and self.model.reads == "sentence":
            names = self.model.embed([readable(str(name)) for name in classes])
            weight, bias = prototype_head(names, 20.0 if self.model.normalize else 1.0)
        else:
            weight, bias = torch.zeros(len(classes), self.model.dim), torch.zeros(len(classes))
        return Adapted(self.model, self._function, head=LinearHead(weight, bias), classes=classes)
