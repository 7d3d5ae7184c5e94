"""The gradient through the inner loop against a plain create_graph loop and against finite differences, in float64."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call

from quickstudy import ANIL, CAVIA, MAML, Batch, FineTune, QuickstudyError, Rates, Reptile, Task
from quickstudy.inner.rules import Adam
from quickstudy.models.functional import arguments

STEPS, LR = 2, 0.3
PER = ("space", "layer", "parameter", "element")
RATES: dict[str, Callable[[], Any]] = {
    "fixed": lambda: LR,
    **{f"per {per}": lambda per=per: Rates(LR, per=per) for per in PER},
    **{f"per {per} and step": lambda per=per: Rates(LR, per=per, steps=STEPS) for per in PER},
}
FEW_RATES = ["fixed", "per layer and step", "per element"]


@dataclass(frozen=True)
class Bench:
    """A model, a task for it, and the part of the model that ANIL-like learners move."""

    model: nn.Module
    task: Task
    head: str


def mlp() -> Bench:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 3))
    batches = [Batch(torch.randn(n, 3), torch.arange(n) % 3) for n in (5, 4)]
    return Bench(model, Task(*batches, seed=7), "head")


def bert() -> Bench:
    import transformers

    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1, "vocab_size": 11}
    config = transformers.BertConfig(**sizes, num_labels=3, max_position_embeddings=8, initializer_range=0.5)
    config._attn_implementation = "eager"
    torch.manual_seed(0)
    model = transformers.BertForSequenceClassification(config).eval()
    return Bench(model, Task(*(Batch(_padded(n), torch.arange(n) % 3) for n in (5, 3)), seed=7), "head")


def gpt2() -> Bench:
    import peft

    torch.manual_seed(0)
    config = peft.LoraConfig(r=2, target_modules=["c_attn"], fan_in_fan_out=True, init_lora_weights=False)
    model = peft.get_peft_model(plain_gpt2(), config).eval()
    assert all(p.abs().sum() > 0 for name, p in model.named_parameters() if ".lora_B." in name)
    return Bench(model, language_task(), r"\.lora_B\.")


def plain_gpt2() -> nn.Module:
    import transformers

    sizes = {"n_layer": 1, "n_embd": 8, "n_head": 2, "n_positions": 8, "vocab_size": 11, "initializer_range": 0.3}
    config = transformers.GPT2Config(**sizes, bos_token_id=None, eos_token_id=None, use_cache=False)
    config._attn_implementation = "eager"
    return transformers.GPT2LMHeadModel(config).double().eval()


def language_task() -> Task:
    def batch(count: int) -> Batch:
        inputs = _padded(count)
        targets = torch.randint(11, inputs["input_ids"].shape)
        return Batch(inputs, targets.masked_fill(inputs["attention_mask"] == 0, -100))

    torch.manual_seed(1)
    return Task(batch(5), batch(3), seed=7)


def _padded(count: int) -> dict[str, torch.Tensor]:
    mask = (torch.arange(5) < torch.arange(count).unsqueeze(1) % 4 + 2).long()
    return {"input_ids": torch.randint(1, 11, (count, 5)) * mask, "attention_mask": mask}


BENCHES = {"mlp": mlp, "bert": bert, "gpt2": gpt2}


@cache
def _made(name: str) -> Bench:
    return BENCHES[name]()


def fresh(name: str) -> Bench:
    made = _made(name)
    return Bench(copy.deepcopy(made.model), made.task, made.head)


def mean_loss(model: nn.Module, phi: dict[str, torch.Tensor], batch: Batch) -> torch.Tensor:
    args, kwargs = arguments(batch.inputs)
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    output = functional_call(model, {**phi, **buffers}, args, kwargs)
    return F.cross_entropy(getattr(output, "logits", output).flatten(0, -2), batch.targets.flatten(), ignore_index=-100)


def by_hand(learner: MAML, task: Task) -> torch.Tensor:
    """The outer loss by the plain loop that keeps every graph; without second order each gradient is a constant."""
    own, lr = dict(learner.model.named_parameters()), learner.rule.lr
    phi = {name: own[name] for name in learner.names}
    for k in range(learner.inner_steps):
        leaves = phi if all(p.requires_grad for p in phi.values()) else {n: p.clone().requires_grad_() for n, p in phi.items()}
        loss = mean_loss(learner.model, leaves, task.support)
        slopes = torch.autograd.grad(loss, list(leaves.values()), create_graph=True, allow_unused=True, materialize_grads=True)
        if learner.gradient == "first_order":
            slopes = [slope.detach() for slope in slopes]
        rate = {name: lr[name, k] if isinstance(lr, Rates) else lr for name in phi}
        phi = {name: value - rate[name] * slope for (name, value), slope in zip(leaves.items(), slopes, strict=True)}
    return mean_loss(learner.model, phi, task.query)


def gradient(loss: torch.Tensor, learner: nn.Module) -> list[torch.Tensor]:
    return list(torch.autograd.grad(loss, list(learner.parameters()), allow_unused=True, materialize_grads=True))


def error(got: list[torch.Tensor], expected: list[torch.Tensor]) -> float:
    """The largest relative error of a tensor; a tensor of nearly zero is measured against a thousandth of the largest."""
    floor = 1e-3 * max(e.norm() for e in expected)
    assert floor > 0
    return max(float((g - e).norm() / e.norm().clamp(min=floor)) for g, e in zip(got, expected, strict=True))


def finite_difference_error(learner: nn.Module, tasks: list[Task], got: list[torch.Tensor]) -> float:
    """The largest relative error of the slope along random directions: of each group of what is learned, and of all."""
    learned = list(learner.parameters())
    groups: dict[str, list[int]] = {"all": list(range(len(learned)))}
    names = {id(p): name for name, p in learner.named_parameters()}
    for i, parameter in enumerate(learned):
        name = names[id(parameter)]
        group = "rates" if name.startswith("rule.") else "phi" if name.removeprefix("model.") in learner.names else "eta"
        groups.setdefault(group, []).append(i)
    return max(_slope_error(learner, tasks, learned, got, indices) for indices in groups.values())


def _slope_error(learner: Any, tasks: list[Task], learned: list[Any], got: list[torch.Tensor], indices: list[int]) -> float:
    ways = {i: torch.randn_like(learned[i]) for i in indices}
    length = torch.sqrt(sum((way**2).sum() for way in ways.values()))

    @torch.no_grad()
    def value(t: float) -> float:
        for i, way in ways.items():
            learned[i].add_(t * way / length)
        result = learner(tasks).item()
        for i in indices:
            learned[i].copy_(kept[i])
        return result

    kept, h = {i: learned[i].detach().clone() for i in indices}, 1e-4
    slope = (8 * (value(h) - value(-h)) - (value(2 * h) - value(-2 * h))) / (12 * h)
    exact = float(sum((got[i] * way).sum() for i, way in ways.items()) / length)
    return abs(exact - slope) / abs(slope)


def assert_exact(learner: MAML, task: Task) -> None:
    """recursion == keep_graph == the plain loop == finite differences."""
    plain = by_hand(learner, task)
    expected = gradient(plain, learner)
    for learner.keep_graph in (False, True):
        loss = learner([task])
        assert loss.item() == pytest.approx(plain.item(), rel=1e-12)
        assert error(gradient(loss, learner), expected) < 1e-10
    assert finite_difference_error(learner, [task], expected) < 1e-6


@pytest.mark.parametrize("rates", RATES)
def test_exact_on_an_mlp(rates):
    bench = fresh("mlp")
    assert_exact(MAML(bench.model, RATES[rates](), inner_steps=STEPS), bench.task)


@pytest.mark.parametrize("rates", FEW_RATES)
@pytest.mark.parametrize("name", ["bert", "gpt2"])
def test_exact_on_a_transformer(name, rates):
    bench = fresh(name)
    assert_exact(MAML(bench.model, RATES[rates](), inner_steps=STEPS), bench.task)


@pytest.mark.parametrize("rates", FEW_RATES)
@pytest.mark.parametrize("name", BENCHES)
def test_exact_for_a_body_that_learns_outside_the_inner_loop(name, rates):
    bench = fresh(name)
    learner = ANIL(bench.model, RATES[rates](), inner_steps=STEPS, space=bench.head)
    assert 0 < len(learner.names) < sum(1 for p in bench.model.parameters() if p.requires_grad)
    assert_exact(learner, bench.task)


def test_exact_over_many_steps():
    bench = fresh("mlp")
    assert_exact(MAML(bench.model, Rates(LR, steps=3), inner_steps=12), bench.task)


@pytest.mark.parametrize("gradient", ["exact", "first_order"])
def test_no_steps_leave_the_plain_gradient(gradient):
    bench = fresh("mlp")
    assert_exact(MAML(bench.model, LR, inner_steps=0, gradient=gradient), bench.task)


def test_exact_with_tied_weights_all_moving():
    bench = Bench(plain_gpt2(), language_task(), "")
    assert bench.model.lm_head.weight is bench.model.transformer.wte.weight
    learner = MAML(bench.model, RATES["per layer"](), inner_steps=STEPS)
    assert learner.names == [name for name, _ in bench.model.named_parameters()]
    assert_exact(learner, bench.task)


both_ways = pytest.mark.parametrize("keep_graph", [False, True], ids=["recompute", "keep_graph"])


@both_ways
def test_exact_where_a_frozen_parameter_moves_in_the_inner_loop(keep_graph):
    bench = fresh("mlp")
    bench.model[0].weight.requires_grad_(False)
    learner = MAML(bench.model, LR, inner_steps=STEPS, space=".", keep_graph=keep_graph)
    expected = gradient(by_hand(learner, bench.task), learner)
    assert error(gradient(learner([bench.task]), learner), expected) < 1e-10


@both_ways
def test_exact_for_a_start_that_is_no_parameter(keep_graph):
    model = nn.Sequential(nn.Linear(5, 5), nn.Tanh(), nn.Linear(5, 3))
    learner, task = CAVIA(model, 1.0, context=2, inner_steps=3, keep_graph=keep_graph), fresh("mlp").task
    assert finite_difference_error(learner, [task], gradient(learner([task]), learner)) < 1e-6


@pytest.mark.parametrize(
    "keep_graph",
    [
        pytest.param(False, id="recompute"),
        pytest.param(True, id="keep_graph"),
    ],
)
def test_exact_for_rates_that_are_frozen(keep_graph):
    bench = fresh("mlp")
    learner = MAML(bench.model, Rates(LR), inner_steps=STEPS, keep_graph=keep_graph)
    learner.rule.requires_grad_(False)
    expected = gradient(by_hand(learner, bench.task), learner)
    assert error(gradient(learner([bench.task]), learner), expected) < 1e-10


def test_exact_for_example_weights_inside_the_loss():
    bench = fresh("mlp")
    learner = MAML(bench.model, LR, inner_steps=3)
    learner.weights = nn.Parameter(torch.randn(5))
    task = Task(bench.task.support, bench.task.support.take([1, 2, 3, 4, 0]))
    learner.loss = lambda output, targets: F.cross_entropy(output, targets, reduction="none") * learner.weights.sigmoid()
    got = gradient(learner([task]), learner)
    assert finite_difference_error(learner, [task], got) < 1e-6
    learner.keep_graph = True
    assert error(gradient(learner([task]), learner), got) < 1e-10


@pytest.mark.parametrize("name", BENCHES)
@pytest.mark.parametrize("rates", ["fixed", "per element"])
def test_first_order_is_its_definition(name, rates):
    bench = fresh(name)
    learner = MAML(bench.model, RATES[rates](), inner_steps=STEPS, gradient="first_order")
    expected = gradient(by_hand(learner, bench.task), learner)
    for learner.keep_graph in (False, True):
        assert error(gradient(learner([bench.task]), learner), expected) < 1e-10


def test_first_order_is_the_query_gradient_where_the_inner_loop_ended():
    bench = fresh("mlp")
    learner = MAML(bench.model, LR, inner_steps=STEPS, gradient="first_order")
    ended = {name: value.requires_grad_() for name, value in learner.adapt(bench.task.support).phi.items()}
    expected = torch.autograd.grad(mean_loss(bench.model, ended, bench.task.query), list(ended.values()))
    assert error(gradient(learner([bench.task]), learner), list(expected)) < 1e-12


def test_first_order_differs_from_exact():
    bench = fresh("mlp")
    exact, first = (MAML(bench.model, LR, gradient=kind) for kind in ("exact", "first_order"))
    assert error(gradient(first([bench.task]), first), gradient(exact([bench.task]), exact)) > 1e-2


@pytest.mark.parametrize("keep_graph", [False, True], ids=["recompute", "keep_graph"])
@pytest.mark.parametrize("name", ["mlp", "gpt2"])
def test_micro_batches_change_nothing(name, keep_graph):
    bench = fresh(name)
    learner = MAML(bench.model, LR, inner_steps=STEPS, keep_graph=keep_graph)
    whole, expected = learner([bench.task]), gradient(learner([bench.task]), learner)
    adapted = learner.adapt(bench.task.support).logits(bench.task.query.inputs)
    for learner.micro_batch in (1, 2, 3):
        assert learner([bench.task]).item() == pytest.approx(whole.item(), rel=1e-12)
        assert error(gradient(learner([bench.task]), learner), expected) < 1e-10
        assert torch.allclose(learner.adapt(bench.task.support).logits(bench.task.query.inputs), adapted, rtol=1e-10)


@pytest.mark.parametrize("space", ["trainable", "part"])
@pytest.mark.parametrize("name", BENCHES)
def test_recomputing_learned_rates_and_micro_batches_all_together(name, space):
    bench = fresh(name)
    chosen = bench.head if space == "part" else space
    learner = MAML(bench.model, Rates(LR, per="element", steps=STEPS), inner_steps=STEPS, space=chosen)
    expected = gradient(by_hand(learner, bench.task), learner)
    learner.micro_batch = 2
    for learner.keep_graph in (False, True):
        assert error(gradient(learner([bench.task]), learner), expected) < 1e-10


def test_micro_batches_of_ragged_inputs_and_targets():
    class Tagger(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(2, 3)

        def forward(self, rows: list[torch.Tensor]) -> torch.Tensor:
            return self.layer(nn.utils.rnn.pad_sequence(rows, batch_first=True))

    lengths = (1, 3, 2, 4, 2)
    rows, tags = [torch.randn(n, 2) for n in lengths], [torch.randint(3, (n,)) for n in lengths]
    learner, task = MAML(Tagger(), LR), Task(Batch(rows, tags), Batch(rows, tags))
    expected = gradient(learner([task]), learner)
    for learner.micro_batch in (1, 2, 3):
        assert error(gradient(learner([task]), learner), expected) < 1e-10


@pytest.mark.parametrize("inner_batch", [None, 2])
def test_reptile_is_theta_less_what_each_task_learned(inner_batch):
    bench = fresh("mlp")
    tasks = [bench.task, Task(bench.task.query, bench.task.support, seed=3)]
    learner = Reptile(bench.model, LR, inner_steps=4, inner_batch=inner_batch)
    ends = []
    for task in tasks:
        model = copy.deepcopy(bench.model)
        optimizer = torch.optim.SGD(model.parameters(), lr=LR)
        for batch in task.support.minibatches(4, inner_batch):
            assert len(batch) == (inner_batch or len(task.support))
            optimizer.zero_grad()
            F.cross_entropy(model(batch.inputs), batch.targets).backward()
            optimizer.step()
        ends.append([p.detach() for p in model.parameters()])
    expected = [start.detach() - (a + b) / 2 for start, a, b in zip(bench.model.parameters(), *ends, strict=True)]
    assert error(gradient(learner(tasks), learner), expected) < 1e-12


def test_reptile_with_plain_descent_moves_towards_what_was_learned():
    bench = fresh("mlp")
    learner = Reptile(bench.model, LR)
    start = [p.detach().clone() for p in learner.parameters()]
    learned = learner.adapt(bench.task.support).phi
    optimizer = torch.optim.SGD(learner.parameters(), lr=0.25)
    learner([bench.task]).backward()
    optimizer.step()
    expected = [a + 0.25 * (b - a) for a, b in zip(start, learned.values(), strict=True)]
    assert error([p.detach() for p in learner.parameters()], expected) < 1e-12


def test_dropout_is_replayed():
    model = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Dropout(0.5), nn.Linear(16, 3))
    learner, task = MAML(model.train(), LR, inner_steps=3), fresh("mlp").task
    learner.keep_graph = True
    expected = gradient(learner([task]), learner)
    learner.keep_graph = False
    assert error(gradient(learner([task]), learner), expected) < 1e-10
    other = Task(task.support, task.query, seed=task.seed + 1)
    assert error(gradient(learner([other]), learner), expected) > 1e-2


def test_dropout_is_replayed_inside_a_transformer_in_micro_batches():
    bench = fresh("bert")
    bench.model.train()
    learner = MAML(bench.model, LR, inner_steps=STEPS, micro_batch=2, keep_graph=True)
    expected = gradient(learner([bench.task]), learner)
    learner.keep_graph = False
    assert error(gradient(learner([bench.task]), learner), expected) < 1e-10


def batch_norm_model() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 3)).train()


def test_exact_through_batch_statistics_which_stay_as_they_were():
    model, task = batch_norm_model(), fresh("mlp").task
    kept = {name: buffer.clone() for name, buffer in model.named_buffers()}
    assert_exact(MAML(model, LR, inner_steps=STEPS), task)
    assert all(torch.equal(buffer, kept[name]) for name, buffer in model.named_buffers())


def test_batch_statistics_refuse_micro_batches():
    with pytest.raises(QuickstudyError, match=r"micro_batch=2.*statistics of the whole batch"):
        MAML(batch_norm_model(), micro_batch=2)
    MAML(batch_norm_model().eval(), micro_batch=2)


def test_batch_statistics_that_are_switched_on_later_refuse_micro_batches():
    learner = MAML(batch_norm_model().eval(), micro_batch=2)
    learner.train()
    with pytest.raises(QuickstudyError, match="statistics of the whole batch"):
        learner([fresh("mlp").task])


@pytest.mark.parametrize(("per", "shapes"), [("space", [()]), ("layer", [()] * 2), ("parameter", [()] * 4), ("element", None)])
def test_there_is_a_rate_for_each_of_what_was_asked_for(per, shapes):
    model = fresh("mlp").model
    shapes = [tuple(p.shape) for p in model.parameters()] if shapes is None else shapes
    for steps, front in ((None, ()), (3, (3,))):
        rates = list(MAML(model, Rates(LR, per=per, steps=steps)).rule.parameters())
        assert [tuple(rate.shape) for rate in rates] == [front + shape for shape in shapes]
        assert all((rate == LR).all() for rate in rates)


def test_each_step_has_its_own_rate_and_later_ones_the_last():
    bench = fresh("mlp")
    learner = MAML(bench.model, Rates(LR, per="space", steps=2), inner_steps=3)
    (rates,) = learner.rule.parameters()
    rates.data = torch.tensor([0.5, 0.1])
    model = copy.deepcopy(bench.model)
    for rate in (0.5, 0.1, 0.1):
        slopes = torch.autograd.grad(mean_loss(model, {}, bench.task.support), list(model.parameters()))
        with torch.no_grad():
            for parameter, slope in zip(model.parameters(), slopes, strict=True):
                parameter -= rate * slope
    learned = list(learner.adapt(bench.task.support).phi.values())
    assert error(learned, [p.detach() for p in model.parameters()]) < 1e-12


def test_an_element_whose_rate_is_zero_stays():
    bench = fresh("mlp")
    learner = MAML(bench.model, Rates(LR, per="element"))
    rates = dict(zip(learner.names, learner.rule.parameters(), strict=True))
    rates["0.weight"].data[1, 2] = 0
    moved = learner.adapt(bench.task.support).phi["0.weight"] != bench.model[0].weight
    assert not moved[1, 2]
    assert moved.sum() == moved.numel() - 1


def test_fine_tuning_is_adam():
    bench = fresh("mlp")
    phi = FineTune(bench.model, 0.01, steps=5).adapt(bench.task.support).phi
    model = copy.deepcopy(bench.model)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(5):
        optimizer.zero_grad()
        F.cross_entropy(model(bench.task.support.inputs), bench.task.support.targets).backward()
        optimizer.step()
    assert error(list(phi.values()), [p.detach() for p in model.parameters()]) < 1e-6


def adam_on_lora(eps: float) -> tuple[MAML, Task]:
    """LoRA as PEFT starts it, with B at zero, so that A's first gradient is exactly zero."""
    bench = fresh("gpt2")
    with torch.no_grad():
        for name, parameter in bench.model.named_parameters():
            if ".lora_B." in name:
                parameter.zero_()
    learner = MAML(bench.model, LR, inner_steps=3)
    learner.rule = Adam(Rates(0.05, per="parameter"), eps=eps)
    learner.rule.lr.bind({name: p.shape for name, p in bench.model.named_parameters() if name in learner.names}, torch.ones(()))
    return learner, bench.task


