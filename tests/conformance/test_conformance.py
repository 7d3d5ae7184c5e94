"""What every learner keeps to, whoever wrote it."""

from __future__ import annotations

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
import torch
from torch import nn
from torch.testing import assert_close

import quickstudy
from quickstudy import Batch, QuickstudyError, Task, check_gradients
from quickstudy.learners.baselines.joint import JointTraining
from quickstudy.learners.gradient import GradientLearner
from quickstudy.learners.metric import MetricLearner

STEPS = int(os.environ.get("STEPS", "9"))
"""Outer steps after which memory is to be as it was; STEPS=2000 for a long look."""


def outer(learner: Any, tasks: list[Task]) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """The outer objective and its gradient."""
    learned = list(learner.parameters())
    for parameter in learned:
        parameter.grad = None
    value = learner(tasks)
    value.backward()
    return value.detach(), gradients(learner)


def gradients(learner: Any) -> list[torch.Tensor]:
    return [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in learner.parameters()]


def snapshot(learner: nn.Module) -> dict[str, Any]:
    state = {name: value.clone() for name, value in learner.state_dict().items()}
    modes = {name: module.training for name, module in learner.named_modules()}
    return {"state": state, "modes": modes, "grads": [p.grad for p in nn.Module.parameters(learner)]}


def assert_untouched(learner: nn.Module, before: dict[str, Any]) -> None:
    after = snapshot(learner)
    assert_close(after["state"], before["state"], rtol=0, atol=0)
    assert after["modes"] == before["modes"]
    assert after["grads"] == before["grads"]


def with_norm_and_dropout(case: Any) -> nn.Module:
    first, relu, last = case.model()
    return nn.Sequential(first, nn.BatchNorm1d(8), relu, nn.Dropout(0.5), last).train()


class Keyed(nn.Module):
    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, *, features: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        return self.network(features * scale)


class Tied(nn.Module):
    """One weight under two names."""

    def __init__(self, inputs: int):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second, self.head = nn.Linear(inputs, inputs), nn.Linear(inputs, inputs), nn.Linear(inputs, 3)
        self.second.weight = self.first.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.tanh(self.second(torch.tanh(self.first(x)))))


def test_the_scan_finds_every_learner(every_learner):
    names = {cls.__name__ for cls in every_learner}
    assert names >= {"MAML", "ANIL", "Reptile", "CAVIA", "Prototypical", "Matching", "Siamese"}
    assert names >= {"Centroid", "LogisticProbe", "FineTune", "JointTraining", "ZeroStep"}


def test_adapting_leaves_the_learner_untouched(case):
    learner, task = case.learner(), case.task()
    before = snapshot(learner)
    learner.adapt(task.support).logits(task.query.inputs)
    assert_untouched(learner, before)


def test_adapting_leaves_batch_norm_and_dropout_untouched(vectors):
    learner, task = vectors.learner(with_norm_and_dropout(vectors)), vectors.task()
    before = snapshot(learner)
    learner.adapt(task.support).logits(task.query.inputs)
    assert_untouched(learner, before)


def test_the_outer_loss_moves_no_buffer_and_no_mode_but_a_metric_learners_averages(vectors_that_learn):
    learner = vectors_that_learn.learner(with_norm_and_dropout(vectors_that_learn))
    before = snapshot(learner)
    with torch.no_grad():
        learner([vectors_that_learn.task()])
    assert_untouched(learner, before)
    learner([vectors_that_learn.task()])
    averages = {f"model.1.{name}" for name, _ in learner.model[1].named_buffers()}
    moved = {name for name, value in learner.state_dict().items() if not torch.equal(value, before["state"][name])}
    assert moved == (averages if isinstance(learner, MetricLearner) else set())


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_is_never_switched(case, training):
    learner, task = case.learner().train(training), case.task()
    learner.adapt(task.support).predict(task.query.inputs)
    assert all(module.training is training for module in learner.modules())


def test_the_same_seed_gives_the_same_result_whatever_the_global_one(vectors):
    learner, task = vectors.learner(with_norm_and_dropout(vectors)), vectors.task()
    answers = []
    for seed in (1, 2):
        learner.train()
        torch.manual_seed(seed)
        adapted = learner.adapt(task.support)
        learner.eval()
        answers.append(adapted.logits(task.query.inputs))
    assert_close(*answers, rtol=0, atol=0)


def test_the_outer_gradient_depends_on_no_global_seed(vectors_that_learn):
    learner, tasks = vectors_that_learn.learner(with_norm_and_dropout(vectors_that_learn)), [vectors_that_learn.task()]
    torch.manual_seed(1)
    first = outer(learner, tasks)
    torch.manual_seed(2)
    assert_close(outer(learner, tasks), first, rtol=0, atol=0)


