"""Learned weights of the support's tokens (CaMeLS; Hu, Mitchell, Manning and Finn 2023)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from quickstudy.errors import QuickstudyError
from quickstudy.learners.example_weights import ExampleWeights
from quickstudy.models.device import like
from quickstudy.models.hidden_states import HiddenStates, blocks_of
from quickstudy.tasks.batch import Batch


class TokenWeights(ExampleWeights):
    """MAML that learns, beside the initialisation, how much each token of a text should count in the inner loop.

    The inner loss is 1/n sum_t V(h_t, s_t) l_t over n tokens: l_t the loss now, s_t the loss of the frozen base, and h_t its
    last state once it has read the token. The outer loss is the query's, unweighted. As in the paper (section 3), what V
    reads stays as it is while the model moves, so a weight is one number all along and the inner gradient that of a loss. Of
    the paper are not here: a reader of its own (this one is the base, and V sees s_t for it), weights above 2, and the outer
    loss on unrelated texts. Only V is learned there: for that, freeze the model and give `space="lora_"`.

    Args:
        width: units of V's hidden layer (the paper: 128).
        seed: draws what they see of h_t at first; their own weights are zero, so that every token counts 1.

    Raises:
        QuickstudyError: a model that is no language model, or whose base learns.
    """

    kinds = ("language",)
    language_models_only = True

    def __init__(
        self,
        model: nn.Module,
        inner_lr: Any = 0.01,
        outer_lr: float = 0.001,
        *,
        width: int = 128,
        seed: int = 0,
        **settings: Any,
    ):
        super().__init__(model, inner_lr, outer_lr, width=width, **settings)
        self.states = HiddenStates(model, self.judged)
        drawn = torch.randn(self.states.dim, width, generator=torch.Generator().manual_seed(seed))
        self.reader = nn.Parameter(drawn.to(like(model)))

    def weights(self, losses: torch.Tensor, batch: Batch) -> torch.Tensor:
        """How much the judged tokens count, `(tokens,)`."""
        read = self.read(batch)
        if losses.shape != read.shape[:1]:
            raise QuickstudyError(
                f"TokenWeights weighs one loss a token, and the loss gave {tuple(losses.shape)} for {len(read)} tokens; "
                "give loss= that is unreduced, (tokens,)"
            )
        return self.weight(read[:, -1], read[:, :-1] @ self.reader)

    def read(self, batch: Batch) -> torch.Tensor:
        """h and s of the judged tokens, `(tokens, dim + 1)`."""
        blocks = blocks_of(batch.inputs)
        # a block and the last token judged, since a state knows of its token only once that is read
        texts = [torch.cat([block, its[-1:].clamp(min=0)]) for block, its in zip(blocks, batch.targets, strict=True)]
        rows = self.states(texts)
        wanted = batch.inputs.get("wanted") if isinstance(batch.inputs, Mapping) else None
        return torch.cat(rows if wanted is None else [row[its.to(row.device)] for row, its in zip(rows, wanted, strict=True)])

    def judged(self, states: Sequence[torch.Tensor], text: torch.Tensor) -> torch.Tensor:
        """What is kept of a text: h, of unit length, and s of all its tokens but the first, `(tokens - 1, dim + 1)`."""
        head: Any = self.model.module.get_output_embeddings()  # type: ignore[operator,union-attr]
        head = getattr(head, "base_layer", head)
        logits = head(states[-1][:-1].to(head.weight.dtype)).to(states[-1].dtype)
        losses = F.cross_entropy(logits, text[1:], reduction="none")
        return torch.cat([F.normalize(states[-1][1:], dim=-1), losses[:, None]], dim=1)
