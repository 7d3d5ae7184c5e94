"""A recipe's network over images: how it is made, and what does not go with it."""

from __future__ import annotations

from typing import Any

import torch.distributed as distributed
from torch import nn

from quickstudy.errors import QuickstudyError
from quickstudy.learners.base import Learner
from quickstudy.learners.gradient import GradientLearner
from quickstudy.models.image_networks import MADE, encoder
from quickstudy.runs.recipe import Recipe
from quickstudy.tasks.pictures import Pictures
from quickstudy.tasks.table import Table


def build_network(recipe: Recipe) -> nn.Module:
    """The network before any training: an encoder over references to images, or over their pixels where it has a head inside."""
    assert recipe.model.network is not None
    key, part = recipe.model.network
    settings = part.model_dump()
    try:
        return MADE[key](**settings, seed=recipe.seed) if part.ways else encoder(key, settings, seed=recipe.seed)
    except QuickstudyError as error:
        raise recipe.problem(str(error), ("model", key)) from error


def pictures_of(recipe: Recipe) -> Pictures | None:
    """What makes a task's references into pixels; None where the model does so, or reads no images."""
    part = recipe.model.network[1] if recipe.model.network else None
    return Pictures(part.size, part.channels) if part and part.ways else None


def check_network(recipe: Recipe, cls: type[Learner]) -> None:
    """Whether this learner can learn with the network.

    Raises:
        QuickstudyError: a head inside for a learner that compares embeddings; running averages that would never move, or
            that several processes would each move their own way.
    """
    if recipe.model.network is None:
        return
    key, part = recipe.model.network
    if part.ways is not None and cls.frozen_features:
        message = f"ways is a head for learners that move it, and {cls.__name__} compares embeddings; leave model.{key}.ways out"
        raise recipe.problem(message, ("model", key, "ways"))
    if getattr(part, "batch_norm", None) != "running":
        return
    message = None
    if issubclass(cls, GradientLearner):
        message = f"never move in {cls.__name__}, which calls its network with other weights at each step; give transductive"
    elif not recipe.dropout:
        message = "move in training mode alone; give dropout: true, which is training mode, or transductive"
    elif distributed.is_initialized() and distributed.get_world_size() > 1:
        message = "would differ between processes, since each moves them by its own tasks; train in one, or give transductive"
    if message:
        raise recipe.problem(f"model.{key}.batch_norm: running averages {message}", ("model", key, "batch_norm"))


def check_ways(recipe: Recipe, source: Any, ways: Any, section: str) -> None:
    """Whether a head inside has an output for every class of a section's tasks.

    Raises:
        QuickstudyError: it has fewer.
    """
    if recipe.model.network is None or not isinstance(source, Table):
        return
    key, part = recipe.model.network
    most = len(source.classes) if ways == "all" else ways if isinstance(ways, int) else ways[1]
    if part.ways is not None and most > part.ways:
        few = f"{section}.ways: {most} classes in a task, and model.{key}.ways is {part.ways}"
        raise recipe.problem(f"{few}, so the head has no output for the others; give the same number to both", (section, "ways"))
