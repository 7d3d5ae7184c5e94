"""`evaluate`: a learner and its baselines on the same tasks."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import nn

from quickstudy.errors import QuickstudyError
from quickstudy.evaluation.statistics import FEW, mean_interval, paired_bootstrap
from quickstudy.evaluation.trials.record import Recording
from quickstudy.inner.diverged import learning
from quickstudy.learners.base import Learner
from quickstudy.models.batch_norm import looks_across
from quickstudy.models.device import device_of
from quickstudy.models.encoder import Encoder, Memory
from quickstudy.tasks.episodes import Episodes, fingerprint
from quickstudy.tasks.names import readable
from quickstudy.tasks.targets import is_labels
from quickstudy.tasks.task import Task
from quickstudy.tasks.trials import Trials

SLOW_TASKS = 50
"""How many of the tasks a slow baseline (fine-tuning, joint training) is judged on: the first ones."""
TIMED = 64
"""Sentences whose encoding is timed."""
TRANSDUCTIVE = {
    False: "not transductive: each query is judged alone",
    True: "transductive: a task's queries are normalised together",
}
"""What is said of an evaluation, by whether the answer to one query depends on the others."""
LOWER_IS_BETTER = frozenset({"squared_error", "nats_per_token"})
SHARES = frozenset({"accuracy", "success"})
"""Scores that are shares, which are written as percentages."""

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and of how much."""
Observe = Callable[[Learner, Any, Any, Any], None]
"""Called with a learner, a task that it was judged on, what it learned of that task, and the scores; of trials once, with all of
them, the `Recording` of how they were played, and all returns."""


def evaluate(
    learner: Learner,
    tasks: Episodes | Trials | Sequence[Task],
    *,
    baselines: Sequence[Learner] = (),
    slow_baselines: Sequence[Learner] = (),
    progress: Progress | None = None,
    observe: Observe | None = None,
) -> dict[str, Any]:
    """Learns each task with each learner and scores what was learned; compares the first with every baseline.

    Args:
        learner: the one that is judged.
        tasks: tasks; `Episodes`, whose first list is taken; or `Trials`, which are played side by side.
        baselines: judged on the same tasks.
        slow_baselines: judged on the first 50 of the same tasks, and compared on those.
        progress: told how far this is.
        observe: told of each learner and task, off the clock; embeddings that a learner shares are still looked up then.

    Returns:
        Facts: `{"episodes": {"hash", "ways", "shots", "queries", "seed", "transductive"}, "results": [{"learner", "metric",
        "count", "mean", "ci95", "seconds_per_task"}], "comparisons": [{"learner", "against", "metric", "difference", "ci95"}]}`.
        Intervals are over tasks, differences are paired by task (bootstrap); `ci95` is None for a single task.
        `seconds_per_task`: learning one new task, the embedding of its support included.
    """
    episodes = _described(tasks)
    tasks = tasks[0] if isinstance(tasks, Episodes) else tasks if isinstance(tasks, Trials) else list(tasks)
    if not tasks:
        raise QuickstudyError("there are no tasks to evaluate on")
    judged = [(learner, tasks), *((b, tasks) for b in baselines), *((b, tasks[:SLOW_TASKS]) for b in slow_baselines)]
    results, comparisons, first = [], [], {}
    embedded = _EmbeddedOnce(tasks, progress)
    for each, its_tasks in judged:
        name = each.title
        with embedded.of(each) as seconds_per_sentence:
            scores, seconds = _scores(each, its_tasks, seconds_per_sentence, progress, observe)
        for metric, values in scores.items():
            mean, interval = mean_interval(values)
            results.append(
                {
                    "learner": name,
                    "metric": metric,
                    "count": len(values),
                    "mean": mean,
                    "ci95": interval,
                    "seconds_per_task": seconds,
                }
            )
            if each is learner:
                first[metric] = values
            elif metric in first:
                difference, interval = paired_bootstrap(first[metric][: len(values)], values)
                comparisons.append(
                    {
                        "learner": learner.title,
                        "against": name,
                        "metric": metric,
                        "difference": difference,
                        "ci95": interval,
                    }
                )
    models = [getattr(each, "model", None) for each, _ in judged]
    transductive = any(looks_across(model) for model in models if isinstance(model, nn.Module))
    known_by = tasks.hash if isinstance(tasks, Trials) else fingerprint(tasks)
    episodes = {"hash": known_by, **episodes, "transductive": transductive}
    return {"episodes": episodes, "results": results, "comparisons": comparisons}


def _scores(
    learner: Learner,
    tasks: Sequence[Task],
    seconds_per_sentence: float,
    progress: Progress | None,
    observe: Observe | None,
) -> tuple[dict[str, list[float]], float]:
    """Scores by metric, one a task, and the seconds that learning one task takes."""
    if isinstance(tasks, Trials):
        begun = time.perf_counter()
        acting: Any = learner.adapt(tasks.support)
        acting = Recording(acting) if observe else acting
        scores = tasks.score(acting)
        seconds = (time.perf_counter() - begun) / len(tasks)  # acting is learning
        if observe:
            observe(learner, tasks, acting, scores)
        if progress:
            progress(f"{learner.title}: trials", len(tasks), len(tasks))
        return scores, seconds
    scores: dict[str, list[float]] = {}
    seconds = 0.0
    device = device_of(learner)
    for done, task in enumerate(tasks, start=1):
        task = task.to(device)
        begun = time.perf_counter()
        with learning(getattr(learner, "model", learner), task.seed, done - 1):
            adapted = learner.adapt(task.support)
        seconds += time.perf_counter() - begun + seconds_per_sentence * len(task.support)
        judged = task.score(adapted)
        for metric, value in judged.items():
            scores.setdefault(metric, []).append(value)
        if observe:
            observe(learner, task, adapted, judged)
        if progress:
            progress(f"{learner.title}: tasks", done, len(tasks))
    return scores, seconds / len(tasks)


