"""`TrialsPart`: the part of a recipe that says what an agent acts in."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, model_validator

from quickstudy.runs.kinds import Count, Natural, NotNegative, Positive, Share
from quickstudy.runs.part import Part
from quickstudy.tasks.environments.environment import Interface
from quickstudy.tasks.environments.spaces import Discrete

ROWS = 100
"""Sentences of each class, at most, that classifiers train on."""


class BanditsPart(Part):
    """Multi-armed bandits; an episode is one pull (`tasks/environments/bandits.py`)."""

    arms: Annotated[Count, Field(ge=2)] = 5
    """To choose from."""


class MDPsPart(Part):
    """Tabular Markov decision processes (`tasks/environments/mdps.py`)."""

    states: Count = 10
    """Of each."""
    actions: Count = 5
    """In each state."""
    horizon: Count = 10
    """Steps of an episode."""


class PointsPart(Part):
    """A point in the plane that is to find a goal it is not told (`tasks/environments/points.py`)."""

    goals: tuple[NotNegative, Positive] = (0.0, 0.5)
    """The larger coordinate of a goal lies between these."""
    obstacles: Natural = 0
    """Circles in the way, other ones in each task."""
    radius: Positive = 0.1
    """Of each."""
    goal_seen: bool = False
    """Whether the goal is told after all."""
    horizon: Count = 100
    """Steps of an episode."""


class MazePart(Part):
    """A ball to be pushed to a goal it is not told, in MuJoCo (`tasks/environments/mazes.py`)."""

    blocks: Natural = 0
    """Cells that are walls, other ones in each task; validation and test have placings of their own."""
    goal_seen: bool = False
    """Whether the goal is told after all."""
    horizon: Count = 20
    """Actions of an episode."""


class TrainingPart(Part):
    """Small classifiers that train on embedded sentences (`inner/training_loop/environment.py`); a decision is a step."""

    set: str = "clinc150"
    """Whose classes are tasks; those of training, validation and test are those of its published fold."""
    fold: Count = 1
    """Which fold."""
    encoder: str = "minilm"
    """What makes numbers of sentences."""
    control: tuple[Literal["rate", "optimizer", "data", "model"], ...] = ("rate",)
    """What an action chooses; `model`, which of several goes on (`inner/training_loop/selection.py`), stands alone."""
    candidates: Annotated[Count, Field(ge=2)] | None = None
    """Models to choose from, of up to so many units as `hidden` says; null: 4."""
    noise: tuple[Share, Share] = (0.0, 0.3)
    """Share of training labels that are wrong, uniform between these."""
    first_rate: tuple[Positive, Positive] = (0.003, 3.0)
    """The rate at first, log-uniform between these; it stays unless it is controlled."""
    optimizers: tuple[Literal["sgd", "momentum", "adam"], ...] = ("sgd",)
    """Each training has one of them, where none is chosen."""
    hidden: Count = 32
    """Units of a classifier."""
    steps: Count = 10
    """Updates for each decision."""
    horizon: Count = 12
    """Decisions."""

    @model_validator(mode="after")
    def _models(self) -> TrainingPart:
        if "model" in self.control and len(self.control) > 1:
            raise ValueError(
                f"has control: [{', '.join(self.control)}]; a choice of model goes with no other, so give [model] alone"
            )
        if self.candidates is not None and "model" not in self.control:
            raise ValueError(f"has candidates: {self.candidates}, and no model is chosen; give control: [model], or leave it out")
        return self

    def interface(self) -> Interface:
        """As of `TrialsPart`."""
        from quickstudy.inner.training_loop import TrainingEnvironment
        from quickstudy.inner.training_loop.controls import Controls
        from quickstudy.inner.training_loop.selection import CANDIDATES, interface

        if "model" in self.control:
            return interface(self.candidates or CANDIDATES)
        return Interface(TrainingEnvironment.observation, Discrete(Controls(self.control).count))

    def environment(self, name: str) -> Any:
        """That of this part of the data."""
        from quickstudy.inner.training_loop import SelectionEnvironment, TrainingEnvironment
        from quickstudy.inner.training_loop.selection import CANDIDATES

        inputs, labels = _pool(self.set, self.fold, self.encoder, name)
        settings = self.model_dump(exclude={"set", "fold", "encoder", "control", "candidates"})
        if "model" in self.control:
            return SelectionEnvironment(TrainingEnvironment(inputs, labels, **settings), self.candidates or CANDIDATES)
        return TrainingEnvironment(inputs, labels, **settings, control=self.control)


@cache
def _pool(name: str, fold: int, encoder: str, part: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Embeddings whose numbers have a size of about 1, and classes."""
    from quickstudy.models import load
    from quickstudy.tasks.named import select_part

    table, model = select_part(name, split=part, fold=fold)[0], load(encoder)
    rows = [row for label in table.classes for row in table.rows_of(label)[:ROWS]]
    texts = [table.texts[row] for row in rows]
    with model.remember(model.memory(texts)):
        embedded = model.embed(texts)
    classes = {label: number for number, label in enumerate(table.classes)}
    return embedded * embedded.shape[1] ** 0.5, torch.tensor([classes[table.labels[row]] for row in rows])


class TrialsPart(Part):
    """What an agent acts in. A task is a trial of several episodes; those of training, validation and test are drawn apart."""

    bandits: BanditsPart | None = None
    """Arms that pay with a probability of their own."""
    mdps: MDPsPart | None = None
    """States, actions and rewards that each task draws anew."""
    points: PointsPart | None = None
    """Goals in the plane."""
    maze: MazePart | None = None
    """Goals in a maze."""
    training: TrainingPart | None = None
    """Trainings, and one who chooses how they go on."""
    gymnasium: str | None = None
    """A registered environment of Gymnasium, such as `CartPole-v1`; tasks differ by their seed."""
    episodes: Count = 10
    """Of a trial, that count."""
    explored: Natural = 0
    """Episodes before these, for learning alone."""

    @model_validator(mode="after")
    def _one(self) -> TrialsPart:
        if sum(each is not None for each in self._families()) != 1:
            raise ValueError("needs exactly one of bandits, mdps, points, maze, training and gymnasium")
        if self.gymnasium and ":" in self.gymnasium:
            raise ValueError(f"has gymnasium: {self.gymnasium}, which would import a module; name a registered environment alone")
        return self

    def _families(self) -> tuple[Any, ...]:
        return self.bandits, self.mdps, self.points, self.maze, self.training, self.gymnasium

    def interface(self) -> Interface:
        """What a policy has to know of it; a run is opened without its data."""
        if self.training is not None:
            return self.training.interface()
        its = self.environment("train")
        return Interface(its.observation, its.action)

    def environment(self, name: str) -> Any:
        """The environment of training ("train"), validation or test; one that makes up its tasks is the same for all.

        Raises:
            QuickstudyError: one of Gymnasium that cannot be made.
        """
        from quickstudy.tasks.environments import Bandits, Gymnasium, MDPs, Points

        if self.bandits is not None:
            return Bandits(self.bandits.arms)
        if self.mdps is not None:
            return MDPs(**self.mdps.model_dump())
        if self.points is not None:
            return Points(**self.points.model_dump())
        if self.maze is not None:
            from quickstudy.tasks.environments.mazes import point_maze

            return point_maze(name, **self.maze.model_dump())  # type: ignore[arg-type]
        if self.training is not None:
            return self.training.environment(name)
        return Gymnasium(str(self.gymnasium))
