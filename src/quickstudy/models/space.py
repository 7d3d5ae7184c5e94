"""Adaptation spaces: which parameters move in the inner loop."""

from __future__ import annotations

import re
from collections.abc import Callable

import torch
from torch import nn

from quickstudy.errors import QuickstudyError

Space = str | Callable[[str, nn.Parameter], bool]
"""`"trainable"`, `"head"`, `"norms"`, a regular expression that a name must contain, or `(name, parameter) -> bool`."""

WITHOUT = (
    "learners that leave their model as it is work on it: prototypical, matching, siamese, r2d2, prior_head, logistic_probe, "
    "ridge, centroid, nearest_neighbours"
)
"""What to do with a model that has no parameters."""


def resolve_space(model: nn.Module, space: Space) -> list[str]:
    """The names of the parameters in a space, in the order of `model.named_parameters()`.

    The space says what the inner loop moves; `requires_grad` says what the outer loop learns. They are independent:
    a frozen parameter in the space moves while a task is learned and starts from the same value for each.

    Raises:
        QuickstudyError: nothing is in the space, or it holds one of the names of a tied weight and not the other.
    """
    inside = _predicate(model, space)
    names = [name for name, parameter in model.named_parameters() if inside(name, parameter)]
    _refuse_split(model, inside, names, space)
    if not names:
        known = [name for name, _ in model.named_parameters()]
        shown = ", ".join(known[:4]) + (", ..." if len(known) > 4 else "")
        why = " (every parameter is frozen)" if space == "trainable" and known else ""
        raise QuickstudyError(
            f"the adaptation space {space!r} selects no parameter{why}, so the inner loop would move nothing; "
            f"the model's {len(known)} parameters are {shown or f'none; {WITHOUT}'}"
        )
    return names


def _refuse_split(model: nn.Module, inside: Callable[[str, nn.Parameter], bool], names: list[str], space: Space) -> None:
    """A weight that has two names moves under both."""
    first = {id(parameter): name for name, parameter in model.named_parameters()}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        other = first[id(parameter)]
        if name != other and (held := inside(name, parameter)) != (other in names):
            one, two = (name, other) if held else (other, name)
            raise QuickstudyError(
                f"the adaptation space {space!r} holds `{one}` and not `{two}`, which are one tensor (tied weights) and can only "
                "move together: let the space hold both, or neither, or untie them"
            )


def _predicate(model: nn.Module, space: Space) -> Callable[[str, nn.Parameter], bool]:
    if callable(space):
        return space
    if space == "trainable":
        return lambda _, parameter: parameter.requires_grad
    if space == "norms":
        names = {
            f"{path}.{name}" if path else name
            for path, module in model.named_modules()
            if "norm" in type(module).__name__.lower()
            for name, _ in module.named_parameters(recurse=False)
        }
        return lambda name, _: name in names
    if space == "head":
        head = _head_parameters(model)
        return lambda _, parameter: any(parameter is p for p in head)
    try:
        pattern = re.compile(space)
    except re.error as error:
        raise QuickstudyError(
            f"the adaptation space {space!r} is neither a known name nor a regular expression: {error}"
        ) from None
    return lambda name, _: pattern.search(name) is not None


def _head_parameters(model: nn.Module) -> list[torch.Tensor]:
    """The output layer: Hugging Face's `classifier`, `score` or `lm_head`, else the last module that has parameters."""
    modules = dict(model.named_modules())
    for path in ("classifier", "score", "lm_head", "head"):
        found = [
            module for name, module in modules.items() if name.split(".")[-1] == path and any(True for _ in module.parameters())
        ]
        if found:
            return list(found[0].parameters())
    own = [module for module in modules.values() if any(True for _ in module.parameters(recurse=False))]
    return list(own[-1].parameters(recurse=False)) if own else []
