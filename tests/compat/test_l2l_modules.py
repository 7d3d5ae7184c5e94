"""Clones, updates and detachment of modules and distributions; the small modules."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import Categorical, Independent, Normal

import quickstudy.compat.learn2learn as l2l
from quickstudy import QuickstudyError
from quickstudy.models.heads import prototype_head, prototypes


def test_the_package_does_not_import_its_doors_nor_they_what_is_heavy():
    code = (
        "import sys, quickstudy; assert not any('compat' in name for name in sys.modules);"
        "from quickstudy.compat.learn2learn.algorithms import MAML; import quickstudy.compat.learn2learn.nn.metalayers as ml;"
        "import quickstudy.compat.learn2learn as l2l;"
        "assert l2l.algorithms.maml.maml_update and ml.MetaModule is l2l.nn.MetaModule;"
        "assert not {'transformers', 'torchvision', 'sklearn', 'gymnasium'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_clone_holds_its_own_parameters_and_the_originals_running_averages():
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 2))
    model.register_buffer("learned", torch.ones(2, requires_grad=True))
    clone = l2l.clone_module(model)
    clone(torch.randn(5, 3) + 4).sum().backward()
    assert clone[1].weight is not model[1].weight
    assert model[0].running_mean is clone[0].running_mean
    assert model[0].running_mean.min() > 0.1
    assert model[1].weight.grad is not None
    assert clone.learned.grad_fn is not None
    assert isinstance(model[1].weight, nn.Parameter)


def test_a_clone_follows_its_own_mode_and_children():
    model = nn.Sequential(nn.Dropout(0.5), nn.Linear(3, 2))
    clone = l2l.clone_module(model).eval()
    clone[1] = nn.Identity()
    assert model[0].training
    assert isinstance(model[1], nn.Linear)


def test_updates_are_added_once_where_a_parameter_is_shared():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    clone = l2l.clone_module(model)
    updates = [torch.full_like(p, 2.0) for p in clone.parameters()]
    updates[1] = None
    bias = clone[0].bias
    assert l2l.update_module(clone, updates) is clone
    assert clone[0].weight is clone[1].weight
    assert torch.equal(clone[0].weight, model[0].weight + 2)
    assert clone[0].bias is bias
    with pytest.raises(QuickstudyError, match="1 updates for 3 parameters"):
        l2l.update_module(clone, updates[:1])


def test_updates_may_be_attributes_of_parameters_and_buffers():
    model = nn.BatchNorm1d(2)
    clone = l2l.clone_module(model)
    clone.weight.update, clone.running_mean.update = torch.ones(2), torch.full((2,), 3.0)
    l2l.update_module(clone)
    assert clone.weight.tolist() == [2, 2]
    assert clone.running_mean.tolist() == [3, 3]
    assert model.running_mean.tolist() == [0, 0]
    l2l.update_module(clone)
    assert clone.weight.tolist() == [2, 2]


@pytest.mark.parametrize("keep", [False, True])
def test_a_detached_clone_leads_nowhere(keep):
    model = nn.Linear(3, 2)
    model.bias.requires_grad_(False)
    clone = l2l.clone_module(model)
    l2l.detach_module(clone, keep_requires_grad=keep)
    assert clone.weight.is_leaf
    assert (clone.weight.requires_grad, clone.bias.requires_grad) == (keep, False)
    if keep:
        clone(torch.ones(1, 3)).sum().backward()
        assert clone.weight.grad is not None
    assert model.weight.grad is None


@pytest.mark.parametrize(
    "make",
    [lambda p: Normal(2 * p, p.exp()), lambda p: Categorical(logits=2 * p), lambda p: Independent(Normal(2 * p, p.exp()), 1)],
)
def test_a_cloned_distribution_leads_back_and_a_detached_one_nowhere(make):
    leaf = torch.tensor([0.5, -0.5], requires_grad=True)
    dist = make(leaf)
    value = dist.sample()
    clone = l2l.clone_distribution(dist)
    assert torch.equal(clone.log_prob(value), dist.log_prob(value))
    clone.log_prob(value).sum().backward()
    assert leaf.grad is not None
    assert l2l.detach_distribution(clone) is clone
    assert not clone.log_prob(value).requires_grad
    assert dist.log_prob(value).requires_grad


def test_the_magic_box_is_one_with_the_gradient_of_its_input():
    x = torch.tensor(3.0, requires_grad=True)
    boxed = l2l.magic_box(x)
    assert boxed.item() == 1
    slope = torch.autograd.grad(boxed, x, create_graph=True)[0]
    assert slope.item() == 1
    assert torch.autograd.grad(slope, x)[0].item() == 1  # at every order
    assert l2l.magic_box("no tensor") == "no tensor"


@pytest.mark.parametrize("psd", [False, True])
def test_the_kronecker_layer_is_a_product_of_its_factors(psd):
    layer = l2l.nn.KroneckerLinear(3, 2, psd=psd)
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    left, right = (f.T @ f for f in (layer.left, layer.right)) if psd else (layer.left, layer.right)
    x = torch.randn(4, 3, 2)
    expected = torch.stack([torch.kron(right.T.contiguous(), left) @ each.T.flatten() + layer.bias.T.flatten() for each in x])
    torch.testing.assert_close(layer(x).transpose(1, 2).flatten(1), expected)
    torch.testing.assert_close(layer(x[0].T.flatten()), expected[0])
    with pytest.raises(QuickstudyError, match=r"shape \(2, 3\); this layer takes \(..., 3, 2\) or \(6,\)"):
        layer(torch.ones(2, 3))


@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
def test_the_prototypical_classifier_has_the_probabilities_of_the_learners_head(distance):
    support, labels, query = torch.randn(9, 4, requires_grad=True), torch.tensor([7, 7, 2, 2, 5, 5, 5, 2, 7]), torch.randn(6, 4)
    classifier = l2l.nn.PrototypicalClassifier(distance=distance)
    with pytest.raises(QuickstudyError, match="call fit_"):
        classifier(query)
    means = classifier.fit_(support, labels)
    unit = F.normalize(prototypes(support, torch.tensor([2, 2, 0, 0, 1, 1, 1, 0, 2])), dim=1)
    if distance == "cosine":  # half the squared distance of unit vectors
        logits = F.linear(F.normalize(query), *prototype_head(unit, 0.5))
    else:
        logits = F.linear(query, *prototype_head(means, 1.0))
    torch.testing.assert_close(classifier(query).softmax(dim=1), logits.softmax(dim=1))
    assert classifier(query).requires_grad
    with pytest.raises(QuickstudyError, match="'cosine', or a function"):
        l2l.nn.PrototypicalClassifier(distance="manhattan")


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.other = nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.other(self.inner(x))


def test_substitutes_take_their_places_and_the_model_keeps_its_own():
    model = nn.Sequential(Block(), nn.ReLU(), nn.Linear(3, 2))
    names = [name for name, _ in model.named_modules()]
    x = torch.randn(4, 3)
    wrapped = l2l.nn.MetaModule(
        model, {Block: lambda block: nn.Sequential(block, nn.LayerNorm(3)), nn.ReLU: lambda _: nn.Tanh()}, freeze_module=True
    )
    expected = model[2](F.layer_norm(model[0](x), (3,)).tanh())
    torch.testing.assert_close(wrapped(x), expected)
    assert len(wrapped.get_submodule("wrapped_module.0")) == 2  # nothing of the block's children beside it
    assert wrapped.module() is model
    assert [name for name, _ in model.named_modules()] == names
    assert [name for name, p in wrapped.named_parameters() if p.requires_grad] == [
        "wrapped_module.0.1.weight",
        "wrapped_module.0.1.bias",
    ]
    assert all(p.requires_grad for p in l2l.nn.unfreeze(wrapped).parameters())


def test_transformed_parameters_last_for_one_call_even_if_it_fails():
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 2))
    plain = {nn.Linear: lambda linear: l2l.nn.ParameterTransform(linear, lambda _: l2l.nn.Scale(alpha=2.0))}
    wrapped = l2l.nn.MetaModule(model, plain)
    x = torch.randn(4, 3)
    doubled = F.linear(F.linear(x, 2 * model[0].weight, 2 * model[0].bias).relu(), 2 * model[2].weight, 2 * model[2].bias)
    torch.testing.assert_close(wrapped(x), doubled)
    wrapped(x).sum().backward()
    assert len(list(wrapped.meta_parameters())) == 4
    assert all(p.grad is not None for p in wrapped.meta_parameters())
    with pytest.raises(RuntimeError):
        wrapped(torch.randn(4, 5))
    assert isinstance(model[0].weight, nn.Parameter)
    whole = l2l.nn.ParameterTransform(model, lambda _: l2l.nn.Scale(alpha=2.0))  # names with a dot
    torch.testing.assert_close(whole(x), doubled)
