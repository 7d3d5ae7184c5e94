"""Modules whose parameters are functions of those of another: `clone_module`, and what is done to a clone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

import torch
from torch import nn

from quickstudy.errors import QuickstudyError
from quickstudy.models.shell import shelling


def clone_module(module: nn.Module) -> nn.Module:
    """A module like this one, each of whose parameters is `torch.clone` of the original's: gradients reach the original.

    Parameters that are shared stay shared, and so does a part that the module refers to in other ways (in a list, by a
    bound method). A buffer is cloned if it requires a gradient. Any other is the original's own, so that calls of a clone in
    training mode move the original's running averages.
    """
    return _replaced(shelling(module)(module), {id(t): t.clone() for t in _learned(module)})


def update_module(module: nn.Module, updates: Sequence[torch.Tensor | None] | None = None) -> nn.Module:
    """Adds an update u to each parameter p of the module, which then holds the new tensor p + u; returns the module.

    Args:
        module: a clone. The module itself changes, its tensors do not.
        updates: one for each of `module.parameters()`; None leaves a parameter as it is. Without any, they are the tensors'
            own attributes `update`, which are taken off them.

    Raises:
        QuickstudyError: more or fewer updates than parameters.
    """
    tensors: list[torch.Tensor] = list(module.parameters())
    if updates is None:
        tensors += module.buffers()
        updates = [vars(tensor).pop("update", None) for tensor in tensors]
    if len(updates) != len(tensors):
        raise QuickstudyError(f"{len(updates)} updates for {len(tensors)} parameters: give one for each, or None in its place")
    return _replaced(module, {id(t): t + u for t, u in zip(tensors, updates, strict=True) if u is not None})


def detach_module(module: nn.Module, keep_requires_grad: bool = False) -> None:
    """Cuts the module's parameters, in place, from what they were computed of.

    Args:
        keep_requires_grad: whether those that required a gradient do so afterwards, as leaves. Else none does.
    """
    for tensor in [tensor for tensor in _learned(module) if tensor.requires_grad]:
        tensor.detach_().requires_grad_(keep_requires_grad)


def clone_parameters(param_list: Iterable[torch.Tensor]) -> list[torch.Tensor]:
    """A clone of each tensor, with a way back for its gradient."""
    return [tensor.clone() for tensor in param_list]


def clone_named_parameters(param_dict: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same by name."""
    return {name: tensor.clone() for name, tensor in param_dict.items()}


def _learned(module: nn.Module) -> Iterable[torch.Tensor]:
    """Parameters, frozen ones too, and the buffers that require a gradient."""
    return chain(module.parameters(), (buffer for buffer in module.buffers() if buffer.requires_grad))


def _replaced(module: nn.Module, new: Mapping[int, torch.Tensor]) -> nn.Module:
    """The module itself, with these tensors in the place of those that have these identities."""
    for part in module.modules():
        for held in (part._parameters, part._buffers):
            held.update({name: new[id(tensor)] for name, tensor in held.items() if id(tensor) in new})  # type: ignore[arg-type]
    return module
