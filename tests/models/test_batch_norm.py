"""The policies of batch norm."""

from __future__ import annotations

import pytest
import torch

from quickstudy.errors import QuickstudyError
from quickstudy.models.batch_norm import looks_across, moves_averages, refuse_one_example
from quickstudy.models.conv import conv4

IMAGES = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def net(policy, training):
    return conv4(4, size=8, batch_norm=policy).train(training)


@pytest.mark.parametrize(
    ("policy", "training", "across", "moves"),
    [
        ("transductive", True, True, False),
        ("transductive", False, True, False),
        ("running", True, True, True),
        ("running", False, False, False),
    ],
)
def test_what_follows_from_a_policy_is_what_happens(policy, training, across, moves):
    model = net(policy, training)
    assert (looks_across(model), moves_averages(model)) == (across, moves)
    before = [buffer.clone() for buffer in model.buffers()]
    among, fewer = model(IMAGES)[:2], model(IMAGES[:2])
    assert any(not torch.equal(a, b) for a, b in zip(before, model.buffers(), strict=True)) == moves
    assert torch.allclose(among, fewer, atol=1e-6) != across


def test_one_example_has_no_statistics():
    for model in (net("transductive", False), net("running", True)):
        with pytest.raises(QuickstudyError, match="batch norm has one example to take its statistics from"):
            refuse_one_example(model, 1)
    refuse_one_example(net("running", False), 1)
    refuse_one_example(net("transductive", False), 2)


def test_a_model_without_batch_norm_has_neither():
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.LayerNorm(2)).train()
    assert not looks_across(model)
    assert not moves_averages(model)
