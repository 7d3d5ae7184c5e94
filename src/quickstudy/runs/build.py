"""From a recipe to what it describes: model, learner, tasks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from quickstudy.errors import QuickstudyError
from quickstudy.learners.base import Learner
from quickstudy.models.fast_weights import FastWeightPolicy
from quickstudy.models.language_model import LanguageModel
from quickstudy.models.loading import load, tokenizer
from quickstudy.models.networks import mlp
from quickstudy.models.policy import Policy, RecurrentPolicy
from quickstudy.runs.image_network import build_network, check_network, check_ways, pictures_of
from quickstudy.runs.imitation import build_policy, check_policy, demonstrations_of
from quickstudy.runs.recipe import DataPart, EpisodesPart, Recipe, ValidationPart
from quickstudy.runs.trials_part import TrialsPart
from quickstudy.tasks import named
from quickstudy.tasks.environments import Environment
from quickstudy.tasks.episodes import Episodes
from quickstudy.tasks.image_tables import is_source
from quickstudy.tasks.robots.demonstrations import Demonstrations
from quickstudy.tasks.sinusoids import Sinusoids
from quickstudy.tasks.table import Table
from quickstudy.tasks.task import Task
from quickstudy.tasks.text_domains import TextDomains
from quickstudy.tasks.trials import Trials, TrialStream, seed_of
from quickstudy.tasks.unlabelled import Unlabelled

PartName = Literal["train", "valid", "test"]
FRACTIONS = {"train": 0.6, "valid": 0.2, "test": 0.2}
VALIDATION_SEED, TEST_SEED = 1_000_003, 2_000_003
"""Added to the seed for validation and test, so that made-up tasks are not those of training."""


def build_model(recipe: Recipe, *, adapters: bool = True) -> nn.Module:
    """The recipe's model before any training; without its adapters, the plain pretrained one."""
    part = recipe.model
    if part.mlp is not None:
        return mlp(part.mlp, seed=recipe.seed) if recipe.data.demonstrations is None else build_policy(recipe)
    for key, made in (("gru", RecurrentPolicy), ("fast_weights", FastWeightPolicy), ("policy", Policy)):
        if (width := getattr(part, key)) is not None:
            if recipe.data.trials is None:
                raise recipe.problem(f"{key} is for agents, and there are no trials; give data.trials", ("model", key))
            return made(_named(recipe, TrialsPart.interface), width, seed=recipe.seed)
    if part.network is not None:
        return build_network(recipe)
    try:
        lora = part.lora if adapters else None
        return load(str(part.name), lora=lora, seed=recipe.seed, dtype=part.dtype or "float32")
    except QuickstudyError as error:
        key = next((key for key in ("lora", "dtype") if f"{key}:" in str(error)), "name")
        raise recipe.problem(str(error), ("model", key)) from error


def build_learner(recipe: Recipe, *, allow_files: bool = True) -> Learner:
    """The recipe's learner before any training.

    Args:
        allow_files: whether a learner in a Python file may be imported, which executes it.
    """
    cls = recipe.learner_class(allow_files=allow_files)
    settings = recipe.learner_settings(cls)
    check_network(recipe, cls)
    model = build_model(recipe)
    _check_reads(recipe, model, cls)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)  # weights that a learner adds to its model
        try:
            learner = cls(model, **settings)  # type: ignore[call-arg]
        except QuickstudyError as error:
            raise recipe.problem(str(error), ("learner",)) from error
        except TypeError as error:
            if "argument" not in str(error):
                raise
            raise recipe.problem(str(error).replace("__init__() ", "").replace("()", ""), ("learner",)) from error
    check_policy(recipe, learner)
    return learner


def data_part(recipe: Recipe, name: PartName) -> Table | Sinusoids | TextDomains | Demonstrations:
    """The tasks' source for training, validation or test. Tables share no class between them, text no domain, robots no task."""
    data = recipe.data
    if data.source is not None:
        return Sinusoids()
    try:
        if data.demonstrations is not None:
            return demonstrations_of(recipe, name)
        if data.domains is not None:
            return data.domains.read(name, tokenizer(str(recipe.model.name)), seed=data.seed)
        if data.set is not None and (data.fold is not None or _has_folds(data.set)):
            return named.select_part(data.set, split=name, fold=data.fold or 1)[0]
        return _table(data).divide(fractions=FRACTIONS, seed=data.seed)[name]
    except QuickstudyError as error:
        key = next(key for key in ("set", "unlabelled", "table", "domains", "demonstrations") if getattr(data, key) is not None)
        raise recipe.problem(str(error), ("data", key)) from error


