"""`torch.distributions` whose tensors are functions of those of another."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.distributions import Distribution

from quickstudy.compat.learn2learn.cloning import clone_module, detach_module


def clone_distribution(dist: Distribution) -> Distribution:
    """A distribution like this one, whose tensors are clones: gradients reach the original's."""
    return _mapped(dist, torch.Tensor.clone, clone_module)


def detach_distribution(dist: Distribution) -> Distribution:
    """Cuts the distribution's tensors, in place, from what they were computed of; returns it."""

    def cut(module: nn.Module) -> nn.Module:
        detach_module(module)
        return module

    vars(dist).update(vars(_mapped(dist, torch.Tensor.detach, cut)))
    return dist


def _mapped(dist: Distribution, tensor: Callable[[torch.Tensor], Any], module: Callable[[nn.Module], Any]) -> Distribution:
    """A new distribution with its tensors and modules, and those of distributions in it, as these functions give them."""
    new = copy.copy(dist)
    for name, value in vars(dist).items():
        if isinstance(value, torch.Tensor):
            vars(new)[name] = tensor(value)
        elif isinstance(value, nn.Module):
            vars(new)[name] = module(value)
        elif isinstance(value, Distribution):
            vars(new)[name] = _mapped(value, tensor, module)
    return new
