"""Each update rule against torch.optim, element by element in float64; what its numbers may be, and how they are written."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from quickstudy import QuickstudyError
from quickstudy.inner.rules import SGD, Adam, AdamW, ClipNorm, ClipValue, Rates, RMSprop, Rule
from quickstudy.inner.rules.settings import rule_from

SHAPES = {"a.weight": (3, 2), "a.bias": (2,), "b.weight": (4,), "b.scale": ()}
STEPS, TINY = 7, 1e-15
"""An eps so small that both ways to keep a root from zero are one."""


def grid(**choices: list[Any]) -> list[dict[str, Any]]:
    return [dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())]


CASES: list[tuple[type[Rule], type[torch.optim.Optimizer], dict[str, Any]]] = [
    *((SGD, torch.optim.SGD, settings) for settings in grid(momentum=[0.0, 0.9], dampening=[0.0, 0.3], weight_decay=[0.0, 0.1])),
    *((SGD, torch.optim.SGD, settings) for settings in grid(momentum=[0.5, 0.9], nesterov=[True], weight_decay=[0.0, 0.1])),
    *(
        (ours, theirs, settings)
        for ours, theirs in ((Adam, torch.optim.Adam), (AdamW, torch.optim.AdamW))
        for settings in grid(betas=[(0.9, 0.999), (0.5, 0.9), (0.0, 0.99)], eps=[TINY], weight_decay=[0.0, 0.1])
    ),
    *(
        (RMSprop, torch.optim.RMSprop, settings)
        for settings in grid(alpha=[0.99, 0.5], eps=[TINY], momentum=[0.0, 0.8], centered=[False, True], weight_decay=[0.0, 0.1])
    ),
]
each_case = pytest.mark.parametrize(
    ("ours", "theirs", "settings"),
    CASES,
    ids=[f"{ours.__name__} {' '.join(f'{k}={v}' for k, v in settings.items())}" for ours, _, settings in CASES],
)


def start() -> dict[str, torch.Tensor]:
    return {name: torch.randn(shape) for name, shape in SHAPES.items()}


def run(rule: Rule, phi: dict[str, torch.Tensor], gradients: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    state = rule.init(phi)
    for k, gradient in enumerate(gradients):
        phi, state = rule.update(k, phi, state, gradient)
    return phi


def run_torch(
    make: Callable[[list[nn.Parameter]], torch.optim.Optimizer],
    phi: dict[str, torch.Tensor],
    gradients: list[dict[str, torch.Tensor]],
    clip: Callable[[list[nn.Parameter]], Any] = lambda parameters: None,
) -> dict[str, torch.Tensor]:
    parameters = {name: nn.Parameter(value.clone()) for name, value in phi.items()}
    optimizer = make(list(parameters.values()))
    for gradient in gradients:
        for name, parameter in parameters.items():
            parameter.grad = gradient[name].clone()
        clip(list(parameters.values()))
        optimizer.step()
    return {name: parameter.detach() for name, parameter in parameters.items()}


def distance(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """The largest difference of an element, relative where it is above 1."""
    assert one.keys() == other.keys()
    pairs = [(one[name].detach(), other[name].detach()) for name in other]
    return max(float(((a - b).abs() / b.abs().clamp(min=1)).max()) for a, b in pairs)


def bound(rule: Rule) -> Rule:
    rule.bind({name: torch.Size(shape) for name, shape in SHAPES.items()}, torch.ones(()))
    return rule


@each_case
def test_a_rule_is_that_of_torch(ours, theirs, settings):
    phi, gradients = start(), [start() for _ in range(STEPS)]
    expected = run_torch(lambda p: theirs(p, lr=0.1, **settings), phi, gradients)
    assert distance(expected, phi) > 1e-2
    assert distance(run(ours(0.1, **settings), phi, gradients), expected) < 1e-12


@each_case
def test_numbers_that_are_learned_start_as_fixed_ones(ours, theirs, settings):
    def learned(value: Any, per: Any, steps: int | None) -> Any:
        if isinstance(value, tuple):
            return tuple(learned(each, per, steps) for each in value)
        return Rates(value, per=per, steps=steps) if isinstance(value, float) and value > TINY else value

    phi, gradients = start(), [start() for _ in range(STEPS)]
    expected = run(ours(0.1, **settings), phi, gradients)
    for per, steps in (("space", None), ("layer", 3), ("parameter", 20), ("element", 3)):
        rule = bound(ours(Rates(0.1, per=per, steps=steps), **{k: learned(v, per, steps) for k, v in settings.items()}))
        assert distance(run(rule, phi, gradients), expected) < 1e-12


@pytest.mark.parametrize(
    ("ours", "theirs"), [(Adam, torch.optim.Adam), (AdamW, torch.optim.AdamW), (RMSprop, torch.optim.RMSprop)]
)
@pytest.mark.parametrize("eps", [1e-8, 1e-3])
def test_the_root_makes_a_step_longer_by_less_than_eps_over_it(ours, theirs, eps):
    phi, gradient = {"w": torch.zeros(200)}, {"w": torch.logspace(-12, 2, 200)}
    torchs = run_torch(lambda p: theirs(p, lr=1.0, eps=eps), phi, [gradient])["w"]
    longer = run(ours(1.0, eps=eps), phi, [gradient])["w"] / torchs - 1
    root = gradient["w"] * (0.1 if ours is RMSprop else 1)
    limit = torch.minimum(eps / root, root / eps)  # sqrt(v) + eps over sqrt(v + eps^2)
    assert (longer > -1e-12).all()
    assert (longer <= limit + 1e-12).all()
    assert longer.max() > 0.4


@pytest.mark.parametrize("inner", [lambda: SGD(0.1, momentum=0.9, weight_decay=0.1), lambda: Adam(0.1, eps=TINY)])
@pytest.mark.parametrize("largest", [0.5, 3.0, 1e3])
def test_clipping_by_norm_is_that_of_torch(inner, largest):
    phi, gradients = start(), [start() for _ in range(STEPS)]
    rule = inner()
    if isinstance(rule, SGD):
        make = lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.1)  # noqa: E731
    else:
        make = lambda p: torch.optim.Adam(p, lr=0.1, eps=TINY)  # noqa: E731
    expected = run_torch(make, phi, gradients, lambda p: nn.utils.clip_grad_norm_(p, largest))
    assert distance(run(ClipNorm(rule, largest), phi, gradients), expected) < 1e-12
    assert (distance(run(rule, phi, gradients), expected) < 1e-12) == (largest == 1e3)


def test_clipping_by_value_is_that_of_torch():
    phi, gradients = start(), [start() for _ in range(STEPS)]
    expected = run_torch(lambda p: torch.optim.SGD(p, lr=0.1), phi, gradients, lambda p: nn.utils.clip_grad_value_(p, 0.4))
    assert distance(run(ClipValue(SGD(0.1), 0.4), phi, gradients), expected) < 1e-12
    assert distance(run(SGD(0.1), phi, gradients), expected) > 1e-2


ZERO_FIRST = {
    "adam": lambda: Adam(0.1),
    "adam learned": lambda: Adam(Rates(0.1), betas=(Rates(0.9), Rates(0.999)), weight_decay=0.0),
    "adamw": lambda: AdamW(0.1),
    "adamw learned": lambda: AdamW(Rates(0.1), betas=(Rates(0.9), Rates(0.999)), weight_decay=Rates(0.01)),
    "rmsprop": lambda: RMSprop(0.1),
    "rmsprop centred": lambda: RMSprop(0.1, centered=True, momentum=0.5),
    "rmsprop learned": lambda: RMSprop(Rates(0.1), alpha=Rates(0.9), momentum=Rates(0.5), centered=True),
    "momentum": lambda: SGD(Rates(0.1), momentum=Rates(0.9)),
    "clipped": lambda: ClipNorm(SGD(0.1), 1.0),
    "cut": lambda: ClipValue(SGD(0.1), 1.0),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", ZERO_FIRST)
def test_a_first_gradient_of_exactly_zero_has_a_finite_derivative(name, dtype):
    """As that of LoRA's A while B is zero: a parameter alone, and all of them together."""
    rule = ZERO_FIRST[name]()
    rule.bind({n: torch.Size(shape) for n, shape in SHAPES.items()}, torch.ones((), dtype=dtype))
    for still in (["a.weight"], list(SHAPES)):
        phi = {n: value.to(dtype).requires_grad_() for n, value in start().items()}
        gradients = [{n: value.to(dtype) for n, value in start().items()} for _ in range(3)]
        gradients[0].update({n: torch.zeros(SHAPES[n], dtype=dtype) for n in still})
        wanted = [*phi.values(), *(g.requires_grad_() for gradient in gradients for g in gradient.values()), *rule.parameters()]
        total = sum(value.square().sum() for value in run(rule, phi, gradients).values())
        slopes = torch.autograd.grad(total, wanted, allow_unused=True, materialize_grads=True)
        assert all(torch.isfinite(slope).all() for slope in slopes)
        assert slopes[4].abs().max() > 0, "the first gradient has a say"


