"""Small networks."""

from __future__ import annotations

import torch
from torch import nn
from torch.testing import assert_close

from quickstudy import ANIL, MAML, Batch, Task
from quickstudy.models.networks import Standardized, mlp

MEAN, SCALE = torch.tensor([3.0, -1.0, 0.5]), torch.tensor([2.0, 0.5, 4.0])


def test_numbers_are_standardized_and_those_beyond_stay():
    layer = Standardized(5, MEAN, SCALE)
    x = torch.randn(4, 5)
    assert_close(layer(x), torch.cat([(x[:, :3] - MEAN) / SCALE, x[:, 3:]], dim=1))
    assert_close(layer(x[:, :3]), layer(x)[:, :3])
    assert_close(Standardized(5)(x), x)
    assert [name for name, _ in layer.named_parameters()] == []
    assert layer.state_dict().keys() == {"mean", "scale"}


def test_standardized_nets_learn_tasks_side_by_side(same_side_by_side):
    def batch(seed: int) -> Batch:
        generator = torch.Generator().manual_seed(seed)
        inputs = torch.randn(6, 3, generator=generator, dtype=torch.float64) * SCALE + MEAN
        return Batch(inputs, torch.randn(6, 2, generator=generator, dtype=torch.float64))

    tasks = [Task(batch(seed), batch(seed + 10), seed=seed) for seed in range(3)]
    for learner in (MAML, ANIL):
        net = nn.Sequential(Standardized(3, MEAN, SCALE), *mlp([3, 8, 2], seed=0)).double()
        same_side_by_side(learner(net, 0.1, inner_steps=2), tasks)
