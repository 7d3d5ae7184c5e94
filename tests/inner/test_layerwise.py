"""Plain nets layer by layer, several tasks at once, against autograd on one task after the other."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call
from torch.testing import assert_close

from quickstudy import ANIL, MAML, Batch, QuickstudyError, Task
from quickstudy.inner.layerwise import convolution
from quickstudy.inner.layerwise import net as layerwise
from quickstudy.inner.layerwise.net import Net
from quickstudy.inner.layerwise.parts import parts_of
from quickstudy.inner.losses import default_loss
from quickstudy.inner.rules import ClipNorm, Rates
from quickstudy.learners.boil import BOIL
from quickstudy.learners.mamlpp import MAMLpp
from quickstudy.learners.meta_curvature import MetaCurvature
from quickstudy.learners.meta_sgd import MetaSGD
from quickstudy.learners.proto_maml import ProtoMAML
from quickstudy.learners.together import groups

TASKS, WAYS = 3, 4


def norm(channels: int, **settings) -> nn.Module:
    return nn.BatchNorm2d(channels, track_running_stats=False, **settings)


NETS = {
    "strided": lambda: [nn.Conv2d(2, 6, 3, 2, 1), norm(6), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, WAYS)],
    "pooled": lambda: [
        nn.Sequential(nn.Conv2d(2, 5, 3, padding=1, bias=False), norm(5, affine=False), nn.ReLU(), nn.MaxPool2d(2)),
        nn.Sequential(nn.Conv2d(5, 6, 3, padding=2, dilation=2), norm(6), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)),
        nn.Flatten(),
        nn.Linear(24, WAYS),
    ],
    "without norm": lambda: [nn.Conv2d(2, 5, 3), nn.ReLU(), nn.Conv2d(5, 3, 1), nn.ReLU(), nn.Flatten(), nn.Linear(108, WAYS)],
    "perceptron": lambda: [
        nn.Flatten(),
        nn.Linear(128, 9),
        nn.ReLU(),
        nn.Linear(9, 8, bias=False),
        nn.ReLU(),
        nn.Linear(8, WAYS),
    ],
}


def make(name: str) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(*NETS[name]()).double()


def batch(shots: int, seed: int) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(WAYS * shots, 2, 8, 8, generator=generator, dtype=torch.float64)
    return Batch(images, torch.arange(WAYS).repeat_interleave(shots))


def tasks(shots: int = 2, queries: int = 3) -> list[Task]:
    return [Task(batch(shots, seed), batch(queries, seed + 100), seed=seed) for seed in range(TASKS)]


@pytest.mark.parametrize(("images", "rows"), [(8, 0), (8, 1000), (80, 0), (80, 1000)])
@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("name", NETS)
def test_slopes_and_products_are_those_of_autograd(name, keep, images, rows, monkeypatch):
    monkeypatch.setattr(layerwise, "IMAGES", images)  # one task at a time, and all at once
    monkeypatch.setitem(convolution.ROWS, "cpu", rows)  # torch's own convolution, and products
    model = make(name)
    own = dict(model.named_parameters())
    eta = [own.pop(next(iter(own)))]
    generator = torch.Generator().manual_seed(1)
    phi, vector = (
        {n: torch.randn(TASKS, *p.shape, generator=generator, dtype=p.dtype) for n, p in own.items()} for _ in range(2)
    )
    supports = [task.support for task in tasks()]
    stacked = Batch(torch.stack([s.inputs for s in supports]), torch.stack([s.targets for s in supports]))
    parts = parts_of(model)
    assert parts is not None
    net = Net(parts, dict(model.named_parameters()), default_loss)
    value, kept, slope, of_eta = net.slope(phi, stacked, eta, keep=keep)
    assert (kept is not None) == keep
    product, mixed = net.hessian_vector(stacked, phi, kept, vector, eta)

    values, slopes, products = [], [], []
    for t, support in enumerate(supports):
        mine = {n: p[t].clone().requires_grad_() for n, p in phi.items()}
        loss = F.cross_entropy(functional_call(model, mine, (support.inputs,)), support.targets)
        wanted = [*mine.values(), *eta]
        gradients = torch.autograd.grad(loss, wanted, create_graph=True)
        z = sum((g * vector[n][t]).sum() for n, g in zip(mine, gradients, strict=False))
        values.append(loss.detach())
        slopes.append([g.detach() for g in gradients])
        products.append(torch.autograd.grad(z, wanted, allow_unused=True, materialize_grads=True))
    assert_close(value, torch.stack(values).sum(), rtol=1e-10, atol=1e-12)
    for got, expected, rest in ((slope, slopes, of_eta), (product, products, mixed)):
        for i, n in enumerate(phi):
            assert_close(got[n], torch.stack([e[i] for e in expected]), rtol=1e-9, atol=1e-11)
        assert_close(rest[0], torch.stack([e[-1] for e in expected]).sum(0), rtol=1e-9, atol=1e-11)


LEARNERS = {
    "MAML": lambda model: MAML(model, 0.2, inner_steps=3),
    "graph kept": lambda model: MAML(model, 0.2, inner_steps=3, keep_graph=True),
    "first order": lambda model: MAML(model, 0.2, inner_steps=2, gradient="first_order"),
    "no steps": lambda model: MAML(model, 0.2, inner_steps=0),
    "ANIL": lambda model: ANIL(model, 0.5, inner_steps=2),
    "BOIL": lambda model: BOIL(model, 0.2, inner_steps=2),
    "Meta-SGD": lambda model: MetaSGD(model, 0.2, inner_steps=2),
    "MAML++": lambda model: MAMLpp(model, 0.2, inner_steps=2, first_order_until=0.0),
    "ProtoMAML": lambda model: ProtoMAML(model, 0.2, inner_steps=2),
    "Adam": lambda model: MAML(model, Rates(0.01, per="parameter", steps=2), inner_steps=3, rule="adam"),
}


@pytest.mark.parametrize("name", LEARNERS)
def test_learners_give_the_same_side_by_side_as_one_by_one(name, same_side_by_side):
    learner = LEARNERS[name](make("strided"))
    same_side_by_side(learner, [*tasks(), *tasks(shots=1)])  # two groups


class Own(MAML):
    def inner_objective(self, phi, batch, whole):
        value, weight = self.objective(phi, batch, whole)
        return 2 * value, weight


class Minibatches(MAML):
    """Each task learns from another part at each step, and the first from the same one."""

    def inner_batches(self, support, steps):
        parts = [support.take(range(k, k + len(support) - 1)) for k in range(steps)]
        return parts[:1] * steps if support.seed == 0 else parts


def test_a_step_is_known_by_the_batches_of_all_its_tasks(same_side_by_side):
    same_side_by_side(Minibatches(make("strided"), 0.2, inner_steps=2), tasks())


def tied() -> nn.Module:
    net = nn.Sequential(nn.Flatten(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 128)).double()
    net[3].weight = net[1].weight
    return net


def running() -> nn.Module:
    return nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(108, WAYS)).double().eval()


@pytest.mark.parametrize(
    "learner",
    [
        lambda: MAML(make("perceptron"), 0.1, micro_batch=2),
        lambda: MAML(make("strided"), 0.1, loss=lambda output, targets: F.cross_entropy(output, targets, reduction="none")),
        lambda: MAML(make("strided"), 0.1, rule=lambda lr: ClipNorm(MAML(make("strided"), lr).rule, 1.0)),
        lambda: MetaCurvature(make("strided"), 0.1),
        lambda: Own(make("strided"), 0.1),
        lambda: MAML(nn.Sequential(make("perceptron"), nn.Tanh()).double(), 0.1),
        lambda: MAML(running(), 0.1),
        lambda: MAML(nn.Sequential(nn.Flatten(), nn.ReLU(), nn.Linear(128, WAYS)).double(), 0.1),
        lambda: MAML(tied(), 0.1),
    ],
)
def test_what_it_would_not_be_the_same_for_goes_one_by_one(learner):
    made = learner()
    assert groups.together(made, tasks(), list(made.parameters())) is None
    made(tasks()).backward()


def test_what_batch_norm_says_of_one_example_is_said():
    net = nn.Sequential(nn.Conv2d(2, 3, 8), norm(3), nn.Flatten(), nn.Linear(3, WAYS)).double()
    one = [Task(task.support.take([0]), task.query, seed=1) for task in tasks()]
    with pytest.raises(QuickstudyError, match="a batch of one example has none"):
        MAML(net, 0.1)(one)


def test_autocast_goes_one_by_one():
    learner = MAML(make("strided").float(), 0.1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert groups.together(learner, tasks(), list(learner.parameters())) is None
