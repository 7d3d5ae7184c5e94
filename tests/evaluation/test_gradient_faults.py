"""Planted faults, each named in words; the same model without the fault is found clean; the learner stays as it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd.function import once_differentiable

from quickstudy import (
    ANIL,
    MAML,
    Batch,
    Centroid,
    Prototypical,
    QuickstudyError,
    Rates,
    Reptile,
    Siamese,
    Task,
    check_gradients,
)
from quickstudy.learners.base import Learner


def task(inputs: int = 3) -> Task:
    torch.manual_seed(1)
    return Task(*(Batch(torch.randn(n, inputs), torch.arange(n) % 3) for n in (5, 4)), seed=7)


class Plain(nn.Module):
    """Two layers, with a fault in between if it is asked for."""

    def __init__(self, fault: str = ""):
        super().__init__()
        torch.manual_seed(0)
        self.fault = fault
        self.first, self.last, self.dropout = nn.Linear(3, 4), nn.Linear(4, 3), nn.Dropout(0.5 if fault == "dropout" else 0.0)
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("copy", self.last.weight.detach().clone() if fault == "copy" else torch.ones(3, 4))
        self.outside = [self.last.weight]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.dropout(torch.tanh(self.first(x)))
        weight = self.outside[0] if self.fault == "outside" else self.last.weight
        if self.fault == "in place":
            with torch.no_grad():
                self.first.weight.mul_(0.99)
        elif self.fault == "in place on the way":
            hidden.mul_(2.0)
        elif self.fault == "detached":
            hidden = hidden.detach()
        elif self.fault == "stale":
            self.calls += 1
            hidden = hidden * (1 + self.calls)
        elif self.fault == "noise":
            hidden = hidden + 0.1 * torch.randn_like(hidden)
        elif self.fault == "fixed noise":
            hidden = hidden + torch.randn(hidden.shape, generator=torch.Generator().manual_seed(0)).to(hidden)
        elif self.fault == "nan":
            hidden = (hidden - 2).log()
        elif self.fault == "copy":
            weight = self.copy
        return F.linear(hidden, weight, self.last.bias)


def gpt2(attention: str) -> tuple[nn.Module, Task]:
    import transformers

    sizes = {"n_layer": 1, "n_embd": 8, "n_head": 2, "n_positions": 8, "vocab_size": 11}
    config = transformers.GPT2Config(**sizes, bos_token_id=None, eos_token_id=None, use_cache=False)
    config._attn_implementation = attention
    torch.manual_seed(0)
    tokens = torch.randint(11, (3, 4))
    batch = Batch({"input_ids": tokens, "attention_mask": torch.ones_like(tokens)}, tokens.roll(-1, dims=1))
    return transformers.GPT2LMHeadModel(config).eval(), Task(batch, batch)


def loss_with(fault: str) -> Callable[..., Any]:
    def loss(output: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        values = F.cross_entropy(output, targets, reduction="none")
        return values, torch.ones_like(values) / (len(values) if fault else 1)

    return loss


class Halved(torch.autograd.Function):
    """x W^T as a layer of 4 bits may compute it: its derivative is right, and has none itself."""

    @staticmethod
    def forward(ctx, x, weight):
        ctx.weight = weight
        return x @ weight.T

    @staticmethod
    def backward(ctx, *gradients):
        return gradients[0].detach() @ ctx.weight, None


class HalvedOnce(Halved):
    """The same, and says so."""

    backward = staticmethod(once_differentiable(Halved.backward))


class Linear4bit(nn.Module):
    function: Any = Halved

    def __init__(self):
        super().__init__()
        self.register_buffer("packed", torch.eye(4) + 0.1 * torch.arange(16.0).reshape(4, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function.apply(x, self.packed) if self.function else x @ self.packed.T


def quantised(function: Any) -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), Linear4bit(), nn.Tanh(), nn.Linear(4, 3))
    model[2].function = function
    return model


def flat_loss(fault: str) -> Callable[..., torch.Tensor] | None:
    return {
        "sign": lambda output, targets: torch.sign(output[torch.arange(len(targets)), targets]),
        "argmax": lambda output, targets: (output.argmax(-1) != targets).to(output),
        "numpy": lambda output, targets: torch.as_tensor(output.numpy()).sum(-1),
    }.get(fault)


def normed() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 3))


def short(count: int) -> Task:
    return Task(task().support, task().query.take(list(range(count))), seed=7)


def frozen(model: nn.Module, yes: bool) -> nn.Module:
    model.first.requires_grad_(not yes)
    return model


PLANTED: dict[str, tuple[str, Callable[[str], tuple[Learner, Task]]]] = {
    "dropout": ("dropout is on", lambda fault: (MAML(Plain(fault).train(), 0.1), task())),
    "outside": ("reads a parameter outside the functional call: `last.weight`", lambda fault: (MAML(Plain(fault), 0.1), task())),
    "in place": ("updates a parameter in place", lambda fault: (MAML(Plain(fault).eval(), 0.1), task())),
    "in place on the way": ("changes a tensor in place", lambda fault: (MAML(Plain(fault).eval(), 0.1), task())),
    "detached": ("(detached)", lambda fault: (MAML(Plain(fault).eval(), 0.1), task())),
    "fused attention": ("fused attention", lambda fault: _on_gpt2("sdpa" if fault else "eager")),
    "stale": ("stale buffer: `calls`", lambda fault: (MAML(Plain(fault).eval(), 0.1), task())),
    "copy": ("stale buffer: `copy` holds a copy of the parameter `last.weight`", lambda fault: (MAML(Plain(fault), 0.1), task())),
    "weights": ("wrong weight", lambda fault: (MAML(Plain().eval(), 0.1, loss=loss_with(fault)), task())),
    "frozen": ("frozen parameters", lambda fault: (MAML(frozen(Plain(), bool(fault)), 0.1, space="."), task())),
    "all frozen": ("every parameter is frozen", lambda fault: (_frozen_learner(bool(fault)), task())),
    "nan": ("the inner loss is nan", lambda fault: (MAML(Plain(fault).eval(), 0.1), task())),
    "noise": ("not deterministic", lambda fault: (MAML(Plain(fault).eval(), 0.1), task())),
    "4 bit": (
        "`2` (Linear4bit) computes with Halved, which has no second derivative",
        lambda fault: (MAML(quantised(Halved if fault else None), 0.1), task()),
    ),
    "4 bit, marked": (
        "`2` (Linear4bit) computes with HalvedOnce, which has no second derivative",
        lambda fault: (MAML(quantised(HalvedOnce if fault else None), 0.1), task()),
    ),
    "flat loss": (
        "exactly zero for every parameter",
        lambda fault: (MAML(Plain(), 0.1, loss=flat_loss("sign" * bool(fault))), task()),
    ),
    "one example": ("`1` (BatchNorm1d) normalises with", lambda fault: (MAML(normed(), 0.1), short(1 if fault else 4))),
}
for _fault in ("argmax", "numpy"):
    PLANTED[_fault] = ("the loss has no gradient", lambda fault: (MAML(Plain(), 0.1, loss=flat_loss(fault)), task()))


def _on_gpt2(attention: str) -> tuple[Learner, Task]:
    model, its_task = gpt2(attention)
    return MAML(model, 0.1, inner_steps=1), its_task


def _frozen_learner(yes: bool) -> Learner:
    learner = MAML(Plain(), 0.1)
    return learner.requires_grad_(not yes)


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_named_in_words(fault):
    said, make = PLANTED[fault]
    report = check_gradients(*make(fault))
    assert not report.ok
    assert not report
    assert any(said in found for found in report.faults), report.faults
    assert said in str(report)
    assert str(report).startswith("The gradient is not to be trusted")


@pytest.mark.parametrize("fault", PLANTED)
def test_the_same_without_the_fault_is_clean(fault):
    learner, its_task = PLANTED[fault][1]("")
    report = check_gradients(learner, its_task)
    assert report.ok, str(report)
    assert report
    assert report.errors
    assert "The gradient is right" in str(report)


def test_noise_from_a_fixed_generator_is_no_fault():
    assert check_gradients(MAML(Plain("fixed noise").eval(), 0.1), task())


@pytest.mark.parametrize(
    ("learner", "oracle"),
    [
        (lambda model: MAML(model, Rates(0.1)), "finite differences"),
        (lambda model: MAML(model, 0.1, keep_graph=True, micro_batch=2), "finite differences"),
        (lambda model: ANIL(model, 0.1), "finite differences"),
        (lambda model: Prototypical(model), "finite differences"),
        (lambda model: Siamese(model), "finite differences"),
        (lambda model: MAML(model, 0.1, gradient="first_order"), "first order's definition"),
        (lambda model: Reptile(model, 0.1, inner_batch=2), "theta - theta'"),
    ],
    ids=["maml", "keep_graph", "anil", "prototypical", "siamese", "first order", "reptile"],
)
def test_each_learner_is_compared_with_its_own_oracle(learner, oracle):
    made = learner(Plain().eval())
    report = check_gradients(made, task())
    assert report, str(report)
    assert report.oracle == oracle
    assert set(report.errors) == {name for name, p in made.named_parameters() if p.requires_grad}
    assert max(report.errors.values()) < 1e-5


def test_a_wrong_gradient_is_found_by_its_oracle():
    class Scaled(MAML):
        def learn(self, task, learned):
            value, gradients = super().learn(task, learned)
            return value, [1.01 * g for g in gradients]

    report = check_gradients(Scaled(Plain().eval(), 0.1), task())
    assert not report
    assert "off by 9.9e-03" in str(report)


class Weighed(nn.Module):
    """Many tensors, the smallest of them a single number that hardly matters."""

    def __init__(self, depth: int = 1):
        super().__init__()
        torch.manual_seed(0)
        layers = [layer for _ in range(depth) for layer in (nn.Linear(3, 3), nn.Tanh())]
        self.body, self.number = nn.Sequential(*layers, nn.Linear(3, 3)), nn.Parameter(torch.tensor(0.5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x) * (1 + 0.01 * self.number.tanh())


class WrongNumber(MAML):
    """The gradient of one tensor is wrong by a ten-thousandth, all others are right."""

    def learn(self, task, learned):
        value, gradients = super().learn(task, learned)
        return value, [1.0001 * g if p is self.model.number else g for p, g in zip(learned, gradients, strict=True)]


@pytest.mark.parametrize("seed", range(10))
def test_a_fault_of_the_smallest_tensor_alone_is_found(seed):
    learner, its_task = WrongNumber(Weighed(), 0.1), task()
    learned = list(learner.parameters())
    _, gradients = learner.learn(its_task, learned)
    sizes = {p: g.norm() for p, g in zip(learned, gradients, strict=True)}
    whole = torch.stack(list(sizes.values())).norm()
    assert 0 < 1e-4 * sizes[learner.model.number] < 1e-6 * whole  # invisible along a direction of equal steps
    report = check_gradients(learner, its_task, seed=seed)
    assert [fault.split(" is off by ")[0] for fault in report.faults] == ["the gradient of `model.number`"]
    assert "off by 1.0e-04" in str(report)
    assert check_gradients(MAML(Weighed(), 0.1), its_task, seed=seed)


def test_what_is_right_costs_as_many_values_however_many_tensors_there_are():
    class Counted(MAML):
        calls = 0

        def forward(self, tasks):
            self.calls += 1
            return super().forward(tasks)

    shallow, deep = (Counted(Weighed(depth).double(), 0.1) for depth in (1, 4))
    assert check_gradients(shallow, task())
    assert check_gradients(deep, task())
    assert shallow.calls == deep.calls == 5


def test_a_parameter_that_is_read_outside_is_found_though_another_one_hides_it():
    class LowRank(nn.Module):
        def __init__(self, outside: bool):
            super().__init__()
            torch.manual_seed(0)
            self.down, self.up = nn.Parameter(torch.randn(3, 2)), nn.Parameter(torch.zeros(2, 3))
            self.held = [self.down] if outside else []

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + x @ (self.held[0] if self.held else self.down) @ self.up

    assert check_gradients(MAML(LowRank(False), 0.1), task())
    faults = check_gradients(MAML(LowRank(True), 0.1), task()).faults
    assert any("reads a parameter outside the functional call: `down` (a moved value is seen not at all)" in f for f in faults)
    assert not any("`up`" in f for f in faults)


@pytest.mark.parametrize("function", [Halved, HalvedOnce])
def test_first_order_needs_no_second_derivative(function):
    assert check_gradients(MAML(quantised(function), 0.1, gradient="first_order"), task())


def test_a_custom_function_with_a_second_derivative_is_no_fault():
    class Doubled(Halved):
        @staticmethod
        def backward(ctx, *gradients):
            return gradients[0] @ ctx.weight, None

    assert check_gradients(MAML(quantised(Doubled), 0.1), task())


TRAINING = {
    "in place": "updates a parameter in place during its forward pass: `first.weight`; compute a new tensor instead",
    "in place on the way": r"write x = x \+ y in the place of x \+= y",
    "fused attention": "load with attn_implementation='eager', or give gradient='first_order'",
    "4 bit, marked": r"`2` \(Linear4bit\) computes with HalvedOnce.* give gradient='first_order'",
    "argmax": "does not depend on any parameter",
    "numpy": "has no gradient.*NumPy",
    "one example": "batch of one example has none: give more examples",
    "nan": r"task 1 \(seed 7\): the inner loss is nan at step 1 of 5; lower inner_lr",
}


@pytest.mark.parametrize("keep_graph", [False, True])
@pytest.mark.parametrize("fault", TRAINING)
def test_what_training_can_see_is_said_there_in_the_same_words(fault, keep_graph):
    learner, its_task = PLANTED[fault][1](fault)
    learner.keep_graph = keep_graph
    with pytest.raises(QuickstudyError, match=TRAINING[fault]):
        learner([its_task])


def test_a_learner_with_nothing_to_learn_is_told_so():
    assert "nothing requires a gradient" in str(check_gradients(Centroid(Plain().eval()), task()))


def state(learner: nn.Module) -> list[Any]:
    tensors = [*nn.Module.named_parameters(learner), *learner.named_buffers()]
    return [(name, id(t), t.dtype, t.requires_grad, id(t.grad), t.detach().clone()) for name, t in tensors]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("fault", ["", "in place", "stale", "noise", "nan", "outside", "dropout"])
def test_the_learner_is_left_bit_identical(fault, training):
    learner = MAML(nn.Sequential(Plain(fault), nn.BatchNorm1d(3).eval()), Rates(0.1))
    learner.model[0].train(training)
    before, modes = state(learner), [module.training for module in learner.modules()]
    check_gradients(learner, task())
    for (name, *same, value), (name_after, *same_after, value_after) in zip(before, state(learner), strict=True):
        assert (name, same) == (name_after, same_after)
        assert torch.equal(value, value_after), name
    assert [module.training for module in learner.modules()] == modes


def test_a_learner_that_is_in_float64_already_keeps_its_values():
    learner = MAML(Plain("in place").double(), 0.1)
    before = [p.detach().clone() for p in learner.parameters()]
    assert not check_gradients(learner, task())
    assert all(torch.equal(p, value) for p, value in zip(learner.parameters(), before, strict=True))


def test_gradients_that_were_there_stay_as_they_were():
    learner = MAML(Plain().eval(), 0.1)
    learner([task()]).backward()
    before = [(p.grad, p.grad.clone()) for p in learner.parameters()]
    assert check_gradients(learner, task())
    for parameter, (grad, value) in zip(learner.parameters(), before, strict=True):
        assert parameter.grad is grad
        assert grad.dtype == torch.float32
        assert torch.equal(grad, value)


def test_a_model_that_looks_across_the_batch_can_be_checked():
    assert check_gradients(MAML(nn.Sequential(Plain(), nn.BatchNorm1d(3)).train(), 0.1), task())


def test_the_global_random_state_and_the_task_stay_as_they_were():
    learner, its_task = MAML(Plain(), 0.1), task()
    random, inputs = torch.get_rng_state(), its_task.support.inputs.clone()
    check_gradients(learner, its_task)
    assert torch.equal(torch.get_rng_state(), random)
    assert its_task.support.inputs.dtype == torch.float32
    assert torch.equal(its_task.support.inputs, inputs)
