"""What higher's names say where something is wrong, and higher's own examples with the import changed."""

from __future__ import annotations

import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import quickstudy.compat.higher as higher
from quickstudy import QuickstudyError
from quickstudy.compat.higher.patch import say_that_it_is_detached

X = torch.randn(5, 3)


@pytest.fixture
def loop():
    """A model, its functional model, and an optimizer of two groups."""
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    opt = torch.optim.SGD([{"params": list(layer.parameters())} for layer in model], lr=0.1)
    with higher.innerloop_ctx(model, opt, copy_initial_weights=False) as (fmodel, diffopt):
        yield model, fmodel, diffopt


WRONG = {
    "a detached loss": (lambda m, f: {"loss": f(X).sum().detach()}, "the inner loss has no gradient"),
    "a loss of the model": (lambda m, f: {"loss": m(X).sum()}, "depends on none of the parameters .* with fmodel, not"),
    "many losses": (lambda m, f: {"loss": f(X)}, r"is a tensor \(5, 1\): reduce it"),
    "a closure": (lambda m, f: {"loss": lambda: f(X).sum()}, "takes the loss, a tensor, not function"),
    "a closure by name": (lambda m, f: {"loss": f(X).sum(), "closure": sum}, "a tensor, not closure="),
    "no such setting": (lambda m, f: {"loss": f(X).sum(), "override": {"rate": [1]}}, "no setting 'rate'; it has lr, momentum"),
    "parameters": (lambda m, f: {"loss": f(X).sum(), "override": {"params": [1]}}, "no setting 'params'"),
    "not a list": (
        lambda m, f: {"loss": f(X).sum(), "override": {"lr": 0.1}},
        r"override\['lr'\] should be a list of 1 value, or of 2, .* not 0.1",
    ),
    "a tensor": (lambda m, f: {"loss": f(X).sum(), "override": {"lr": torch.tensor(0.1)}}, r"override\['lr'\] should be a list"),
    "too many": (lambda m, f: {"loss": f(X).sum(), "override": {"lr": [1, 2, 3]}}, r"override\['lr'\] should be a list"),
    "too few parameters": (lambda m, f: {"loss": f(X).sum(), "params": [X]}, "1 parameters in the place of 4"),
    "a gradient lost": (lambda m, f: {"loss": f(X).sum(), "grad_callback": lambda g: g[1:]}, "gave 3 gradients for 4"),
}


@pytest.mark.parametrize(("given", "words"), WRONG.values(), ids=WRONG)
def test_a_step_says_what_is_wrong(loop, given, words):
    model, fmodel, diffopt = loop
    with pytest.raises(QuickstudyError, match=words):
        diffopt.step(**given(model, fmodel))
    assert torch.equal(fmodel[0].weight, model[0].weight)


def test_a_loop_says_what_is_wrong():
    model, other = nn.Linear(3, 2), nn.Linear(3, 2)
    with pytest.raises(QuickstudyError, match=r"group 0 has a parameter \(2, 3\) that is not the model's"):
        higher.innerloop_ctx(model, torch.optim.SGD(other.parameters(), lr=0.1))
    with pytest.raises(QuickstudyError, match=r"LBFGS has no differentiable form \(known: ASGD, Adadelta"):
        higher.innerloop_ctx(model, torch.optim.LBFGS(model.parameters()))
    opt = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(QuickstudyError, match="no model to take parameters from"):
        higher.get_diff_optim(opt, model.parameters()).step(model(X).sum())
    with pytest.raises(QuickstudyError, match="give params or fmodel"):
        higher.create_diff_optim(torch.optim.SGD, {"lr": 0.1})
    with pytest.raises(QuickstudyError, match=r"a list of 1 value, or of 1, one for each group; not \[0.1, 0.2\]"):
        higher.optim.apply_trainable_opt_params(opt, {"lr": [0.1, 0.2]})
    with higher.innerloop_ctx(model, opt, track_higher_grads=False) as (fmodel, _):
        with pytest.raises(QuickstudyError, match="functional model of another inner loop"):
            higher.monkeypatch(nn.Sequential(fmodel))
        with pytest.raises(QuickstudyError, match="1 fast weights for a model of 2"):
            fmodel(X, params=[X])
        with pytest.raises(QuickstudyError, match="only the latest"):
            fmodel.parameters(time=1)
        with pytest.raises(QuickstudyError, match="not kept"):
            _ = fmodel.init_fast_params


