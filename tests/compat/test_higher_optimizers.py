"""Each differentiable optimizer against torch's own, element by element in float64, over a grid of settings."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from quickstudy import QuickstudyError
from quickstudy.compat.higher import create_diff_optim, get_diff_optim, innerloop_ctx, register_optim
from quickstudy.compat.higher.optim import DifferentiableSGD


@pytest.fixture(autouse=True)
def _double():
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)  # torch keeps eta of ASGD in the default type
    yield
    torch.set_default_dtype(torch.float32)


def grid(name: str, **choices: list[Any]) -> list[tuple[str, dict[str, Any]]]:
    values = itertools.product(*choices.values(), [0.0, 0.1], [False, True])
    keys = [*choices, "weight_decay", "maximize"]
    return [(name, dict(zip(keys, each, strict=True))) for each in values]


CASES = [
    *grid("SGD", momentum=[0.0, 0.9, 1.0], dampening=[0.0, 0.3]),
    *grid("SGD", momentum=[0.5], nesterov=[True]),
    *grid("Adam", betas=[(0.9, 0.999), (0.0, 0.9)], eps=[1e-8, 1e-2], amsgrad=[False, True]),
    *grid("AdamW", betas=[(0.9, 0.999), (0.0, 0.9)], eps=[1e-8, 1e-2], amsgrad=[False, True]),
    *grid("RMSprop", alpha=[0.99, 0.5], eps=[1e-8, 1e-2], momentum=[0.0, 0.8], centered=[False, True]),
    *grid("Adagrad", lr_decay=[0.0, 0.1], initial_accumulator_value=[0.0, 0.5], eps=[1e-10, 1e-2]),
    *grid("Adadelta", rho=[0.9, 0.5], eps=[1e-6, 1e-2]),
    *grid("Adamax", betas=[(0.9, 0.999), (0.5, 0.9)], eps=[1e-8, 1e-2]),
    *grid("ASGD", lambd=[1e-4, 0.1], alpha=[0.75, 0.5], t0=[1e6, 2]),
    *[("Rprop", {"etas": etas, "maximize": maximize}) for etas in ((0.5, 1.2), (0.3, 1.5)) for maximize in (False, True)],
]


class Net(nn.Module):
    """Two layers that share a bias, and a parameter that is not used."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(3, 4), nn.Linear(4, 4)
        self.second.bias = self.first.bias
        self.unused = nn.Parameter(torch.randn(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(x).tanh())


def loss(model: Any, x: torch.Tensor) -> torch.Tensor:
    return model(x).square().mean() + model(x)[0, 0]


def optimizer(name: str, model: Net, settings: dict[str, Any]) -> torch.optim.Optimizer:
    groups = [{"params": list(model.first.parameters()), "lr": 0.05}, {"params": [model.second.weight, model.unused]}]
    return getattr(torch.optim, name)(groups, lr=0.1, foreach=False, **settings)


def train(model: nn.Module, opt: torch.optim.Optimizer, batches: list[torch.Tensor]) -> None:
    for x in batches:
        opt.zero_grad()
        loss(model, x).backward()
        opt.step()


@pytest.mark.parametrize(("name", "settings"), CASES, ids=[f"{n} {' '.join(map(str, s.values()))}" for n, s in CASES])
def test_equals_torch_from_any_state(name, settings):
    model, batches = Net(), list(torch.randn(7, 5, 3))
    opt = optimizer(name, model, settings)
    train(model, opt, batches[:2])  # the inner loop goes on from here
    with innerloop_ctx(model, opt, copy_initial_weights=False) as (fmodel, diffopt):
        for x in batches[2:]:
            diffopt.step(loss(fmodel, x))
    train(model, opt, batches[2:])
    for ours, theirs in zip(fmodel.parameters(), model.parameters(), strict=True):
        assert_close(ours, theirs.detach().clone(), rtol=1e-9, atol=1e-12)
    assert len({p.data_ptr() for p in fmodel.parameters()}) == len(list(model.parameters())) == 4


def test_a_frozen_parameter_stays_and_stays_frozen():
    model = Net()
    model.first.weight.requires_grad_(False)
    opt = torch.optim.SGD(model.parameters(), lr=0.1)
    with innerloop_ctx(model, opt, track_higher_grads=False) as (fmodel, diffopt):
        for x in torch.randn(3, 5, 3):
            diffopt.step(loss(fmodel, x))
    assert [p.requires_grad for p in fmodel.parameters()] == [p.requires_grad for p in model.parameters()]
    assert torch.equal(fmodel.first.weight, model.first.weight)
    assert not torch.equal(fmodel.second.weight, model.second.weight)


def test_neither_the_model_nor_the_optimizer_changes():
    model, x = Net(), torch.randn(5, 3)
    opt = torch.optim.Adam(model.parameters(), lr=0.1)
    train(model, opt, [x])
    before = [p.detach().clone() for p in model.parameters()]
    state = {name: value.clone() for name, value in opt.state[model.first.weight].items()}
    with innerloop_ctx(model, opt, override={"lr": [0.5]}) as (fmodel, diffopt):
        diffopt.step(loss(fmodel, x))
    assert all(map(torch.equal, before, model.parameters()))
    assert all(torch.equal(opt.state[model.first.weight][name], value) for name, value in state.items())
    assert opt.param_groups[0]["lr"] == 0.1


def test_an_override_holds_for_its_group_and_from_its_step_on():
    model, x = Net(), torch.randn(5, 3)
    opt = optimizer("SGD", model, {})
    plain, fast = Net(), optimizer("SGD", model, {})
    plain.load_state_dict(model.state_dict())
    with innerloop_ctx(model, opt) as (fmodel, diffopt):
        diffopt.step(loss(fmodel, x))
        diffopt.step(loss(fmodel, x), override={"lr": [0.3, 0.2], "momentum": [0.5]})
        diffopt.step(loss(fmodel, x))
    fast = optimizer("SGD", plain, {})
    train(plain, fast, [x])
    for group, lr in zip(fast.param_groups, (0.3, 0.2), strict=True):
        group.update(lr=lr, momentum=0.5)
    train(plain, fast, [x, x])
    for ours, theirs in zip(fmodel.parameters(), plain.parameters(), strict=True):
        assert_close(ours, theirs.detach(), rtol=1e-12, atol=1e-12)


def test_a_callback_sees_every_gradient_in_order_and_says_what_is_used():
    model, x = Net(), torch.randn(5, 3)
    seen: list[Any] = []

    def cut(gradients):
        seen.append([None if g is None else tuple(g.shape) for g in gradients])
        return [None if g is None else 0.1 * g for g in gradients]

    opt = torch.optim.SGD(model.second.parameters(), lr=0.1)
    with innerloop_ctx(model, opt) as (fmodel, diffopt):
        diffopt.step(loss(fmodel, x), grad_callback=cut)
    assert seen == [[None if p is model.unused else tuple(p.shape) for p in model.parameters()]]
    expected = model.second.weight - 0.01 * torch.autograd.grad(loss(model, x), model.second.weight)[0]
    assert_close(fmodel.second.weight, expected)


def test_without_a_model_the_parameters_are_given():
    y = torch.zeros(3, requires_grad=True)
    energy = torch.randn(3, requires_grad=True)
    opt = get_diff_optim(torch.optim.SGD([y], lr=0.1), [y])
    now = y
    for _ in range(3):
        (now,) = opt.step((energy * now + now.square()).sum(), params=[now])
    # y_k = 0.8 y_{k-1} - 0.1 energy
    assert_close(now, -0.1 * energy * (1 + 0.8 + 0.8**2))
    assert_close(torch.autograd.grad(now.sum(), energy)[0], torch.full((3,), -0.1 * (1 + 0.8 + 0.8**2)))


def test_one_made_afresh_equals_one_of_a_new_torch_optimizer():
    model, x = Net(), torch.randn(5, 3)
    opt = torch.optim.Adam(model.parameters(), lr=0.2)
    with innerloop_ctx(model, opt) as (fmodel, diffopt):
        diffopt.step(loss(fmodel, x))
    with innerloop_ctx(model, opt) as (other, _):
        create_diff_optim(torch.optim.Adam, {"lr": 0.2}, fmodel=other).step(loss(other, x))
    assert all(map(torch.equal, fmodel.parameters(), other.parameters()))


def test_one_made_afresh_takes_groups_of_parameters():
    still, moving = torch.ones(2, requires_grad=True), torch.ones(3, requires_grad=True)
    opt = create_diff_optim(torch.optim.SGD, {"lr": 0.5}, params=[{"params": still, "lr": 0.0}, {"params": [moving]}])
    moved = opt.step(still.sum() + moving.square().sum(), params=[still, moving])
    assert_close(moved, [torch.ones(2), torch.zeros(3)])


def test_an_optimizer_of_ones_own_is_registered(monkeypatch):
    monkeypatch.setattr("quickstudy.compat.higher.optim._KNOWN", {})

    class Signs(torch.optim.SGD):
        pass

    class DifferentiableSigns(DifferentiableSGD):
        def _update(self, grouped_grads, **kwargs):
            for group, gradients in zip(self.param_groups, grouped_grads, strict=True):
                for i, (p, g) in enumerate(zip(group["params"], gradients, strict=True)):
                    group["params"][i] = p if g is None else p - group["lr"] * g.sign()

    model, x = Net(), torch.randn(5, 3)
    opt = Signs(model.parameters(), lr=0.5)
    with pytest.raises(QuickstudyError, match="Signs has no differentiable form"):
        innerloop_ctx(model, opt)
    register_optim(Signs, DifferentiableSigns)
    with innerloop_ctx(model, opt) as (fmodel, diffopt):
        diffopt.step(loss(fmodel, x))
    assert_close((fmodel.first.weight - model.first.weight).abs(), torch.full((4, 3), 0.5))
