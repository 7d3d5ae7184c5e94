"""Sentences of several tasks in one call, each task with adapters of its own, against one task after the other."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from quickstudy import ANIL, MAML, Batch, Task, models
from quickstudy.learners.mamlpp import MAMLpp
from quickstudy.learners.proto_maml import ProtoMAML
from quickstudy.learners.together import groups
from quickstudy.models.encoder import CHUNK

TEXT = "the cat sat on a mat and looked at some other old cats while it rained outside for hours"
WORDS = TEXT.split()


def encoder(tiny_bert: str, **lora) -> nn.Module:
    model = models.load(tiny_bert, lora={"r": 2, **lora}).double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:  # B starts at zero, where half of the gradient is
                parameter.add_(torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype) / 10)
    return model


def task(seed: int, ways: int = 3, shots: int = 4) -> Task:
    generator = torch.Generator().manual_seed(seed)

    def batch(count: int) -> Batch:
        lengths = torch.randint(1, len(WORDS), (ways * count,), generator=generator).tolist()
        labels = [f"label {i % ways}" for i in range(ways * count)]
        return Batch([" ".join(WORDS[i % 5 : i % 5 + length]) for i, length in enumerate(lengths)], labels)

    return Task(batch(shots + seed % 2), batch(2), seed=seed)  # uneven


TASKS = [task(0), task(1), task(2), task(3, ways=2), task(4, ways=2)]

LEARNERS = {
    "recomputing": lambda model: MAML(model, 0.5, inner_steps=2),
    "graph kept": lambda model: MAML(model, 0.5, inner_steps=2, keep_graph=True),
    "small parts": lambda model: MAML(model, 0.5, inner_steps=2, micro_batch=3),
    "first order": lambda model: MAML(model, 0.5, inner_steps=2, gradient="first_order"),
    "ProtoMAML": lambda model: ProtoMAML(model, 0.5, inner_steps=2),
    "MAML++": lambda model: MAMLpp(model, 0.5, inner_steps=2, first_order_until=0.0),
}


@pytest.mark.parametrize("layers", [None, 1])
@pytest.mark.parametrize("name", LEARNERS)
def test_the_same_side_by_side_as_one_by_one(name, layers, tiny_bert, same_side_by_side):
    assert sum(len(t.support) for t in TASKS) > CHUNK, "several parts"
    learner = LEARNERS[name](encoder(tiny_bert, **({"layers": layers} if layers else {})))
    same_side_by_side(learner, TASKS)


@pytest.mark.parametrize(
    ("make", "lora"),
    [
        (ANIL, {}),
        (lambda model: MAML(model, space=".*lora_B.*"), {}),
        (MAML, {"use_dora": True}),
        (MAML, {"lora_bias": True}),
        (lambda model: MAML(model).train(), {"lora_dropout": 0.1}),
    ],
)
def test_other_adapters_and_spaces_go_one_by_one(make, lora, tiny_bert):
    learner = make(encoder(tiny_bert, **lora))
    assert groups.together(learner, TASKS[:2], list(learner.parameters())) is None
