"""Nested structures of settings, and copies of parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_leaves, tree_map


def flatten(x: Any) -> list[Any]:
    """What is in nested lists, tuples and dicts, in order: the tensors of an override, for an outer optimizer."""
    return tree_leaves(x)


def get_func_params(module: nn.Module, device: torch.device | str | None = None, safe_copy: bool = True) -> list[torch.Tensor]:
    """The module's parameters, detached, requiring a gradient where they did; on their own memory with `safe_copy`."""
    values = [p.detach().clone() if safe_copy else p.detach() for p in module.parameters()]
    return [value.to(device=device).requires_grad_(p.requires_grad) for value, p in zip(values, module.parameters(), strict=True)]


def _recursive_map(target: Any, map_fn: Callable[[Any], Any]) -> Any:
    """The structure with `map_fn` of each leaf; by this name since higher's own tests call it."""
    return tree_map(map_fn, target)
