"""Gradients through learned transforms, one for each parameter."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import nn

from quickstudy.compat.learn2learn.gradients import inner_gradient
from quickstudy.errors import QuickstudyError


class ParameterUpdate(nn.Module):
    """Like `torch.autograd.grad`, but each gradient goes through the transform of its parameter.

    Args:
        parameters: those that will be updated.
        transform: from a parameter to the module that transforms its gradient, or to None for the gradient as it is.
    """

    def __init__(self, parameters: Iterable[torch.Tensor], transform: Callable[[torch.Tensor], nn.Module | None]):
        super().__init__()
        made = [transform(parameter) for parameter in parameters]
        self.transforms_modules = nn.ModuleList(module for module in made if module is not None)
        places = iter(range(len(made)))
        self.transforms_indices = [None if module is None else next(places) for module in made]

    def forward(
        self,
        loss: torch.Tensor,
        parameters: Iterable[torch.Tensor],
        create_graph: bool = False,
        retain_graph: bool | None = None,
        allow_unused: bool = False,
        allow_nograd: bool = False,
    ) -> list[torch.Tensor | None]:
        """An update for each parameter; None where it has no gradient and that is allowed.

        Args:
            parameters: as many as the transforms were made for, in the same order.
            retain_graph: None: `create_graph`.

        Raises:
            QuickstudyError: the loss has no gradient for a parameter, and no option allows it; more or fewer parameters.
        """
        named = [(f"parameter {i}, of shape {tuple(p.shape)}", p) for i, p in enumerate(parameters)]
        if len(named) != len(self.transforms_indices):
            made = len(self.transforms_indices)
            raise QuickstudyError(f"transforms were made for {made} parameters, and {len(named)} are given; give the same ones")
        gradients = inner_gradient(
            loss,
            named,
            create_graph=create_graph,
            retain_graph=retain_graph,
            allow_unused=allow_unused,
            allow_nograd=allow_nograd,
        )
        return [
            gradient if gradient is None or place is None else self.transforms_modules[place](gradient)
            for gradient, place in zip(gradients, self.transforms_indices, strict=True)
        ]
