"""The wrappers against the exact gradients of the learners, and what they say of a loss they cannot learn from."""

from __future__ import annotations

import copy
import gc
import weakref

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import quickstudy
import quickstudy.compat.learn2learn as l2l
from quickstudy import Batch, QuickstudyError, Task

LR = 0.3


def net(bias: bool = True) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6, bias), nn.Tanh(), nn.Linear(6, 3, bias)).double()


def task(seed: int = 0) -> Task:
    generator = torch.Generator().manual_seed(seed)

    def batch() -> Batch:
        inputs = torch.randn(7, 4, generator=generator, dtype=torch.float64)
        return Batch(inputs, torch.randint(3, (7,), generator=generator))

    return Task(batch(), batch())


def learned(wrapper: nn.Module, steps: int, tasks: int = 2) -> torch.Tensor:
    """The mean query loss after adapting clones, as a script for learn2learn has it."""
    losses = []
    for seed in range(tasks):
        clone, drawn = wrapper.clone(), task(seed)
        for _ in range(steps):
            clone.adapt(F.cross_entropy(clone(drawn.support.inputs), drawn.support.targets))
        losses.append(F.cross_entropy(clone(drawn.query.inputs), drawn.query.targets))
    return torch.stack(losses).mean()


def close(left: torch.Tensor, right: torch.Tensor) -> None:
    torch.testing.assert_close(left, right, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("gradient", ["exact", "first_order"])
def test_maml_has_the_gradient_of_the_learner(gradient, steps):
    theirs, ours = net(), net()
    learned(l2l.algorithms.MAML(theirs, LR, first_order=gradient == "first_order"), steps).backward()
    loss = quickstudy.MAML(ours, LR, inner_steps=steps, gradient=gradient)([task(0), task(1)])
    loss.backward()
    for left, right in zip(theirs.parameters(), ours.parameters(), strict=True):
        close(left.grad, right.grad)


def test_meta_sgd_has_the_gradients_of_the_learner_for_its_rates_too():
    theirs, ours = net(), net()
    wrapper = l2l.algorithms.MetaSGD(theirs, LR)
    learned(wrapper, 3).backward()
    learner = quickstudy.MetaSGD(ours, LR, inner_steps=3)
    learner([task(0), task(1)]).backward()
    own = {id(p) for p in ours.parameters()}
    rates = [p.grad for p in learner.parameters() if id(p) not in own]
    for left, right in zip(theirs.parameters(), ours.parameters(), strict=True):
        close(left.grad, right.grad)
    for left, right in zip(wrapper.lrs, rates, strict=True):
        close(left.grad, right)


def test_meta_curvature_has_the_gradients_of_the_learner_for_its_matrices_too():
    theirs, ours = net(bias=False), net(bias=False)
    wrapper = l2l.algorithms.GBML(theirs, l2l.optim.MetaCurvatureTransform, LR)
    learned(wrapper, 2).backward()
    learner = quickstudy.MetaCurvature(ours, LR, inner_steps=2)
    learner([task(0), task(1)]).backward()
    close(theirs[0].weight.grad, ours[0].weight.grad)
    matrices = {name.rpartition("matrices.")[2]: p.grad for name, p in learner.named_parameters() if "matrices" in name}
    for transform, name in zip(wrapper.compute_update.transforms_modules, ("0/weight", "2/weight"), strict=True):
        close(transform.mc_in.grad, matrices[f"{name}:0"])
        close(transform.mc_out.grad.T, matrices[f"{name}:1"])


WRAPPERS = {
    "maml": lambda model: l2l.algorithms.MAML(model, LR),
    "metasgd": lambda model: l2l.algorithms.MetaSGD(model, LR),
    "kfo": lambda model: l2l.algorithms.GBML(model, l2l.optim.KroneckerTransform(l2l.nn.KroneckerLinear), LR),
    "alpha": lambda model: l2l.algorithms.GBML(model, l2l.optim.ModuleTransform(Factor), LR, adapt_transform=True),
}


class Factor(nn.Module):
    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.factor = nn.Parameter(torch.full((outputs,), 0.8))

    def forward(self, gradient: torch.Tensor) -> torch.Tensor:
        return self.factor * gradient


@pytest.mark.parametrize("name", WRAPPERS)
def test_a_gradient_is_that_of_finite_differences(name):
    wrapper = WRAPPERS[name](net()).double()
    learned(wrapper, 3).backward()
    parameters = list(wrapper.parameters())
    assert all(p.grad is not None for p in parameters)
    generator = torch.Generator().manual_seed(1)
    along = [torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in parameters]
    slope = sum((p.grad * a).sum() for p, a in zip(parameters, along, strict=True))
    values = []
    for distance in (1e-5, -2e-5):
        with torch.no_grad():
            for p, a in zip(parameters, along, strict=True):
                p += distance * a
        values.append(learned(wrapper, 3).item())
    assert slope.item() == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-7)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.head = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 3)
        self.second.weight = self.first.weight
        self.layers = [self.first, self.second]  # which torch does not know of

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = layer(x).tanh()
        return self.head(x)


@pytest.mark.parametrize("name", WRAPPERS)
def test_shared_parameters_stay_shared_and_hidden_modules_are_moved(name):
    torch.manual_seed(0)
    wrapper = WRAPPERS[name](Tied())
    clone, support = wrapper.clone(), task().support
    before = clone(support.inputs.float())
    for _ in range(2):
        clone.adapt(F.cross_entropy(clone(support.inputs.float()), support.targets))
    assert clone.module.first.weight is clone.module.second.weight
    assert len(list(clone.module.parameters())) == 5
    assert not torch.equal(clone(support.inputs.float()), before)
    assert torch.equal(wrapper(support.inputs.float()), before)


