"""`plan`: the memory and the time of a run, before it."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from statistics import mean
from typing import Any

import torch

from quickstudy.errors import QuickstudyError
from quickstudy.learners.base import Learner
from quickstudy.models.device import chosen
from quickstudy.runs.build import build_learner, train_episodes, validation_episodes
from quickstudy.runs.outer import OuterLoop
from quickstudy.runs.plan.calls import Call, Notes
from quickstudy.runs.plan.live import LiveBytes
from quickstudy.runs.plan.once import Frozen, frozen_layers, validation_seconds
from quickstudy.runs.plan.rehearsal import rehearsing
from quickstudy.runs.plan.timed import Clock, Costs
from quickstudy.runs.processes import Processes
from quickstudy.runs.recipe import Recipe

LOOKS = 10
"""Steps that are rehearsed, evenly spaced: tasks differ in length, and some learners change on the way."""
ENOUGH = 5.0
"""Seconds of rehearsals after which no further step is looked at."""


@dataclass(frozen=True)
class Plan:
    """What a run will need. Bytes are those of tensors at the peak of a step; seconds are those of this machine.

    Attributes:
        weights: the model's parameters and buffers, and what the learner adds.
        optimizer: the outer optimizer's state.
        kept: what the recursion holds at the peak: phi, gradients and states of each step and task, and sums of gradients.
        activations: of the calls of the model whose values are in memory at the peak.
        frozen: what the layers below those that move give, kept by sentence.
        call: what is computed at the peak: its name among calls, and whose loss.
        rows: of the call at the peak, and of all calls whose values are in memory then.
        step: seconds of an outer step, the mean over those looked at.
        calls: of these, seconds by what is computed.
        beside: seconds of the frozen layers, once a sentence, in the whole run.
        validation: seconds of one validation.
    """

    weights: int
    optimizer: int
    kept: float
    activations: float
    frozen: float
    call: tuple[str, str]
    rows: tuple[int, int]
    step: float
    calls: dict[str, float]
    beside: float
    validation: float
    steps: int
    validations: int

    @property
    def memory(self) -> float:
        """Bytes at the peak."""
        return self.weights + self.optimizer + self.kept + self.activations + self.frozen

    @property
    def seconds(self) -> float:
        """Of the whole run."""
        return self.steps * self.step + self.beside + self.validations * self.validation

    def numbers(self) -> dict[str, Any]:
        """As JSON has them."""
        return {"memory": self.memory, "seconds": self.seconds, **asdict(self)}


class Planner:
    """Plans a recipe, and others on the same model for little more.

    Args:
        recipe: what is planned; a Python file that it names as learner is executed.
        device: where it would compute.
        clock: seconds; those of the wall, since that is what one waits for.

    Raises:
        QuickstudyError: a recipe that cannot be built, or nothing in it to meta-learn.
    """

    def __init__(self, recipe: Recipe, *, device: str = "auto", clock: Clock = time.perf_counter):
        self.recipe, self.device, self.clock = recipe, chosen(device), clock
        self.learner = build_learner(recipe).to(self.device)
        self.costs = Costs(self.device, clock)
        self.validation = validation_episodes(recipe)

    def plan(self, *, looks: int = LOOKS) -> Plan:
        """The recipe's own plan."""
        return self.of(self.recipe, self.learner, looks=looks)

    def like(self, recipe: Recipe) -> Planner:
        """A planner of another recipe, in the same place."""
        return Planner(recipe, device=str(self.device), clock=self.clock)

    def of(self, recipe: Recipe, learner: Learner, *, looks: int = LOOKS, judge: bool = True) -> Plan:
        """The plan of a recipe whose learner holds this planner's model.

        Args:
            looks: at so many steps.
            judge: whether validation is timed; it counts as nothing otherwise.
        """
        if not any(True for _ in learner.parameters()):
            raise QuickstudyError(f"{learner.title} has nothing to meta-learn, so there is no outer step to plan")
        if recipe.data.trials is not None:
            raise QuickstudyError("a plan knows examples, not trials; a run itself shows its speed and the time that is left")
        episodes = train_episodes(recipe)
        seen = self._rehearsed(recipe, learner, episodes, looks)
        drawn = sum(len(task.support) + len(task.query) for task in episodes[0])
        frozen = Frozen() if recipe.dropout else frozen_layers(learner, episodes.source, drawn, recipe.steps, self.clock)
        learner.train(recipe.dropout)  # as it is in a step
        self.costs.learn(call for look in seen for call in look.calls)
        learner.eval()
        peaks = [self._peak(look) for look in seen]
        top, look = max(zip(peaks, seen, strict=True), key=lambda both: both[0].total)
        calls: dict[str, float] = {}
        for call in (call for look in seen for call in look.calls):
            calls[call.what] = calls.get(call.what, 0.0) + self.costs(call).seconds / len(seen)
        part = recipe.validation
        return Plan(
            weights=sum(tensor.nbytes for tensor in (*torch.nn.Module.parameters(learner), *learner.buffers())),
            optimizer=look.optimizer,
            kept=top.kept,
            activations=top.activations,
            frozen=frozen.bytes,
            call=(top.call.what, str(top.call.kind)) if top.call else ("", ""),
            rows=(top.call.rows if top.call else 0, top.rows),
            step=mean(look.seconds for look in seen) + sum(calls.values()),
            calls=calls,
            beside=frozen.seconds,
            validation=validation_seconds(learner, self.validation, self.clock) if judge else 0.0,
            steps=recipe.steps,
            validations=1 + -(-recipe.steps // part.every) if part else 0,
        )

    def _rehearsed(self, recipe: Recipe, learner: Learner, episodes: Any, looks: int) -> list[_Look]:
        count, begun = min(looks, recipe.steps), time.perf_counter()
        spread = [at for first in range(3) for at in range(first, count, 3)]  # from everywhere in the run, if not all come to it
        found: list[_Look] = []
        for at in spread:
            found.append(_look(recipe, learner, int((at + 0.5) * recipe.steps / count), episodes, self.clock))
            if time.perf_counter() - begun > ENOUGH:
                break
        return found

    def _peak(self, look: _Look) -> _Peak:
        """Where most is in memory: at a call, or between two."""
        best, there = _Peak(), dict[int, tuple[float, int]]()
        for number, call in enumerate(look.calls):
            cost, stays = self.costs(call), sum(size for size, _ in there.values())
            if call.before + stays > best.total:
                best = _Peak(best.call or call, call.before, stays, best.rows)
            if call.live + stays + cost.peak > best.total:
                best = _Peak(call, call.live, stays + cost.peak, call.rows + sum(rows for _, rows in there.values()))
            there[number] = cost.stays, call.rows if cost.stays else 0
            if call.frees is not None:
                del there[call.frees]
        return best if best.total >= look.after else replace(best, kept=look.after, activations=0.0)


@dataclass(frozen=True)
class _Peak:
    call: Call | None = None
    kept: float = 0.0
    activations: float = 0.0
    rows: int = 0

    @property
    def total(self) -> float:
        return self.kept + self.activations


@dataclass(frozen=True)
class _Look:
    """One step: its calls, the seconds of everything else in it, bytes of the optimizer, and at the peak after all calls."""

    calls: list[Call]
    seconds: float
    optimizer: int
    after: int


def _look(recipe: Recipe, learner: Learner, index: int, episodes: Any, clock: Clock) -> _Look:
    notes = Notes()
    outer = OuterLoop(rehearsing(learner, notes), recipe, Processes())
    tasks = episodes[index]
    with torch.random.fork_rng(devices=[]):
        begun = clock()
        outer.step(index, episodes[index])  # drawn again: what is read from disk is read once in a run
        seconds = clock() - begun
        with LiveBytes() as notes.counting:
            outer.step(index, tasks)
    calls = [replace(call, live=live, before=before) for call, (live, before) in zip(notes.calls, notes.live, strict=True)]
    state = outer.optimizer.state_dict()["state"] if outer.optimizer else {}
    optimizer = sum(value.nbytes for each in state.values() for value in each.values())
    return _Look(calls, seconds, optimizer, notes.counting.peak)
