"""`TrialsPart`: the part of a recipe that says what an agent acts in."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from quickstudy.runs.kinds import Count, Natural
from quickstudy.runs.part import Part


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


class TrialsPart(Part):
    """What an agent acts in. A task is a trial of several episodes; those of training, validation and test are drawn apart."""

    bandits: BanditsPart | None = None
    """Arms that pay with a probability of their own."""
    mdps: MDPsPart | None = None
    """States, actions and rewards that each task draws anew."""
    gymnasium: str | None = None
    """A registered environment of Gymnasium, such as `CartPole-v1`; tasks differ by their seed."""
    episodes: Count = 10
    """Of a trial, that count."""
    explored: Natural = 0
    """Episodes before these, for learning alone."""

    @model_validator(mode="after")
    def _one(self) -> TrialsPart:
        if sum(each is not None for each in (self.bandits, self.mdps, self.gymnasium)) != 1:
            raise ValueError("needs exactly one of bandits, mdps and gymnasium")
        return self

    def environment(self) -> Any:
        """The environment.

        Raises:
            QuickstudyError: one of Gymnasium that cannot be made.
        """
        from quickstudy.tasks.environments import Bandits, Gymnasium, MDPs

        if self.bandits is not None:
            return Bandits(self.bandits.arms)
        if self.mdps is not None:
            return MDPs(**self.mdps.model_dump())
        return Gymnasium(str(self.gymnasium))
