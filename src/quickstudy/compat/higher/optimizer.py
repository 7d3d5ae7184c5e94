"""What every differentiable optimizer does: one step from a loss to new parameters, with the graph between them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch

from quickstudy.compat.higher.patch import FunctionalModel
from quickstudy.errors import QuickstudyError

Override = Mapping[str, Sequence[Any]]
"""Settings of an optimizer: each a list of one value, or of one for each parameter group."""
Gradients = Sequence[torch.Tensor | None]
Callback = Callable[[Gradients], Gradients]

NUMBERS = ("step", "eta", "mu")
"""What torch keeps as tensors of single precision in an optimizer's state, and computes with as numbers."""


class DifferentiableOptimizer:
    """A torch optimizer whose steps give new parameters and change none, so that a gradient passes through them.

    A subclass says how one parameter moves (`move`), or, as in higher, how all of them do (`_update`).

    Args:
        other: the optimizer; its settings and its state are copied.
        reference_params: the parameters that `params` stands for in `step`; those of `other` are among them.
        fmodel: whose fast weights are stepped; None: `step` is given `params`.
        device: where the state is; None: where it was.
        override: settings in the place of the optimizer's own.
        grad_callback: from all gradients, in the order of `reference_params`, to those that are used (clipping).
        track_higher_grads: whether a step's graph is kept.

    Raises:
        QuickstudyError: a parameter of `other` that is not among `reference_params`; a setting that there is not.
    """

    def __init__(
        self,
        other: torch.optim.Optimizer,
        reference_params: Iterable[torch.Tensor],
        fmodel: FunctionalModel | None = None,
        device: torch.device | str | None = None,
        override: Override | None = None,
        grad_callback: Callback | None = None,
        track_higher_grads: bool = True,
    ):
        number = {id(p): i for i, p in enumerate(reference_params)}
        self._count, self._fmodel, self._callback, self._track = len(number), fmodel, grad_callback, track_higher_grads
        self.param_groups: list[dict[str, Any]] = []
        self.state: list[defaultdict[int, dict[str, Any]]] = []
        self._places: list[list[int]] = []
        for index, group in enumerate(other.param_groups):
            for p in group["params"]:
                if id(p) not in number:
                    raise QuickstudyError(
                        f"the optimizer's group {index} has a parameter {tuple(p.shape)} that is not the model's; "
                        "make the optimizer of parameters of this very model"
                    )
            self._places.append([number[id(p)] for p in group["params"]])
            settings = {name: v.clone() if isinstance(v, torch.Tensor) else v for name, v in group.items()}
            self.param_groups.append({**settings, "params": list(group["params"])})
            copied = {i: _copied(other.state[p], device) for i, p in enumerate(group["params"]) if p in other.state}
            self.state.append(defaultdict(dict, copied))
        self._override(override)

    def step(
        self,
        loss: torch.Tensor,
        params: Iterable[torch.Tensor] | None = None,
        override: Override | None = None,
        grad_callback: Callback | None = None,
        **unknown: Any,
    ) -> list[torch.Tensor]:
        """The parameters after one step down this loss; the model's fast weights, where there is a model, become these.

        Args:
            loss: a scalar that was computed with the fast weights.
            params: the parameters that it was computed with; None: the model's latest.
            override: settings from this step on.
            grad_callback: in the place of the one that was given at first, for this step.

        Raises:
            QuickstudyError: a loss without a gradient, or for none of the parameters; a closure in its place.
        """
        if unknown or not isinstance(loss, torch.Tensor):
            given = f"{next(iter(unknown))}=" if unknown else type(loss).__name__
            raise QuickstudyError(f"step takes the loss, a tensor, not {given}: diffopt.step(loss), no closure and no backward()")
        self._override(override)
        before, callback = self._params(params), grad_callback or self._callback
        gradients = self._gradients(loss, before, whole=callback is not None)
        with torch.set_grad_enabled(self._track):
            if callback is not None:
                gradients = callback(gradients)
                if len(gradients) != len(before):
                    raise QuickstudyError(f"grad_callback gave {len(gradients)} gradients for {len(before)} parameters")
            grouped = [[gradients[i] for i in places] for places in self._places]
            for group, places in zip(self.param_groups, self._places, strict=True):
                group["params"] = [before[i] for i in places]
            self._update(grouped)
        after = list(before)
        for group, places in zip(self.param_groups, self._places, strict=True):
            for i, p in zip(places, group["params"], strict=True):
                after[i] = p if self._track else p.detach().requires_grad_(before[i].requires_grad)
        if self._fmodel is not None:
            self._fmodel.update_params(after)
        return after

    def _update(self, grouped_grads: Sequence[Gradients], **kwargs: Any) -> None:
        """Puts each parameter's next value into its group, `group["params"][i]`; one without a gradient stays."""
        for group, states, gradients in zip(self.param_groups, self.state, grouped_grads, strict=True):
            for i, g in enumerate(gradients):
                if g is None:
                    continue
                if g.is_sparse:
                    raise QuickstudyError(
                        "a gradient is sparse, which has no second derivative: make the layer with sparse=False"
                    )
                p = group["params"][i]
                group["params"][i] = self.move(p, -g if group.get("maximize") else g, states[i], group)

    def move(self, p: torch.Tensor, g: torch.Tensor, state: dict[str, Any], group: dict[str, Any]) -> torch.Tensor:
        """A parameter after one step along its gradient; its state is written anew, nothing in place."""
        raise NotImplementedError

    def _params(self, params: Iterable[torch.Tensor] | None) -> list[torch.Tensor]:
        if params is None and self._fmodel is None:
            raise QuickstudyError("this optimizer has no model to take parameters from: diffopt.step(loss, params=...)")
        found = list(self._fmodel.parameters() if params is None and self._fmodel is not None else params or ())
        if len(found) != self._count:
            raise QuickstudyError(f"step has {len(found)} parameters in the place of {self._count}: give one for each, in order")
        return found

    def _gradients(self, loss: torch.Tensor, params: list[torch.Tensor], *, whole: bool) -> list[torch.Tensor | None]:
        """For each parameter; without `whole`, for those that the optimizer moves."""
        if loss.numel() != 1:
            raise QuickstudyError(f"the inner loss is a tensor {tuple(loss.shape)}: reduce it to one number, loss.mean()")
        if not loss.requires_grad:
            raise QuickstudyError("the inner loss has no gradient: compute it with fmodel, outside torch.no_grad() and detach()")
        moved = {i for places in self._places for i in places}
        wanted = [i for i, p in enumerate(params) if p.requires_grad and (whole or i in moved)]
        found: list[torch.Tensor | None] = [None] * len(params)
        if wanted:
            slopes = torch.autograd.grad(loss, [params[i] for i in wanted], create_graph=self._track, allow_unused=True)
            for i, slope in zip(wanted, slopes, strict=True):
                found[i] = slope
        if not any(found[i] is not None for i in moved):
            raise QuickstudyError(
                "the inner loss depends on none of the parameters that the optimizer moves: compute it with fmodel, not with the "
                "model, and see that they require a gradient"
            )
        return found

    def _override(self, override: Override | None) -> None:
        for name, values in (override or {}).items():
            for group, value in zip(self.param_groups, for_each_group(name, values, self.param_groups), strict=True):
                group[name] = value


def for_each_group(name: str, values: Sequence[Any], groups: Sequence[Mapping[str, Any]]) -> list[Any]:
    """An override's values for a setting, one for each group.

    Raises:
        QuickstudyError: a setting that the optimizer does not have, or not as many values as there are groups.
    """
    known = [each for each in groups[0] if each != "params"]
    if name not in known:
        raise QuickstudyError(f"override: the optimizer has no setting {name!r}; it has {', '.join(known)}")
    wanted = len(groups)
    try:
        found = list(values)
    except TypeError:  # one number
        found = []
    if len(found) not in (1, wanted):
        raise QuickstudyError(
            f"override[{name!r}] should be a list of 1 value, or of {wanted}, one for each group; not {values!r}"
        )
    return found * wanted if len(found) == 1 else found


def _copied(state: Mapping[str, Any], device: torch.device | str | None) -> dict[str, Any]:
    """An optimizer's state for one parameter, as it is now."""
    found = dict(state)
    for name, value in state.items():
        if isinstance(value, torch.Tensor):
            found[name] = value.item() if name in NUMBERS else value.detach().clone().to(device=device)
    return found
