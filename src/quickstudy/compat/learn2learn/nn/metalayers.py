"""Modules put in the place of a model's own, and learned transforms of its parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import nn
from torch.func import functional_call

from quickstudy.models.shell import shelling


class MetaModule(nn.Module):
    """A model with other modules in the place of some; the model itself keeps its own, and shares its parameters.

    Args:
        module: the model.
        substitutions: for each class of modules, the function from a module of that very class to what takes its place,
            which may hold it.
        freeze_module: whether the model's own parameters are frozen.
    """

    def __init__(
        self,
        module: nn.Module,
        substitutions: Mapping[type[nn.Module], Callable[[Any], nn.Module]],
        freeze_module: bool = True,
    ):
        super().__init__()
        self.substitutions, self.freeze_module = substitutions, freeze_module
        if freeze_module:
            module.requires_grad_(False)
        self._original = (module,)  # no submodule
        self.wrapped_module = self._substituted(shelling(module)(module), {})

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            wrapped = self.__dict__.get("_modules", {}).get("wrapped_module")
            if wrapped is None:
                raise
            return getattr(wrapped, name)

    def _substituted(self, module: nn.Module, made: dict[nn.Module, nn.Module]) -> nn.Module:
        if module not in made:
            for name, child in module._modules.items():
                module._modules[name] = None if child is None else self._substituted(child, made)
            made[module] = self.substitutions.get(type(module), lambda same: same)(module)
        return made[module]

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The output of the model with its substitutes."""
        return self.wrapped_module(*args, **kwargs)

    def meta_parameters(self) -> Iterator[nn.Parameter]:
        """Those of the substitutes that name them (`ParameterTransform` does)."""
        for part in self.wrapped_module.modules():
            if hasattr(part, "meta_parameters") and not isinstance(part, MetaModule):
                yield from part.meta_parameters()  # type: ignore[operator]

    def module(self) -> nn.Module:
        """The model without its substitutes."""
        return self._original[0]


class ParameterTransform(nn.Module):
    """A module that is called with other parameters: each is what a transform makes of it. Its own stay as they are.

    Args:
        module: the module.
        transform: from a parameter to the module that transforms it.
    """

    def __init__(self, module: nn.Module, transform: Callable[[nn.Parameter], nn.Module]):
        super().__init__()
        self.module, self.transform = module, transform
        made = {name.replace(".", "/"): transform(parameter) for name, parameter in module.named_parameters()}
        self.parameter_transforms = nn.ModuleDict(made)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The module's output for the transformed parameters."""
        own = dict(self.module.named_parameters())
        transformed: dict[str, torch.Tensor] = {
            name: self.parameter_transforms[name.replace(".", "/")](parameter) for name, parameter in own.items()
        }
        return functional_call(self.module, transformed, args, kwargs)

    def meta_parameters(self) -> Iterator[nn.Parameter]:
        """The parameters of the transforms."""
        return self.parameter_transforms.parameters()
