"""The parts of a recipe: what each key means, and what it may be."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, model_validator

from quickstudy.runs.domains_part import DomainsPart
from quickstudy.runs.kinds import Count, CountOrAll, Natural, NotNegative, Positive, Range, RangeOrAll, Share, Tried
from quickstudy.runs.part import Part
from quickstudy.runs.trials_part import TrialsPart


class DataPart(Part):
    """Where tasks come from; training, validation and test share no class."""

    set: str | None = None
    """A known set, such as `banking77`."""
    fold: Count | None = None
    """Its published class fold, from 1. Null: the first, or a division by seed where none is published."""
    table: str | None = None
    """In place of a set: a CSV, TSV or JSONL file (from the current directory) or `hf:NAME`."""
    unlabelled: str | None = None
    """In place of a set: text without labels, a folder or file; a task is which of some words is masked."""
    text: str = "text"
    """The column of sentences."""
    label: str = "label"
    """The table's column of labels."""
    source: Literal["sinusoids"] | None = None
    """In place of a set: tasks that are made up."""
    domains: DomainsPart | None = None
    """In place of a set: text by domain, for language models."""
    trials: TrialsPart | None = None
    """In place of a set: environments, for agents."""
    demonstrations: str | None = None
    """In place of a set: a folder that `quickstudy robots record` wrote; a task is to do what is shown."""
    seed: Natural = 0
    """Which classes of a table are for training, validation and test; the run's own seed leaves that alone."""

    @model_validator(mode="after")
    def _one(self) -> DataPart:
        places = self.set, self.table, self.unlabelled, self.source, self.domains, self.trials, self.demonstrations
        if sum(value is not None for value in places) != 1:
            raise ValueError("needs exactly one of set, table, unlabelled, source, domains, trials and demonstrations")
        if self.fold is not None and self.set is None:
            raise ValueError("has fold, which belongs to a set")
        return self


class _TasksPart(Part):
    ways: RangeOrAll = 5
    """Classes of a task: a number, `all`, or a range such as `[5, 20]`."""
    shots: Range = 1
    """Examples of each class to learn from (blocks of a text): a number, or a range that is drawn from for each class."""
    queries: CountOrAll = 5
    """Further examples of each class (blocks), for the outer loss or to be judged on; `all` that are left."""
    names: bool = False
    """Whether each class's name is one more example."""


class EpisodesPart(_TasksPart):
    """The tasks of each outer step."""

    tasks: Count = 1
    """Tasks in one outer step."""


class OuterPart(Part):
    """The outer optimizer. Its learning rate is the learner's `outer_lr`."""

    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    """The update rule."""
    weight_decay: NotNegative = 0.0
    """Pull towards zero; decoupled with adamw."""
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    """How the learning rate falls after the warm-up; linear and cosine end at zero."""
    warmup: Share = 0.0
    """The share of the steps in which the learning rate rises."""
    clip: Positive | None = None
    """The largest norm of the outer gradient; null: no limit."""


class ValidationPart(_TasksPart):
    """The fixed tasks by which the best learner is chosen."""

    episodes: Count = 200
    """How many tasks."""
    every: Count = 100
    """Validates before the first step, after each so many, and after the last."""


class TunePart(Part):
    """What `quickstudy tune` tries: dotted keys of the recipe, such as `learner.outer_lr`, each with its values.

    A list holds values to choose from; `{low: 1, high: 9}` is a range of whole numbers, of real ones if either end is
    written with a point, and `log: true` spreads it evenly over orders of magnitude.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Tried]  # type: ignore[assignment]
