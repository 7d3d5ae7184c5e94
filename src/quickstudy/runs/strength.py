"""How much of an adapter to keep: the best share of it on classes that it was not taught, if it helps there for certain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from quickstudy.errors import QuickstudyError
from quickstudy.evaluation.statistics import simultaneous_intervals
from quickstudy.learners.base import Learner
from quickstudy.learners.prior_head import PriorHead
from quickstudy.models.encoder import Encoder
from quickstudy.runs import checkpoint
from quickstudy.runs.build import build_learner, data_part
from quickstudy.runs.recipe import Recipe, ValidationPart
from quickstudy.runs.record import RunFolder
from quickstudy.tasks import named
from quickstudy.tasks.episodes import Episodes
from quickstudy.tasks.table import Table
from quickstudy.tasks.task import Task
from quickstudy.wording import counted

LEAST = 15
"""Labels needed: nine to teach and six to judge."""
GATE_SEED = 2_000_003
"""Added to the seed for the tasks of the gate."""


def check(recipe: Recipe) -> None:
    """Makes sure that there are labels enough to teach and to judge, and sentences enough for each.

    Raises:
        QuickstudyError: too few labels, too few sentences, or tasks without labels of one's own.
    """
    data = recipe.data
    if data.source is not None or data.unlabelled is not None:
        raise recipe.problem("strength is judged on labelled sentences; give data.table, or leave strength out", ("strength",))
    place = ("data", "set" if data.set is not None else "table")
    try:
        table = named.named(data.set) if data.set is not None else Table.read(data.table, text=data.text, label=data.label)
    except QuickstudyError as error:
        raise recipe.problem(str(error), place) from error
    count = len(table.classes)
    if count < LEAST:
        message = (
            f"{table.name} has {counted(count, 'label')}, and an adapter of one's own needs at least {LEAST}, of which "
            "some teach and some judge; with fewer, `quickstudy adapt --support FILE` alone is what to use"
        )
        raise recipe.problem(message, place)
    gate_tasks(recipe)


def check_learner(recipe: Recipe, learner: Learner) -> None:
    """Makes sure that strength 0 of this fresh learner is the plain encoder, and that learning a task leaves it so.

    Raises:
        QuickstudyError: anything but low-rank adapters that start at zero is trained, or is moved by a task.
    """
    name = type(learner).__name__
    if not learner.frozen_features:
        message = f"strength is judged on embeddings as they are, and {name} moves them for each task; leave strength out"
        raise recipe.problem(message, ("strength",))
    for parameter, value in learner.named_parameters():
        if value.requires_grad and not (_is_a(parameter) or _is_b(parameter)):
            message = f"strength scales adapters alone, and this model learns {parameter} too; leave strength out"
            raise recipe.problem(message, ("strength",))
        if _is_b(parameter) and value.any():
            message = "strength 0 is the plain encoder, but these adapters start elsewhere; leave out lora.init_lora_weights"
            raise recipe.problem(message, ("model", "lora"))


def scaled(tensors: Mapping[str, torch.Tensor], strength: float) -> checkpoint.Tensors:
    """What a learner has learned, with this share of each adapter's delta, which is linear in B."""
    return {
        name: value if not _is_b(name) or strength == 1 else value * strength if strength else torch.zeros_like(value)
        for name, value in tensors.items()
    }


def gate_tasks(recipe: Recipe) -> list[Task]:
    """Tasks like those of validation, of the test classes."""
    part = recipe.validation or ValidationPart()
    seed = recipe.seed + GATE_SEED
    kind: dict[str, Any] = {"ways": part.ways, "shots": part.shots, "queries": part.queries, "names": part.names}
    try:
        return Episodes(data_part(recipe, "test"), tasks=part.episodes, seed=seed, **kind)[0]
    except QuickstudyError as error:
        raise recipe.problem(str(error), ("validation",)) from error


def judge(recipe: Recipe, folder: RunFolder, validation: Sequence[Task], step: int) -> dict[str, Any]:
    """Chooses the strength of the run's learner, and says in its metrics and its log what came of that.

    The same head, the prior one, on every encoder; the classes that taught nothing, those of validation and of test, judge.

    Returns:
        What `weigh` does; `strength` is the one to store.
    """
    folder.log(f"step {step}: judges strengths")
    learner = build_learner(recipe).eval()
    tensors, facts = checkpoint.read(folder.learner, remedy="train again into another --out")

    def encoder(strength: float) -> Encoder:
        checkpoint.put_learner(learner, scaled(tensors, strength), facts, folder.learner, remedy="train again")
        model = learner.model
        assert isinstance(model, Encoder)
        return model

    tasks, shares = [*validation, *gate_tasks(recipe)], recipe.strength or ()
    with torch.no_grad():
        answers = {share: rights(encoder(share), tasks) for share in sorted({0.0, *shares})}
    result = weigh(shares, tasks, answers)
    folder.metric({"step": step, "strength": result})
    folder.log(f"step {step}: {sentence(result)}")
    return result


