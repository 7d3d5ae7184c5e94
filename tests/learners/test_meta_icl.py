"""MetaICL against plain autograd on everything at once, and against finite differences."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from test_in_context import classify, demonstrated, language, language_model
from torch.testing import assert_close

from quickstudy import Batch, QuickstudyError, Task
from quickstudy.learners.baselines.in_context import InContext
from quickstudy.learners.meta_icl import MetaICL
from quickstudy.models.adapters import add_lora
from quickstudy.models.language_model import LanguageModel
from quickstudy.tasks.names import readable


def adapted_model(kind: str = "llama", **settings: Any) -> LanguageModel:
    """A tiny language model of which LoRA alone learns, its adapters moved away from zero."""
    model = language_model(kind, **settings).requires_grad_(False)
    add_lora(
        model.module,
        {"r": 2, "target_modules": ["q_proj", "v_proj"] if kind == "llama" else ["c_attn"], "fan_in_fan_out": kind != "llama"},
        0,
    )
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.double().parameters():
            if parameter.requires_grad:
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


def texts(seed: int = 0) -> Task:
    return Task(language(5, 8, seed=seed), language(4, 9, 1, 6, 5, seed=seed + 9), seed=seed)


def outer(learner: MetaICL, tasks: list[Task]) -> tuple[torch.Tensor, list[torch.Tensor]]:
    value = learner(tasks)
    return value.detach(), list(torch.autograd.grad(value, list(learner.parameters())))


def plainly(learner: MetaICL, tasks: list[Task]) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """The objective as the paper has it, each query with its whole context, one graph over everything."""
    losses = []
    for task in tasks:
        if isinstance(task.query.inputs[0], str):
            before, examples = demonstrated(learner, task.support), []
            for text, label in zip(task.query.inputs, task.query.targets, strict=True):
                given, answer = (text, readable(label)) if learner.wording.method == "direct" else (readable(label), text)
                first, last = (
                    learner.model.tokenizer(said, return_tensors="pt").input_ids[0]
                    for said in (f"{before}{given}\n", f"{answer}\n\n")
                )
                logits = learner.model([torch.cat([first, last])])[len(first) - 1 : -1]
                examples.append(F.cross_entropy(logits, last))
            losses.append(torch.stack(examples).mean())
        else:
            whole = [torch.cat([*task.support.inputs, block]) for block in task.query.inputs]
            logits = [learner.model([each])[-len(block) :] for each, block in zip(whole, task.query.inputs, strict=True)]
            losses.append(F.cross_entropy(torch.cat(logits), torch.cat(task.query.targets)))
    value = torch.stack(losses).mean()
    return value.detach(), list(torch.autograd.grad(value, list(learner.parameters())))


CASES = {
    "direct": ("direct", [classify(3), classify(2, seed=4)]),
    "channel": ("channel", [classify(3), classify(2, seed=4)]),
    "text": ("direct", [texts(0), texts(1)]),
}
"""What is learned from, and how."""


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", ["llama", "gpt2"])
@pytest.mark.parametrize("micro_batch", [1, 2, 4, None])
def test_value_and_gradient_are_those_of_one_graph_over_everything(case, kind, micro_batch):
    method, tasks = CASES[case]
    learner = MetaICL(adapted_model(kind), method=method, micro_batch=micro_batch)
    assert all("lora" in name for name, p in learner.named_parameters() if p.requires_grad)
    assert len(list(learner.parameters())) > 0
    (value, gradient), (expected, by_hand) = outer(learner, tasks), plainly(learner, tasks)
    assert_close(value, expected, rtol=1e-6, atol=1e-7)
    for found, right in zip(gradient, by_hand, strict=True):
        assert_close(found, right, rtol=1e-5, atol=1e-6)
        assert right.abs().max() > 1e-4


@pytest.mark.parametrize("case", CASES)
def test_the_gradient_is_the_slope(case):
    method, tasks = CASES[case]
    learner = MetaICL(adapted_model("gpt2"), method=method)  # whose attention keeps double precision
    _, gradient = outer(learner, tasks)
    generator = torch.Generator().manual_seed(2)
    direction = [torch.randn(p.shape, generator=generator).double() for p in learner.parameters()]

    @torch.no_grad()
    def shifted(by: float) -> torch.Tensor:
        for parameter, way in zip(learner.parameters(), direction, strict=True):
            parameter.add_(by * way)
        value = learner(tasks)
        for parameter, way in zip(learner.parameters(), direction, strict=True):
            parameter.sub_(by * way)
        return value

    slope = (shifted(1e-5) - shifted(-1e-5)) / 2e-5
    assert_close(sum((g * d).sum() for g, d in zip(gradient, direction, strict=True)), slope, rtol=1e-6, atol=1e-8)


def test_a_support_that_does_not_fit_is_cut_in_training_as_in_answering():
    task = texts()
    learner = MetaICL(adapted_model(), context=12)
    with torch.no_grad():
        value = learner([task])
    assert_close(value.item(), task.score(InContext(learner.model, context=12).adapt(task.support))["nats_per_token"])
    assert value != MetaICL(learner.model)([task])


def test_what_is_not_judged_does_not_count():
    task, learner = texts(), MetaICL(adapted_model())
    targets = [target.clone() for target in task.query.targets]
    targets[1][:6], targets[3][1] = -100, -100
    value, gradient = outer(learner, [replace(task, query=replace(task.query, targets=targets))])
    wanted = [target != -100 for target in targets]
    kept = [target[places] for target, places in zip(targets, wanted, strict=True)]
    asked = replace(task, query=Batch({"blocks": task.query.inputs, "wanted": wanted}, kept))
    assert_close(outer(learner, [asked]), (value, gradient))
    assert value != outer(learner, [task])[0]


def test_only_the_right_label_enters_and_only_what_is_judged_goes_through_the_head():
    model, task = adapted_model(), classify(3)
    learner = MetaICL(model, micro_batch=2)
    read, judged = [], []
    model.module.get_input_embeddings().register_forward_hook(lambda _, args, __: read.append(tuple(args[0].shape)))
    model.module.get_output_embeddings().register_forward_hook(lambda _, args, __: judged.append(tuple(args[0].shape[:-1])))
    learner([task])
    support = len(learner.window(task.support).before(10))
    longest = [max(len(text.split()) for text in part) for part in (task.query.inputs[:2], task.query.inputs[2:])]
    assert read == [(1, support), (2, longest[0] + 3), (1, support), (1, longest[1] + 3)]  # and a mark and the label's two words
    assert judged[1][0] == 2
    assert judged[1::2] == [(2, judged[1][1]), (1, 3)]
    assert judged[1][1] < longest[0] + 3


def test_training_lowers_the_loss_moves_the_adapters_alone_and_leaves_nothing_behind():
    learner, tasks = MetaICL(adapted_model(), method="channel"), [classify(3), classify(2, seed=4)]
    frozen = {name: p.clone() for name, p in learner.named_parameters() if not p.requires_grad}
    optimizer = torch.optim.Adam(learner.parameters(), lr=0.01)
    losses = []
    for _ in range(5):
        optimizer.zero_grad()
        loss = learner(tasks)
        assert all(p.grad is None for p in learner.parameters())
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.1
    assert_close({name: p for name, p in learner.named_parameters() if not p.requires_grad}, frozen, rtol=0, atol=0)


@pytest.mark.parametrize("case", CASES)
def test_adapting_is_in_context_learning_and_leaves_the_learner_untouched(case):
    method, (task, *_) = CASES[case]
    learner = MetaICL(adapted_model(), method=method)
    before = {name: value.clone() for name, value in learner.state_dict().items()}
    expected = InContext(learner.model, method=method).adapt(task.support).logits(task.query.inputs)
    assert_close(learner.adapt(task.support).logits(task.query.inputs), expected, rtol=0, atol=0)
    assert_close(learner.state_dict(), before, rtol=0, atol=0)
    assert all(p.grad is None for p in learner.parameters())


def test_dropout_comes_from_each_tasks_own_seed():
    learner, tasks = MetaICL(adapted_model(dropout=0.5).train()), [texts(0), texts(1)]
    state = torch.get_rng_state()
    value, gradient = outer(learner, tasks)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(9)
    assert_close(outer(learner, tasks), (value, gradient), rtol=0, atol=0)
    assert_close(value, sum(outer(learner, [task])[0] for task in tasks) / 2)
    assert value != outer(learner, [replace(task, seed=task.seed + 9) for task in tasks])[0]


def test_a_frozen_model_has_a_loss_and_nothing_to_learn():
    learner = MetaICL(language_model().requires_grad_(False))
    value = learner([texts()])
    assert not value.requires_grad
    assert value > 0


def test_bad_input_is_refused_in_words():
    learner, task, text = MetaICL(adapted_model()), classify(2), texts()
    with pytest.raises(QuickstudyError, match="at least one task"):
        learner([])
    with pytest.raises(QuickstudyError, match="asks for 'top-up', which is none of the support's 2 classes"):
        learner([replace(task, query=classify(3).query)])
    with pytest.raises(QuickstudyError, match="a block has 3 targets for 4 positions; give one for each"):
        learner([replace(text, query=Batch(text.query.inputs[:1], [text.query.targets[0][:3]]))])
    with pytest.raises(QuickstudyError, match="a query of 9 tokens does not fit into a context of 8"):
        MetaICL(adapted_model(), context=8)([text])
    with pytest.raises(QuickstudyError, match="MetaICL puts examples into the context window of a language model"):
        MetaICL(torch.nn.Linear(2, 2))