def test_the_variance_of_a_steady_gradient_stays_above_zero():
    rule, phi = RMSprop(0.1, alpha=0.1, centered=True), {"w": torch.ones(64, dtype=torch.float32)}
    gradients = [{"w": torch.linspace(0.1, 3, 64, dtype=torch.float32)}] * 40
    assert torch.isfinite(run(rule, phi, gradients)["w"]).all()


def test_each_step_has_its_own_momentum_and_adam_corrects_for_all_of_them():
    momenta = Rates(0.9, per="space", steps=2)
    rule = bound(SGD(1.0, momentum=momenta))
    momenta.rates["all"].data = torch.tensor([0.25, 0.75]).logit()
    one = [{name: torch.ones(shape) for name, shape in SHAPES.items()}] * 3
    zero = {name: torch.zeros(shape) for name, shape in SHAPES.items()}
    assert run(rule, zero, one)["b.scale"].item() == pytest.approx(-(1 + 1.75 + (1 + 0.75 * 1.75)))
    betas = Rates(0.9, per="space", steps=2), Rates(0.9, per="space", steps=2)
    rule = bound(Adam(1.0, betas=betas))
    for each, values in zip(betas, ([0.25, 0.75], [0.5, 0.125]), strict=True):
        each.rates["all"].data = torch.tensor(values).logit()
    assert run(rule, zero, one)["b.scale"].item() == pytest.approx(-3), "an average of ones is one at every step"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_learned_numbers_stay_where_they_may_be(dtype):
    rule = AdamW(0.1, betas=(Rates(0.9, per="space"), Rates(0.999, per="space")), weight_decay=Rates(0.01, per="space"))
    rule.bind({"w": torch.Size([2])}, torch.ones((), dtype=dtype))
    values = (rule.beta1, rule.beta2, rule.weight_decay)
    assert [float(value["w", 0].detach()) for value in values] == pytest.approx([0.9, 0.999, 0.01], rel=1e-4)
    for far in (-40.0, 40.0):
        for parameter in rule.parameters():
            parameter.data.fill_(far)
        assert all(0 <= float(value["w", 0].detach()) < 1 for value in values[:2])
        assert float(rule.weight_decay["w", 0].detach()) > 0
        rule.weight_decay.rates["all"].data.fill_(0)
        gradients = [{"w": torch.ones(2, dtype=dtype)}] * 3
        moved = run(rule, {"w": torch.ones(2, dtype=dtype)}, gradients)
        assert torch.isfinite(moved["w"]).all()