def test_the_global_random_state_stays_as_it_was(vectors):
    learner, task = vectors.learner(with_norm_and_dropout(vectors)), vectors.task()
    before = torch.get_rng_state()
    learner.adapt(task.support)
    assert torch.equal(torch.get_rng_state(), before)


def test_predicting_with_dropout_on_depends_on_no_global_seed(vectors):
    learner, task = vectors.learner(with_norm_and_dropout(vectors)), vectors.task()
    adapted = learner.adapt(task.support)
    answers = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        answers.append(adapted.logits(task.query.inputs))
    assert_close(*answers, rtol=0, atol=0)


def test_state_dict_carries_everything_over(case):
    first, second, task = case.learner(seed=0), case.learner(seed=1), case.task()
    second.load_state_dict(first.state_dict())
    expected = first.adapt(task.support).logits(task.query.inputs)
    assert_close(second.adapt(task.support).logits(task.query.inputs), expected, rtol=0, atol=0)


def test_what_was_learned_opens_again_with_the_same_answers(case, tmp_path):
    learner, task = case.learner(), case.task()
    adapted = learner.adapt(task.support)
    if case.calls_its_own_way:
        with pytest.raises(QuickstudyError, match="cannot be saved"):
            adapted.save_pretrained(tmp_path / "saved")
        return
    adapted.save_pretrained(tmp_path / "saved")
    opened = quickstudy.load(tmp_path / "saved", **({} if case.reads_text else {"model": learner.model}))
    assert_close(opened.logits(task.query.inputs), adapted.logits(task.query.inputs))
    assert list(opened.predict(task.query.inputs)) == list(adapted.predict(task.query.inputs))
    assert not [path for path in (tmp_path / "saved").rglob("*") if path.suffix in (".bin", ".pt", ".pkl")]


def test_tied_weights_stay_tied_and_move_together(vectors):
    learner, task = vectors.learner(Tied(4 + vectors.context)), vectors.task()
    adapted = learner.adapt(task.support)
    assert learner.model.second.weight is learner.model.first.weight
    by_hand = Tied(4 + vectors.context)
    by_hand.load_state_dict(adapted.phi, strict=False)
    if not vectors.calls_its_own_way and adapted.head is None:
        assert_close(adapted.logits(task.query.inputs), by_hand(task.query.inputs).detach())


def test_tied_weights_learn_in_the_outer_loop(vectors_that_learn):
    learner = vectors_that_learn.learner(Tied(4 + vectors_that_learn.context))
    outer(learner, [vectors_that_learn.task()])
    assert learner.model.first.weight.grad.abs().sum() > 0


def test_frozen_parameters_never_move_and_get_no_gradient(case_that_learns):
    learner, tasks = case_that_learns.learner(), [case_that_learns.task(seed) for seed in range(2)]
    trainable = [p for p in learner.model.parameters() if p.requires_grad]
    frozen = trainable[0].requires_grad_(False)
    before = frozen.clone()
    learner = case_that_learns.learner(learner.model)
    optimizer = torch.optim.SGD(learner.parameters(), lr=0.1)
    outer(learner, tasks)
    optimizer.step()
    learner.adapt(tasks[0].support)
    assert torch.equal(frozen, before)
    assert frozen.grad is None
    assert all(parameter is not frozen for parameter in learner.parameters())


def test_dict_inputs_are_keywords(vectors):
    if vectors.context:
        pytest.skip("reads its inputs as one tensor")
    task, scale = vectors.task(), torch.full((6, 1), 2.0)

    def keyed(batch: Batch) -> Batch:
        return replace(batch, inputs={"features": batch.inputs, "scale": scale})

    scaled = replace(task, support=replace(task.support, inputs=2 * task.support.inputs))
    expected = vectors.learner().adapt(scaled.support).logits(2 * task.query.inputs)
    got = vectors.learner(Keyed(vectors.model())).adapt(keyed(task.support)).logits(keyed(task.query).inputs)
    assert_close(got, expected)


def tokenized(encoder: Any, batch: Batch) -> Batch:
    tokens = encoder.tokenizer(batch.inputs, padding=True, return_tensors="pt")
    return replace(batch, inputs={"input_ids": tokens["input_ids"], "attention_mask": tokens["attention_mask"]})


