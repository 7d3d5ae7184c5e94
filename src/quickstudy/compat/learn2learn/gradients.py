"""The gradient of an inner loss, or a sentence on why there is none."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from quickstudy.errors import QuickstudyError


def inner_gradient(
    loss: torch.Tensor,
    named: Iterable[tuple[str, torch.Tensor]],
    *,
    create_graph: bool,
    retain_graph: bool | None = None,
    allow_unused: bool = False,
    allow_nograd: bool = False,
) -> list[torch.Tensor | None]:
    """dL/dp for each parameter, as `torch.autograd.grad` takes it; None for those that have none.

    Args:
        named: the parameters, and what they are called in an error.
        allow_unused: whether the loss may not depend on some.
        allow_nograd: whether some may be frozen.

    Raises:
        QuickstudyError: a loss without a gradient, or without one for a parameter; nothing but frozen parameters.
    """
    named = list(named)
    frozen = [name for name, p in named if not p.requires_grad]
    if frozen and not allow_nograd:
        raise QuickstudyError(
            f"{_first(frozen)} does not require a gradient, so that the inner loop cannot move it: give allow_nograd=True to "
            "leave frozen parameters as they are, or call requires_grad_() on it"
        )
    if len(frozen) == len(named):
        raise QuickstudyError("the inner loop has nothing to move: the module has no parameter that requires a gradient")
    if not loss.requires_grad:
        raise QuickstudyError(
            "the inner loss has no gradient: on the way from the parameters to it is a step without one (no_grad, detach, "
            "argmax, item, NumPy); use torch operations that can be differentiated"
        )
    wanted = [p for _, p in named if p.requires_grad]
    found = iter(torch.autograd.grad(loss, wanted, create_graph=create_graph, retain_graph=retain_graph, allow_unused=True))
    gradients = [next(found) if p.requires_grad else None for _, p in named]
    unused = [name for (name, p), gradient in zip(named, gradients, strict=True) if gradient is None and p.requires_grad]
    if unused and not allow_unused:
        raise QuickstudyError(
            f"the inner loss has no gradient for {_first(unused)}: it does not depend on it; give allow_unused=True to leave "
            "such parameters as they are, or compute the loss with the clone, after it was last adapted"
        )
    return gradients


def _first(names: list[str]) -> str:
    return f"`{names[0]}`" + (f" (and {len(names) - 1} more)" if len(names) > 1 else "")
