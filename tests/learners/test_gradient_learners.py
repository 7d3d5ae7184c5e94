"""Each gradient learner beside a simpler truth."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from quickstudy import MAML, Batch, Prototypical, QuickstudyError, Task, check_gradients
from quickstudy.inner.rules import Rates
from quickstudy.learners.boil import BOIL
from quickstudy.learners.example_weights import ExampleWeights
from quickstudy.learners.imaml import IMAML
from quickstudy.learners.mamlpp import MAMLpp
from quickstudy.learners.meta_curvature import MetaCurvature
from quickstudy.learners.meta_sgd import MetaSGD
from quickstudy.learners.proto_maml import ProtoMAML
from quickstudy.models.networks import mlp

SETTINGS = {"inner_lr": 0.3, "inner_steps": 3}


def network(seed: int = 0) -> nn.Module:
    return mlp([4, 8, 3], seed=seed).double()


def task(seed: int = 0) -> Task:
    generator = torch.Generator().manual_seed(seed)
    targets = torch.tensor([0, 1, 2, 0, 1, 2])

    def batch() -> Batch:
        return Batch(torch.randn(6, 4, generator=generator, dtype=torch.float64) + targets[:, None], targets)

    return Task(batch(), batch(), seed=seed)


def outer(learner) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    learner.zero_grad()
    value = learner([task()])
    value.backward()
    return value.detach(), {name: p.grad for name, p in learner.named_parameters() if p.requires_grad}


def assert_same(learner, other) -> None:
    """The same value, and the same gradient for the model's own parameters."""
    (value, got), (expected_value, expected) = outer(learner), outer(other)
    assert_close(value, expected_value)
    for name, gradient in expected.items():
        if name.startswith("model."):
            assert_close(got[name], gradient)


def test_a_new_task_may_be_learned_in_more_steps_than_in_training():
    one, four = ({"inner_lr": 0.3, "inner_steps": steps} for steps in (1, 4))
    more = MAML(network(), adapt_steps=4, **one)
    assert_same(more, MAML(network(), **one))
    support, query = task().support, task().query
    assert_close(more.adapt(support).logits(query.inputs), MAML(network(), **four).adapt(support).logits(query.inputs))
    with pytest.raises(QuickstudyError, match="adapt_steps=-1"):
        MAML(network(), adapt_steps=-1)


def test_meta_sgd_starts_as_maml_and_has_a_rate_for_every_element():
    learner = MetaSGD(network(), **SETTINGS)
    assert_same(learner, MAML(network(), **SETTINGS))
    rates = {name: p for name, p in learner.named_parameters() if name.startswith("rule.")}
    assert sum(p.numel() for p in rates.values()) == sum(p.numel() for p in learner.model.parameters())
    assert all(p.grad.abs().sum() > 0 for p in rates.values())


def test_meta_curvature_starts_as_maml():
    assert_same(MetaCurvature(network(), **SETTINGS), MAML(network(), **SETTINGS))


def test_meta_curvature_multiplies_each_mode_by_its_matrix():
    learner = MetaCurvature(nn.Conv2d(3, 2, 2).double(), inner_lr=1.0)
    generator = torch.Generator().manual_seed(0)
    for matrix in learner.rule.matrices.values():
        matrix.data = torch.randn(matrix.shape, generator=generator, dtype=torch.float64)
    gradient = torch.randn(2, 3, 2, 2, generator=generator, dtype=torch.float64)
    out, inputs, positions = (learner.rule.matrices[f"weight:{mode}"] for mode in range(3))
    expected = torch.einsum("oif,ao,bi,cf->abc", gradient.flatten(2), out, inputs, positions).reshape(gradient.shape)
    phi = {"weight": torch.zeros_like(gradient)}
    moved, _ = learner.rule.update(0, phi, learner.rule.init(phi), {"weight": gradient})
    assert_close(-moved["weight"], expected)


def test_proto_maml_without_steps_is_a_prototypical_network():
    proto = Prototypical(network(), scale=2.0)
    value, gradient = outer(ProtoMAML(network(), inner_steps=0, scale=2.0))
    expected, other = outer(proto)
    assert_close(value, expected)
    assert_close({n: g for n, g in gradient.items() if n in other}, {n: g for n, g in other.items() if n in gradient})
    assert any(g.abs().max() > 1e-3 for g in gradient.values())