def test_adam_from_the_start_of_lora_is_finite():
    learner, task = adam_on_lora(1e-8)
    assert all(torch.isfinite(g).all() for g in gradient(learner([task]), learner))


def test_adam_from_the_start_of_lora_is_exact():
    learner, task = adam_on_lora(1e-2)
    got = gradient(learner([task]), learner)
    assert finite_difference_error(learner, [task], got) < 1e-6
    learner.keep_graph = True
    assert error(gradient(learner([task]), learner), got) < 1e-10


def test_a_reduced_loss_is_refused_in_micro_batches_and_taken_whole():
    bench = fresh("mlp")
    reduced = MAML(bench.model, LR, loss=F.cross_entropy)
    plain = MAML(bench.model, LR)
    assert error(gradient(reduced([bench.task]), reduced), gradient(plain([bench.task]), plain)) < 1e-12
    reduced.micro_batch = 2
    with pytest.raises(QuickstudyError, match=r"micro_batch=.*one value per example"):
        reduced([bench.task])


def test_a_weighted_loss_is_the_weighted_mean_whatever_the_parts():
    bench, counts = fresh("mlp"), torch.tensor([1.0, 4.0, 2.0])

    def weighted(output: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return F.cross_entropy(output, targets, reduction="none"), counts[targets]

    learner = MAML(bench.model, LR, inner_steps=0, loss=weighted)
    expected = F.cross_entropy(bench.model(bench.task.query.inputs), bench.task.query.targets, weight=counts).item()
    for learner.micro_batch in (None, 1, 3):
        assert learner([bench.task]).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        (lambda o, t: (F.cross_entropy(o, t, reduction="none"), o[:, 0].exp()), "weights that need a gradient"),
        (lambda o, t: (F.cross_entropy(o, t, reduction="none"), torch.ones(1)), "one weight per value"),
        (lambda o, t: F.cross_entropy(o.detach(), t, reduction="none"), "graph was cut"),
        (lambda o, t: torch.as_tensor(F.cross_entropy(o, t).item()), "graph was cut"),
    ],
    ids=["learned weights", "too few weights", "detached", "a number"],
)
def test_a_loss_that_cannot_work_is_refused_in_words(loss, said):
    bench = fresh("mlp")
    learner = MAML(bench.model, LR, loss=loss)
    with pytest.raises(QuickstudyError, match=said):
        learner([bench.task])
    learner.keep_graph = True
    with pytest.raises(QuickstudyError, match=said):
        learner([bench.task])


