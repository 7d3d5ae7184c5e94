"""What a search tries: the settings under a recipe's `tune:`, and which values to try next."""

from __future__ import annotations

import difflib
import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import ValidationError

from quickstudy.errors import QuickstudyError
from quickstudy.learners.find import settings_of
from quickstudy.runs.problems import ProblemAt, dotted, problem_of
from quickstudy.runs.recipe import Recipe
from quickstudy.runs.yaml_positions import Document

Settings = dict[str, Any]
"""Dotted key of the recipe -> value."""
FIXED = ("data", "seed", "validation", "tune")
"""Parts that decide what a score is measured on: scores from different ones say nothing about each other."""
DRAWS = 50
"""How often a suggestion that was tried already is drawn again; the same settings would only score the same."""


def space_of(recipe: Recipe) -> dict[str, Any]:
    """The settings to try: dotted key -> a list of values, or `{"low", "high", "log"}`.

    Every choice and the ends of every range are put into the recipe here, so that no slip of the pen shows after hours.
    What a learner's constructor refuses, or two values together, makes a trial fail.

    Raises:
        QuickstudyError: nothing to try, no such key, a value that it cannot have, or a part that has to stay as it is.
    """
    space = dict(recipe.tune.model_extra or {}) if recipe.tune else {}
    if not space:
        example = "tune: {learner.outer_lr: {low: 1.0e-4, high: 1.0e-2, log: true}}"
        raise recipe.problem(f"the recipe does not say what to try; add a part such as `{example}`", ("tune",))
    recipe.learner_settings(recipe.learner_class(allow_files=True))  # what is wrong without any change
    for key, tried in space.items():
        if key.partition(".")[0] in FIXED:
            message = f"{key} cannot be tuned, since it is part of what the trials are compared on; leave it out"
            raise recipe.problem(message, ("tune", key), key=True)
        for value in _examples(tried):
            try:
                changed(recipe, {key: value})
            except ProblemAt as problem:
                unknown = problem.key and f"{key}.".startswith(f"{dotted(problem.path)}.")
                message = _unknown(recipe, key) if unknown else f"{key} cannot be {_text(value)}: {problem}"
                raise recipe.problem(message, ("tune", key), key=unknown) from None
    return space


def changed(recipe: Recipe, settings: Mapping[str, Any]) -> Recipe:
    """The recipe with these values, and without `tune`.

    Raises:
        ProblemAt: an unknown key, or a value that it cannot have.
    """
    document = Document(recipe.plain())
    for key in sorted(settings, key=lambda key: key.count(".")):  # a whole part first, then what is in it
        change = f"{key}={json.dumps(settings[key], default=str)}"
        try:
            document.override(change)
        except QuickstudyError as error:
            raise ProblemAt(("tune", key), str(error).removeprefix(f"--set {change}: ")) from None
    try:
        new = Recipe.model_validate(document.data)
    except ValidationError as error:
        raise problem_of(error, Recipe) from None
    try:
        new.learner.settings(new.learner_class(allow_files=True))
    except ProblemAt:
        raise
    except QuickstudyError as error:  # no such learner
        raise ProblemAt(("learner", "name"), str(error)) from None
    return new


def as_it_stands(recipe: Recipe, space: Mapping[str, Any]) -> Settings:
    """The recipe's own values of what is tried; None for what it does not set."""
    found = {}
    for key in space:
        value: Any = recipe.plain()
        for name in key.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        found[key] = value
    return found