class _EmbeddedOnce:
    """Embeds the sentences of the tasks once for each encoder that learning leaves as it is, however many learners share it."""

    def __init__(self, tasks: Sequence[Task], progress: Progress | None):
        self.tasks, self.progress = tasks, progress
        self.known: dict[int, tuple[Memory, float]] = {}

    @contextmanager
    def of(self, learner: Learner) -> Iterator[float]:
        """Inside, the learner's encoder looks embeddings up; gives the seconds that one sentence took."""
        model = getattr(learner, "model", None)
        if not (isinstance(model, Encoder) and learner.frozen_features):
            yield 0.0
            return
        if id(model) not in self.known:
            self.known[id(model)] = self._embedded(model, learner.title)
        memory, seconds = self.known[id(model)]
        with model.remember(memory):
            yield seconds

    def _embedded(self, model: Encoder, name: str) -> tuple[Memory, float]:
        batches = [batch for task in self.tasks for batch in (task.support, task.query)]
        sentences = list(dict.fromkeys(sentence for batch in batches for sentence in batch.inputs))
        labels = {label for batch in batches if is_labels(batch.targets) for label in batch.targets}
        names = set(map(readable, labels)) if model.reads == "sentence" else set()
        show = self.progress
        report = (lambda done, of: show(f"{name}: {model.reads}s embedded", done, of)) if show else None
        memory = model.memory([*sentences, *sorted(names)], progress=report)
        timed = sentences[:: max(1, len(sentences) // TIMED)][:TIMED]  # those above may have been on disk
        begun = time.perf_counter()
        model.embed(timed)
        return memory, (time.perf_counter() - begun) / max(1, len(timed))


def _described(tasks: Episodes | Trials | Sequence[Task]) -> dict[str, Any]:
    if isinstance(tasks, Trials):
        return _described([]) | {"trials": {"episodes": tasks.episodes, "explored": tasks.explored}}
    if isinstance(tasks, Episodes):
        shown = {"ways": tasks.ways, "shots": tasks.shots, "queries": tasks.queries, "seed": tasks.seed}
        shots = tasks.shots
        return shown | {"shots": shots[0] if shots[0] == shots[1] else list(shots)}
    return {"ways": None, "shots": None, "queries": None, "seed": None}


def ranking(result: dict[str, Any]) -> list[tuple[dict[str, Any], dict[str, Any] | None]]:
    """The results of the headline metric, best first, each with its comparison (None: the judged learner's own).

    Ordered by the paired differences from the judged learner: a slow baseline has fewer tasks than the others, so its mean
    alone would compare it on easier or harder ones. By place, not by name: a baseline may be of the judged learner's class.
    """
    metric = result["results"][0]["metric"]
    sign = -1 if metric in LOWER_IS_BETTER else 1
    rows = [row for row in result["results"] if row["metric"] == metric]
    comparisons = [None, *(c for c in result["comparisons"] if c["metric"] == metric)]
    pairs = list(zip(rows, comparisons, strict=True))
    return sorted(pairs, key=lambda pair: sign * (pair[1]["difference"] if pair[1] else 0.0))


def verdict(result: dict[str, Any]) -> str:
    """One sentence: which learner wins, and whether that is certain."""
    rows = ranking(result)
    judged = result["results"][0]["learner"]
    best, against = rows[0]
    if len(rows) == 1:
        return f"{judged} was judged alone."
    comparison: Any = against or rows[1][1]
    rival = comparison["against"]
    scale, digits, unit = (100, ".1f", " points") if best["metric"] in SHARES else (1, ".3g", "")
    lead = f"{abs(comparison['difference']) * scale:{digits}}{unit}"
    if comparison["ci95"] is None:
        return f"{best['learner']} is ahead by {lead}, on a single task: that is no evidence yet."
    low, high = sorted(math.copysign(scale, comparison["difference"]) * end for end in comparison["ci95"])
    low, high = (round(end, 1) + 0.0 if scale == 100 else end for end in (low, high))  # never "-0.0"
    between = f"95% interval {low:{digits}} to {high:{digits}}{unit}"
    tasks = min(row["count"] for row, its in rows if its is None or its is comparison)
    if tasks < FEW:
        between += f"; {tasks} tasks are few"
    certain = low > 0 and tasks >= FEW
    if not certain and float(lead.split()[0]) == 0:
        return f"{judged} and {rival}, the best baseline, are level ({between})."
    if against is None:
        if certain:
            return f"{judged} wins: {lead} better than {rival}, the best baseline ({between})."
        return f"{judged} is ahead of {rival} by {lead}, but that is not certain ({between})."
    if certain:
        return f"A baseline wins: {rival} is {lead} better than {judged} ({between})."
    return f"A baseline is ahead: {rival} leads {judged} by {lead}, but that is not certain ({between})."
