"""Policy gradients, against plain loops, closed forms and exact expectations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from quickstudy.inner.policy_gradient import (
    advantages,
    linear_baseline,
    normalised,
    ppo_loss,
    reinforce_loss,
    returns_to_go,
)
from quickstudy.tasks.environments import Box, Discrete


@pytest.fixture
def played():
    generator = torch.Generator().manual_seed(0)
    rewards, values = (torch.randn(12, 7, generator=generator, dtype=torch.float64) for _ in range(2))
    return rewards, values, torch.rand(12, 7, generator=generator) < 0.2


@pytest.mark.parametrize(("gamma", "lam"), [(1.0, 0.95), (0.99, 0.3), (0.9, 0.0), (0.5, 1.0)])
@pytest.mark.parametrize("with_ends", [False, True])
def test_gae_is_the_sum_in_the_paper(played, gamma, lam, with_ends):
    rewards, values, ended = (each.numpy() for each in played)
    expected = np.zeros_like(rewards)
    for trial in range(rewards.shape[1]):
        for start in range(len(rewards)):
            weight = 1.0
            for step in range(start, len(rewards)):
                last = step + 1 == len(rewards) or (with_ends and ended[step, trial])
                after = 0.0 if last else values[step + 1, trial]
                expected[start, trial] += weight * (rewards[step, trial] + gamma * after - values[step, trial])
                weight *= gamma * lam
                if last:
                    break
    found = advantages(played[0], played[1], gamma, lam, played[2] if with_ends else None)
    assert_close(found, torch.from_numpy(expected))


def test_with_lambda_one_advantages_are_returns_less_values(played):
    rewards, values, _ = played
    discounts = 0.9 ** torch.arange(12, dtype=torch.float64)
    expected = torch.stack([(discounts[: 12 - at, None] * rewards[at:]).sum(0) for at in range(12)])
    assert_close(returns_to_go(rewards, 0.9), expected)
    assert_close(advantages(rewards, values, 0.9, 1.0), expected - values)


def test_ppo_by_the_cases_of_its_figure():
    """Figure 1 of the paper: a ratio is clipped above for positive advantages, below for negative ones, and nowhere else."""
    ratio, advantage = torch.tensor([0.5, 0.5, 1.0, 2.0, 2.0]), torch.tensor([1.0, -1.0, 3.0, 1.0, -1.0])
    new = ratio.log().requires_grad_()
    loss = ppo_loss(new, torch.zeros(5), advantage, 0.2)
    assert_close(loss, -torch.tensor([0.5, -0.8, 3.0, 1.2, -2.0]))
    (gradient,) = torch.autograd.grad(loss.sum(), new)
    assert_close(gradient, -torch.tensor([0.5, 0.0, 3.0, 0.0, -2.0]))


def test_the_gradient_of_reinforce_is_that_of_the_expected_reward():
    logits = torch.randn(4, dtype=torch.float64, generator=torch.Generator().manual_seed(1), requires_grad=True)
    rewards = torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)
    probabilities = logits.softmax(0)
    (expected,) = torch.autograd.grad((probabilities * rewards).sum(), logits, retain_graph=True)
    log_probs = Discrete(4).log_prob(logits.expand(4, 4), torch.arange(4))  # of every action
    losses = probabilities.detach() * reinforce_loss(log_probs, log_probs.detach(), rewards)
    (found,) = torch.autograd.grad(losses.sum(), logits)
    assert_close(found, -expected)


def test_the_second_derivative_of_reinforce_is_that_of_the_expected_reward_too():
    rewards = torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)
    logits = torch.randn(4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    old = logits.log_softmax(0)

    def hessian(loss):
        return torch.autograd.functional.hessian(lambda its: (old.exp() * loss(its.log_softmax(0))).sum(), logits)

    expected = torch.autograd.functional.hessian(lambda its: -(its.softmax(0) * rewards).sum(), logits)
    assert_close(hessian(lambda log_probs: reinforce_loss(log_probs, old, rewards)), expected)
    assert (hessian(lambda log_probs: -log_probs * rewards) - expected).abs().max() > 0.3  # of the usual form


def test_a_linear_baseline_knows_what_is_linear():
    generator = torch.Generator().manual_seed(2)
    seen = torch.randn(20, 50, 3, generator=generator)
    time, live = torch.arange(20.0)[:, None], torch.ones(20, 50, dtype=torch.bool)
    returns = seen @ torch.tensor([1.0, -2.0, 0.5]) + seen.square().sum(-1) + 0.3 * time - 0.01 * time**2 + 4
    assert_close(linear_baseline(seen, returns, live), returns, atol=1e-3, rtol=1e-3)
    noise = torch.randn(20, 50, generator=generator)
    assert linear_baseline(seen, noise, live).std() < 0.2


def test_each_task_has_a_baseline_of_its_own_by_the_steps_that_count():
    generator = torch.Generator().manual_seed(2)
    seen, live = torch.randn(2, 20, 30, 3, generator=generator), torch.rand(2, 20, 30, generator=generator) < 0.7
    returns = torch.stack([seen[0].sum(-1), 5 - seen[1].sum(-1)])
    found = linear_baseline(seen, torch.where(live, returns, 99.0), live)
    assert_close(found[live], returns[live], atol=1e-3, rtol=1e-3)


def test_only_steps_that_count_are_normalised():
    values, live = torch.tensor([[1.0, 2.0], [3.0, 1e6]]), torch.tensor([[True, True], [True, False]])
    found = normalised(values, live)[live]
    assert_close(found.mean(), torch.tensor(0.0))
    assert_close(found.std(), torch.tensor(1.0))


def test_discrete_actions_are_categorical():
    outputs = torch.randn(5, 3, generator=torch.Generator().manual_seed(3))
    theirs, actions = torch.distributions.Categorical(logits=outputs), torch.tensor([0, 1, 2, 1, 0])
    assert_close(Discrete(3).log_prob(outputs, actions), theirs.log_prob(actions))
    assert_close(Discrete(3).entropy(outputs), theirs.entropy())
    assert Discrete(3).encode(torch.tensor([2, -1])).tolist() == [[0, 0, 1], [0, 0, 0]]
    drawn = Discrete(3).sample(outputs[:1].expand(20_000, 3), torch.Generator().manual_seed(0))
    assert_close(drawn.bincount(minlength=3) / 20_000, outputs[0].softmax(0), atol=0.015, rtol=0)


def test_real_actions_are_normal_and_never_quite_certain():
    share = (math.log(0.5) - math.log(0.2)) / (math.log(2.7) - math.log(0.2))
    outputs = torch.tensor([[0.5, -1.0, math.log(share / (1 - share)), -50.0]])  # the second deviation is held at 0.2
    box, theirs = Box(2), torch.distributions.Normal(torch.tensor([0.5, -1.0]), torch.tensor([0.5, 0.2]))
    actions = torch.tensor([[0.1, -0.9]])
    assert_close(box.log_prob(outputs, actions), theirs.log_prob(actions).sum(-1))
    assert_close(box.entropy(outputs), theirs.entropy().sum().expand(1))
    drawn = box.sample(outputs.expand(20_000, 4), torch.Generator().manual_seed(0))
    assert_close(drawn.mean(0), theirs.mean, atol=0.02, rtol=0)
    assert_close(drawn.std(0), theirs.stddev, atol=0.01, rtol=0)