def test_a_sparse_gradient_is_refused():
    model, words = nn.Embedding(4, 2, sparse=True), torch.tensor([1, 2])
    opt = torch.optim.SGD(model.parameters(), lr=0.1)
    with higher.innerloop_ctx(model, opt, track_higher_grads=False) as (fmodel, diffopt):
        loss = fmodel(words).sum()
    with pytest.raises(QuickstudyError, match="sparse=False"):
        diffopt.step(loss)


def test_one_warning_says_that_the_start_is_detached():
    model = nn.Linear(3, 2)
    opt = torch.optim.SGD(model.parameters(), lr=0.1)
    say_that_it_is_detached.cache_clear()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        higher.innerloop_ctx(model, opt, copy_initial_weights=False)
        higher.innerloop_ctx(model, opt, track_higher_grads=False)
        assert not said
        for _ in range(3):
            higher.innerloop_ctx(model, opt)
        higher.monkeypatch(model)
    assert [str(w.message).partition(",")[0] for w in said] == ["copy_initial_weights=True"]
    assert said[0].filename == __file__


def test_the_readme_of_higher_with_the_import_changed():
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    opt, data = torch.optim.Adam(model.parameters()), [(torch.randn(5, 3), torch.randn(5, 2)) for _ in range(3)]
    for xs, ys in data:
        opt.zero_grad()
        F.mse_loss(model(xs), ys).backward()
        opt.step()
    with higher.innerloop_ctx(model, opt) as (fmodel, diffopt):
        for xs, ys in data:
            logits = fmodel(xs)
            returned = diffopt.step(F.mse_loss(logits, ys))
            assert all(a is b for a, b in zip(returned, fmodel.parameters(), strict=True))
            assert all(p.grad_fn is not None for p in fmodel.fast_params)
        meta_loss = sum(p.square().sum() for p in fmodel.parameters())
        grad_of_grads = torch.autograd.grad(meta_loss, fmodel.parameters(time=0))
    assert all(g.abs().sum() > 0 for g in grad_of_grads)


def test_maml_on_images_learns_by_the_loops_of_highers_example():
    """Their network and their loops for Omniglot; a bright row of a noisy image says its class."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for channels in (1, 8):
        layers += [
            nn.Conv2d(channels, 8, 3),
            nn.BatchNorm2d(8, momentum=1, affine=True),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2, 2),
        ]
    net = nn.Sequential(*layers, nn.Flatten(), nn.Linear(32, 3))
    meta_opt = torch.optim.Adam(net.parameters(), lr=1e-2)

    def draw() -> tuple[torch.Tensor, torch.Tensor]:
        rows, labels = torch.randperm(14)[:3], torch.arange(3).repeat(10)
        images = torch.randn(30, 1, 14, 14)
        images[torch.arange(30), :, rows[labels]] += 2
        return images, labels

    def query_loss(**settings: bool) -> torch.Tensor:
        inner_opt, losses = torch.optim.SGD(net.parameters(), lr=0.1), []
        for x, y in [draw() for _ in range(4)]:
            with higher.innerloop_ctx(net, inner_opt, **settings) as (fnet, diffopt):
                for _ in range(3):
                    diffopt.step(F.cross_entropy(fnet(x[:15]), y[:15]))
                losses.append(F.cross_entropy(fnet(x[15:]), y[15:]))
        return torch.stack(losses).mean()

    before = query_loss(track_higher_grads=False)
    for _ in range(20):
        meta_opt.zero_grad()
        query_loss(copy_initial_weights=False).backward()
        meta_opt.step()
    after = query_loss(track_higher_grads=False)
    assert after < 0.7 * before