def test_an_encoder_reads_what_the_tokenizer_made(text):
    learner, task = text.learner(), text.task()
    if hasattr(learner, "names") and isinstance(learner.names, str):
        learner.names = "no"  # names are sentences: they cannot join what the tokenizer has made already
    support, query = tokenized(learner.model, task.support), tokenized(learner.model, task.query)
    expected = learner.adapt(task.support).logits(task.query.inputs)
    assert_close(learner.adapt(support).logits(query.inputs), expected)
    if any(True for _ in learner.parameters()):
        assert_close(learner([Task(support, query)]).detach(), learner([task]).detach())


def test_ragged_targets(by_gradient):
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(4, 3, 4, generator=generator)
    targets = [torch.tensor(row) for row in ([0, 1, 2], [1], [2, 0], [1, 1, 0])]
    task = Task(Batch(inputs, targets), Batch(inputs, targets))
    padded = torch.nn.utils.rnn.pad_sequence(targets, batch_first=True, padding_value=-100)
    learner = by_gradient.learner()
    if learner.makes_head:
        with pytest.raises(QuickstudyError, match="one class for each example"):
            learner([task])
        return
    assert_close(learner([task]), learner([Task(Batch(inputs, padded), Batch(inputs, padded))]))
    assert learner.adapt(task.support).predict(inputs).shape == (4, 3)
    assert task.score(learner.adapt(task.support))["nats_per_token"] > 0


def test_the_outer_objective_is_the_mean_over_tasks_in_any_order(case_that_learns):
    learner, (a, b, c) = case_that_learns.learner(), (case_that_learns.task(seed) for seed in range(3))
    value, gradient = outer(learner, [a, b, c])
    alone = [outer(learner, [task]) for task in (a, b, c)]
    assert_close(value, sum(v for v, _ in alone) / 3)
    assert_close(gradient, [sum(parts) / 3 for parts in zip(*(g for _, g in alone), strict=True)], rtol=1e-4, atol=1e-5)
    assert_close(outer(learner, [c, a, b]), (value, gradient), rtol=1e-4, atol=1e-5)


def test_dropout_comes_from_each_tasks_own_seed(vectors_that_learn):
    first, relu, last = vectors_that_learn.model()
    learner = vectors_that_learn.learner(nn.Sequential(first, relu, nn.Dropout(0.5), last).train())
    a, b = (vectors_that_learn.task(seed) for seed in range(2))
    value, gradient = outer(learner, [a, b])
    (value_a, gradient_a), (value_b, gradient_b) = outer(learner, [a]), outer(learner, [b])
    assert_close(value, (value_a + value_b) / 2)
    assert_close(gradient, [(x + y) / 2 for x, y in zip(gradient_a, gradient_b, strict=True)])
    assert outer(learner, [replace(a, seed=a.seed + 9)])[0] != value_a


def test_no_grad_gives_the_same_value_without_a_gradient(case_that_learns):
    learner, task = case_that_learns.learner(), case_that_learns.task()
    with torch.no_grad():
        value = learner([task])
    assert not value.requires_grad
    assert_close(value, learner([task]).detach())


def test_zero_grad_may_come_before_or_after_the_loss(case_that_learns):
    learner, task = case_that_learns.learner(), case_that_learns.task()
    _, expected = outer(learner, [task])
    loss = learner([task])
    learner.zero_grad()
    loss.backward()
    assert_close(gradients(learner), expected)


def test_gradients_add_up_and_scale_like_any_other(case_that_learns):
    learner, task = case_that_learns.learner(), case_that_learns.task()
    _, expected = outer(learner, [task])
    (2 * learner([task])).backward()
    assert_close(gradients(learner), [3 * g for g in expected])


def test_the_plain_training_loop_lowers_the_loss(case_that_learns):
    learner, tasks = case_that_learns.learner(), [case_that_learns.task(seed) for seed in range(2)]
    optimizer = torch.optim.Adam(learner.parameters(), lr=0.003)
    losses = []
    for _ in range(5):
        for batch in learner.batches(tasks):
            optimizer.zero_grad()
            loss = learner(batch)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert losses[-1] < losses[0]


