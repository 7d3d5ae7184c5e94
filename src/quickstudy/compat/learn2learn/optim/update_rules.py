"""How parameters move along given updates."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from quickstudy.compat.learn2learn.cloning import update_module


class DifferentiableSGD(nn.Module):
    """One step phi - lr g of a module, which then holds new tensors."""

    def __init__(self, lr: float):
        super().__init__()
        self.lr = lr

    def forward(self, module: nn.Module, gradients: Sequence[torch.Tensor | None] | None = None) -> None:
        """Moves the module.

        Args:
            gradients: one for each of `module.parameters()`; None leaves a parameter as it is. Without any, they are the
                parameters' own `.grad`.
        """
        gradients = [p.grad for p in module.parameters()] if gradients is None else gradients
        update_module(module, [None if g is None else -self.lr * g for g in gradients])