def test_boil_leaves_the_head_where_it_is():
    learner = BOIL(network(), **SETTINGS)
    phi = learner.adapt(task().support).phi
    assert set(phi) == {"0.weight", "0.bias"}
    assert_same(learner, MAML(network(), space=r"^0\.", **SETTINGS))
    with pytest.raises(QuickstudyError, match="nothing but the head"):
        BOIL(network(), space="head")


def test_mamlpp_ends_as_maml_with_rates_for_each_layer_and_step():
    learner = MAMLpp(network(), **SETTINGS)
    learner.progress = 1.0
    other = MAML(network(), inner_lr=Rates(0.3, per="layer", steps=3), inner_steps=3)
    (value, got), (expected_value, expected) = outer(learner), outer(other)
    assert_close(value, expected_value)
    assert_close(got, expected)


@pytest.mark.parametrize("keep_graph", [False, True])
def test_mamlpp_begins_with_the_mean_of_the_losses_after_each_step(keep_graph):
    learner = MAMLpp(network(), first_order_until=0.0, keep_graph=keep_graph, **SETTINGS)
    value, gradient = outer(learner)
    each = [outer(MAML(network(), inner_lr=0.3, inner_steps=steps)) for steps in (1, 2, 3)]
    assert_close(value, sum(v for v, _ in each) / 3)
    for name in each[0][1]:
        assert_close(gradient[name], sum(g[name] for _, g in each) / 3)
    with torch.no_grad():
        assert_close(learner([task()]), value)
    assert check_gradients(learner, task())


def test_mamlpp_weighs_the_last_step_more_and_more():
    learner = MAMLpp(network(), multi_step=0.5, **SETTINGS)
    weights = []
    for learner.progress in (0.0, 0.25, 0.499, 0.5):
        weights.append(learner.step_weights())
        assert sum(weights[-1]) == pytest.approx(1)
    assert weights[0] == pytest.approx([1 / 3] * 3)
    assert weights[1] == pytest.approx([1 / 6, 1 / 6, 2 / 3])
    assert weights[2] == pytest.approx([0.01, 0.01, 0.98])
    assert weights[3] == [0, 0, 1]


def test_mamlpp_leaves_second_order_out_at_first():
    learner = MAMLpp(network(), multi_step=0.0 + 1e-9, first_order_until=0.5, **SETTINGS)
    learner.progress = 0.4
    first = MAML(network(), inner_lr=Rates(0.3, per="layer", steps=3), inner_steps=3, gradient="first_order")
    assert_close(outer(learner)[1], outer(first)[1])


@pytest.mark.parametrize("cls", [MAML, MAMLpp, ProtoMAML, BOIL, ExampleWeights, MetaSGD, MetaCurvature])
def test_first_order_is_judged_by_its_own_definition(cls):
    learner = cls(network(), gradient="first_order", **SETTINGS)
    report = check_gradients(learner, task())
    assert report, str(report)
    assert report.oracle == "first order's definition"
    assert any(error > 0 for error in check_gradients(cls(network(), **SETTINGS), task()).errors.values())


def test_mamlpp_is_judged_as_it_is_at_this_point_of_training():
    learner = MAMLpp(network(), **SETTINGS)
    oracles = []
    for learner.progress in (0.0, 1.0):
        report = check_gradients(learner, task())
        assert report, str(report)
        oracles.append(report.oracle)
    assert oracles == ["first order's definition", "finite differences"]


def test_an_evaluation_of_the_outer_loss_keeps_no_steps(monkeypatch):
    from quickstudy.inner.loop import InnerLoop

    seen, learn = [], InnerLoop.learn
    monkeypatch.setattr(InnerLoop, "learn", lambda self, *a, record=False: seen.append(record) or learn(self, *a, record=record))
    with torch.no_grad():
        MAML(network(), **SETTINGS)([task()])
        MAMLpp(network(), **SETTINGS)([task()])
    assert seen == [False, True]


def test_example_weights_start_as_maml():
    assert_same(ExampleWeights(network(), **SETTINGS), MAML(network(), **SETTINGS))


