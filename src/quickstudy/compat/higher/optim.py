"""From a torch optimizer to its differentiable form, and its settings as tensors that are learned."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch.utils._pytree import tree_leaves, tree_map

from quickstudy.compat.higher.optimizer import DifferentiableOptimizer, Override, for_each_group
from quickstudy.compat.higher.patch import FunctionalModel
from quickstudy.compat.higher.rules import (
    DifferentiableAdadelta,
    DifferentiableAdagrad,
    DifferentiableAdam,
    DifferentiableAdamax,
    DifferentiableAdamW,
    DifferentiableASGD,
    DifferentiableRMSprop,
    DifferentiableRprop,
    DifferentiableSGD,
)
from quickstudy.errors import QuickstudyError

_KNOWN: dict[type[torch.optim.Optimizer], type[DifferentiableOptimizer]] = {
    torch.optim.SGD: DifferentiableSGD,
    torch.optim.Adam: DifferentiableAdam,
    torch.optim.AdamW: DifferentiableAdamW,
    torch.optim.RMSprop: DifferentiableRMSprop,
    torch.optim.Adagrad: DifferentiableAdagrad,
    torch.optim.Adadelta: DifferentiableAdadelta,
    torch.optim.Adamax: DifferentiableAdamax,
    torch.optim.ASGD: DifferentiableASGD,
    torch.optim.Rprop: DifferentiableRprop,
}


def get_diff_optim(
    opt: torch.optim.Optimizer,
    reference_params: Iterable[torch.Tensor],
    fmodel: FunctionalModel | None = None,
    device: torch.device | str | None = None,
    override: Override | None = None,
    track_higher_grads: bool = True,
    **kwargs: Any,
) -> DifferentiableOptimizer:
    """The differentiable form of an optimizer, from its settings and its state; the arguments are those of the result.

    Raises:
        QuickstudyError: an optimizer that has none.
    """
    if type(opt) not in _KNOWN:
        known = ", ".join(sorted(each.__name__ for each in _KNOWN))
        raise QuickstudyError(f"{type(opt).__name__} has no differentiable form (known: {known}); register_optim adds one")
    settings = {"device": device, "override": override, "track_higher_grads": track_higher_grads}
    return _KNOWN[type(opt)](opt, reference_params, fmodel=fmodel, **settings, **kwargs)


def create_diff_optim(
    opt_type: type[torch.optim.Optimizer],
    opt_kwargs: Mapping[str, Any] | None = None,
    params: Iterable[Any] | None = None,
    fmodel: FunctionalModel | None = None,
    device: torch.device | str | None = None,
    override: Override | None = None,
    track_higher_grads: bool = True,
    **kwargs: Any,
) -> DifferentiableOptimizer:
    """A differentiable optimizer that starts afresh.

    Args:
        opt_type: a torch optimizer.
        opt_kwargs: of its constructor.
        params: what it is to move, or parameter groups of them; their shapes are all that is used. None: those of `fmodel`.

    Raises:
        QuickstudyError: neither `params` nor `fmodel`, or what `get_diff_optim` raises.
    """
    if params is None and fmodel is None:
        raise QuickstudyError("create_diff_optim needs to know what is to be moved: give params or fmodel")
    given = list(fmodel.parameters() if params is None and fmodel is not None else params or ())
    groups = given if any(isinstance(each, Mapping) for each in given) else [{"params": given}]
    blank = [{**group, "params": [torch.zeros_like(p, requires_grad=True) for p in _listed(group["params"])]} for group in groups]
    opt = opt_type(blank, **(opt_kwargs or {}))
    reference = [p for group in blank for p in group["params"]]
    return get_diff_optim(opt, reference, fmodel, device, override, track_higher_grads, **kwargs)


def register_optim(optim_type: type[torch.optim.Optimizer], diff_optim_type: type[DifferentiableOptimizer]) -> None:
    """Makes `diff_optim_type` the differentiable form of an optimizer."""
    _KNOWN[optim_type] = diff_optim_type


def get_trainable_opt_params(opt: torch.optim.Optimizer, device: torch.device | str | None = None) -> dict[str, list[Any]]:
    """The optimizer's numbers as an override of tensors that require a gradient. Flags are left out."""
    override: dict[str, list[Any]] = defaultdict(list)
    for group in opt.param_groups:
        for name, value in group.items():
            if name != "params" and all(map(_is_number, tree_leaves(value))):
                override[name].append(tree_map(lambda number: _learned(number, device), value))
    return override


def apply_trainable_opt_params(opt: torch.optim.Optimizer, override: Override) -> None:
    """Gives an optimizer the numbers that were learned, as plain ones again.

    Raises:
        QuickstudyError: a setting that it does not have, or not as many values as it has groups.
    """
    for name, values in override.items():
        for group, value in zip(opt.param_groups, for_each_group(name, values, opt.param_groups), strict=True):
            group[name] = tree_map(_plain, group[name], value)


def _listed(params: Any) -> list[torch.Tensor]:
    return [params] if isinstance(params, torch.Tensor) else list(params)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, torch.Tensor)) and not isinstance(value, bool)


def _learned(number: Any, device: torch.device | str | None) -> torch.Tensor:
    value = number.detach().clone() if isinstance(number, torch.Tensor) else torch.tensor(float(number))
    return value.to(device=device).requires_grad_()


def _plain(before: Any, learned: Any) -> Any:
    """Of the type that was there, unless that would round it: a decay of 0 is a whole number before it is learned."""
    if isinstance(before, torch.Tensor):
        return learned.detach().to(before, copy=True)
    number = learned.item() if isinstance(learned, torch.Tensor) else learned
    same = type(before)(number)
    return same if same == number else number
