"""A task that diverges is named with the step, alike for every mode of the gradient, and in time."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from quickstudy import MAML, Batch, QuickstudyError, Reptile, Task, evaluate
from quickstudy.inner.diverged import Diverged
from quickstudy.learners.imaml import IMAML
from quickstudy.learners.mamlpp import MAMLpp

MODES: dict[str, Any] = {
    "exact": MAML,
    "keep_graph": lambda *a, **k: MAML(*a, keep_graph=True, **k),
    "first_order": lambda *a, **k: MAML(*a, gradient="first_order", **k),
    "micro_batch": lambda *a, **k: MAML(*a, micro_batch=2, **k),
    "implicit": IMAML,
    "reptile": Reptile,
    "multi-step": MAMLpp,
}


def task(scale: float = 1.0, seed: int = 0) -> Task:
    generator = torch.Generator().manual_seed(seed)
    return Task(*(Batch(scale * torch.randn(4, 2, generator=generator), torch.ones(4, 1)) for _ in range(2)), seed=seed)


def learner(mode: str, steps: int = 5, **settings: Any) -> Any:
    torch.manual_seed(0)
    return MODES[mode](nn.Linear(2, 1), 0.1, inner_steps=steps, **settings)


@pytest.mark.parametrize("mode", MODES)
def test_the_task_and_the_step_are_named(mode):
    made = learner(mode)
    tasks = [task(seed=3), task(1e40, seed=4)]  # the square of the second one's error soon leaves float64
    with pytest.raises(
        Diverged, match=r"^task 2 \(seed 4\): the inner loss is (inf|nan) at step 3 of 5; lower inner_lr, or clip"
    ):
        made(tasks)
    with torch.no_grad(), pytest.raises(Diverged, match=r"task 2 .*step 3 of 5"):
        made(tasks)
    assert torch.isfinite(made(tasks[:1]))
    made(tasks[:1]).backward()  # nothing is left behind
    assert all(torch.isfinite(p.grad).all() for p in made.parameters())


@pytest.mark.parametrize("mode", MODES)
def test_adapting_and_evaluating_say_the_step_and_the_seed(mode):
    made, bad = learner(mode), task(1e40, seed=4)
    with pytest.raises(Diverged, match=r"^the task of seed 4: the inner loss is (inf|nan) at step 3 of 5; lower inner_lr"):
        made.adapt(bad.support)
    with pytest.raises(Diverged, match=r"seed 4.* at step 3 of 5"):
        evaluate(made, [task(seed=3), bad])
    with pytest.raises(Diverged, match=r"^the inner loss is (inf|nan) at step 3 of 5"):
        made.adapt(Batch(bad.support.inputs, bad.support.targets))  # made by hand: no seed


@pytest.mark.parametrize("mode", MODES)
def test_the_last_step_is_judged_by_the_query_or_by_what_it_learned(mode):
    made = learner(mode, steps=1)
    bad = task(1e100, seed=4)
    with pytest.raises(Diverged, match=r"task 1 .* query loss is (inf|nan) after the inner loop"):
        made([bad])

    def loss(output: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return (output - output.detach()).abs().sqrt()  # 0, with an infinite slope

    made = learner(mode, steps=1, loss=loss)
    with pytest.raises(Diverged, match="the inner gradient is not finite at step 1 of 1"):
        made.adapt(task(seed=4).support)


def test_an_outer_gradient_that_is_not_finite_is_the_tasks():
    def loss(output: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return (output - output.detach()).abs().sqrt()

    with pytest.raises(Diverged, match=r"task 1 \(seed 4\): the gradient of the query loss through the inner loop is not finite"):
        learner("exact", steps=0, loss=loss)([task(seed=4)])


def test_it_costs_one_number_a_step(monkeypatch):
    read = []
    item = torch.Tensor.item
    monkeypatch.setattr(torch.Tensor, "item", lambda self: (read.append(self.numel()), item(self))[1])
    learner("exact", loss=lambda output, targets: (output - targets).square())([task(), task(seed=1)])
    assert read == [1] * 14, "five inner losses, a query loss and the norm of a gradient, for each of two tasks"
    read.clear()
    learner("exact")([task(), task(seed=1)])
    assert read == [1] * 7, "the same, for two tasks side by side"


def test_it_is_an_error_of_ours_with_a_remedy_that_a_recipe_can_have():
    assert issubclass(Diverged, QuickstudyError)
    clipped = learner("exact", rule={"name": "sgd", "clip_norm": 1.0})
    assert torch.isfinite(clipped.adapt(task(1e40, seed=4).support).phi["weight"]).all()