def test_the_transforms_move_too_if_asked_and_first_order_is_kept():
    drawn = task().support
    for adapt_transform in (False, True):
        wrapper = l2l.algorithms.GBML(
            net(), l2l.optim.ModuleTransform(Factor), LR, adapt_transform=adapt_transform, first_order=True
        ).double()
        clone = wrapper.clone()
        for _ in range(3):
            clone.adapt(F.cross_entropy(clone(drawn.inputs), drawn.targets))
        clone(drawn.inputs).square().sum().backward()
        moved = [
            not torch.equal(new, old)
            for new, old in zip(clone.compute_update.parameters(), wrapper.compute_update.parameters(), strict=True)
        ]
        assert all(moved) == any(moved) == adapt_transform
        assert all(p.grad is not None for p in wrapper.parameters())


@pytest.mark.parametrize("name", WRAPPERS)
def test_what_a_clone_holds_goes_with_it(name):
    wrapper, drawn = WRAPPERS[name](net()).double(), task().support
    gc.disable()  # no cycle, so that memory is free at once
    try:
        clone = wrapper.clone()
        for _ in range(2):
            clone.adapt(F.cross_entropy(clone(drawn.inputs), drawn.targets))
        held = [weakref.ref(p) for p in clone.module.parameters()]
        del clone
        assert not any(reference() is not None for reference in held)
    finally:
        gc.enable()


def test_a_clone_of_a_clone_leads_back_to_the_original():
    model = net()
    clone = l2l.algorithms.MAML(model, LR).clone().clone(first_order=True)
    assert clone.first_order
    clone(task().query.inputs).sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_a_wrapper_has_the_attributes_of_its_module():
    model = nn.GRU(2, 3)
    maml = l2l.algorithms.MAML(model, LR)
    assert maml.clone().hidden_size == 3
    assert copy.deepcopy(maml).lr == LR
    with pytest.raises(AttributeError, match="no attribute 'absent'"):
        maml.absent  # noqa: B018


@pytest.mark.parametrize("name", WRAPPERS)
def test_a_parameter_without_a_gradient_is_named(name, capsys):
    model = net()
    model.register_parameter("unused", nn.Parameter(torch.zeros(2, 2)))
    clone, drawn = WRAPPERS[name](model).double().clone(), task().support
    called = "parameter 0, of shape" if isinstance(clone, l2l.algorithms.GBML) else "unused"
    with pytest.raises(QuickstudyError, match=f"no gradient for `{called}.*allow_unused=True"):
        clone.adapt(F.cross_entropy(clone(drawn.inputs), drawn.targets))
    assert capsys.readouterr() == ("", "")


def test_a_loss_from_before_the_last_step_is_refused():
    clone, drawn = l2l.algorithms.MAML(net(), LR).clone(), task().support
    loss = F.cross_entropy(clone(drawn.inputs), drawn.targets)
    clone.adapt(loss)
    with pytest.raises(QuickstudyError, match="after it was last adapted"):
        clone.adapt(loss)


def test_a_loss_without_any_gradient_is_refused():
    clone, drawn = l2l.algorithms.MAML(net(), LR).clone(), task().support
    with pytest.raises(QuickstudyError, match="the inner loss has no gradient"):
        clone.adapt(clone(drawn.inputs).argmax(dim=1).double().mean())
    frozen = l2l.algorithms.MAML(l2l.nn.freeze(net()), LR, allow_nograd=True).clone()
    with pytest.raises(QuickstudyError, match="nothing to move"):
        frozen.adapt(frozen(drawn.inputs).sum())


@pytest.mark.parametrize("name", ["maml", "kfo"])
def test_what_may_stand_still_does(name):
    model, drawn = net(), task().support
    model[0].requires_grad_(False)
    wrapper = WRAPPERS[name](model).double()
    clone = wrapper.clone()
    with pytest.raises(QuickstudyError, match=r"does not require a gradient.*allow_nograd=True"):
        clone.adapt(F.cross_entropy(clone(drawn.inputs), drawn.targets))
    clone.adapt(F.cross_entropy(clone(drawn.inputs), drawn.targets), allow_nograd=True)
    assert torch.equal(clone.module[0].weight, model[0].weight)
    assert not torch.equal(clone.module[2].weight, model[2].weight)
    clone = wrapper.clone(allow_unused=True, allow_nograd=True)
    clone.adapt(clone.module[2].bias.square().sum())
    assert torch.equal(clone.module[2].weight, model[2].weight)


@pytest.mark.parametrize("update", [l2l.algorithms.maml_update, l2l.algorithms.meta_sgd_update])
def test_an_update_without_gradients_takes_those_that_backward_left(update):
    model = net()
    clone = copy.deepcopy(model)
    clone(task().support.inputs).sum().backward()
    rates = LR if update is l2l.algorithms.maml_update else [torch.full_like(p, LR) for p in clone.parameters()]
    with pytest.raises(QuickstudyError, match="give one for each"):
        update(clone, rates, [None])
    expected = [p - LR * p.grad for p in clone.parameters()]
    assert all(map(torch.equal, update(clone, rates).parameters(), expected))
