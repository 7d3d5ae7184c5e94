"""Losses: unreduced values, or values and weights, so that parts of a batch add up to the same mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from quickstudy.errors import QuickstudyError
from quickstudy.tasks.targets import IGNORED, as_tensor, in_a_row, is_ragged

Loss = Callable[[Any, Any], torch.Tensor | tuple[torch.Tensor, torch.Tensor]]
"""`loss(output, targets)`: one value an example (or a token), or `(values, weights)` with constant weights."""


def default_loss(output: Any, targets: Any) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
    """Cross entropy for whole-number targets (class dimension last, -100 ignored), squared error for real ones.

    Sequences of targets are judged by an output `(positions, classes)` of all of them in a row, or by a padded one.

    A Hugging Face output stands for its `logits`; nothing is shifted: `logits[..., t, :]` is judged by `targets[..., t]`.
    """
    output = getattr(output, "logits", output)
    targets = (in_a_row(targets) if output.ndim == 2 and is_ragged(targets) else as_tensor(targets)).to(output.device)
    if targets.is_floating_point():
        if output.shape != targets.shape:
            raise QuickstudyError(
                f"the model's output has shape {tuple(output.shape)} and the targets {tuple(targets.shape)}; "
                "squared error compares equal shapes only (reshape the targets, or give loss=)"
            )
        return (output - targets).square()
    if output.shape[:-1] != targets.shape:
        raise QuickstudyError(
            f"cross entropy needs an output of shape (*targets, classes); the output has {tuple(output.shape)}, "
            f"the targets {tuple(targets.shape)}"
        )
    values = F.cross_entropy(output.flatten(0, -2), targets.flatten(), reduction="none", ignore_index=IGNORED)
    return (values, (targets.flatten() != IGNORED).to(values.dtype)) if bool((targets == IGNORED).any()) else values


def total(loss: Loss, output: Any, targets: Any, *, whole: bool = True) -> tuple[torch.Tensor, torch.Tensor | float]:
    """The weighted sum of a loss and the sum of its weights: what micro-batches add up.

    Args:
        whole: whether these are all the examples. A loss that is already reduced to one number, or that weighs
            examples by what it learns, cannot be added up from parts.

    Raises:
        QuickstudyError: a reduced loss in parts, or weights that would need a gradient.
    """
    values = loss(output, targets)
    if isinstance(values, tuple):
        values, weights = values
        if weights.requires_grad:
            raise QuickstudyError(
                "the loss returned weights that need a gradient; weights are constants that count (tokens, examples): "
                "multiply learned weights into the values instead"
            )
        if weights.shape != values.shape:
            raise QuickstudyError(
                f"the loss returned values of shape {tuple(values.shape)} with weights of shape {tuple(weights.shape)}; "
                "it needs one weight per value"
            )
        return (values * weights).sum(), weights.sum()
    if values.ndim == 0 and not whole:
        raise QuickstudyError(
            "micro_batch= needs a loss of one value per example, and this one returns a single number "
            "(reduction='none', or leave micro_batch out)"
        )
    return values.sum(), float(values.numel())
