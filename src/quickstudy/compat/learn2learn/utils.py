"""What learn2learn's `utils` holds: the functions on modules, and two of its own."""

from __future__ import annotations

from typing import Any

import torch

from quickstudy.compat.learn2learn.cloning import clone_module as clone_module
from quickstudy.compat.learn2learn.cloning import clone_named_parameters as clone_named_parameters
from quickstudy.compat.learn2learn.cloning import clone_parameters as clone_parameters
from quickstudy.compat.learn2learn.cloning import detach_module as detach_module
from quickstudy.compat.learn2learn.cloning import update_module as update_module
from quickstudy.compat.learn2learn.distributions import clone_distribution as clone_distribution
from quickstudy.compat.learn2learn.distributions import detach_distribution as detach_distribution


def magic_box(x: Any) -> Any:
    """exp(x - stop(x)): 1, with the gradient of x (DiCE, Foerster et al. 2018, equation 6). What is no tensor stays as it is."""
    return torch.exp(x - x.detach()) if isinstance(x, torch.Tensor) else x


def accuracy(preds: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The fraction of rows of `preds` `(examples, classes)` whose largest entry is at the target `(examples,)`."""
    return (preds.argmax(dim=1) == targets).float().mean()
