"""`Training`: many small perceptrons that train side by side, each with a rate and an update rule of its own."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from quickstudy.errors import QuickstudyError
from quickstudy.inner.rules import Rule, State
from quickstudy.models.functional import Parameters


def initial(trials: int, dim: int, hidden: int, classes: int, generator: torch.Generator) -> Parameters:
    """Weights `(trials, in, out)` and biases `(trials, 1, out)` of one hidden layer, uniform as those of `nn.Linear`."""

    def uniform(fan_in: int, *shape: int) -> torch.Tensor:
        return (2 * torch.rand(trials, *shape, generator=generator) - 1) / fan_in**0.5

    return {
        "hidden.weight": uniform(dim, dim, hidden),
        "hidden.bias": uniform(dim, 1, hidden),
        "out.weight": uniform(hidden, hidden, classes),
        "out.bias": uniform(hidden, 1, classes),
    }


def narrow(phi: Parameters, widths: torch.Tensor) -> Parameters:
    """Networks with their first hidden units alone, `(trials,)` of them, as `initial` would begin these.

    The other units have no weights in or out. Each is 0, where the slope of relu is 0 too: it has a gradient of exactly zero, and
    stays under every rule that rests there.
    """
    hidden = phi["out.weight"].shape[1]
    there = (torch.arange(hidden) < widths[:, None]).float()
    scale = (hidden / widths).sqrt()[:, None, None]  # by the fan-in
    return {
        "hidden.weight": phi["hidden.weight"] * there[:, None],
        "hidden.bias": phi["hidden.bias"] * there[:, None],
        "out.weight": scale * phi["out.weight"] * there[:, :, None],
        "out.bias": scale * phi["out.bias"],
    }


def logits(phi: Parameters, inputs: torch.Tensor) -> torch.Tensor:
    """`(trials, rows, classes)` for inputs `(trials, rows, dim)`."""
    hidden = torch.baddbmm(phi["hidden.bias"], inputs, phi["hidden.weight"]).relu()
    return torch.baddbmm(phi["out.bias"], hidden, phi["out.weight"])


def losses(phi: Parameters, inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross entropy in nats of each example, `(trials, rows)`."""
    return F.cross_entropy(logits(phi, inputs).flatten(0, 1), labels.flatten(), reduction="none").view(labels.shape)


def gradient(phi: Parameters, inputs: torch.Tensor, labels: torch.Tensor) -> Parameters:
    """Of the mean loss of each trial, in that trial's parameters; also where gradients are switched off around it."""
    with torch.enable_grad():
        leaves = {name: value.detach().requires_grad_() for name, value in phi.items()}
        # A trial's parameters are in its own term of the sum alone, so one that diverges leaves the others' gradients be.
        summed = losses(leaves, inputs, labels).mean(1).sum()
        return dict(zip(leaves, torch.autograd.grad(summed, list(leaves.values())), strict=True))


def norm(values: Parameters) -> torch.Tensor:
    """Euclidean, over all parameters of a trial: `(trials,)`."""
    return torch.stack([torch.linalg.vector_norm(value.flatten(1), dim=1) for value in values.values()]).norm(dim=0)


@dataclass(frozen=True)
class Trained:
    """How far the training is.

    Args:
        phi: the parameters, `(trials, ...)` each.
        states: of every rule.
        step: updates so far.
        gradient_norm, update_norm: of the last update, `(trials,)`.
    """

    phi: Parameters
    states: tuple[State, ...]
    step: int
    gradient_norm: torch.Tensor
    update_norm: torch.Tensor


class Training:
    """Updates by one of several rules in each trial.

    Every rule follows the gradients of every step, whichever one moves the parameters: one that a trial changes to knows
    the past (momentum, Adam's moments) as if it had been there from the start.

    Args:
        rules: to choose from. A trial's rate multiplies the rule's own `lr`.

    Raises:
        QuickstudyError: a rule whose step is no multiple of its rate, or does not stay within a trial.
    """

    def __init__(self, *rules: Rule):
        for rule in rules:
            if not (rule.elementwise and rule.stationary):
                raise QuickstudyError(
                    f"{type(rule).__name__} cannot train trials side by side, each at a rate of its own, with weight decay or "
                    "clipping by norm; leave them out"
                )
        self.rules = rules

    def begin(self, phi: Parameters) -> Trained:
        """Before the first update."""
        nothing = torch.zeros(len(next(iter(phi.values()))))
        return Trained(phi, tuple(rule.init(phi) for rule in self.rules), 0, nothing, nothing)

    def step(
        self, now: Trained, inputs: torch.Tensor, labels: torch.Tensor, rates: torch.Tensor, chosen: torch.Tensor
    ) -> Trained:
        """One update on a minibatch each.

        Args:
            inputs: `(trials, batch, dim)`.
            labels: `(trials, batch)`, of int64.
            rates: `(trials,)`.
            chosen: which of the rules, `(trials,)`.
        """
        g = gradient(now.phi, inputs, labels)
        # From zero a rule at lr goes to -lr times its direction: none of these looks at the parameters, or at lr besides.
        zero = {name: torch.zeros_like(value) for name, value in g.items()}
        updates, states = zip(
            *(rule.update(now.step, zero, state, g) for rule, state in zip(self.rules, now.states, strict=True)),
            strict=True,
        )
        chosen, rates = chosen[:, None, None], rates[:, None, None]
        update = {}
        for name in g:
            update[name] = updates[0][name]
            for number, other in enumerate(updates[1:], 1):
                update[name] = torch.where(chosen == number, other[name], update[name])
            update[name] = rates * update[name]
        phi = {name: value + update[name] for name, value in now.phi.items()}
        return Trained(phi, states, now.step + 1, norm(g), norm(update))