def train_episodes(recipe: Recipe) -> Any:
    """What the outer loop learns from: step i takes list i."""
    if (trials := recipe.data.trials) is not None:
        count = recipe.episodes.tasks
        return TrialStream(_environment(recipe, "train"), count, trials.episodes, trials.explored, seed=recipe.seed)
    return _episodes(recipe, "train", recipe.episodes, tasks=recipe.episodes.tasks, seed=recipe.seed)


def validation_episodes(recipe: Recipe) -> Sequence[Task]:
    """The fixed tasks by which the best learner is chosen; none where the recipe asks for none."""
    part = recipe.validation
    if part is None:
        return []
    if recipe.data.trials is not None:
        return trials_of(recipe, part.episodes, part="valid", seed=recipe.seed + VALIDATION_SEED)
    return _episodes(recipe, "valid", part, tasks=part.episodes, seed=recipe.seed + VALIDATION_SEED)[0]


def trials_of(recipe: Recipe, count: int, *, part: PartName = "test", seed: int) -> Trials:
    """Trials as the recipe has them."""
    trials = recipe.data.trials
    assert trials is not None
    drawn = _environment(recipe, part)
    return Trials.draw(drawn, count, episodes=trials.episodes, explored=trials.explored, seed=seed_of(seed))


def _environment(recipe: Recipe, name: PartName) -> Environment:
    return _named(recipe, lambda part: part.environment(name))


def _named(recipe: Recipe, ask: Callable[[TrialsPart], Any]) -> Any:
    """What the recipe's trials say; where they cannot, with their place in the file."""
    part = recipe.data.trials
    assert part is not None
    try:
        return ask(part)
    except QuickstudyError as error:
        raise recipe.problem(str(error), ("data", "trials")) from error


def _episodes(recipe: Recipe, name: PartName, part: EpisodesPart | ValidationPart, *, tasks: int, seed: int) -> Episodes:
    section = "validation" if name == "valid" else "episodes"
    source = data_part(recipe, name)
    if part.queries == "all" and not isinstance(source, Table):
        raise recipe.problem(f"{section}.queries: made-up tasks have no end, so give a number", (section, "queries"))
    check_ways(recipe, source, part.ways, section)
    drawn = {"ways": part.ways, "shots": part.shots, "queries": part.queries, "names": part.names}
    try:
        return Episodes(source, **drawn, tasks=tasks, seed=seed, inputs=pictures_of(recipe))
    except QuickstudyError as error:
        raise recipe.problem(str(error), (section,)) from error


def _table(data: DataPart) -> Table:
    if data.set is not None:
        return named.named(data.set)
    if data.unlabelled is not None:
        return Unlabelled.read(data.unlabelled, text=data.text)
    return Table.read(data.table, text=data.text, label=data.label)


def _check_reads(recipe: Recipe, model: nn.Module, cls: type[Learner]) -> None:
    """Whether the model reads what the data hold: a reference to an image would pass for a sentence without a word."""
    data = recipe.data
    if (data.trials is not None) != ("act" in cls.kinds):
        what = "acts, and these data are no trials; give data.trials"
        what = what if data.trials is None else "does not act, and these data are trials; give an agent such as rl2"
        raise recipe.problem(f"{cls.__name__} {what}", ("learner", "name"))
    if data.trials is not None:
        for section, its in (("episodes", recipe.episodes), ("validation", recipe.validation)):
            for key in ("ways", "shots", "queries", "names"):
                if its is not None and getattr(its, key) != type(its).model_fields[key].default:
                    raise recipe.problem(f"{section}.{key}: trials have episodes, in data.trials; leave it out", (section, key))
        return
    if isinstance(model, LanguageModel) and cls.language_models_only and "classify" in cls.kinds and data.domains is None:
        return  # it puts sentences and labels into words
    images = named.divided_by_class(data.set or data.table or "") or (data.table is not None and is_source(Path(data.table)))
    held = "numbers" if data.source or data.demonstrations else "texts" if data.domains else "images" if images else "sentences"
    reads = "images" if recipe.model.network else f"{getattr(model, 'reads', 'number')}s"
    if reads != held:
        raise recipe.problem(f"the model reads {reads}, and the data hold {held}; give another model, or other data", ("model",))


def _has_folds(name: str) -> bool:
    return name == "helpdesk" or named.ALIASES.get(name, name) in named.FOLDS