STILL = {
    "sgd": (lambda decay: SGD(0.1, weight_decay=decay), True),
    "momentum": (lambda decay: SGD(0.1, momentum=0.9, nesterov=True, weight_decay=decay), True),
    "adam": (lambda decay: Adam(0.1, weight_decay=decay), True),
    "adamw": (lambda decay: AdamW(0.1, weight_decay=decay), True),
    "rmsprop": (lambda decay: RMSprop(0.1, centered=True, momentum=0.5, weight_decay=decay), True),
    "clipped": (lambda decay: ClipNorm(ClipValue(Adam(0.1, weight_decay=decay), 1.0), 1.0), True),
}


@pytest.mark.parametrize("name", STILL)
@pytest.mark.parametrize("decay", [0.0, 0.1, "learned"])
def test_a_rule_says_whether_it_rests_where_the_gradient_is_zero(name, decay):
    rule = bound(STILL[name][0](Rates(0.1) if decay == "learned" else decay))
    phi = start()
    rests = all(torch.equal(v, phi[n]) for n, v in run(rule, phi, [{n: torch.zeros_like(v) for n, v in phi.items()}] * 3).items())
    assert rule.stationary == rests == (decay == 0.0)
    assert distance(run(rule, phi, [{n: torch.full_like(v, 1e-9) for n, v in phi.items()}] * 3), phi) > 0


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: SGD(0.1, momentum=1.0), "momentum=1 .*from 0 to below 1"),
        (lambda: SGD(0.1, momentum=-0.1), "momentum=-0.1 "),
        (lambda: SGD(0.1, nesterov=True), "nesterov=True needs a momentum"),
        (lambda: SGD(0.1, nesterov=True, momentum=0.9, dampening=0.1), "no dampening"),
        (lambda: SGD(float("nan")), "lr=nan .*finite"),
        (lambda: Adam(0.1, betas=(0.9, 1.0)), "beta2=1 "),
        (lambda: Adam(0.1, eps=0.0), "eps=0 .*above 0"),
        (lambda: Adam(0.1, betas=(Rates(0.0), 0.9)), "learned beta1 cannot start at 0"),
        (lambda: AdamW(0.1, weight_decay=-1.0), "weight_decay=-1 .*0 or above"),
        (lambda: AdamW(0.1, weight_decay=Rates(0.0)), "learned weight_decay cannot start at 0"),
        (lambda: RMSprop(0.1, alpha=Rates(1.5)), "alpha=1.5 "),
        (lambda: ClipNorm(SGD(0.1), 0.0), "norm=0 "),
        (lambda: ClipValue(SGD(0.1), float("inf")), "value=inf "),
        (lambda: Rates(0.1, per="layers"), "per='layers' is not known.*layer"),
        (lambda: Rates(0.1, steps=0), "steps=0"),
    ],
)
def test_a_number_that_cannot_be_is_refused_in_words(make, said):
    with pytest.raises(QuickstudyError, match=said):
        make()


