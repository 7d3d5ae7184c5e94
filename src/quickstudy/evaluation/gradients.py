"""`check_gradients`: is the gradient of this learner, on this model and task, right?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from quickstudy.evaluation.differences import Tensors, joint_error, tensor_error
from quickstudy.evaluation.double import in_double, task_in_double
from quickstudy.evaluation.faults import find_faults, in_words
from quickstudy.evaluation.probe import Probe
from quickstudy.inner.diverged import Diverged
from quickstudy.learners.base import Learner
from quickstudy.learners.gradient import GradientLearner
from quickstudy.learners.imaml import IMAML
from quickstudy.learners.reptile import Reptile
from quickstudy.models.functional import Parameters
from quickstudy.tasks.batch import Batch
from quickstudy.tasks.task import Task

TOLERANCE = 1e-5
"""The largest relative error of a gradient in float64 that still counts as right."""


@dataclass(frozen=True)
class GradientReport:
    """What was found.

    Attributes:
        ok: no fault, and every gradient within the tolerance of its oracle.
        faults: each in one sentence: what is wrong, where, and the remedy.
        oracle: what the gradients were compared with.
        errors: relative error by the name of the learned tensor, as in `learner.named_parameters()`. Where finite
            differences found all tensors right together, each has that one error.
    """

    faults: Sequence[str]
    oracle: str
    errors: dict[str, float] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return not self.faults

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        if self.faults:
            return "The gradient is not to be trusted:\n" + "\n".join(f"- {fault}" for fault in self.faults)
        worst = max(self.errors.values(), default=0.0)
        return f"The gradient is right: {len(self.errors)} tensors agree with {self.oracle} to {worst:.1e} (relative, float64)."


def check_gradients(learner: Learner, task: Task, *, seed: int = 0) -> GradientReport:
    """Looks for the faults that make meta-gradients silently wrong, then compares the gradient with its oracle.

    In float64, on the learner itself (a copy would hide a model that reads another one's parameters); its values,
    buffers and types are put back afterwards. The oracle of an exact gradient (and of a metric learner's) is finite
    differences, of first order its definition (dL_query at phi_K), of Reptile theta - theta', of an implicit gradient finite
    differences of the solved inner problem. Differences are taken
    along all tensors together; only where these disagree, along one tensor after the other, to find which is wrong.

    Args:
        seed: draws the directions in which differences are taken.
    """
    with in_double(learner), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        probe = Probe(learner, task_in_double(task))
        faults = find_faults(probe)
        oracle, errors = "nothing", {}
        if not faults:
            try:
                oracle, errors = _compared(learner, probe.task)
            except (RuntimeError, ValueError) as error:  # ours is a ValueError
                faults = [in_words(error, probe.model)]
            faults = faults or [
                f"the gradient of `{name}` is off by {error:.1e} (relative) from {oracle}: the model or the loss does something "
                "that autograd does not see"
                for name, error in errors.items()
                if not error <= TOLERANCE
            ]
    return GradientReport(faults, oracle, errors)


def _compared(learner: Learner, task: Task) -> tuple[str, dict[str, float]]:
    if isinstance(learner, IMAML):
        with learner.solved(task):
            return "finite differences of the solved inner problem", _by_differences(learner, task, *_gradient(learner, task))
    named, got = _gradient(learner, task)
    if isinstance(learner, Reptile):
        return "theta - theta'", _distances(got, _reptile(learner, task))
    if isinstance(learner, GradientLearner) and type(learner).forward is GradientLearner.forward and not learner.second_order:
        return "first order's definition", _distances(got, _first_order(learner, task, named))
    return "finite differences", _by_differences(learner, task, named, got)


def _gradient(learner: Learner, task: Task) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    named: dict[str, torch.Tensor] = {name: p for name, p in learner.named_parameters() if p.requires_grad}
    got = dict(zip(named, torch.autograd.grad(learner([task]), list(named.values()), allow_unused=True), strict=True))
    return named, {name: torch.zeros_like(named[name]) if g is None else g for name, g in got.items()}


def _by_differences(learner: Learner, task: Task, named: Tensors, got: Tensors) -> dict[str, float]:
    """A slope of nearly zero has no relative error, so errors are relative to a thousandth of the largest gradient at least.

    All tensors together have to agree ten times better than one alone: their direction may be one in which an error is small.
    """
    at = {name: parameter.detach().clone() for name, parameter in named.items()}
    floor = 1e-3 * max((g.norm().item() for g in got.values()), default=0.0)

    def value(moved: Tensors) -> float:
        with torch.no_grad():
            try:
                for name, tensor in moved.items():
                    named[name].copy_(tensor)
                return learner([task]).item()
            except Diverged:
                return math.nan
            finally:
                for name in moved:
                    named[name].copy_(at[name])

    together = joint_error(value, at, got, floor=floor, tolerance=TOLERANCE / 10)
    if together <= TOLERANCE / 10:
        return dict.fromkeys(named, together)
    return {name: tensor_error(value, at, got, name, floor=floor, tolerance=TOLERANCE) for name in named}


def _reptile(learner: Reptile, task: Task) -> dict[str, torch.Tensor]:
    (support,), _ = learner.numbered(task.support)
    start = learner.start(support)
    moved = _by_constants(learner, start, support)[-1]
    return {f"model.{name}": (start[name] - moved[name]).detach() for name in learner.names}


def _first_order(learner: GradientLearner, task: Task, named: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The slope of sum_k v_k L_query(phi_k), for all that is learned, where each inner gradient is a constant."""
    (support, query), _ = learner.numbered(task.support, task.query)
    # views, so that what phi_0 was made from (prototypes from the body) does not count as phi_0
    start = {name: value.view_as(value) if value.requires_grad else value for name, value in learner.start(support).items()}
    phis, total = _by_constants(learner, start, support), torch.zeros(())
    for share, at in zip(learner.step_weights(), phis, strict=True):
        values, weight = learner.objective(at, query, True)
        total = total + share * values / weight
    found = torch.autograd.grad(total, list(named.values()), allow_unused=True, materialize_grads=True)
    return dict(zip(named, found, strict=True))


def _by_constants(learner: GradientLearner, phi: Parameters, support: Batch) -> list[Parameters]:
    """phi_1 to phi_K (phi_0 where there is no step), through the rule alone: each inner gradient is a constant."""
    state, phis = learner.rule.init(phi), []
    for k, batch in enumerate(learner.inner_batches(support, learner.inner_steps)):
        leaves = {name: value.detach().requires_grad_() for name, value in phi.items()}
        values, weight = learner.inner_objective(leaves, batch, True)
        constants = torch.autograd.grad(values / weight, list(leaves.values()), allow_unused=True, materialize_grads=True)
        phi, state = learner.rule.update(k, phi, state, dict(zip(phi, constants, strict=True)))
        phis.append(phi)
    return phis or [phi]


def _distances(got: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> dict[str, float]:
    floor = max(1e-12, 1e-3 * max((value.norm().item() for value in expected.values()), default=0.0))  # as by differences
    return {
        name: ((got[name] - value).norm() / value.norm().clamp(min=floor)).item()
        for name, value in expected.items()
        if name in got
    }
