"""Tasks of a net of plain layers, side by side: convolutional nets and perceptrons."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn

from quickstudy.inner.layerwise.layers import Linear
from quickstudy.inner.layerwise.layout import filters_in_layout
from quickstudy.inner.layerwise.net import IMAGES, Net
from quickstudy.inner.layerwise.parts import Part, parts_of, reads
from quickstudy.learners.together.groups import TASKS
from quickstudy.models.device import device_of
from quickstudy.models.functional import Parameters
from quickstudy.models.heads import HEAD
from quickstudy.models.image_encoder import ImageEncoder
from quickstudy.tasks.batch import Batch
from quickstudy.tasks.targets import as_tensor

if TYPE_CHECKING:
    from quickstudy.learners.gradient import GradientLearner


class StackedNets:
    """Tasks with equally many examples, layer by layer."""

    def __init__(self, model: nn.Module, net: Net):
        self.model, self.derivatives, self.dimensions = model, net, reads(net.parts)

    @classmethod
    def of(cls, learner: GradientLearner) -> StackedNets | None:
        """None of any other model, and with parts of a batch or autocast."""
        own: Parameters = dict(learner.model.named_parameters())
        if learner.micro_batch is not None:
            return None
        parts = None if torch.is_autocast_enabled(device_of(learner.model).type) else _parts(learner.model)
        if not parts:
            return None
        if learner.makes_head:
            parts.append((HEAD[0].rpartition(".")[0], Linear(), [name.rpartition(".")[2] for name in HEAD]))
        return cls(learner.model, Net(parts, own, learner.loss))

    def alike(self, support: Batch, query: Batch) -> Hashable:
        """Shapes, and the number of classes; of inputs that are one tensor, or images by where they are.

        A batch of one example goes the long way, on which batch norm says what it makes of that.
        """
        if min(len(support), len(query)) < 2:
            return None
        images = isinstance(self.model, ImageEncoder)
        parts = [part for batch in (support, query) for part in (batch.inputs, batch.targets)]
        if not all(isinstance(part, torch.Tensor) or (images and isinstance(part, list)) for part in parts):
            return None
        if any(isinstance(batch.inputs, torch.Tensor) and batch.inputs.ndim != self.dimensions for batch in (support, query)):
            return None
        targets = as_tensor(support.targets)
        ways = 0 if targets.is_floating_point() else int(targets.max())
        return ways, *(part.shape if isinstance(part, torch.Tensor) else len(part) for part in parts)

    def at_once(self, support: Batch) -> int:
        """So many that a product has images enough, so few that a step's values stay in a processor's cache."""
        if self.dimensions == 4 and device_of(self.model).type == "cpu":
            return max(1, min(TASKS, IMAGES // len(support)))
        return TASKS

    def laid_out(self, phi: Parameters) -> Parameters:
        """The weights of convolutions as these read them, so that none of their calls copies them."""
        return {name: filters_in_layout(value) for name, value in phi.items()}

    def stacked(self, batches: Sequence[Batch]) -> Batch:
        """`(tasks, examples, ...)`."""
        inputs = [self.model.pixels(b.inputs) if isinstance(self.model, ImageEncoder) else b.inputs for b in batches]
        return Batch(torch.stack(inputs), torch.stack([as_tensor(b.targets) for b in batches])).to(device_of(self.model))


def _parts(model: nn.Module) -> list[Part] | None:
    if not isinstance(model, ImageEncoder):
        return parts_of(model)
    found = None if model.normalize else parts_of(model.module)
    return found and [(f"module.{name}", layer, names) for name, layer, names in found]