def suggest(
    space: Mapping[str, Any], history: Sequence[tuple[Settings, float | None]], *, seed: int, larger: bool
) -> Settings | None:
    """The settings to try next, by Optuna's tree-structured Parzen estimator; None where all combinations were tried.

    They depend on the arguments alone: each suggestion has a sampler of its own, seeded by the seed and its number, which
    sees what was tried before. So a search that was killed goes on as if it had not been.

    Args:
        space: what `space_of` gave.
        history: what was tried so far, in order, with its score; None where the trial failed.
        seed: the search's seed.
        larger: whether a larger score is better.
    """
    optuna = need_optuna()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    kinds = {key: _distribution(optuna.distributions, tried) for key, tried in space.items()}
    worst = -math.inf if larger else math.inf  # so that it keeps away from where trials fail
    past = [
        optuna.trial.create_trial(
            params={key: _number(space[key], value) for key, value in settings.items()},
            distributions=kinds,
            value=worst if score is None else score,
        )
        for settings, score in history
        if all(_inside(space[key], value) for key, value in settings.items())  # the recipe's own values may lie outside
    ]
    known = {_text(settings) for settings, _ in history}
    for draw in range(DRAWS):
        number = int(np.random.SeedSequence((seed, len(history), draw)).generate_state(1)[0])
        study = optuna.create_study(
            direction="maximize" if larger else "minimize", sampler=optuna.samplers.TPESampler(seed=number)
        )
        study.add_trials(past)
        drawn = study.ask(kinds).params
        settings = {key: _value(space[key], drawn[key]) for key in space}
        if _text(settings) not in known:
            return settings
    return next((settings for settings in _combinations(space) if _text(settings) not in known), None)


def need_optuna() -> Any:
    """The module.

    Raises:
        QuickstudyError: it is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise QuickstudyError("tuning needs Optuna, which is not installed: pip install 'quickstudy[tune]'") from None
    return optuna


def _unknown(recipe: Recipe, key: str) -> str:
    """Names the nearest of all dotted keys that can be tuned."""
    known = [f"learner.{name}" for name in settings_of(recipe.learner_class(allow_files=True))]
    for part, field in Recipe.model_fields.items():
        names = list(getattr(field.annotation, "model_fields", ()))
        known += [f"{part}.{name}" for name in names] or [part]
    known = [name for name in known if name.partition(".")[0] not in FIXED]
    near = [name for name in known if name.endswith(f".{key}")] or difflib.get_close_matches(key, known, n=1)
    return f"unknown key {key!r}; " + (f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}")


def _examples(tried: Any) -> list[Any]:
    if isinstance(tried, list):
        return tried
    low, high = tried["low"], tried["high"]
    return [low, high] if _is_whole(tried) else [low, high, _rounded(tried, low + (high - low) / math.e)]


def _distribution(kinds: Any, tried: Any) -> Any:
    if isinstance(tried, list):  # by place, since Optuna compares True with 1 and knows no lists
        return kinds.CategoricalDistribution(tuple(range(len(tried))))
    kind = kinds.IntDistribution if _is_whole(tried) else kinds.FloatDistribution
    return kind(tried["low"], tried["high"], log=tried["log"])


def _number(tried: Any, value: Any) -> Any:
    return [_text(each) for each in tried].index(_text(value)) if isinstance(tried, list) else value


def _value(tried: Any, number: Any) -> Any:
    if isinstance(tried, list):
        return tried[number]
    return number if _is_whole(tried) else _rounded(tried, number)


def _rounded(tried: Any, value: float) -> float:
    """Four digits are enough, and can be read."""
    return min(max(float(f"{value:.4g}"), tried["low"]), tried["high"])


def _inside(tried: Any, value: Any) -> bool:
    if isinstance(tried, list):
        return _text(value) in [_text(each) for each in tried]
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and tried["low"] <= value <= tried["high"] and (value == int(value) or not _is_whole(tried))


def _combinations(space: Mapping[str, Any]) -> Iterator[Settings]:
    """All settings there are; none where a range of real numbers makes them endless."""
    if any(isinstance(tried, dict) and not _is_whole(tried) for tried in space.values()):
        return
    values = [tried if isinstance(tried, list) else range(tried["low"], tried["high"] + 1) for tried in space.values()]
    for combination in itertools.product(*values):
        yield dict(zip(space, combination, strict=True))


def _is_whole(tried: Any) -> bool:
    return isinstance(tried["low"], int) and isinstance(tried["high"], int)


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)
