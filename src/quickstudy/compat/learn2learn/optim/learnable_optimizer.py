"""An optimizer whose step can be differentiated by what it learned (hypergradients)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from quickstudy.compat.learn2learn.cloning import update_module
from quickstudy.errors import QuickstudyError


class LearnableOptimizer(nn.Module):
    """phi' = phi - lr T(g), with a learned T for each parameter: the next `backward` gives a gradient for T too.

    Its own parameters are those of the transforms; the model's are none of them. A step cuts the model from all steps
    before it.

    Args:
        model: what is optimized. Its parameters become plain tensors with a `.grad`.
        transform: from a parameter to the module T, or to None for the gradient as it is.
        lr: of a step.

    Raises:
        QuickstudyError: no module.
    """

    def __init__(self, model: nn.Module, transform: Callable[[torch.Tensor], nn.Module | None], lr: float = 1.0):
        super().__init__()
        if not isinstance(model, nn.Module):
            raise QuickstudyError(f"LearnableOptimizer takes the model itself, not {type(model).__name__}; give it the module")
        self.info = {"model": model}  # no submodule
        self.transforms = nn.ModuleList(transform(parameter) or nn.Identity() for parameter in model.parameters())
        self.lr = lr

    def step(self) -> None:
        """Moves every parameter that has a gradient."""
        parameters = list(self.info["model"].parameters())
        updates = [
            None if p.grad is None else -self.lr * transform(p.grad.detach())
            for p, transform in zip(parameters, self.transforms, strict=True)
        ]
        for parameter, update in zip(parameters, updates, strict=True):
            if update is not None or not parameter.is_leaf:
                parameter.detach_().requires_grad_(update is None)
        update_module(self.info["model"], updates)
        for parameter, update in zip(self.info["model"].parameters(), updates, strict=True):
            if update is not None:
                parameter.requires_grad_().retain_grad()

    def zero_grad(self, set_to_none: bool = False) -> None:
        """Sets the gradients of the model to zero; those of the transforms are their own optimizer's."""
        for parameter in self.info["model"].parameters():
            if parameter.grad is not None:
                parameter.grad = None if set_to_none else torch.zeros_like(parameter)