def test_example_weights_learn_to_distrust_what_contradicts_its_label():
    torch.manual_seed(0)
    learner = ExampleWeights(mlp([4, 3], seed=0).double(), inner_lr=1.0, inner_steps=5, width=10)
    with torch.no_grad():  # a start that knows the classes: class k is at k in every coordinate
        learner.model[0].weight.copy_(2 * torch.arange(3.0)[:, None].expand(3, 4) - 2)
        learner.model[0].bias.copy_(-4 * (torch.arange(3.0) ** 2) + 4 * torch.arange(3.0))
    learner.model.requires_grad_(True)
    own = [learner.slopes, learner.level]
    optimizer = torch.optim.Adam(own, lr=0.05)
    for step in range(60):
        clean = task(step)
        wrong = clean.support.targets.clone()
        wrong[:2] = (wrong[:2] + 1) % 3
        optimizer.zero_grad()
        learner([Task(Batch(clean.support.inputs, wrong), clean.query)]).backward()
        optimizer.step()
    easy, hard = learner.weight(torch.tensor([0.1, 4.0], dtype=torch.float64)).tolist()
    assert hard < 0.8 * easy


def quadratic(strength: float, **settings) -> tuple[IMAML, Task, torch.Tensor]:
    """Linear regression: everything is known in closed form."""
    generator = torch.Generator().manual_seed(3)
    x, y = (torch.randn(6, size, generator=generator, dtype=torch.float64) for size in (3, 1))
    a, b = (torch.randn(5, size, generator=generator, dtype=torch.float64) for size in (3, 1))
    model = nn.Linear(3, 1, bias=False).double()
    with torch.no_grad():
        model.weight.copy_(torch.randn(1, 3, generator=generator, dtype=torch.float64))
    theta = model.weight.detach().T
    hessian = 2 * x.T @ x / 6
    solution = torch.linalg.solve(hessian + strength * torch.eye(3), 2 * x.T @ y / 6 + strength * theta)
    slope = 2 * a.T @ (a @ solution - b) / 5
    expected = strength * torch.linalg.solve(hessian + strength * torch.eye(3), slope)
    learner = IMAML(model, inner_lr=0.2, strength=strength, tolerance=1e-14, cg_steps=10, **settings)
    return learner, Task(Batch(x, y), Batch(a, b)), expected.T


@pytest.mark.parametrize("strength", [0.5, 2.0])
def test_the_implicit_gradient_of_a_quadratic_is_its_closed_form(strength):
    learner, one, expected = quadratic(strength, inner_steps=400)
    learner([one]).backward()
    assert_close(learner.model.weight.grad, expected, rtol=1e-9, atol=1e-11)
    assert learner.gradient_norm < 1e-10
    assert learner.solution.iterations <= 4
    assert learner.solution.residual < 1e-12


def test_the_implicit_gradient_approaches_the_exact_one_as_the_inner_problem_is_solved():
    errors = []
    for steps in (2, 8, 32):
        learner, one, _ = quadratic(2.0, inner_steps=steps)
        learner([one]).backward()
        exact = copy.deepcopy(learner.model)
        moved = MAML(exact, inner_lr=0.2, inner_steps=steps, rule=lambda lr, rule=learner.rule: rule)
        weight = exact.weight
        finite = torch.zeros_like(weight)
        with torch.no_grad():
            for i in range(3):
                for sign in (1, -1):
                    weight[0, i] += sign * 1e-5
                    finite[0, i] += sign * moved([one]) / 2e-5
                    weight[0, i] -= sign * 1e-5
        errors.append(((learner.model.weight.grad - finite).norm() / finite.norm()).item())
    assert errors[0] > 10 * errors[1] > 100 * errors[2]
    assert errors[2] < 1e-6


def test_imaml_refuses_what_has_no_implicit_gradient():
    with pytest.raises(QuickstudyError, match="rests where"):
        IMAML(network(), rule={"name": "adamw", "weight_decay": 0.1})
    with pytest.raises(QuickstudyError, match="does not depend on rates"):
        IMAML(network(), Rates(0.1))
    with pytest.raises(QuickstudyError, match="strength"):
        IMAML(network(), strength=0.0)
    with pytest.raises(QuickstudyError, match="keeps no graph"):
        IMAML(network(), keep_graph=True)


def test_a_problem_that_is_not_solved_is_said_to_be_so():
    report = check_gradients(IMAML(network(), inner_lr=50.0, inner_steps=4), task())
    assert not report
    assert "not solved" in str(report)
