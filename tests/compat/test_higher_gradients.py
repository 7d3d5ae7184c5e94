"""The gradient through higher's inner loop: against finite differences, and against MAML's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call
from torch.testing import assert_close

from quickstudy import MAML, Batch, Task
from quickstudy.compat.higher import innerloop_ctx
from quickstudy.compat.higher.optim import apply_trainable_opt_params, get_trainable_opt_params
from quickstudy.compat.higher.utils import flatten

H, EPS = 1e-6, 1e-2
"""A step of a finite difference, and an eps for which the loss is smooth on it."""
OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "SGD": lambda p: torch.optim.SGD(p, lr=0.3, momentum=0.6, dampening=0.2, weight_decay=0.1),
    "Nesterov": lambda p: torch.optim.SGD(p, lr=0.3, momentum=0.6, nesterov=True),
    "Adam": lambda p: torch.optim.Adam(p, lr=0.1, betas=(0.7, 0.9), eps=EPS, weight_decay=0.1),
    "AMSGrad": lambda p: torch.optim.Adam(p, lr=0.1, betas=(0.7, 0.9), eps=EPS, amsgrad=True),
    "AdamW": lambda p: torch.optim.AdamW(p, lr=0.1, betas=(0.7, 0.9), eps=EPS, weight_decay=0.2),
    "RMSprop": lambda p: torch.optim.RMSprop(p, lr=0.1, alpha=0.8, eps=EPS, momentum=0.5),
    "RMSprop centred": lambda p: torch.optim.RMSprop(p, lr=0.1, alpha=0.8, eps=EPS, centered=True, weight_decay=0.1),
    "Adagrad": lambda p: torch.optim.Adagrad(p, lr=0.1, lr_decay=0.1, eps=EPS, initial_accumulator_value=0.1),
    "Adadelta": lambda p: torch.optim.Adadelta(p, lr=0.5, rho=0.8, eps=EPS, weight_decay=0.1),
    "Adamax": lambda p: torch.optim.Adamax(p, lr=0.1, betas=(0.7, 0.9), eps=EPS, weight_decay=0.1),
    "ASGD": lambda p: torch.optim.ASGD(p, lr=0.3, lambd=0.1, weight_decay=0.1),
    "Rprop": lambda p: torch.optim.Rprop(p, lr=0.1),
}
each = pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)


class Problem:
    """A small network, two batches to learn from, one to be judged on."""

    def __init__(self):
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
        self.batches = [(torch.randn(5, 3).double(), torch.randn(5, 2).double()) for _ in range(3)]

    def value(self, opt: torch.optim.Optimizer, override: dict | None = None, **settings: Any) -> torch.Tensor:
        *inner, (x, y) = self.batches
        with innerloop_ctx(self.model, opt, copy_initial_weights=False, override=override, **settings) as (fmodel, diffopt):
            for inputs, targets in inner:
                diffopt.step(F.mse_loss(fmodel(inputs), targets))
            return F.mse_loss(fmodel(x), y)


def slope(f: Callable[[], torch.Tensor], tensor: torch.Tensor, at: int) -> float:
    """The central difference of f in one element."""
    values = []
    for side in (H, -H):
        tensor.data.view(-1)[at] += side
        values.append(f().item())
        tensor.data.view(-1)[at] -= side
    return (values[0] - values[1]) / (2 * H)


@each
def test_the_gradient_for_the_parameters_is_that_of_finite_differences(make):
    problem = Problem()
    opt = make(problem.model.parameters())
    problem.value(opt).backward()
    for p in problem.model.parameters():
        expected = slope(lambda: problem.value(opt), p, 1)
        assert p.grad.view(-1)[1].item() == pytest.approx(expected, rel=1e-5, abs=1e-8)


@each
def test_every_number_of_an_optimizer_is_learned(make):
    problem = Problem()
    opt = make([{"params": list(problem.model[0].parameters())}, {"params": list(problem.model[2].parameters()), "lr": 0.2}])
    override = {name: values for name, values in get_trainable_opt_params(opt).items() if name not in ("t0", "step_sizes")}
    for tensor in (numbers := flatten(override)):
        tensor.data = tensor.data.double()
    found = torch.autograd.grad(problem.value(opt, override), numbers, allow_unused=True, materialize_grads=True)
    for number, gradient in zip(numbers, found, strict=True):
        assert gradient.item() == pytest.approx(slope(lambda: problem.value(opt, override), number, 0), rel=1e-4, abs=1e-8)
    rates = dict(zip(map(id, numbers), found, strict=True))
    assert all(rates[id(rate)].abs() > 1e-6 for rate in override["lr"])


def test_a_rate_for_each_element_is_learned():
    problem = Problem()
    opt = torch.optim.SGD([{"params": [p]} for p in problem.model.parameters()], lr=0.1)
    rates = [torch.full_like(p, 0.1, requires_grad=True) for p in problem.model.parameters()]
    assert_close(problem.value(opt, {"lr": rates}), problem.value(opt))
    found = torch.autograd.grad(problem.value(opt, {"lr": rates}), rates)
    for rate, gradient in zip(rates, found, strict=True):
        assert gradient.view(-1)[1].item() == pytest.approx(slope(lambda: problem.value(opt, {"lr": rates}), rate, 1), rel=1e-5)


def test_what_was_learned_goes_back_into_the_optimizer():
    parameters = [nn.Parameter(torch.randn(2)) for _ in range(2)]
    opt = torch.optim.Adam([{"params": parameters[:1], "lr": 0.2}, {"params": parameters[1:]}], lr=0.1)
    learned = get_trainable_opt_params(opt)
    assert set(learned) == {"lr", "betas", "eps", "weight_decay"}  # no flag
    assert all(t.requires_grad for t in flatten(learned))
    learned["lr"][1].data.fill_(0.5)
    learned["weight_decay"] = [torch.tensor(0.25)]
    apply_trainable_opt_params(opt, learned)
    assert [group["lr"] for group in opt.param_groups] == pytest.approx([0.2, 0.5])
    assert [group["weight_decay"] for group in opt.param_groups] == [0.25, 0.25]  # 0 was a whole number
    assert opt.param_groups[0]["betas"] == pytest.approx((0.9, 0.999))
    assert type(opt.param_groups[0]["lr"]) is float


@pytest.mark.parametrize("steps", [1, 4])
def test_the_gradient_is_mamls(steps):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    labels = torch.arange(6) % 3
    task = Task(Batch(torch.randn(6, 3).double(), labels), Batch(torch.randn(6, 3).double(), labels))
    value = MAML(model, 0.2, inner_steps=steps)([task])
    expected = torch.autograd.grad(value, list(model.parameters()))
    with innerloop_ctx(model, torch.optim.SGD(model.parameters(), lr=0.2), copy_initial_weights=False) as (fmodel, diffopt):
        for _ in range(steps):
            diffopt.step(F.cross_entropy(fmodel(task.support.inputs), labels))
        outer = F.cross_entropy(fmodel(task.query.inputs), labels)
    assert_close(outer, value.detach(), rtol=1e-12, atol=1e-12)
    assert_close(torch.autograd.grad(outer, list(model.parameters())), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ["Adam", "AMSGrad", "AdamW", "RMSprop", "Adagrad"])
def test_a_gradient_of_exactly_zero_has_the_slope_of_the_formula(name):
    """As that of LoRA's A while B is zero: sqrt(v) alone has none."""
    p = nn.Parameter(torch.zeros(2).double())
    scale = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    make = {"Adagrad": lambda p: torch.optim.Adagrad(p, lr=0.1, eps=EPS)}.get(name, OPTIMIZERS[name])

    def moved() -> torch.Tensor:
        with innerloop_ctx(nn.ParameterList([p]), make([p]), copy_initial_weights=False) as (fmodel, diffopt):
            return diffopt.step((scale * fmodel[0]).sum())[0].sum()

    found = torch.autograd.grad(moved(), scale)[0]
    assert torch.isfinite(found).all()
    assert found[0].item() == pytest.approx(slope(moved, scale, 0), rel=1e-3)


def test_with_no_graph_the_outer_loss_has_the_gradient_at_its_end():
    problem = Problem()
    opt = torch.optim.SGD(problem.model.parameters(), lr=0.3)
    with innerloop_ctx(problem.model, opt, track_higher_grads=False) as (fmodel, diffopt):
        for x, y in problem.batches[:2]:
            diffopt.step(F.mse_loss(fmodel(x), y))
        x, y = problem.batches[2]
        found = torch.autograd.grad(F.mse_loss(fmodel(x), y), list(fmodel.parameters()))
        end = {name: p.detach().requires_grad_() for name, p in fmodel.named_parameters()}
    assert all(p.grad is None for p in problem.model.parameters())
    expected = torch.autograd.grad(F.mse_loss(functional_call(problem.model, end, (x,)), y), list(end.values()))
    assert_close(found, expected)
