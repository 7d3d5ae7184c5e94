"""The nearest class mean, without any training."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from quickstudy.learners.prototypical import Prototypical


class Centroid(Prototypical):
    """Prototypes on a model as it is: what a prototypical network is before it is trained."""

    def __init__(self, model: nn.Module, *, scale: float | None = None):
        super().__init__(model, scale=scale)

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """Nothing is meta-learned."""
        return iter(())
