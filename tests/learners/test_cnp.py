"""Conditional neural processes."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from quickstudy import CNP, Batch, Episodes, QuickstudyError, Sinusoids, Task, check_gradients
from quickstudy.models.networks import Standardized, mlp


def task(seed: int, shots: int = 6, queries: int = 4) -> Task:
    generator = torch.Generator().manual_seed(seed)
    batches = [Batch(torch.randn(n, 2, generator=generator), torch.randn(n, 1, generator=generator)) for n in (shots, queries)]
    return Task(*batches, seed=seed)


def test_it_is_the_equations():
    torch.manual_seed(0)
    learner, one = CNP(mlp([5, 8, 1], seed=1), context=3, width=7), task(0)
    r = torch.stack(
        [learner.encoder(torch.cat([x, y])) for x, y in zip(one.support.inputs, one.support.targets, strict=True)]
    ).mean(0)
    answers = torch.stack([learner.model(torch.cat([x, r])) for x in one.query.inputs])
    assert_close(learner.adapt(one.support).predict(one.query.inputs), answers)
    other = task(1, shots=3, queries=9)  # tasks of other sizes go in the same call, and count alike
    errors = [torch.tensor(each.score(learner.adapt(each.support))["squared_error"]) for each in (one, other)]
    assert_close(learner([one, other]).detach(), torch.stack(errors).mean())
    assert check_gradients(learner, one)


def test_what_the_network_reads_standardized_the_encoder_does_too():
    mean, scale = torch.tensor([3.0, -1.0]), torch.tensor([2.0, 0.5])
    torch.manual_seed(0)
    plain = CNP(mlp([5, 8, 1], seed=1), context=3, width=7)
    torch.manual_seed(0)
    other = CNP(nn.Sequential(Standardized(5, mean, scale), *mlp([5, 8, 1], seed=1)), context=3, width=7)
    one = task(0)
    support, query = (Batch((batch.inputs - mean) / scale, batch.targets) for batch in (one.support, one.query))
    assert_close(other([one]), plain([Task(support, query)]))
    assert_close(other.adapt(one.support).predict(one.query.inputs), plain.adapt(support).predict(query.inputs))


def test_it_learns_from_reading():
    torch.manual_seed(0)
    learner = CNP(mlp([9, 40, 40, 1], seed=0), context=8, width=40)
    optimizer = torch.optim.Adam(learner.parameters(), lr=0.002)
    episodes = Episodes(Sinusoids(), shots=10, queries=10, tasks=16, seed=0)
    for step in range(300):
        optimizer.zero_grad()
        learner(episodes[step]).backward()
        optimizer.step()
    fresh = Episodes(Sinusoids(), shots=10, queries=10, tasks=40, seed=9)[0]
    read = sum(each.score(learner.adapt(each.support))["squared_error"] for each in fresh)
    strange = sum(
        each.score(learner.adapt(other.support))["squared_error"]
        for each, other in zip(fresh, fresh[1:] + fresh[:1], strict=True)
    )
    assert read < 0.5 * strange


def test_a_network_that_cannot_read_a_context_is_refused():
    for model in (nn.Identity(), mlp([4, 8, 1])):
        with pytest.raises(QuickstudyError, match="context=4: CNP needs a network of linear layers"):
            CNP(model, context=4)