def apply(folder: RunFolder, result: Mapping[str, Any]) -> None:
    """Stores the adapter at its strength; does nothing where that was done. Only once the result itself is on the disk."""
    tensors, facts = checkpoint.read(folder.learner, remedy="train again into another --out")
    if "strength" not in facts:
        checkpoint.write(folder.learner, scaled(tensors, result["strength"]), {**facts, "strength": result["strength"]})
        folder.log(f"the learner is stored at strength {result['strength']:g}")


def rights(model: Encoder, tasks: Sequence[Task]) -> list[np.ndarray]:
    """Whether each query of each task is answered rightly by the prior head on this encoder."""
    head = PriorHead(model)
    sentences = [sentence for task in tasks for batch in (task.support, task.query) for sentence in batch.inputs]
    with model.remember(model.memory(sentences)):
        answers = [head.adapt(task.support).predict(task.query.inputs) for task in tasks]
    return [np.array(answer) == np.array(task.query.targets) for answer, task in zip(answers, tasks, strict=True)]


def weigh(shares: Sequence[float], tasks: Sequence[Task], answers: Mapping[float, Sequence[np.ndarray]]) -> dict[str, Any]:
    """The best share, and what it gains over none on the classes of these tasks.

    The intervals hold for all shares at once, so that the classes that choose one may judge it too: what is kept is the best of
    the shares whose intervals lie above zero. They are over classes: tasks of the same few classes repeat one another, so that an
    interval over tasks shrinks with every further draw, however few labels the gain was seen on.

    Args:
        shares: those among which to choose.
        tasks: of classes that taught nothing.
        answers: for each share and for 0, whether each query of each task is answered rightly.

    Returns:
        `{"tried", "chosen", "classes", "plain", "adapted", "gain", "ci95", "strength"}`: accuracy by share; the best of those
        that are certain, else of all; (None where that is 0) how much better it is; `strength`: what to keep.
    """
    scores = {share: float(np.mean([right.mean() for right in answers[share]])) for share in shares}
    result: dict[str, Any] = {"tried": {f"{share:g}": score for share, score in scores.items()}, "chosen": best(scores)}
    result |= dict.fromkeys(("classes", "plain", "adapted", "gain", "ci95")) | {"strength": 0.0}
    if result["chosen"]:
        above = [share for share in shares if share]
        labels = np.array([str(label) for task in tasks for label in task.query.targets])
        plain, *adapted = (by_class(labels, np.concatenate(answers[share])) for share in (0.0, *above))
        gains, ends = simultaneous_intervals(np.stack([each - plain for each in adapted], axis=1))
        sure = {share: scores[share] for share, end in zip(above, ends if ends is not None else (), strict=False) if end[0] > 0}
        if sure:
            result["chosen"] = result["strength"] = best(sure)
        place = above.index(result["chosen"])
        result |= {"classes": len(plain), "plain": float(plain.mean()), "adapted": float(adapted[place].mean())}
        result |= {"gain": float(gains[place]), "ci95": ends[place].tolist() if ends is not None else None}
    return result


def by_class(labels: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The share of right answers of each class, in the order of their names."""
    return np.array([right[labels == label].mean() for label in np.unique(labels)])


def best(scores: Mapping[float, float]) -> float:
    """The strength with the best score, the smallest among equals."""
    return min(scores, key=lambda strength: (-round(scores[strength], 12), strength))  # the last digits depend on the order


def sentence(result: Mapping[str, Any]) -> str:
    """What came of it, in words."""
    chosen = f"{result['chosen']:g}"
    if not result["chosen"]:
        tried = ", ".join(f"{100 * score:.1f} at {strength}" for strength, score in result["tried"].items())
        return f"the adapter is not kept: no strength above 0 is better on labels that taught nothing (percent right: {tried})"
    low, high = (f"{100 * end:+.1f}" for end in result["ci95"])
    where = f"on {result['classes']} labels that taught nothing"
    gain = f"{100 * result['gain']:+.1f} points ({low} to {high}) over the plain encoder {where}"
    if result["strength"]:
        return f"the adapter is kept at strength {chosen}: {gain}"
    return f"the adapter is not kept: at strength {chosen}, the best, {gain}, which may be chance"


def _is_a(name: str) -> bool:
    return ".lora_A." in name or ".lora_embedding_A." in name


def _is_b(name: str) -> bool:
    return ".lora_B." in name or ".lora_embedding_B." in name
