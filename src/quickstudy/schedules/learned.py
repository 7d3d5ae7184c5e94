"""`LearnedSchedule`: a policy that was trained on small classifiers sets the rate of a person's own training."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import astuple
from pathlib import Path
from typing import Any

import torch

from quickstudy.errors import QuickstudyError
from quickstudy.learners.agents.strategy import Strategy
from quickstudy.schedules.observed import Point, Watched, log_loss, seen
from quickstudy.schedules.policy import RatePolicy
from quickstudy.schedules.rates import GroupRates

RETREAT = 0.25
"""What the rates are multiplied by after a loss that is not finite."""


class LearnedSchedule:
    """Multiplies the rates of an optimizer as a trained policy chooses; used like a scheduler of `torch.optim.lr_scheduler`.

    `step(loss)` comes after each `optimizer.step()`. The first step has the rates that the optimizer was made with, and is the
    start that later steps are compared with: before it nothing is known. After it the first decision is made, and another one
    every `every` steps from there on, but none after the last step. Rates of several groups keep their ratios.

    The policy sees the numbers that `TrainingEnvironment` describes, with these differences:

    - the training loss is the mean of the minibatches since the last decision, each before its update;
    - the validation loss is the last one that was given; until there is one, the training loss stands in for it;
    - the norms of gradient and update are those of the last step before a decision, not means over its steps; the gradient is
      as the optimizer has it, so one that is clipped is seen clipped.

    During the last step before a decision a copy of the weights is held. Nothing here draws random numbers. Where several
    processes train together, give each of them the mean of their losses.

    Args:
        optimizer: whose rates are set. Nothing else may set them.
        strategy: the policy, or the folder of a run that trained one; `learned-rate` ships.
        steps: of the optimizer, in the whole training.
        every: steps for each decision; by default so many that there are as many decisions as the policy was trained with.

    Attributes:
        rates: `(step, rate of the first group from there on)` of each decision, and of a loss that was not finite.

    Raises:
        QuickstudyError: a strategy that is none or decides other things, a number below 1, no parameters, or a rate that is
            not above 0.
    """

    def __init__(
        self, optimizer: torch.optim.Optimizer, strategy: Strategy | str | Path, steps: int, *, every: int | None = None
    ):
        self._policy = RatePolicy(strategy)
        for name, number in (("steps", steps), ("every", every)):
            if number is not None and number < 1:
                raise QuickstudyError(f"{name}={number}: give at least 1")
        its = getattr(optimizer, "optimizer", optimizer)  # the wrapper of Accelerate takes no hooks
        self._groups, self._watched = GroupRates(its), Watched(its)
        self.steps, self.every = steps, every or max(1, math.ceil((steps - 1) / self._policy.decisions))
        self.rates: list[tuple[int, float]] = []
        self._done, self._decisions, self._next = 0, 0, 1
        self._total, self._count = 0.0, 0  # of the losses since the last decision
        self._validation, self._retreated = math.nan, False
        self._start = self._before = Point(0.0, 0.0, 0.0, 0.0, 0.0)
        self._look_ahead()

    @property
    def due(self) -> bool:
        """Whether the next `step` decides, so that a validation loss is worth its time."""
        return self._done + 1 == self._next < self.steps

    def get_last_lr(self) -> list[float]:
        """The rate of each group."""
        return list(self._groups.last)

    def step(self, loss: float | torch.Tensor, validation: float | torch.Tensor | None = None) -> None:
        """Takes note of a step that the optimizer has made, and sets the rates where a decision is due.

        A call counts for nothing if the optimizer has made no step since the last one (`GradScaler` leaves some out). After the
        last step the rates stay.

        Args:
            loss: of the step's minibatch, in nats; the mean over its parts where gradients were accumulated.
            validation: loss after the step, in nats, where it is known.

        Raises:
            QuickstudyError: a loss that is not finite, for the second time; one that is no single number; or a rate that
                something else has set.
        """
        if self._done == self.steps:
            return
        self._groups.check()
        value = _number(loss, "loss")
        if validation is not None:
            self._validation = log_loss(_number(validation, "validation"))
        finite, due, made = math.isfinite(value), self.due, self._watched.take() > 0
        self._done += made
        if not finite:
            self._retreat(value)
        elif made:
            self._total, self._count = self._total + value, self._count + 1
        elif self._done == 0:
            warnings.warn("the optimizer has made no step yet, so that step() of its schedule does not count", stacklevel=2)
        if due and made:
            if finite:
                self._decide()
            else:
                self._next += 1
        self._look_ahead()

    def state_dict(self) -> dict[str, Any]:
        """All that it takes to go on: numbers, lists of numbers, and one tensor, `memory`."""
        return {
            **self._policy.state_dict(),
            "steps": self.steps,
            "every": self.every,
            "last": self.get_last_lr(),
            "rates": [list(each) for each in self.rates],
            "counts": [self._done, self._decisions, self._next, self._watched.steps, int(self._retreated)],
            "losses": [self._total, self._count, self._validation],
            "norms": list(self._watched.norms),
            "start": list(astuple(self._start)),
            "before": list(astuple(self._before)),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from a state as if there had been no break; the optimizer's rates become those of the state.

        Raises:
            QuickstudyError: a state of something else: another training, policy, or number of groups.
        """
        self._check(state)
        self._policy.load_state_dict(state)
        self._groups.set(list(state["last"]))
        self.rates = [(step, rate) for step, rate in state["rates"]]
        self._watched = Watched(self._groups.optimizer)  # of a training that was over, this has let go
        self._done, self._decisions, self._next, self._watched.steps, retreated = state["counts"]
        self._retreated = bool(retreated)
        self._total, self._count, self._validation = state["losses"]
        self._watched.norms = tuple(state["norms"])
        self._start, self._before = Point(*state["start"]), Point(*state["before"])
        self._look_ahead()

    def _look_ahead(self) -> None:
        self._watched.ask(self.due, first=self._decisions == 0)
        if self._done == self.steps:
            self._watched.remove()

    def _decide(self) -> None:
        train = log_loss(self._total / self._count)
        validation = train if math.isnan(self._validation) else self._validation
        now = Point(train, validation, *self._watched.norms, self._groups.last[0])
        if self._decisions == 0:
            self._start = self._before = now
        else:
            self._policy.told(self._before.validation - validation)
        progress = self._decisions / math.ceil((self.steps - 1) / self.every)
        self._multiply(self._policy.factor(seen(progress, self._start, self._before, now)))
        self._before, self._total, self._count = now, 0.0, 0
        self._decisions, self._next = self._decisions + 1, self._next + self.every

    def _retreat(self, loss: float) -> None:
        if self._retreated:
            raise QuickstudyError(
                f"the loss is {loss} after step {self._done} of {self.steps}, and was not finite before either; resume from a "
                "checkpoint before that, or begin again, with a lower rate"
            )
        self._retreated = True
        self._multiply(RETREAT)
        warnings.warn(f"the loss is {loss} after step {self._done}: all rates are multiplied by {RETREAT}", stacklevel=3)

    def _multiply(self, factor: float) -> None:
        self._groups.multiply(factor)
        self.rates.append((self._done, self._groups.last[0]))

    def _check(self, state: Mapping[str, Any]) -> None:
        ours = self.state_dict()
        if state.keys() != ours.keys():
            raise QuickstudyError("this is no state of a LearnedSchedule; give what its state_dict() returned")
        for name, what in (("steps", "steps"), ("every", "steps for each decision")):
            if state[name] != ours[name]:
                raise QuickstudyError(
                    f"the state is of a training with {state[name]} {what}, and this one has {ours[name]}; "
                    f"give {name}={state[name]}"
                )
        if len(state["last"]) != len(ours["last"]):
            raise QuickstudyError(
                f"the state has the rates of {len(state['last'])} groups, and the optimizer has {len(ours['last'])}; "
                "give an optimizer with the same groups"
            )


def _number(loss: float | torch.Tensor, name: str) -> float:
    if not isinstance(loss, torch.Tensor):
        return float(loss)
    if loss.numel() != 1:
        raise QuickstudyError(f"{name} has the shape {tuple(loss.shape)}; give one number, such as the mean")
    return loss.item()
