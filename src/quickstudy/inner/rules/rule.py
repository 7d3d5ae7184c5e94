"""What an update rule is: `init` and `update`, and nothing else that a new one has to say."""

from __future__ import annotations

import torch
from torch import nn

from quickstudy.inner.rules.rates import Rate, Rates, at
from quickstudy.models.functional import Parameters

State = dict[str, torch.Tensor]


class Rule(nn.Module):
    """U of the recursion (phi_{k+1}, s_{k+1}) = U(phi_k, s_k, g_k), differentiable in all three and in what it learns."""

    by_element: bool = False
    """Whether a number of the parameters moves whatever the others are, so that those of several tasks may be stacked."""

    def init(self, phi: Parameters) -> State:
        """The optimizer's state before the first step."""
        raise NotImplementedError

    def update(self, step: int, phi: Parameters, state: State, gradient: Parameters) -> tuple[Parameters, State]:
        """phi_{k+1} and the next state, from phi_k, the state and the gradient at phi_k. `step` is k, from 0."""
        raise NotImplementedError

    def bind(self, shapes: dict[str, torch.Size], like: torch.Tensor) -> None:
        """Makes whatever this rule, or one inside it, learns for parameters of these names and shapes."""
        for module in self.modules():
            if isinstance(module, Rates):
                module.bind(shapes, like)

    @property
    def elementwise(self) -> bool:
        """Whether this rule and those inside it are `by_element`."""
        return all(module.by_element for module in self.modules() if isinstance(module, Rule))

    @property
    def stationary(self) -> bool:
        """Whether it rests exactly where the loss's gradient is zero.

        True of descent, momentum, Adam and RMSprop, clipped or not: neither way of clipping makes a zero, or moves one.
        False with weight decay: as L2 it rests where the loss plus decay/2 |phi|^2 does, decoupled where neither does.
        """
        return all(getattr(module, "weight_decay", 0) == 0 for module in self.modules())


class OnGradient(Rule):
    """A rule on a gradient that is changed before the rule sees it.

    Args:
        rule: any rule; what it remembers is all there is to remember.
    """

    def __init__(self, rule: Rule):
        super().__init__()
        self.rule = rule

    def change(self, gradient: Parameters) -> Parameters:
        """The gradient that the rule gets."""
        raise NotImplementedError

    def init(self, phi: Parameters) -> State:
        """The rule's own."""
        return self.rule.init(phi)

    def update(self, step: int, phi: Parameters, state: State, gradient: Parameters) -> tuple[Parameters, State]:
        """One step of the rule along the changed gradient."""
        return self.rule.update(step, phi, state, self.change(gradient))


def zeros(slots: tuple[str, ...], phi: Parameters) -> State:
    """A state of these slots for each parameter, `"slot/name"`, at zero."""
    return {f"{slot}/{name}": torch.zeros_like(value) for slot in slots for name, value in phi.items()}


def l2(weight_decay: Rate, step: int, phi: Parameters, gradient: Parameters) -> Parameters:
    """The gradient of the loss plus decay/2 |phi|^2."""
    if weight_decay == 0:
        return gradient
    return {name: gradient[name] + at(weight_decay, name, step) * value for name, value in phi.items()}
