"""ProtoMAML (Triantafillou et al. 2020)."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from quickstudy.learners.gradient import GradientLearner
from quickstudy.models.functional import Parameters
from quickstudy.models.heads import HEAD, prototype_head, prototypes
from quickstudy.tasks.batch import Batch
from quickstudy.tasks.targets import as_tensor


class ProtoMAML(GradientLearner):
    """MAML whose head starts as a prototypical network: w_k = 2 c_k and b_k = -|c_k|^2 (section 3.2).

    c_k is the mean embedding of the support's examples of class k under phi_0, and the outer gradient goes through it. The
    model's output is the embedding, whatever the model. With no inner steps this is `Prototypical`.

    Args:
        scale: of the squared distances; the paper's is 1. Embeddings of unit length need 10 or so.
    """

    kinds = ("classify",)

    def __init__(self, model: nn.Module, inner_lr: Any = 0.01, outer_lr: float = 0.001, *, scale: float = 1.0, **settings: Any):
        super().__init__(model, inner_lr, outer_lr, **settings)
        self.scale = scale

    @property
    def makes_head(self) -> bool:
        """Always: the prototypes."""
        return True

    def start(self, support: Batch) -> Parameters:
        """The model's own parameters, and the prototypes of the support as the head."""
        own = dict(self.model.named_parameters())
        phi: Parameters = {name: own[name] for name in self.names}
        embeddings = torch.cat([self._function(phi, part.inputs) for part in support.split(self.micro_batch)])
        targets = as_tensor(support.targets).to(embeddings.device)
        phi[HEAD[0]], phi[HEAD[1]] = prototype_head(prototypes(embeddings, targets), self.scale)
        return phi