def test_outer_steps_leave_nothing_behind(case_that_learns, in_use):
    learner, tasks = case_that_learns.learner(), [case_that_learns.task(seed) for seed in range(3)]
    optimizer, found = torch.optim.SGD(learner.parameters(), lr=1e-4), []
    for step in range(STEPS):
        optimizer.zero_grad()
        learner(tasks[step % 3 : step % 3 + 1]).backward()
        optimizer.step()
        if step in (STEPS // 3, STEPS - 1):
            found.append(in_use())
    (count, size, before), (count_after, size_after, after) = found
    assert (count_after, size_after) == (count, size)
    assert after - before < 2**23


def test_gradients_of_what_is_learned_are_not_zero(case_that_learns):
    _, gradient = outer(case_that_learns.learner(), [case_that_learns.task()])
    assert sum(g.abs().sum() for g in gradient) > 0


def test_an_empty_outer_step_is_refused_in_words(vectors_that_learn):
    with pytest.raises(QuickstudyError, match="at least one task"):
        vectors_that_learn.learner()([])


def test_a_model_without_trainable_parameters_is_legal(vectors):
    model = vectors.model().requires_grad_(False)
    settings = {"space": "."} if issubclass(vectors.cls, GradientLearner) and not vectors.context else {}
    learner, task = vectors.learner(model, **settings), vectors.task()
    assert learner.adapt(task.support).predict(task.query.inputs).shape == (6,)
    if isinstance(learner, GradientLearner) and not isinstance(learner, JointTraining):
        assert learner([task]).requires_grad == any(True for _ in learner.parameters()), "rates and the like still learn"


def test_answers_are_of_the_kind_of_the_targets(case):
    task = case.task()
    answer = case.learner().adapt(task.support).predict(task.query.inputs)
    if case.bench == "values":
        assert answer.shape == task.query.targets.shape
        assert answer.is_floating_point()
    elif case.bench == "tokens":
        assert answer.shape == torch.cat(task.query.targets).shape
    elif case.bench == "vectors":
        assert set(answer.tolist()) <= {0, 1, 2}
        assert not answer.is_floating_point()
    else:
        assert set(answer) <= set(task.support.targets)
    assert len(task.score(case.learner().adapt(task.support))) == 1


def test_class_indices_need_not_be_contiguous(text):
    task, learner = text.task(), text.learner()
    order = sorted(set(task.support.targets))

    def answers(numbers: tuple[int, int]) -> list[int]:
        own = dict(zip(order, numbers, strict=True))
        support = replace(task.support, targets=torch.tensor([own[label] for label in task.support.targets]))
        answer = learner.adapt(support).predict(task.query.inputs)
        assert isinstance(answer, torch.Tensor)
        return answer.tolist()

    assert answers((3, 7)) == [{0: 3, 1: 7}[answer] for answer in answers((0, 1))]


def test_nothing_asked_is_nothing_answered(text):
    assert text.learner().adapt(text.task().support).predict([]) == []


def test_the_kept_graph_gives_what_recomputing_gives(through_the_loop):
    case = through_the_loop
    recomputed, kept = case.learner(), case.learner(keep_graph=True)
    assert_close(outer(kept, [case.task()]), outer(recomputed, [case.task()]))


def test_micro_batches_change_nothing(through_the_loop):
    whole, parts = through_the_loop.learner(), through_the_loop.learner(micro_batch=2)
    assert_close(outer(parts, [through_the_loop.task()]), outer(whole, [through_the_loop.task()]), rtol=1e-4, atol=1e-5)


def test_the_gradient_is_found_to_be_right(vectors_that_learn):
    report = check_gradients(vectors_that_learn.learner().eval(), vectors_that_learn.task())
    assert report, str(report)


@pytest.mark.parametrize("bench", ["vectors", "lora"])
def test_four_threads_learn_what_one_learns(by_gradient, bench, often_switching):
    case = by_gradient.on(bench)
    if case.context and case.reads_text:
        pytest.skip("reads its inputs as one tensor")
    learner, tasks = case.learner(), [case.task(seed) for seed in range(4)]

    def answers(task: Task) -> torch.Tensor:
        return learner.adapt(task.support).logits(task.query.inputs)

    expected = [answers(task) for task in tasks]
    with ThreadPoolExecutor(4) as pool:
        assert_close(list(pool.map(answers, tasks)), expected)


def test_a_thread_learns_while_the_one_that_made_the_learner_is_halfway(by_gradient):
    learner, here, there = by_gradient.learner().eval(), by_gradient.task(0), by_gradient.task(1)
    expected, found, calls, maker = learner.adapt(there.support).phi, [], count(), threading.get_ident()
    others: list[threading.Thread] = []

    def meet(*_: Any) -> None:
        if threading.get_ident() == maker and next(calls) == 1:
            others.append(threading.Thread(target=lambda: found.append(learner.adapt(there.support).phi)))
            others[0].start()
            others[0].join(1)

    learner.model.register_forward_pre_hook(meet)
    learner.adapt(here.support)
    others[0].join()
    assert_close(found, [expected])


@pytest.fixture
def often_switching():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)
