"""`TrainingEnvironment`: a training that goes on, and one who chooses how (Daniel et al. 2016; DACBench, Eimer et al. 2021)."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field, replace

import torch

from quickstudy.errors import QuickstudyError
from quickstudy.inner.training_loop.controls import OPTIMIZERS, Controls, draw_rows
from quickstudy.inner.training_loop.networks import Training, initial, logits
from quickstudy.inner.training_loop.state import TrainingState, judge
from quickstudy.tasks.environments.environment import Tensors
from quickstudy.tasks.environments.spaces import Discrete

WEIGHTS = "hidden.weight", "hidden.bias", "out.weight", "out.bias"


@dataclass(frozen=True, eq=False)
class TrainingEnvironment:
    """Small classifiers train on tasks from a pool of rows; every few updates an action says how each of them goes on.

    A task is some classes of the pool, training rows of them with some labels wrong, other rows with right labels for
    validation, the weights at start and the first learning rate. What is to be learned on some data and judged on other data
    are two environments, whose pools share neither rows nor classes: whoever makes them sees to that.

    The reward of a decision is the decrease of log validation loss, so that those of an episode add up to log(first / last).
    Losses count from 1e-4 to 100 nats. A training whose validation loss is not finite has diverged: it stays at a loss of
    100, whatever is done to it, and its episode is over.

    Observed are eight numbers without a scale, so that a policy may be used on other data, widths and lengths:
    0. the share of the decisions that are made;
    1. log of the validation loss over that at the start;
    2. change of log training loss since the last decision, 0 at first. Training losses have the wrong labels in them;
    3. change of log validation loss since then, 0 at first;
    4. log of training loss over validation loss;
    5. log of the gradient's norm, mean over the last updates of minibatches, over that of a minibatch at the start;
    6. log of an update's norm over that of the weights, mean over the last updates; at first, of a step that is not made;
    7. log of the rate over the first rate.
    Logarithms are natural and cut to [-10, 10].

    Args:
        inputs: the pool, `(rows, dim)` of float32. Rates mean what they should where the numbers have a size of about 1.
        labels: their classes, `(rows,)` of int64.
        classes: of a task.
        rows: training rows of a task, uniform from the first to the second number.
        validation: rows that a training is judged on.
        noise: share of training labels that are wrong, uniform between these; a wrong label is any other class of the task.
        hidden: units of the one hidden layer.
        batch: rows of a minibatch, drawn with replacement.
        steps: updates for each decision.
        horizon: decisions.
        first_rate: log-uniform between these.
        optimizers: names in `OPTIMIZERS`; each training has one of them, at random, where none is chosen.
        control: what an action chooses, out of `"rate"` (its factor), `"optimizer"` and `"data"`, as `Controls` says.

    Raises:
        QuickstudyError: a setting that cannot be, or a pool with too few classes or rows.
    """

    inputs: torch.Tensor = field(repr=False)
    labels: torch.Tensor = field(repr=False)
    classes: int = 10
    rows: tuple[int, int] = (300, 600)
    validation: int = 200
    noise: tuple[float, float] = (0.0, 0.3)
    hidden: int = 32
    batch: int = 32
    steps: int = 10
    horizon: int = 12
    first_rate: tuple[float, float] = (0.003, 3.0)
    optimizers: tuple[str, ...] = ("sgd",)
    control: tuple[str, ...] = ("rate",)
    pool: str = field(init=False)
    """A fingerprint of the data, so that environments on different pools are told apart."""

    observation = 8

    def __post_init__(self):
        _check(self)
        data = self.inputs.contiguous().numpy().tobytes() + self.labels.contiguous().numpy().tobytes()
        object.__setattr__(self, "pool", hashlib.sha256(data).hexdigest()[:16])

    @property
    def controls(self) -> Controls:
        """What an action says."""
        return Controls(self.control)

    @property
    def action(self) -> Discrete:
        """A combination of what is controlled."""
        return Discrete(self.controls.count)

    @property
    def training(self) -> Training:
        """By the optimizers that there are; all of them where one is chosen."""
        return Training(*(OPTIMIZERS[name] for name in (OPTIMIZERS if "optimizer" in self.control else self.optimizers)))

    def draw(self, trials: int, generator: torch.Generator) -> Tensors:
        """Data, and a model for each."""
        return {**self.draw_data(trials, generator), **self.draw_models(trials, generator)}

    def draw_data(self, trials: int, generator: torch.Generator) -> Tensors:
        """`rows` in the pool and their `labels` as trained, `(trials, rows)`, of which the first `count` are there; the same of
        `validation`; the share `noise`."""
        most, of_class = self.rows[1], [(self.labels == label).nonzero()[:, 0] for label in self.labels.unique()]
        rows, labels = [], []
        for _ in range(trials):
            chosen = [of_class[number] for number in torch.randperm(len(of_class), generator=generator)[: self.classes].tolist()]
            candidates = torch.cat(chosen)
            order = torch.randperm(len(candidates), generator=generator)[: most + self.validation]
            rows.append(candidates[order])
            labels.append(torch.repeat_interleave(torch.tensor([len(each) for each in chosen]))[order])
        right = torch.stack(labels)
        noise = uniform(self.noise, trials, generator)
        wrong = torch.rand(trials, most, generator=generator) < noise[:, None]
        shift = torch.randint(1, self.classes, (trials, most), generator=generator)
        return {
            "rows": torch.stack(rows)[:, :most],
            "labels": torch.where(wrong, right[:, :most] + shift, right[:, :most]) % self.classes,
            "count": torch.randint(self.rows[0], most + 1, (trials,), generator=generator),
            "validation": torch.stack(rows)[:, most:],
            "validation_labels": right[:, most:],
            "noise": noise,
        }

    def draw_models(self, trials: int, generator: torch.Generator) -> Tensors:
        """The first `rate`, the four weights and biases, and which `optimizer` where there are several."""
        models = {
            "rate": uniform((math.log(self.first_rate[0]), math.log(self.first_rate[1])), trials, generator).exp(),
            **initial(trials, self.inputs.shape[1], self.hidden, self.classes, generator),
        }
        if (count := len(self.optimizers)) > 1:
            models["optimizer"] = torch.randint(count, (trials,), generator=generator)
        return models

    def reset(self, tasks: Tensors, generator: torch.Generator) -> tuple[TrainingState, torch.Tensor]:
        """Before the first update."""
        data, held_out = self.inputs[tasks["rows"]], self.inputs[tasks["validation"]]
        trained = self.training.begin({name: tasks[name] for name in WEIGHTS})
        judged, first = judge(tasks, trained.phi, data, held_out), min(self.batch, self.rows[0])
        chosen = tasks.get("optimizer", torch.zeros_like(tasks["count"]))
        would = self.training.step(trained, data[:, :first], tasks["labels"][:, :first], tasks["rate"], chosen)
        size, start = would.gradient_norm, judged.validation
        state = TrainingState(data, held_out, trained, judged, tasks["rate"], 0, start, size, size, would.update_norm)
        return state, state.seen(tasks, state, self.horizon)

    def step(self, tasks: Tensors, state: TrainingState, actions: torch.Tensor, generator: torch.Generator):
        """Some updates in the way that was chosen; only a training that has diverged is over before the horizon."""
        factors, optimizers, parts = self.controls.decode(actions)
        after = self.train(tasks, state, state.rates * factors, tasks.get("optimizer", optimizers), parts, generator)
        reward = state.judged.validation - after.judged.validation
        return after, after.seen(tasks, state, self.horizon), reward, after.judged.diverged

    def train(
        self,
        tasks: Tensors,
        state: TrainingState,
        rates: torch.Tensor,
        optimizers: torch.Tensor,
        parts: torch.Tensor,
        generator: torch.Generator,
    ) -> TrainingState:
        """The updates of a decision, at rates and by numbers of optimizers and `PARTS`, `(trials,)` each."""
        places = draw_rows(state.judged.rows, tasks["count"], parts, self.steps * self.batch, generator)
        trials, training, trained = torch.arange(len(rates))[:, None], self.training, state.trained
        norms = []
        for now in places.split(self.batch, dim=1):
            trained = training.step(trained, state.data[trials, now], tasks["labels"][trials, now], rates, optimizers)
            norms.append(torch.stack([trained.gradient_norm, trained.update_norm]))
        gradients, updates = torch.stack(norms).mean(0)
        judged = judge(tasks, trained.phi, state.data, state.held_out, state.judged.diverged)
        made = state.decisions + 1
        return replace(
            state, trained=trained, judged=judged, rates=rates, decisions=made, gradient_norm=gradients, update_norm=updates
        )

    def accuracy(self, tasks: Tensors, state: TrainingState) -> torch.Tensor:
        """Accuracy on the validation rows, `(trials,)`; of a training that has diverged, whatever its weights give."""
        found = logits(state.trained.phi, state.held_out).argmax(2)
        return (found == tasks["validation_labels"]).float().mean(1)


def uniform(ends: tuple[float, float], trials: int, generator: torch.Generator) -> torch.Tensor:
    """Numbers between two ends, `(trials,)`."""
    return ends[0] + (ends[1] - ends[0]) * torch.rand(trials, generator=generator)


def _check(env: TrainingEnvironment) -> None:
    Controls(env.control)
    for name in env.optimizers:
        if name not in OPTIMIZERS:
            raise QuickstudyError(f"optimizers has {name!r}, which is not known; it is made of {', '.join(OPTIMIZERS)}")
    if not env.optimizers or ("optimizer" in env.control and env.optimizers != TrainingEnvironment.optimizers):
        raise QuickstudyError(
            f"optimizers={env.optimizers!r}: give at least one, and none where an action chooses, which has all of them"
        )
    for name, least in (("classes", 2), ("validation", 1), ("hidden", 1), ("batch", 1), ("steps", 1), ("horizon", 1)):
        if getattr(env, name) < least:
            raise QuickstudyError(f"{name}={getattr(env, name)}: give at least {least}")
    for name, least, most in (("rows", 1, math.inf), ("noise", 0, 1), ("first_rate", 1e-12, math.inf)):
        low, high = getattr(env, name)
        if not least <= low <= high <= most:
            raise QuickstudyError(f"{name}=({low:g}, {high:g}): give two numbers, the smaller one first, from {least} to {most}")
    right = env.inputs.dtype == torch.float32 and env.labels.dtype == torch.int64
    if not right or env.inputs.ndim != 2 or env.labels.shape != env.inputs.shape[:1]:
        raise QuickstudyError(
            f"the pool has inputs {tuple(env.inputs.shape)} of {env.inputs.dtype} and labels {tuple(env.labels.shape)} of "
            f"{env.labels.dtype}; give inputs (rows, dim) of float32, and labels (rows,) of int64"
        )
    if not env.inputs.isfinite().all():
        raise QuickstudyError("the pool has inputs that are not finite; leave those rows out")
    sizes = env.labels.unique(return_counts=True)[1].sort().values
    if len(sizes) < env.classes:
        raise QuickstudyError(f"the pool has {len(sizes)} classes, and a task is to have {env.classes}; give fewer classes")
    least, needed = int(sizes[: env.classes].sum()), env.rows[1] + env.validation
    if least < needed:
        raise QuickstudyError(
            f"the {env.classes} smallest classes of the pool have {least} rows together, and a task needs {needed} "
            f"({env.rows[1]} for training, {env.validation} for validation); give a larger pool, or fewer rows"
        )
