"""Ridge regression on frozen features, without any training."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from quickstudy.learners.r2d2 import R2D2


class Ridge(R2D2):
    """R2D2 on a model as it is, with the strength of the penalty that it starts from."""

    def __init__(self, model: nn.Module, *, scale: float | None = None):
        super().__init__(model, scale=scale)

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """Nothing is meta-learned."""
        return iter(())
