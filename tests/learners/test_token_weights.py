"""Weights of tokens: the gradient, the start, and that they learn which tokens to trust."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from test_adapter_generator import bare, model, outer, task
from torch.testing import assert_close

from quickstudy import MAML, Batch, QuickstudyError, Task, check_gradients
from quickstudy.inner.losses import default_loss
from quickstudy.learners.token_weights import TokenWeights
from quickstudy.models.hidden_states import HiddenStates
from quickstudy.models.networks import mlp

SETTINGS: dict[str, Any] = {"inner_lr": 0.5, "inner_steps": 2}
SMALL: dict[str, Any] = {"width": 6, **SETTINGS}
NOISE = 19
"""The last word."""


def opinionated(learner: TokenWeights) -> TokenWeights:
    """With slopes that are not zero, so that tokens differ."""
    with torch.no_grad():
        learner.slopes.copy_(torch.randn(learner.slopes.shape, generator=torch.Generator().manual_seed(5)))
    return learner


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_the_gradient_is_right(steps, double):
    learner = opinionated(TokenWeights(model(), **{**SMALL, "inner_steps": steps}))
    report = check_gradients(learner, task())
    assert report, str(report)
    assert report.oracle == "finite differences"
    _, gradients = outer(learner, [task()])
    own = [gradients[name].abs().max() for name in ("hinges", "slopes", "level", "reader")]
    assert all((value > 1e-6) == (steps > 0) for value in own)


def test_micro_batches_and_kept_graphs_change_nothing(double):
    whole, parts, kept = (
        outer(opinionated(TokenWeights(model(), **SMALL, **more)), [task()])
        for more in ({}, {"micro_batch": 1}, {"keep_graph": True})
    )
    assert_close(parts, whole)
    assert_close(kept, whole)


def test_at_first_it_is_maml(double):
    value, gradients = outer(TokenWeights(model(), **SMALL), [task()])
    expected_value, expected = outer(MAML(model(), **SETTINGS), [task()])
    assert_close(value, expected_value)
    assert_close({name: gradients[name] for name in expected}, expected)
    assert gradients["slopes"].abs().max() > 1e-5
    assert gradients["level"].abs() > 1e-5
    support = task().support
    assert_close(TokenWeights(model(), **SMALL).adapt(support).phi, MAML(model(), **SETTINGS).adapt(support).phi)


def test_the_inner_loss_is_the_weighted_mean_over_all_tokens(double):
    learner, one = opinionated(TokenWeights(model(), **SMALL)), task().support
    phi = {name: p.detach() for name, p in learner.start(one).items()}
    losses = default_loss(learner.call(phi, one.inputs), one.targets)
    assert isinstance(losses, torch.Tensor)
    weights = learner.weights(losses, one)
    value, count = learner.inner_objective(phi, one, True)
    assert count == len(losses) == len(torch.cat(one.targets))
    assert_close(value, (weights * losses).sum())
    assert weights.std() > 0.05
    assert torch.equal(learner.weights(2 * losses, one), weights)


def test_what_is_read_of_a_token_is_the_bases_state_after_it_and_its_loss(double):
    learner, one = TokenWeights(model(), **SMALL), task().support
    states = HiddenStates(model(), lambda states, _: states[-1])
    whole = states([torch.cat([block, its[-1:]]) for block, its in zip(one.inputs, one.targets, strict=True)])
    h, s = learner.read(one).split([16, 1], dim=1)
    assert_close(h, F.normalize(torch.cat([rows[1:] for rows in whole]), dim=-1))
    assert_close(s[:, 0], default_loss(bare()(one.inputs), one.targets))


def test_tokens_that_are_not_judged_have_no_say_and_positions_can_be_chosen(double):
    learner, one = opinionated(TokenWeights(model(), **SMALL)), task()
    judged = [torch.arange(len(block)) >= 2 for block in one.support.inputs]
    ignoring = [target.where(keep, -100) for target, keep in zip(one.support.targets, judged, strict=True)]
    chosen = Batch(
        {"blocks": one.support.inputs, "wanted": judged},
        [target[keep] for target, keep in zip(one.support.targets, judged, strict=True)],
    )
    phi = learner.adapt(replace(one.support, targets=ignoring)).phi
    assert_close(learner.adapt(chosen).phi, phi)
    assert any(not torch.allclose(value, phi[name]) for name, value in learner.adapt(one.support).phi.items())


def test_adapting_leaves_the_learner_as_it_was_and_a_seed_makes_it():
    learner, one = opinionated(TokenWeights(model(), seed=1, **SMALL)), task()
    before, random = copy.deepcopy(learner.state_dict()), torch.get_rng_state()
    phi = learner.adapt(one.support).phi
    assert torch.equal(torch.get_rng_state(), random)
    assert_close(learner.state_dict(), before, rtol=0, atol=0)
    assert_close(opinionated(TokenWeights(model(), seed=1, **SMALL)).adapt(one.support).phi, phi, rtol=0, atol=0)
    assert not torch.equal(TokenWeights(model(), seed=2, **SMALL).reader, learner.reader)


def noisy(seed: int) -> Task:
    """A task half of whose support tokens are a word that its query never has."""
    one = task(seed, support=12)
    generator = torch.Generator().manual_seed(seed)

    def spoilt(block: torch.Tensor) -> torch.Tensor:
        return (block % NOISE).where(torch.rand(block.shape, generator=generator) < 0.5, NOISE)

    blocks = [spoilt(torch.cat([block, its[-1:]])) for block, its in zip(one.support.inputs, one.support.targets, strict=True)]
    support = Batch([block[:-1] for block in blocks], [block[1:] for block in blocks])
    query = Batch([block % NOISE for block in one.query.inputs], [its % NOISE for its in one.query.targets])
    return Task(support, query, seed=seed)


def test_the_weights_alone_learn_to_pass_over_what_the_query_never_has():
    base = bare().float()
    with torch.no_grad():
        base.module.model.embed_tokens.weight.mul_(5)  # so that a state says most of its own token
    learner = TokenWeights(base, space="lm_head", inner_lr=2.0, inner_steps=1, width=16)
    assert sorted(name for name, p in learner.named_parameters() if p.requires_grad) == ["hinges", "level", "reader", "slopes"]
    unseen = [noisy(seed) for seed in range(1000, 1010)]
    with torch.no_grad():
        plain = learner(unseen)
    optimizer = torch.optim.Adam(learner.parameters(), lr=0.05)
    for step in range(50):
        optimizer.zero_grad()
        learner([noisy(2 * step), noisy(2 * step + 1)]).backward()
        optimizer.step()
    with torch.no_grad():
        assert learner(unseen) < plain - 0.1
        found = [learner.weights(torch.cat(each.support.targets), each.support) for each in unseen]
    weights, noise = torch.cat(found), torch.cat([its for each in unseen for its in each.support.targets]) == NOISE
    assert weights[noise].mean() < 0.7 * weights[~noise].mean()


def test_what_it_cannot_weigh_is_refused_in_words():
    with pytest.raises(QuickstudyError, match="read from a language model, and this is a Sequential"):
        TokenWeights(mlp([4, 3]))
    with pytest.raises(QuickstudyError, match=r"has to stay as it is, and here it learns .*lora="):
        TokenWeights(model().requires_grad_(True))
    reduced = TokenWeights(model(), loss=lambda output, targets: default_loss(output, targets).mean(), **SMALL)  # type: ignore[union-attr]
    with pytest.raises(QuickstudyError, match=r"one loss a token, and the loss gave \(\) for 21 tokens"):
        reduced.adapt(task().support)
    with pytest.raises(QuickstudyError, match="these inputs are of another kind"):
        TokenWeights(model(), **SMALL).read(Batch(["some text"], ["label"]))
