"""The model of higher's inner loop: what is the module's own, what is not, and what lives how long."""

from __future__ import annotations

import copy
import gc
import weakref
from collections import OrderedDict

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

from quickstudy.compat import higher


def unroll(model: nn.Module, batches: list[torch.Tensor], **settings):
    """The functional model after a step on each batch."""
    settings = {"copy_initial_weights": False, **settings}
    with higher.innerloop_ctx(model, torch.optim.SGD(model.parameters(), lr=0.1), **settings) as (fmodel, diffopt):
        for x in batches:
            diffopt.step(output(fmodel(x)).square().mean())
    return fmodel


def output(found) -> torch.Tensor:
    return found[0] if isinstance(found, tuple) else found


class Tied(nn.Module):
    """One layer by two names, and its weight by a third."""

    def __init__(self):
        super().__init__()
        self.one = self.two = nn.Linear(3, 3)
        self.out = nn.Linear(3, 3, bias=False)
        self.out.weight = self.one.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.two(self.one(x).tanh()))


MODELS = {
    "tied": Tied,
    "a method": lambda: Named(),
    "batch norm": lambda: nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2)),
    "weight norm": lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(3, 4)), nn.Tanh(), nn.Linear(4, 2)),
    "rnn": lambda: nn.RNN(3, 4, 2),
    "lstm": lambda: nn.LSTM(3, 4),
    "gru": lambda: nn.GRU(3, 4),
}


class Named(nn.Module):
    """Has methods, a setting, a list of layers that torch does not know of, and its own way to train."""

    def __init__(self):
        super().__init__()
        self.layer, self.norm, self.scale = nn.Linear(3, 3), nn.BatchNorm1d(3), 1.0
        self.again = [self.layer]

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        return self.scale * self.again[0](x)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.encode(x))

    def train(self, mode: bool = True):
        super().train(mode)
        self.norm.eval()
        return self


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_a_module_learns_as_one_of_torch_does_and_stays_as_it_was(make):
    torch.manual_seed(0)
    model, batches = make().double(), list(torch.randn(4, 5, 3).double())
    before = copy.deepcopy(model)
    fmodel = unroll(model, batches)
    assert all(map(torch.equal, before.state_dict().values(), model.state_dict().values()))
    found = fmodel(batches[0])  # a list of layers, flat weights: none may be the model's
    trained = copy.deepcopy(model)
    opt = torch.optim.SGD(trained.parameters(), lr=0.1)
    for x in batches:
        opt.zero_grad()
        output(trained(x)).square().mean().backward()
        opt.step()
    assert_close(output(found), output(trained(batches[0])))
    assert list(fmodel.state_dict()) == list(trained.state_dict())
    for ours, theirs in zip(fmodel.state_dict().values(), trained.state_dict().values(), strict=True):
        assert_close(ours, theirs)  # batch norm's running averages too
    output(found).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_parameters_by_time():
    model, batches = nn.Linear(3, 2), list(torch.randn(3, 5, 3))
    fmodel = unroll(model, batches)
    times = [list(fmodel.parameters(time=t)) for t in range(4)]
    assert all(map(torch.equal, times[0], model.parameters()))
    assert all(a is b for a, b in zip(times[0], fmodel.init_fast_params, strict=True))
    assert all(a is b for a, b in zip(times[3], fmodel.fast_params, strict=True))
    assert all(a is b for a, b in zip(times[3], fmodel.parameters(), strict=True))
    assert [name for name, _ in fmodel.named_parameters()] == ["weight", "bias"]
    between = torch.autograd.grad(fmodel.weight.sum(), times[1])  # dphi_3/dphi_1
    assert all(g.abs().sum() > 0 for g in between)
    for wrong in (4, -5):
        with pytest.raises(higher.optim.QuickstudyError, match="times 0 to 3"):
            fmodel.parameters(time=wrong)


