"""From a parameter to the module that transforms its gradient."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from quickstudy.errors import QuickstudyError


class ReshapedTransform(nn.Module):
    """A module on gradients in another shape; its output gets theirs back."""

    def __init__(self, transform: nn.Module, shape: Sequence[int]):
        super().__init__()
        self.transform, self.in_shape = transform, tuple(shape)

    def forward(self, grad: torch.Tensor) -> torch.Tensor:
        """A gradient to an update, of one shape."""
        return self.transform(grad.reshape(self.in_shape)).reshape(grad.shape)


class ModuleTransform:
    """Any module as a transform: `module_cls(numbers, numbers)`, on gradients as a row `(1, numbers)`."""

    def __init__(self, module_cls: Callable[[int, int], nn.Module]):
        self.module_cls = module_cls

    def __call__(self, parameter: torch.Tensor) -> ReshapedTransform:
        """The transform of this parameter."""
        return ReshapedTransform(self.module_cls(parameter.numel(), parameter.numel()), (1, parameter.numel()))


class KroneckerTransform:
    """A factored module, such as `KroneckerLinear`, as a transform: on gradients as matrices `(n, m)`.

    Of a linear layer n is outputs and m inputs, of a bias m is 1, of a convolution n is inputs and m positions, and all
    outputs share the factors (Arnold et al. 2021).

    Args:
        kronecker_cls: from `n`, `m`, `bias` and `psd` to the module.
    """

    def __init__(self, kronecker_cls: Callable[..., nn.Module], bias: bool = False, psd: bool = True):
        self.kronecker_cls, self.bias, self.psd = kronecker_cls, bias, psd

    def __call__(self, param: torch.Tensor) -> ReshapedTransform:
        """The transform of this parameter.

        Raises:
            QuickstudyError: a parameter of another number of dimensions.
        """
        shape = param.shape
        if len(shape) not in (1, 2, 4):
            raise QuickstudyError(_unknown("KroneckerTransform", shape))
        n, m = (shape[1], shape[2] * shape[3]) if len(shape) == 4 else (*shape, 1)[:2]
        return ReshapedTransform(self.kronecker_cls(n=n, m=m, bias=self.bias, psd=self.psd), (-1, n, m))


class MetaCurvatureTransform(nn.Module):
    """lr MC(G), MC(G) = G x_1 M_in x_2 M_out x_3 M_f (Park and Oliva 2019, equation 8); of a bias, a factor for each element.

    Matrices over outputs, inputs and (of convolutions) positions, in the order of the weight's dimensions; identities at first.

    Raises:
        QuickstudyError: a parameter of another number of dimensions.
    """

    mc_in: nn.Parameter
    mc_out: nn.Parameter
    mc_f: nn.Parameter

    def __init__(self, param: torch.Tensor, lr: float = 1.0):
        super().__init__()
        shape = param.shape
        if len(shape) not in (1, 2, 4):
            raise QuickstudyError(_unknown("MetaCurvatureTransform", shape))
        self.lr, self.dim = lr, len(shape)
        if self.dim == 1:
            self.mc = nn.Parameter(torch.ones_like(param))
            return
        sizes = {"mc_in": shape[0], "mc_out": shape[1], "mc_f": shape[2:].numel()}
        for name, size in list(sizes.items())[: self.dim]:
            self.register_parameter(name, nn.Parameter(torch.eye(size, dtype=param.dtype, device=param.device)))

    def forward(self, grad: torch.Tensor) -> torch.Tensor:
        """A gradient to an update, of one shape."""
        if self.dim == 1:
            return self.lr * self.mc * grad
        update = torch.einsum("ai,ij...,jb->ab...", self.mc_in, grad, self.mc_out)
        if self.dim == 4:
            update = (update.flatten(2) @ self.mc_f.T).reshape(grad.shape)
        return self.lr * update


class TransformDictionary:
    """Different transforms for different parameters; None for those that are in no key.

    Args:
        dictionary: from a module, for all its parameters, or from a parameter, to a transform.

    Raises:
        QuickstudyError: another key.
    """

    def __init__(self, dictionary: Mapping[nn.Module | nn.Parameter, Callable[..., nn.Module | None]]):
        self.param_to_transform: dict[torch.Tensor, Callable[..., nn.Module | None]] = {}
        for key, transform in dictionary.items():
            if not isinstance(key, (nn.Module, nn.Parameter)):
                raise QuickstudyError(f"TransformDictionary has modules and parameters as keys, not {type(key).__name__}")
            parameters = key.parameters() if isinstance(key, nn.Module) else [key]
            self.param_to_transform |= dict.fromkeys(parameters, transform)

    def __call__(self, param: torch.Tensor, *args: Any, **kwargs: Any) -> nn.Module | None:
        """The transform of this parameter."""
        transform = self.param_to_transform.get(param)
        return None if transform is None else transform(param, *args, **kwargs)


def _unknown(name: str, shape: torch.Size) -> str:
    kinds = "weights of linear layers and of 2D convolutions, and biases"
    return f"{name} takes {kinds}, not a parameter of shape {tuple(shape)}; leave that one to a TransformDictionary"
