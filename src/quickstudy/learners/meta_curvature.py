"""Meta-Curvature (Park and Oliva 2019)."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from quickstudy.inner.rules import OnGradient, Rule
from quickstudy.learners.gradient import GradientLearner
from quickstudy.models.functional import Parameters


class MetaCurvature(GradientLearner):
    """MAML that learns to turn the gradient: phi' = phi - alpha MC(g), MC(G) = G x_1 M_o x_2 M_i x_3 M_f (equation 8).

    A square matrix, the identity at first, for the outputs, the inputs and (of convolutions) the positions of every
    parameter. The head that a task gets on top of an encoder moves along its plain gradient.
    """

    def _rule(self, rule: Any, inner_lr: Any) -> Rule:
        return _Curved(super()._rule(rule, inner_lr))


class _Curved(OnGradient):
    """A rule on the gradient times a learned matrix for each of a parameter's modes: outputs, inputs, positions."""

    def __init__(self, rule: Rule):
        super().__init__(rule)
        self.matrices = nn.ParameterDict()

    def bind(self, shapes: dict[str, torch.Size], like: torch.Tensor) -> None:
        self.rule.bind(shapes, like)
        for name, shape in shapes.items():
            for mode, size in enumerate(_modes(shape)):
                identity = torch.eye(size, dtype=like.dtype, device=like.device)
                self.matrices[_key(name, mode)] = nn.Parameter(identity)

    def change(self, gradient: Parameters) -> Parameters:
        return {name: self._turned(name, g) for name, g in gradient.items()}

    def _turned(self, name: str, gradient: torch.Tensor) -> torch.Tensor:
        if _key(name, 0) not in self.matrices:
            return gradient
        turned = gradient.reshape(_modes(gradient.shape))
        for mode in range(turned.ndim):
            turned = torch.tensordot(turned, self.matrices[_key(name, mode)], dims=([0], [1]))  # type: ignore[arg-type]  # takes the modes in turn
        return turned.reshape(gradient.shape)


def _modes(shape: torch.Size) -> list[int]:
    """(outputs), (outputs, inputs) or (outputs, inputs, positions)."""
    return list(shape[:2]) if len(shape) < 3 else [shape[0], shape[1], int(torch.Size(shape[2:]).numel())]


def _key(name: str, mode: int) -> str:
    return f"{name.replace('.', '/')}:{mode}"
