"""R2-D2: the ridge regression of scikit-learn, in whichever form has fewer unknowns, with a gradient."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import Ridge as SklearnRidge
from torch import nn
from torch.testing import assert_close

from quickstudy import Batch
from quickstudy.learners.baselines.ridge import Ridge
from quickstudy.learners.r2d2 import R2D2
from quickstudy.tasks.task import Task


def examples(count: int, dim: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, dim, generator=generator), torch.arange(count) % 3


def learner(dim: int = 8, strength: float = 1.0, scale: float = 1.0, bias: float = 0.0) -> R2D2:
    made = R2D2(nn.Identity(), scale=scale)
    with torch.no_grad():
        made.log_strength.fill_(math.log(strength))
        made.bias.fill_(bias)
    return made


@pytest.mark.parametrize("strength", [0.1, 1.0, 30.0])
@pytest.mark.parametrize("shape", [(6, 16), (16, 16), (40, 8)], ids=str)
def test_it_is_scikit_learn_s_ridge_without_an_intercept(shape, strength):
    embeddings, targets = examples(*shape)
    theirs = SklearnRidge(alpha=strength, fit_intercept=False).fit(embeddings.numpy(), F.one_hot(targets).numpy())
    head = learner(strength=strength).head(embeddings, targets)
    assert_close(head.state_dict()["weight"], torch.as_tensor(theirs.coef_).float(), rtol=1e-3, atol=1e-4)


def test_both_forms_agree():
    """Examples that are zero add nothing, but make them more than the dimensions."""
    embeddings, targets = examples(6, 8)
    padded, labels = torch.cat([embeddings, torch.zeros(10, 8)]), torch.cat([targets, torch.zeros(10, dtype=torch.long)])
    few, many = (learner().head(*pair).state_dict()["weight"] for pair in ((embeddings, targets), (padded, labels)))
    assert_close(few, many, rtol=1e-4, atol=1e-5)


def test_scale_and_bias_are_of_the_logits():
    embeddings, targets = examples(12, 8)
    plain, other = learner().head(embeddings, targets), learner(scale=3.0, bias=0.5).head(embeddings, targets)
    assert_close(other(embeddings), 3 * plain(embeddings) + 0.5)


@pytest.mark.parametrize("shots", [2, 5], ids=["dual", "primal"])
def test_the_loss_is_the_head_s_and_its_gradient_reaches_all_that_is_learned(shots):
    torch.manual_seed(0)
    model = nn.Linear(4, 8)
    made = R2D2(model, scale=2.0)
    support, query = (Batch(torch.randn(3 * shots, 4), torch.arange(3 * shots) % 3) for _ in range(2))
    loss = made([Task(support, query)])
    logits = made.adapt(support).logits(query.inputs)
    assert_close(loss.detach(), F.cross_entropy(logits, query.targets))
    loss.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in made.parameters())
    strength, step = made.log_strength, 1e-2
    with torch.no_grad():
        losses = []
        for sign in (1, -1):
            strength += sign * step
            losses.append(float(made([Task(support, query)])))
            strength -= sign * step
    assert strength.grad is not None
    assert float(strength.grad) == pytest.approx((losses[0] - losses[1]) / (2 * step), rel=0.02, abs=1e-4)


def test_ridge_learns_nothing_beforehand():
    assert not list(Ridge(nn.Linear(2, 2)).parameters())
    embeddings, targets = examples(12, 8)
    assert_close(Ridge(nn.Identity()).head(embeddings, targets)(embeddings), learner().head(embeddings, targets)(embeddings))
