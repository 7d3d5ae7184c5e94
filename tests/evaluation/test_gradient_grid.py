"""Every mode of the gradient on every update rule, each against its own oracle, in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from quickstudy import MAML, Batch, Rates, Reptile, Task, check_gradients
from quickstudy.inner.rules import SGD, Adam, AdamW, ClipNorm, ClipValue, RMSprop, Rule
from quickstudy.learners.imaml import IMAML

SMOOTH: dict[str, Any] = {"eps": 0.8}
"""So large that an inner problem is solved within a hundred steps: near its solution Adam is descent by lr / eps."""
RULES: dict[str, Callable[[Any], Rule]] = {
    "sgd": SGD,
    "momentum": lambda lr: SGD(lr, momentum=0.6),
    "nesterov": lambda lr: SGD(lr, momentum=0.6, nesterov=True),
    "adam": lambda lr: Adam(lr, betas=(0.5, 0.9), **SMOOTH),
    "adamw": lambda lr: AdamW(lr, betas=(0.5, 0.9), weight_decay=0.0, **SMOOTH),
    "rmsprop": lambda lr: RMSprop(lr, **SMOOTH),
    "clipped by norm": lambda lr: ClipNorm(SGD(lr), 0.5),
    "clipped by value": lambda lr: ClipValue(Adam(lr, betas=(0.5, 0.9), **SMOOTH), 0.1),
    "sgd, decay": lambda lr: SGD(lr, weight_decay=0.1),
    "adamw, decay": lambda lr: AdamW(lr, weight_decay=0.1),
    "sgd, learned": lambda lr: SGD(Rates(lr, per="element", steps=3)),
    "adam, learned": lambda lr: Adam(Rates(lr), betas=(Rates(0.8, per="parameter"), Rates(0.9))),
}
MODES: dict[str, tuple[str, Callable[..., MAML | IMAML | Reptile]]] = {
    "exact": ("finite differences", MAML),
    "keep_graph": ("finite differences", lambda *a, **k: MAML(*a, keep_graph=True, **k)),
    "micro_batch": ("finite differences", lambda *a, **k: MAML(*a, micro_batch=2, **k)),
    "first_order": ("first order's definition", lambda *a, **k: MAML(*a, gradient="first_order", **k)),
    "first_order, keep_graph": (
        "first order's definition",
        lambda *a, **k: MAML(*a, gradient="first_order", keep_graph=True, **k),
    ),
    "implicit": ("finite differences of the solved inner problem", IMAML),
    "reptile": ("theta - theta'", Reptile),
}
REFUSED = {("implicit", rule) for rule in RULES if "decay" in rule or "learned" in rule}
REFUSED |= {("reptile", rule) for rule in RULES if "learned" in rule}


def learner(mode: str, rule: str) -> Any:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    return MODES[mode][1](model, 0.2, rule=RULES[rule], inner_steps=3)


def task() -> Task:
    torch.manual_seed(1)
    return Task(*(Batch(torch.randn(n, 3).double(), torch.arange(n) % 3) for n in (6, 5)), seed=7)


@pytest.mark.parametrize(("mode", "rule"), [(m, r) for m in MODES for r in RULES if (m, r) not in REFUSED])
def test_each_mode_agrees_with_its_oracle_on_each_rule(mode, rule):
    made = learner(mode, rule)
    report = check_gradients(made, task())
    assert report, str(report)
    assert report.oracle == MODES[mode][0]
    assert set(report.errors) == {name for name, p in made.named_parameters() if p.requires_grad}
    assert max(report.errors.values()) < 1e-6


@pytest.mark.parametrize("rule", RULES)
def test_the_modes_are_different_gradients(rule):
    """So that an oracle of one would not pass for that of another."""
    found = {}
    for mode in ("exact", "first_order", "implicit", "reptile"):
        if (mode, rule) not in REFUSED:
            made = learner(mode, rule)
            made([task()]).backward()
            found[mode] = torch.cat([p.grad.flatten() for p in made.model.parameters()])
    for mode, gradient in found.items():
        if mode != "exact":
            assert (gradient - found["exact"]).norm() > 1e-3 * found["exact"].norm(), mode