def test_one_rates_is_not_two_things():
    both = Rates(0.5)
    with pytest.raises(QuickstudyError, match="momentum and as a number of another kind"):
        SGD(both, momentum=both)
    tied = Rates(0.5)
    assert len(list(bound(Adam(0.1, betas=(tied, tied))).parameters())) == 2, "one a layer, for both betas"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("sgd", lambda: SGD(0.1)),
        ({"name": "sgd", "momentum": 0.9, "nesterov": True}, lambda: SGD(0.1, momentum=0.9, nesterov=True)),
        ({"name": "adam", "betas": [0.5, "0.9"], "eps": "1e-3"}, lambda: Adam(0.1, betas=(0.5, 0.9), eps=1e-3)),
        ({"name": "adamw", "weight_decay": 1}, lambda: AdamW(0.1, weight_decay=1.0)),
        ({"name": "rmsprop", "centered": True, "alpha": 0.5}, lambda: RMSprop(0.1, centered=True, alpha=0.5)),
        ({"name": "sgd", "clip_norm": 0.5}, lambda: ClipNorm(SGD(0.1), 0.5)),
        ({"name": "sgd", "clip_norm": 0.5, "clip_value": 0.3}, lambda: ClipValue(ClipNorm(SGD(0.1), 0.5), 0.3)),
        (
            {"name": "adam", "betas": [0.9, {"start": 0.99, "per": "element", "steps": 2}]},
            lambda: Adam(0.1, betas=(0.9, Rates(0.99, per="element", steps=2))),
        ),
    ],
    ids=lambda each: "" if callable(each) else str(each),
)
def test_a_rule_from_plain_settings(settings, expected):
    make, phi, gradients = rule_from(settings), start(), [start() for _ in range(STEPS)]
    got, wanted = bound(make(0.1)), bound(expected())
    assert [type(module) for module in got.modules()] == [type(module) for module in wanted.modules()]
    assert [tuple(p.shape) for p in got.parameters()] == [tuple(p.shape) for p in wanted.parameters()]
    assert distance(run(got, phi, gradients), run(wanted, phi, gradients)) == 0
    rates = Rates(0.1)
    assert rates in list(make(rates).modules())
    assert not {id(p) for p in got.parameters()} & {id(p) for p in bound(make(0.1)).parameters()}, "each learner has its own"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("adamm", "no update rule 'adamm'; did you mean 'adam'"),
        ("zzz", r"no update rule 'zzz' \(known: sgd, adam, adamw, rmsprop\)"),
        ({"betas": [0.9, 0.99]}, "rule needs a name"),
        (3, "rule needs a name"),
        ({"name": ["sgd"]}, "no update rule"),
        ({"name": "sgd", "momentun": 0.9}, "the rule sgd has no 'momentun'; did you mean 'momentum'"),
        ({"name": "sgd", "clipnorm": 0.9}, "did you mean 'clip_norm'"),
        ({"name": "adam", "alpha": 0.9}, r"the rule adam has no 'alpha' \(it has: betas, eps, weight_decay, clip_norm"),
        ({"name": "adam", "lr": 0.9}, "inner_lr"),
        ({"name": "adam", "betas": 0.9}, "betas should be two numbers"),
        ({"name": "adam", "betas": [0.9, "x"]}, "betas should be a number.*'x'"),
        ({"name": "adam", "betas": [0.9, 1.5]}, "the rule adam: beta2=1.5 "),
        ({"name": "sgd", "momentum": True}, "momentum should be a number.*True"),
        ({"name": "sgd", "nesterov": 1}, "nesterov should be true or false"),
        ({"name": "adam", "eps": {"start": 0.1}}, "eps should be a number, not"),
        ({"name": "sgd", "momentum": {"per": "layer"}}, "momentum is learned and needs the number that it starts at"),
        ({"name": "sgd", "momentum": {"start": 0.9, "pre": "layer"}}, "did you mean 'per'"),
        ({"name": "sgd", "momentum": {"start": 0.9, "per": "layers"}}, "per='layers' is not known"),
        ({"name": "sgd", "momentum": {"start": 0.9, "steps": "x"}}, "momentum.steps should be a whole number"),
        ({"name": "sgd", "clip_norm": -1}, "the rule sgd: norm=-1 "),
    ],
    ids=str,
)
def test_settings_that_cannot_be_are_refused_in_words(settings, said):
    with pytest.raises(QuickstudyError, match=said):
        rule_from(settings)
