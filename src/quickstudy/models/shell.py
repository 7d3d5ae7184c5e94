"""Shells: new modules around the tensors of others, to be changed while those stay as they are."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from torch import nn


def shelling(model: nn.Module) -> Callable[[nn.Module], nn.Module]:
    """What makes a shell of this module: `shell`, or `deep_shell` where one of its parts refers to others in other ways."""
    return deep_shell if any(map(hides_modules, model.modules())) else shell


def shell(model: nn.Module) -> nn.Module:
    """New modules around the same tensors and attributes, far cheaper than a deep copy."""
    return _around(model, {})


def _around(module: nn.Module, made: dict[int, nn.Module]) -> nn.Module:
    # a function of its own: a closure that calls itself is a cycle, which keeps every shell until the garbage collector comes
    if id(module) not in made:
        new = made[id(module)] = module.__new__(type(module))
        new.__dict__.update(module.__dict__)
        new.__dict__.update(_parameters=dict(module._parameters), _buffers=dict(module._buffers))
        new.__dict__.update(_forward_hooks=module._forward_hooks.copy())  # transformers records states by hooks that stay
        parts = {name: None if part is None else _around(part, made) for name, part in module._modules.items()}
        new.__dict__["_modules"] = parts
    return made[id(module)]


def deep_shell(model: nn.Module) -> nn.Module:
    """The same for a module that refers to its parts in other ways too, all of which have to lead into the shell."""
    return copy.deepcopy(model, {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())})


def hides_modules(module: nn.Module) -> bool:
    """Whether an attribute holds modules beside those that torch knows of: in a list, a dict, a bound method."""

    def hidden(value: Any) -> bool:
        if isinstance(value, (list, tuple)):
            return any(map(hidden, value))
        if isinstance(value, dict):
            return any(map(hidden, value.values()))
        return isinstance(value, nn.Module) or isinstance(getattr(value, "__self__", None), nn.Module)

    return any(hidden(value) for name, value in vars(module).items() if name not in ("_modules", "_parameters", "_buffers"))
