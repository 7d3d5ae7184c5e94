"""Perceptrons that train side by side are those that train alone, by torch's own optimizers."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

from quickstudy.errors import QuickstudyError
from quickstudy.inner.rules import SGD, Adam, ClipNorm
from quickstudy.inner.training_loop.networks import Training, gradient, initial, logits, losses, norm

TRIALS, DIM, HIDDEN, CLASSES, BATCH, STEPS = 3, 5, 7, 4, 8, 6
RULES = SGD(1.0), SGD(0.1, momentum=0.9), Adam(0.01)
OPTIMIZERS = (
    lambda parameters, rate: torch.optim.SGD(parameters, rate),
    lambda parameters, rate: torch.optim.SGD(parameters, 0.1 * rate, momentum=0.9),
    lambda parameters, rate: torch.optim.Adam(parameters, 0.01 * rate),
)


def alone(phi, trial):
    """The perceptron of a trial as a module."""
    model = nn.Sequential(nn.Linear(DIM, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, CLASSES))
    with torch.no_grad():
        for layer, name in ((model[0], "hidden"), (model[2], "out")):
            layer.to(phi["hidden.bias"].dtype)
            layer.weight.copy_(phi[f"{name}.weight"][trial].T)
            layer.bias.copy_(phi[f"{name}.bias"][trial, 0])
    return model


def minibatches():
    generator = torch.Generator().manual_seed(1)
    sizes = (TRIALS, BATCH, DIM), (TRIALS, BATCH)
    return [
        (torch.randn(sizes[0], generator=generator), torch.randint(CLASSES, sizes[1], generator=generator)) for _ in range(STEPS)
    ]


def start(seed=0):
    return initial(TRIALS, DIM, HIDDEN, CLASSES, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 1, 1)])
def test_side_by_side_is_alone(order):
    """Step by step, at a rate and with an optimizer of its own in each trial.

    In double precision, since Adam makes whole steps of what rounding leaves of a gradient near zero; and its eps stands
    elsewhere than torch's, which shows at small gradients.
    """
    training, rates, chosen = Training(*RULES), torch.tensor([0.5, 0.1, 2.0]).double(), torch.tensor(order)
    now = training.begin({name: value.double() for name, value in start().items()})
    models = [alone(now.phi, trial) for trial in range(TRIALS)]
    optimizers = [OPTIMIZERS[order[trial]](models[trial].parameters(), rates[trial].item()) for trial in range(TRIALS)]
    for inputs, labels in minibatches():
        inputs = inputs.double()
        now = training.step(now, inputs, labels, rates, chosen)
        for trial, (model, optimizer) in enumerate(zip(models, optimizers, strict=True)):
            optimizer.zero_grad()
            F.cross_entropy(model(inputs[trial]), labels[trial]).backward()
            optimizer.step()
            assert_close(now.phi["hidden.weight"][trial], model[0].weight.T, atol=3e-5, rtol=0)
            assert_close(now.phi["out.bias"][trial, 0], model[2].bias, atol=3e-5, rtol=0)
            assert_close(logits(now.phi, inputs)[trial], model(inputs[trial]), atol=3e-5, rtol=0)


def test_an_optimizer_that_is_changed_to_knows_the_past():
    """Momentum from the third step on moves as far as momentum that was followed from the first."""
    training, phi, data = Training(*RULES), start(), minibatches()
    one, rates = torch.ones(TRIALS), torch.ones(TRIALS)
    now, followed = training.begin(phi), None
    for step, (inputs, labels) in enumerate(data[:3]):
        g = gradient(now.phi, inputs, labels)["out.weight"]
        followed = g if followed is None else 0.9 * followed + g
        before, now = now, training.step(now, inputs, labels, rates, (one * (step == 2)).long())
    assert_close(now.phi["out.weight"] - before.phi["out.weight"], -0.1 * followed)


def test_rates_act_on_their_own_trials():
    training, (inputs, labels) = Training(SGD(1.0)), minibatches()[0]
    now, none = training.begin(start()), torch.zeros(TRIALS, dtype=torch.long)
    after = training.step(now, inputs, labels, torch.tensor([0.0, 1.0, 3.0]), none)
    assert_close(after.update_norm, after.gradient_norm * torch.tensor([0.0, 1.0, 3.0]))
    assert_close(after.gradient_norm, norm(gradient(now.phi, inputs, labels)))
    assert_close(after.phi["hidden.weight"][0], now.phi["hidden.weight"][0])


def test_a_trial_that_diverges_leaves_the_others_be():
    training, none = Training(*RULES), torch.zeros(TRIALS, dtype=torch.long)
    broken = start()
    broken["out.weight"][1] = torch.nan
    now, other = training.begin(start()), training.begin(broken)
    for inputs, labels in minibatches():
        now, other = (training.step(each, inputs, labels, torch.ones(TRIALS), none) for each in (now, other))
    found = losses(other.phi, inputs, labels)
    assert found[1].isnan().all()
    assert_close(found[[0, 2]], losses(now.phi, inputs, labels)[[0, 2]])


def test_weights_begin_as_those_of_linear_layers():
    phi = initial(50, 16, 9, 4, torch.Generator().manual_seed(0))
    for name, fan_in in (("hidden.weight", 16), ("hidden.bias", 16), ("out.weight", 9), ("out.bias", 9)):
        assert 0.97 / fan_in**0.5 < phi[name].abs().max() <= 1 / fan_in**0.5
        assert phi[name].std().item() == pytest.approx((1 / 3 / fan_in) ** 0.5, rel=0.1)


@pytest.mark.parametrize("rule", [ClipNorm(SGD(1.0), 1.0), SGD(1.0, weight_decay=0.1)])
def test_rules_that_do_not_stay_within_a_trial_are_refused(rule):
    with pytest.raises(QuickstudyError, match=r"cannot train trials side by side, .* with weight decay or clipping by norm"):
        Training(rule)