def test_parameters_are_given_with_a_call_or_set():
    model, x = nn.Linear(3, 2), torch.randn(5, 3)
    with higher.innerloop_ctx(model, torch.optim.SGD(model.parameters(), lr=0.1)) as (fmodel, _):
        weight, bias = torch.randn(2, 3, requires_grad=True), torch.zeros(2)
        assert_close(fmodel(x, params=[weight, bias]), F.linear(x, weight))
        assert fmodel.fast_params[0] is weight
        fmodel.fast_params = [p + 1 for p in fmodel.parameters()]
        assert_close(fmodel(x), F.linear(x, weight + 1, bias + 1))
        assert len(list(fmodel.parameters(time=2))) == 2


def test_parts_methods_settings_and_modes_are_of_the_fast_model():
    torch.manual_seed(0)
    model, x = Named(), torch.randn(5, 3)
    fmodel = unroll(model, [x])
    assert_close(fmodel.layer(x), fmodel.encode(x))
    assert not torch.equal(fmodel.encode(x), model.encode(x))
    fmodel.scale = 2.0
    assert_close(fmodel.encode(x), 2 * fmodel.layer(x))
    assert model.scale == 1.0
    assert fmodel.eval().training is False
    assert fmodel.train() is fmodel
    assert [m.training for m in (fmodel, fmodel.layer, fmodel.norm)] == [True, True, False]
    sequential = unroll(nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 1)), [x])
    assert_close(sequential[2](sequential[:2](x)), sequential(x))


def test_evaluation_uses_the_running_averages_of_the_inner_loop():
    torch.manual_seed(0)
    model = nn.BatchNorm1d(3, momentum=1.0)
    fmodel = unroll(model, [torch.randn(50, 3) + 5])
    assert fmodel.running_mean.mean() > 4
    assert torch.equal(model.running_mean, torch.zeros(3))
    x = torch.randn(4, 3)
    weight, bias = fmodel.parameters()
    assert_close(fmodel.eval()(x), F.batch_norm(x, fmodel.running_mean, fmodel.running_var, weight, bias))


def test_dropout_draws_as_the_module_would():
    model, x = nn.Sequential(nn.Linear(3, 30), nn.Dropout(0.5)), torch.randn(5, 3)
    fmodel = unroll(model, [])
    torch.manual_seed(1)
    expected = model(x)
    torch.manual_seed(1)
    assert_close(fmodel(x), expected)
    assert not torch.equal(fmodel(x), expected)
    assert_close(fmodel.eval()(x), model[0](x))
    assert model.training


def test_adapters_of_peft_learn():
    peft = pytest.importorskip("peft")
    torch.manual_seed(0)
    settings = peft.LoraConfig(r=2, target_modules=["0", "2"], init_lora_weights=False)
    model = peft.get_peft_model(nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)), settings)
    moving, x = [p for p in model.parameters() if p.requires_grad], torch.randn(5, 3)
    with higher.innerloop_ctx(model, torch.optim.SGD(moving, lr=0.1), copy_initial_weights=False) as (fmodel, diffopt):
        losses = [fmodel(x).square().mean()]
        for _ in range(3):
            diffopt.step(losses[-1])
            losses.append(fmodel(x).square().mean())
    losses[-1].backward()
    assert losses[-1] < losses[0]
    assert len(moving) == 4
    assert all(p.grad.abs().sum() > 0 for p in moving)


@pytest.mark.parametrize("track", [True, False])
def test_an_inner_loop_elsewhere(track):
    model, x = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)), torch.randn(5, 3)
    opt = torch.optim.Adam(model.parameters(), lr=0.1)
    model(x).sum().backward()
    opt.step()
    with higher.innerloop_ctx(model, opt, device="meta", track_higher_grads=track) as (fmodel, diffopt):
        moved = diffopt.step(fmodel(x.to("meta")).square().mean())
    assert {t.device.type for t in (*moved, *fmodel.buffers(), diffopt.state[0][0]["exp_avg"])} == {"meta"}
    assert next(model.parameters()).device.type == "cpu"


def test_an_inner_loop_is_gone_when_its_last_name_is():
    model, x = nn.Sequential(OrderedDict(a=nn.Linear(3, 3), b=nn.LSTM(3, 2))), torch.randn(5, 3)
    gc.disable()
    try:
        fmodel = unroll(model, [x, x])
        held = weakref.ref(fmodel), weakref.ref(fmodel.fast_params[0])
        del fmodel
        assert [each() for each in held] == [None, None]
    finally:
        gc.enable()
