"""`SelectionEnvironment`: several models for one data set, and one who chooses which of them is trained next."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch

from quickstudy.errors import QuickstudyError
from quickstudy.inner.training_loop.environment import WEIGHTS, TrainingEnvironment, uniform
from quickstudy.inner.training_loop.networks import narrow
from quickstudy.inner.training_loop.state import CUT, Judged, TrainingState, judge
from quickstudy.models.functional import Parameters
from quickstudy.tasks.environments.environment import Interface, Tensors
from quickstudy.tasks.environments.spaces import Discrete

CANDIDATES = 4
"""Models to choose from, where nothing else is said."""

NARROWEST = 2
"""Hidden units of a candidate at least."""


def interface(candidates: int) -> Interface:
    """What a policy has to know of a `SelectionEnvironment`."""
    return Interface(1 + 6 * candidates, Discrete(candidates))


@dataclass(frozen=True, eq=False)
class SelectionEnvironment:
    """Small classifiers are candidates for the same data; an action says which of them gets the next few updates.

    A task is data as those of `TrainingEnvironment`, and models that differ in their hidden units (log-uniform, from 2 to all),
    in the rate of plain SGD, which stays, and in the weights at start. They are drawn independently: their order says nothing.

    What counts is the best model so far: the least validation loss that any candidate has had after any decision. It is kept,
    whatever becomes of that candidate. The reward of a decision is the decrease of the log of this loss; it is never negative,
    and those of an episode add up to log(first / best). A candidate that has diverged stays at a loss of 100, and decisions for
    it are lost; an episode is over before the horizon where all of them have.

    Observed are the share of the decisions that are made, and six numbers of each candidate:
    0. the share of all decisions that it has had;
    1. log of its validation loss over the least of all candidates at the start;
    2. change of log validation loss the last time that it was trained, 0 before;
    3. log of training loss over validation loss;
    4. log of its rate;
    5. log of its hidden units over those of the widest that there may be.
    The last two are all that tells candidates apart that have not been trained yet. Logarithms are as in `TrainingEnvironment`.

    Args:
        training: the data, the widest model, the rates (`first_rate`) and the decisions. What it controls is of no account.
        candidates: models for each data set.

    Raises:
        QuickstudyError: nothing to choose from.
    """

    training: TrainingEnvironment
    candidates: int = CANDIDATES

    def __post_init__(self):
        if self.candidates < 2:
            raise QuickstudyError(f"candidates={self.candidates}: there is nothing to choose from; give at least 2")
        if len(self.training.optimizers) > 1:
            raise QuickstudyError(f"optimizers={self.training.optimizers!r}: candidates are trained by one; give that alone")
        if self.training.hidden < NARROWEST:
            raise QuickstudyError(
                f"hidden={self.training.hidden}: candidates have {NARROWEST} hidden units or more; give at least {NARROWEST}"
            )

    @property
    def observation(self) -> int:
        """Numbers in an observation."""
        return interface(self.candidates).observation

    @property
    def action(self) -> Discrete:
        """The number of a candidate."""
        return Discrete(self.candidates)

    @property
    def horizon(self) -> int:
        """Decisions."""
        return self.training.horizon

    def draw(self, trials: int, generator: torch.Generator) -> Tensors:
        """Data as of `TrainingEnvironment`; its `rate` and weights, and `width`, of candidates, `(trials, candidates, ...)`."""
        data, count = self.training.draw_data(trials, generator), trials * self.candidates
        models = self.training.draw_models(count, generator)
        ends = math.log(NARROWEST), math.log(self.training.hidden + 1)
        # Rounding may give the upper end itself.
        models["width"] = uniform(ends, count, generator).exp().long().clamp(NARROWEST, self.training.hidden)
        models |= narrow({name: models[name] for name in WEIGHTS}, models["width"])
        return {**data, **{name: values.unflatten(0, (trials, self.candidates)) for name, values in models.items()}}

    def reset(self, tasks: Tensors, generator: torch.Generator) -> tuple[SelectionState, torch.Tensor]:
        """Before the first update of any candidate."""
        last, _ = self.training.reset({**tasks, **{name: tasks[name][:, 0] for name in (*WEIGHTS, "rate")}}, generator)
        phi = {name: tasks[name] for name in WEIGHTS}
        each = [{name: values[:, number] for name, values in phi.items()} for number in range(self.candidates)]
        judged = [vars(judge(tasks, its, last.data, last.held_out)) for its in each]
        candidates = {**phi, **{name: torch.stack([its[name] for its in judged], dim=1) for name in judged[0]}}
        least, first = candidates["validation"].min(1)
        nothing = torch.zeros_like(candidates["validation"])
        best = {name: values[torch.arange(len(first)), first] for name, values in phi.items()}
        state = SelectionState(last, candidates, nothing.long(), nothing, least, best, least)
        return state, self._seen(tasks, state)

    def step(self, tasks: Tensors, state: SelectionState, actions: torch.Tensor, generator: torch.Generator):
        """Some updates of the chosen candidate; an episode is over before the horizon where all have diverged."""
        at, plain = (torch.arange(len(actions)), actions), torch.zeros_like(actions)
        trained = self.training.train(tasks, state.training(at), tasks["rate"][at], plain, plain, generator)
        after = state.after(at, trained)
        return after, self._seen(tasks, after), state.least - after.least, after.candidates["diverged"].all(1)

    def accuracy(self, tasks: Tensors, state: SelectionState) -> torch.Tensor:
        """Accuracy of the best model so far on the validation rows, `(trials,)`."""
        return self.training.accuracy(tasks, replace(state.last, trained=replace(state.last.trained, phi=state.best)))

    def _seen(self, tasks: Tensors, state: SelectionState) -> torch.Tensor:
        its = state.candidates
        each = [
            state.spent / self.horizon,
            its["validation"] - state.start[:, None],
            state.change,
            its["train"] - its["validation"],
            tasks["rate"].log(),
            (tasks["width"] / self.training.hidden).log(),
        ]
        seen = torch.stack(each, dim=2).flatten(1).clamp(-CUT, CUT)
        return torch.cat([seen.new_full((len(seen), 1), state.last.decisions / self.horizon), seen], dim=1)


@dataclass(frozen=True, eq=False)
class SelectionState:
    """How far candidates are.

    Args:
        last: the training of each trial that went on last; its data are those of all candidates.
        candidates: weights, and losses as of `Judged`, `(trials, candidates, ...)` each.
        spent: decisions that each has had, `(trials, candidates)`.
        change: of log validation loss at the last of these, `(trials, candidates)`.
        start: the least log validation loss before the first update, `(trials,)`.
        best: weights of the best model so far, `(trials, ...)` each.
        least: its log validation loss, `(trials,)`.
    """

    last: TrainingState
    candidates: Tensors
    spent: torch.Tensor
    change: torch.Tensor
    start: torch.Tensor
    best: Parameters
    least: torch.Tensor

    def training(self, at: tuple[torch.Tensor, torch.Tensor]) -> TrainingState:
        """One candidate of each trial, to be trained on; at trials and candidates, `(trials,)` each."""
        its = {name: values[at] for name, values in self.candidates.items()}
        phi = {name: its.pop(name) for name in WEIGHTS}
        return replace(self.last, trained=replace(self.last.trained, phi=phi), judged=Judged(**its))

    def after(self, at: tuple[torch.Tensor, torch.Tensor], trained: TrainingState) -> SelectionState:
        """Those candidates have been trained, and the others are as they were."""
        phi, now = trained.trained.phi, trained.judged.validation
        new, better = {**phi, **vars(trained.judged)}, now < self.least
        return replace(
            self,
            last=trained,
            candidates={name: values.index_put(at, new[name]) for name, values in self.candidates.items()},
            spent=self.spent.index_put(at, torch.tensor(1), accumulate=True),
            change=self.change.index_put(at, now - self.candidates["validation"][at]),
            best={name: torch.where(better[:, None, None], phi[name], values) for name, values in self.best.items()},
            least=torch.where(better, now, self.least),
        )
