"""`Recipe`: everything that decides how a run comes out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import ConfigDict, Field, PrivateAttr, TypeAdapter, ValidationError, ValidationInfo, field_validator

from quickstudy.atomic import write_atomically
from quickstudy.errors import QuickstudyError
from quickstudy.learners.base import Learner
from quickstudy.learners.find import find_learner, is_file, settings_of
from quickstudy.runs.kinds import Count, Natural, Strengths
from quickstudy.runs.model_part import ModelPart
from quickstudy.runs.part import Part
from quickstudy.runs.parts import DataPart, EpisodesPart, OuterPart, TunePart, ValidationPart
from quickstudy.runs.problems import ProblemAt, problem_of, unknown_key, wrong_value
from quickstudy.runs.yaml_positions import Document, Dumper, KeyPath
from quickstudy.runs.yaml_positions import read as read_yaml

_ANY_TYPE = ConfigDict(arbitrary_types_allowed=True)


class RatesPart(Part):
    """Learned inner learning rates that start at `inner_lr`."""

    per: Literal["space", "layer", "parameter", "element"] = "layer"
    """What has a rate of its own."""
    steps: Count | None = None
    """Rates of their own for each of so many inner steps; null: the same at all."""


class LearnerPart(Part):
    """The algorithm; all further keys are settings of its constructor."""

    model_config = ConfigDict(extra="allow")

    name: str
    """A file in `learners/` such as `prototypical`, or `my_file.py:MyLearner`."""
    rates: RatesPart | None = None
    """Learns the inner learning rates."""

    def settings(self, cls: type[Learner]) -> dict[str, Any]:
        """The settings as this class takes them.

        Raises:
            ProblemAt: one that its constructor does not know, or of the wrong type.
        """
        known, given = settings_of(cls), dict(self.model_extra or {})
        for key, value in given.items():
            if key not in known:
                raise ProblemAt(("learner", key), unknown_key(key, [*known, "rates"], f"{cls.__name__} has", Recipe), key=True)
            try:
                given[key] = TypeAdapter(known[key], config=_ANY_TYPE).validate_python(value)
            except ValidationError as error:
                raise ProblemAt(("learner", key), wrong_value(f"learner.{key}", error.errors()[0]["msg"], value)) from None
        if "rule" in given and "rule" in known:
            from quickstudy.inner.rules.settings import rule_from

            try:
                rule_from(given["rule"])
            except QuickstudyError as error:
                raise ProblemAt(("learner", "rule"), str(error)) from None
        if self.rates is not None:
            from quickstudy.inner.rules import Rates

            if "inner_lr" not in known:
                message = f"{cls.__name__} has no inner learning rate to learn; leave rates out"
                raise ProblemAt(("learner", "rates"), message, key=True)
            given["inner_lr"] = Rates(float(given.get("inner_lr", 0.01)), per=self.rates.per, steps=self.rates.steps)
        return given


class Recipe(Part):
    """Everything that decides how a run comes out; a YAML file."""

    learner: LearnerPart
    """The algorithm and its settings."""
    model: ModelPart
    """What is adapted."""
    data: DataPart
    """Where tasks come from."""
    episodes: EpisodesPart = EpisodesPart()
    """The tasks of each outer step."""
    outer: OuterPart = OuterPart()
    """The outer optimizer."""
    steps: Count = 1000
    """Outer steps."""
    validation: ValidationPart | None = ValidationPart()
    """How the best learner is chosen; null, or with strength: the last one."""
    strength: Strengths | None = None
    """Shares of the last learner's adapter: the best on classes that taught nothing is kept, if it helps there; null: all."""
    checkpoint_every: Count = 100
    """Outer steps between checkpoints."""
    dropout: bool = False
    """Whether the model is in training mode while it trains."""
    seed: Natural = 0
    """Of everything that is drawn: tasks, the start of new weights, dropout."""

    tune: TunePart | None = Field(default=None, exclude=True)
    """What `quickstudy tune` tries. Decides nothing about a run, so it is left out of what is written."""

    _document: Document = PrivateAttr(default_factory=lambda: Document({}))

    @field_validator("strength")
    @classmethod
    def _of_something(cls, value: Any, info: ValidationInfo) -> Any:
        """A strength is that of adapters, and something chooses it; what is wrong with those parts is said of them."""
        if value is not None and "model" in info.data and info.data["model"].lora is None:
            raise ValueError("scales adapters, and the model has none; give model.lora, or leave strength out")
        if value is not None and info.data.get("validation", value) is None:
            raise ValueError("is chosen on tasks like those of validation, which is null; give some, or leave strength out")
        return value

    @classmethod
    def read(cls, path: str | Path, overrides: Sequence[str | tuple[str, str]] = ()) -> Recipe:
        """Reads a recipe. Executes nothing: the settings of a learner in a Python file are checked when it is built.

        Args:
            path: the YAML file.
            overrides: changes as "key.key=value", as `--set` on the command line gives them; or with what to call them in
                messages.

        Raises:
            QuickstudyError: one sentence with file, line and column (or the override) and what would be right.
        """
        document = read_yaml(Path(path))
        for change in overrides:
            document.override(*((change,) if isinstance(change, str) else change))
        try:
            recipe = cls.model_validate(document.data)
        except ValidationError as error:
            problem = problem_of(error, cls)
            raise QuickstudyError(f"{document.where(problem.path, key=problem.key)}: {problem}") from None
        recipe._document = document
        if is_file(recipe.learner.name):
            return recipe
        recipe.learner_settings(recipe.learner_class())
        return recipe

    def learner_class(self, *, allow_files: bool = False) -> type[Learner]:
        """The class of the learner; a Python file is imported only where that is allowed."""
        try:
            return find_learner(self.learner.name, allow_files=allow_files)
        except QuickstudyError as error:
            raise self.problem(str(error), ("learner", "name")) from error.__cause__

    def learner_settings(self, cls: type[Learner]) -> dict[str, Any]:
        """The settings that the learner's constructor is called with."""
        try:
            return self.learner.settings(cls)
        except ProblemAt as problem:
            raise self.problem(str(problem), problem.path, key=problem.key) from None

    def problem(self, message: str, path: KeyPath, *, key: bool = False) -> QuickstudyError:
        """An error that names the place of this key in the file, where the recipe came from one."""
        place = self._document.where(path, key=key)
        return QuickstudyError(f"{place}: {message}" if place else message)

    def plain(self) -> dict[str, Any]:
        """Plain values, as YAML and JSON have them; what is not set is left out."""
        return self.model_dump(mode="json")

    def write(self, path: str | Path) -> None:
        """Writes YAML that reads back equal, but for `tune`."""
        text = yaml.dump(self.plain(), Dumper=Dumper, sort_keys=False, allow_unicode=True, width=120)
        write_atomically(Path(path), text.encode())