@pytest.mark.parametrize("shape", [(4,), (4, 3), (1, 1)])
def test_squared_error_compares_equal_shapes_only(shape):
    batch = Batch(torch.randn(4, 3), torch.randn(4, 1))
    wrong = Batch(torch.randn(shape[0], 3), torch.randn(shape))
    learner = MAML(nn.Linear(3, 1 if len(shape) < 2 or shape[1] != 1 else 2), LR)
    with pytest.raises(QuickstudyError, match="equal shapes only"):
        learner([Task(wrong, batch)])


def test_class_indices_that_do_not_fit_the_output_are_refused():
    with pytest.raises(QuickstudyError, match=r"\(\*targets, classes\)"):
        MAML(nn.Linear(3, 2), LR)([Task(Batch(torch.randn(4, 3), torch.zeros(4, 2, dtype=torch.long)), fresh("mlp").task.query)])


@contextmanager
def _unchanged(model: nn.Module) -> Iterator[None]:
    before = copy.deepcopy(model.state_dict())
    yield
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("keep_graph", [False, True], ids=["recompute", "keep_graph"])
@pytest.mark.parametrize("name", BENCHES)
def test_the_model_is_held_and_its_gradients_land_in_it(name, keep_graph):
    bench = fresh(name)
    learner = MAML(bench.model, LR, inner_steps=STEPS, keep_graph=keep_graph)
    with _unchanged(bench.model):
        learner([bench.task]).backward()
    assert learner.model is bench.model
    assert all(p.grad is not None for p in bench.model.parameters() if p.requires_grad)
