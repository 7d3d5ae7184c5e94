"""The kink of Adam and its kin where a gradient is exactly zero: there the step's slope is lr / eps."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from quickstudy.evaluation.probe import Probe

NARROW = 1e-5
"""An eps below which the slope at the kink says nothing of the step a hair's breadth away."""


def kinks(probe: Probe) -> Iterator[str]:
    """Whether the first inner gradient is exactly zero somewhere (LoRA's A while B is zero), under a rule with a narrow eps."""
    learner = probe.learner
    eps = getattr(learner.rule, "eps", 1.0)
    if not (learner.second_order and learner.inner_steps and eps < NARROW):
        return
    phi = {name: value.requires_grad_() for name, value in probe.phi().items()}
    value, _ = learner.inner_objective(phi, learner.inner_batches(probe.support, learner.inner_steps)[0], True)
    found = torch.autograd.grad(value, list(phi.values()), allow_unused=True, materialize_grads=True)
    flat = [name for name, gradient in zip(phi, found, strict=True) if not bool(gradient.any())]
    if flat and len(flat) < len(phi):
        rule = type(learner.rule).__name__
        yield (
            f"a kink: the first inner gradient of `{flat[0]}` is exactly zero, one of {len(flat)} (LoRA's A is while B is zero), "
            f"and there the slope of {rule}'s step is lr / eps, with eps {eps:.0e}: the outer gradient through it is huge and "
            f"says little; give a wider one (rule: {{name: {rule.lower()}, eps: 0.001}}), sgd, or gradient: first_order"
        )
