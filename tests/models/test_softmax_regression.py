"""Softmax regression with a prior: it is the optimum, whichever way it is represented, and scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from torch import nn
from torch.testing import assert_close

from quickstudy import Batch
from quickstudy.learners.baselines.logistic_probe import LogisticProbe
from quickstudy.learners.prior_head import Prior, PriorHead
from quickstudy.models.softmax_regression import fit

EXACT = {"tolerance": 1e-12, "iterations": 20_000}


def problem(examples: int, dim: int, classes: int = 3, seed: int = 0, dtype=torch.float64):
    """Noisy unit vectors around three directions, uneven weights, arbitrary centres."""
    generator = torch.Generator().manual_seed(seed)
    targets = torch.arange(examples) % classes
    directions = torch.randn(classes, dim, generator=generator, dtype=dtype)
    noise = torch.randn(examples, dim, generator=generator, dtype=dtype)
    embeddings = F.normalize(directions[targets] + noise, dim=1)
    weights = torch.rand(examples, generator=generator, dtype=dtype) + 0.5
    centres = torch.randn(classes, dim, generator=generator, dtype=dtype)
    return embeddings, targets, centres, weights


def objective(weight, embeddings, targets, centres, weights, scale, pull):
    losses = F.cross_entropy(scale * embeddings @ weight.T, targets, reduction="none")
    return (weights * losses).sum() / weights.sum() + pull / 2 * (weight - centres).square().sum()


def slope(weight, *rest) -> float:
    weight = weight.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(objective(weight, *rest), weight)
    return float(gradient.norm())


@pytest.mark.parametrize("shape", [(9, 16), (60, 8), (16, 16)], ids=str)
@pytest.mark.parametrize("pull", [1e-3, 0.1, 10.0])
def test_the_slope_vanishes_at_the_answer(shape, pull):
    embeddings, targets, centres, weights = problem(*shape)
    found = fit(embeddings, targets, centres, weights=weights, scale=5.0, pull=pull, **EXACT)
    rest = (embeddings, targets, centres, weights, 5.0, pull)
    assert slope(found, *rest) < 1e-8
    assert slope(centres, *rest) > 1e-2


@pytest.mark.parametrize("shape", [(15, 32), (60, 8)], ids=str)
@pytest.mark.parametrize("scale", [1.0, 10.0])
def test_the_usual_tolerance_is_near_the_optimum(shape, scale):
    embeddings, targets, centres, weights = problem(*shape)
    settings = {"weights": weights, "scale": scale, "pull": 0.01}
    exact = fit(embeddings, targets, centres, **settings, **EXACT)
    found = fit(embeddings, targets, centres, **settings)
    assert (found - exact).norm() < 0.25 * (exact - centres).norm()  # along directions in which the objective is flat
    rest = (embeddings, targets, centres, weights, scale, 0.01)
    assert objective(found, *rest) - objective(exact, *rest) < 0.01 * (objective(centres, *rest) - objective(exact, *rest))


def test_both_representations_agree():
    """Examples that weigh nothing make them more than the dimensions, and leave the problem as it is."""
    embeddings, targets, centres, weights = problem(9, 16)
    nothing = F.normalize(torch.randn(30, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(1)), dim=1)
    more, labels = torch.cat([embeddings, nothing]), torch.cat([targets, torch.zeros(30, dtype=torch.long)])
    share = torch.cat([weights, torch.zeros(30, dtype=torch.float64)])
    few = fit(embeddings, targets, centres, weights=weights, scale=5.0, pull=0.01, **EXACT)
    many = fit(more, labels, centres, weights=share, scale=5.0, pull=0.01, **EXACT)
    assert_close(few, many, rtol=0, atol=1e-7)
    counted = fit(more, labels, centres, weights=torch.ones_like(share), scale=5.0, pull=0.01, **EXACT)
    assert (counted - few).norm() > 0.1


def test_a_weight_of_two_is_an_example_twice():
    embeddings, targets, centres, weights = problem(30, 8)
    settings = {"scale": 5.0, "pull": 0.01, **EXACT}
    doubled = weights.clone()
    doubled[3] *= 2
    rows = [*range(30), 3]
    twice = fit(embeddings[rows], targets[rows], centres, weights=weights[rows], **settings)
    assert_close(fit(embeddings, targets, centres, weights=doubled, **settings), twice, rtol=0, atol=1e-7)


def test_the_pull_goes_from_no_move_to_a_good_fit():
    embeddings, targets, centres, weights = problem(60, 8)
    strong = fit(embeddings, targets, centres, weights=weights, scale=1.0, pull=1e6)
    assert_close(strong, centres, rtol=0, atol=1e-5)
    weak = fit(embeddings, targets, centres, weights=weights, scale=10.0, pull=1e-3)
    before, after = ((embeddings @ weight.T).argmax(dim=1) == targets for weight in (centres, weak))
    assert after.float().mean() > before.float().mean() + 0.2


def test_examples_that_repeat_each_other_are_no_obstacle():
    """Fewer independent examples than examples: the basis has directions that no example has."""
    embeddings, targets, centres, weights = problem(3, 16)
    rows = [0, 1, 2, 0, 1, 2]
    found = fit(embeddings[rows], targets[rows], centres, weights=weights[rows], scale=5.0, pull=0.1, **EXACT)
    assert_close(found, fit(embeddings, targets, centres, weights=weights, scale=5.0, pull=0.1, **EXACT), rtol=0, atol=1e-7)


@pytest.mark.parametrize("shape", [(15, 32), (90, 8)], ids=str)
def test_the_optimum_is_scikit_learn_s(shape):
    embeddings, targets, _, weights = problem(*shape)
    theirs = LogisticRegression(C=100.0, fit_intercept=False, tol=1e-10, max_iter=10_000)
    theirs.fit(embeddings.numpy(), targets.numpy(), sample_weight=weights.numpy())
    zero, pull = torch.zeros(3, shape[1], dtype=torch.float64), 1 / (100.0 * float(weights.sum()))
    assert off(fit(embeddings, targets, zero, weights=weights, scale=1.0, pull=pull, **EXACT), theirs.coef_) < 1e-4


def off(found: torch.Tensor, expected: np.ndarray) -> float:
    """How far from it, against its norm."""
    return float(np.linalg.norm(found.numpy() - expected) / np.linalg.norm(expected))


@pytest.mark.parametrize(("C", "within"), [(1.0, 0.015), (10.0, 0.015), (100.0, 0.08)])  # a weak pull ends sooner
@pytest.mark.parametrize("shape", [(15, 32), (90, 8)], ids=str)
def test_it_is_scikit_learn_s_logistic_regression(shape, C, within):
    embeddings, targets, _, _ = problem(*shape, dtype=torch.float32)
    theirs = LogisticRegression(C=C, fit_intercept=False, tol=1e-8, max_iter=10_000).fit(embeddings.numpy(), targets.numpy())
    probe = LogisticProbe(nn.Identity(), C=C).head(embeddings, targets).state_dict()["weight"]
    assert off(probe, theirs.coef_) < within
    adapted = PriorHead(nn.Identity(), prior=Prior.logistic(C)).adapt(Batch(embeddings, targets))
    assert adapted.head is not None
    assert off(adapted.head.state_dict()["weight"], theirs.coef_) < within


def test_with_two_classes_scikit_learn_penalises_one_row_in_place_of_two():
    embeddings, targets, _, _ = problem(40, 8, classes=2, dtype=torch.float32)
    theirs = LogisticRegression(C=20.0, fit_intercept=False, tol=1e-8).fit(embeddings.numpy(), targets.numpy())
    weight = LogisticProbe(nn.Identity(), C=10.0).head(embeddings, targets).state_dict()["weight"]
    assert off(weight[1] - weight[0], theirs.coef_[0]) < 0.015


def test_cross_validation_chooses_a_weak_penalty_for_clear_classes_and_a_strong_one_for_noise():
    from quickstudy.learners.baselines.logistic_probe import GRID, UNCHECKED, _chosen

    generator = torch.Generator().manual_seed(0)
    targets = torch.arange(60) % 3
    clear = F.normalize(torch.eye(3)[targets] + 0.1 * torch.randn(60, 3, generator=generator), dim=1)
    noise = F.normalize(torch.randn(60, 8, generator=generator), dim=1)
    assert _chosen(clear, targets, 3) == GRID[-1]
    assert _chosen(noise, targets, 3) == GRID[0]
    assert _chosen(clear[:3], targets[:3], 3) == UNCHECKED


def test_where_the_centres_are_the_answer_it_stops_at_once(monkeypatch):
    steps = []
    norm = torch.Tensor.norm
    monkeypatch.setattr(torch.Tensor, "norm", lambda self, *args, **kw: steps.append(1) or norm(self, *args, **kw))
    embeddings, centres = torch.eye(3), torch.ones(1, 3)
    found = fit(embeddings, torch.zeros(3, dtype=torch.long), centres, weights=torch.ones(3), scale=10.0, pull=0.1)
    assert torch.equal(found, centres)
    assert len(steps) == 1
