"""Learned updates: transforms of gradients, and the optimizer that learns them while it goes."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import quickstudy.compat.learn2learn as l2l
from quickstudy import QuickstudyError


def test_a_factored_transform_is_the_full_matrix_that_it_stands_for():
    weight = nn.Conv2d(2, 4, 3).weight
    transform = l2l.optim.KroneckerTransform(l2l.nn.KroneckerLinear)(weight)
    nn.init.normal_(transform.transform.left)
    nn.init.normal_(transform.transform.right)
    gradient = torch.randn_like(weight).transpose(2, 3)  # not contiguous
    left, right = (f.T @ f for f in (transform.transform.left, transform.transform.right))
    expected = torch.einsum("ij,ojf,fg->oig", left, gradient.reshape(4, 2, 9), right).reshape(4, 2, 3, 3)
    torch.testing.assert_close(transform(gradient), expected)
    assert transform.transform.bias is None


@pytest.mark.parametrize("shape", [(4,), (4, 3), (4, 3, 2, 2)])
def test_meta_curvature_multiplies_every_mode_and_starts_as_the_gradient(shape):
    transform, gradient = l2l.optim.MetaCurvatureTransform(torch.empty(shape), lr=0.5), torch.randn(shape)
    torch.testing.assert_close(transform(gradient), 0.5 * gradient)
    for parameter in transform.parameters():
        nn.init.normal_(parameter)
    if len(shape) == 1:
        expected = transform.mc * gradient
    else:
        expected = torch.einsum("ai,ij...,jb->ab...", transform.mc_in, gradient, transform.mc_out)
    if len(shape) == 4:
        expected = torch.einsum("gf,abf->abg", transform.mc_f, expected.flatten(2)).reshape(shape)
    torch.testing.assert_close(transform(gradient), 0.5 * expected)


@pytest.mark.parametrize("make", [l2l.optim.MetaCurvatureTransform, l2l.optim.KroneckerTransform(l2l.nn.KroneckerLinear)])
def test_a_transform_says_which_parameters_it_takes(make):
    with pytest.raises(QuickstudyError, match=r"not a parameter of shape \(2, 3, 4\).*TransformDictionary"):
        make(torch.empty(2, 3, 4))


def test_a_dictionary_gives_each_part_its_transform_and_others_none():
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2), nn.Linear(2, 2))
    chosen = l2l.optim.TransformDictionary(
        {model[0]: l2l.optim.ModuleTransform(nn.Linear), model[1].weight: l2l.optim.MetaCurvatureTransform}
    )
    update = l2l.optim.ParameterUpdate(model.parameters(), chosen)
    assert update.transforms_indices == [0, 1, 2, None, None, None]
    loss = model(torch.randn(5, 3)).square().sum()
    updates = update(loss, model.parameters(), retain_graph=True)
    gradients = torch.autograd.grad(loss, list(model.parameters()), retain_graph=True)
    for index in (2, 3, 4, 5):  # an identity at first, or no transform
        torch.testing.assert_close(updates[index], gradients[index])
    torch.testing.assert_close(updates[1], update.transforms_modules[1].transform(gradients[1][None])[0])
    with pytest.raises(QuickstudyError, match="made for 6 parameters, and 2 are given"):
        update(loss, model[0].parameters())
    with pytest.raises(QuickstudyError, match="not str"):
        l2l.optim.TransformDictionary({"0.weight": l2l.optim.MetaCurvatureTransform})


def test_differentiable_sgd_moves_along_what_is_given_or_along_grad():
    model = nn.Linear(3, 2)
    clone = l2l.clone_module(model)
    l2l.optim.DifferentiableSGD(0.1)(clone, [torch.ones(2, 3), None])
    torch.testing.assert_close(clone.weight, model.weight - 0.1)
    torch.testing.assert_close(clone.bias, model.bias)
    model(torch.ones(1, 3)).sum().backward()
    bias = model.bias.detach().clone()
    l2l.optim.DifferentiableSGD(0.1)(model)
    torch.testing.assert_close(model.bias, bias - 0.1)


class Rate(nn.Module):
    def __init__(self, parameter: torch.Tensor):
        super().__init__()
        self.rate = nn.Parameter(torch.full_like(parameter, 0.5))

    def forward(self, gradient: torch.Tensor) -> torch.Tensor:
        return self.rate * gradient


def test_the_learnable_optimizer_descends_and_its_hypergradient_is_that_of_differences():
    torch.manual_seed(0)
    x, y = torch.randn(7, 4, dtype=torch.float64), torch.randint(3, (7,))
    start = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double().state_dict()

    def two_steps(first_rate: float) -> tuple[float, float]:
        """The loss after two steps, and its slope in one of the rates of the second one."""
        model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()
        model.load_state_dict(start)
        optimizer = l2l.optim.LearnableOptimizer(model, Rate, lr=0.3)
        for rate in (0.5, first_rate):
            with torch.no_grad():
                optimizer.transforms[0].rate[1, 2] = rate
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        optimizer.transforms.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        return loss.item(), optimizer.transforms[0].rate.grad[1, 2].item()

    (above, _), (below, _), (value, slope) = two_steps(0.5 + 1e-5), two_steps(0.5 - 1e-5), two_steps(0.5)
    assert slope == pytest.approx((above - below) / 2e-5, rel=1e-6)
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    model.load_state_dict(start)
    assert value < F.cross_entropy(model(x), y).item()


def test_the_learnable_optimizer_leaves_alone_what_is_frozen_or_unused():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model.register_parameter("unused", nn.Parameter(torch.ones(1)))
    model[0].requires_grad_(False)
    optimizer = l2l.optim.LearnableOptimizer(model, l2l.optim.TransformDictionary({model[1].weight: Rate}), lr=0.1)
    assert len(list(optimizer.parameters())) == 1
    frozen, unused, bias = model[0].weight, model.unused, model[1].bias.detach().clone()
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.ones(1, 2)).sum().backward()
        optimizer.step()
    assert model[0].weight is frozen
    assert model.unused is unused
    torch.testing.assert_close(model[1].bias, bias - 0.3)  # no transform: the gradient as it is
    with pytest.raises(QuickstudyError, match="takes the model itself"):
        l2l.optim.LearnableOptimizer(model.parameters(), Rate)
