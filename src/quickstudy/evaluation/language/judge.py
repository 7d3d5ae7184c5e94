"""`judge`: ways of adapting a language model, on the same tasks of text, after each number of steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np

from quickstudy.errors import QuickstudyError
from quickstudy.evaluation.evaluate import Progress
from quickstudy.evaluation.language.drawn import Drawn
from quickstudy.evaluation.language.method import Method
from quickstudy.evaluation.language.methods import base_of
from quickstudy.evaluation.language.plan import Plan, planned
from quickstudy.evaluation.statistics import mean_interval, paired_bootstrap
from quickstudy.evaluation.watched import nats_of
from quickstudy.learners.baselines.zero_step import ZeroStep
from quickstudy.models.device import device_of
from quickstudy.models.language_model import LanguageModel
from quickstudy.tasks.batch import Batch
from quickstudy.tasks.episodes import fingerprint
from quickstudy.tasks.task import Task
from quickstudy.tasks.text_overlap import diversity, overlap

METRIC = "nats_per_token"
FORGETTING_TASKS = 3
"""How many tasks forgetting is measured after: the first ones."""


def judge(
    methods: Sequence[Method],
    asked: Drawn,
    steps: Sequence[int],
    *,
    validation: Drawn | str = "no validation domains were given",
    other: Batch | None = None,
    progress: Progress | None = None,
) -> tuple[dict[str, Any], list[Plan]]:
    """Nats a token of each task's query after each number of steps, by each method; the first is compared with all others.

    Args:
        methods: the judged one first.
        asked: the tasks.
        steps: such as `[0, 1, 2, 4, 8]`.
        validation: tasks of other domains, on which each method's rates are chosen for each number of steps; or why there are
            none, and rates stay as they are.
        other: other text, on which it is seen what the judged method forgets.
        progress: told how far this is.

    Returns:
        What was found, `{"episodes", "steps", "methods", "rates", "results", "comparisons", "domains", "forgetting", "text",
        "scores"}`, and what each method did. `results` and `comparisons` are as in `evaluate`, with the number of `steps` in
        each row, and again for each of `domains`; `scores` is what they are made of: method -> a row a task, of a number for
        each of `steps`.
    """
    if not asked.tasks:
        raise QuickstudyError("there are no tasks to evaluate on")
    chosen_on = validation.tasks if isinstance(validation, Drawn) else []
    plans = [planned(method, steps, chosen_on, progress) for method in methods]
    scores, seconds = {}, {}
    for method, plan in zip(methods, plans, strict=True):
        tasks = asked.tasks[: method.first]
        seconds[method.name] = method.seconds(tasks[0], *max(plan.taken.values()))
        scores[method.name] = plan.nats(method, tasks, "tasks", progress)
        _require_finite(scores[method.name], method, steps)
    result = _described(asked) | {"steps": list(steps)}
    result["methods"] = [_about(*pair, seconds) for pair in zip(methods, plans, strict=True)]
    domains = list(dict.fromkeys(validation.domains)) if isinstance(validation, Drawn) else []
    why = validation if isinstance(validation, str) else ""
    result["rates"] = {"tasks": len(chosen_on), "domains": domains, "why": why}
    result |= summary(scores, steps)
    names = list(dict.fromkeys(asked.domains))
    inside = {name: [i for i, domain in enumerate(asked.domains) if domain == name] for name in names}
    result["domains"] = {name: summary(scores, steps, its) for name, its in inside.items()}
    result["forgetting"] = _forgetting(methods[0], plans[0], asked.tasks, steps, other, progress) if other else None
    result["text"] = _text(asked.tasks)
    result["scores"] = {name: rows.tolist() for name, rows in scores.items()}
    return result, plans


def summary(scores: dict[str, np.ndarray], steps: Sequence[int], inside: Sequence[int] | None = None) -> dict[str, Any]:
    """Means with intervals, and the first method less each other one, paired by task.

    Args:
        scores: method -> `(tasks, steps)`, of the same tasks from the first on.
        inside: the tasks that count; None: all.
    """
    results, comparisons = [], []
    judged, first = next(iter(scores.items()))
    for name, rows in scores.items():
        its = [i for i in (range(len(rows)) if inside is None else inside) if i < len(rows)]
        for at, k in enumerate(steps if its else ()):
            row = {"learner": name, "metric": METRIC, "steps": k, "count": len(its)}
            mean, interval = mean_interval(rows[its, at].tolist())
            results.append(row | {"mean": mean, "ci95": interval})
            if name != judged:
                difference, interval = paired_bootstrap(first[its, at].tolist(), rows[its, at].tolist())
                row = {"learner": judged, "against": name, "metric": METRIC, "steps": k, "count": len(its)}
                comparisons.append(row | {"difference": difference, "ci95": interval})
    return {"results": results, "comparisons": comparisons}


def _described(asked: Drawn) -> dict[str, Any]:
    source, counts = asked.source, {name: asked.domains.count(name) for name in dict.fromkeys(asked.domains)}
    shape = {"by": source.by, "size": source.size if source.by == "topic" else None, "block": source.block}
    return {"episodes": {"hash": fingerprint(asked.tasks), "domains": counts, **asked.settings, **shape}}


def _about(method: Method, plan: Plan, seconds: dict[str, float]) -> dict[str, Any]:
    """What a method is and did; `rates` by the number of steps shown: Adam's or another rule's, or the times its own."""
    own = method.rate
    rates = [None if not steps else factor * (own or 1.0) for steps, factor in plan.taken.values()]
    return {
        "learner": method.name,
        "about": method.about,
        "takes_steps": method.takes_steps,
        "ceiling": max(plan.taken.values())[0] if method.ceiling else None,
        "rates": rates if method.takes_steps else None,
        "rates_are": "rate" if own else "times its own",
        "tried": [factor * (own or 1.0) for factor in method.tried] if plan.tried > 1 else [],
        "seconds_per_task": seconds[method.name],
    }


def _forgetting(
    method: Method, plan: Plan, tasks: Sequence[Task], steps: Sequence[int], other: Batch, progress: Progress | None
) -> dict[str, Any]:
    """Nats a token on other text by the base, and after learning a few of the tasks, on average."""
    base = ZeroStep(base_of(cast(LanguageModel, method.learner.model))).adapt(Batch([], []))
    before = nats_of(base, other.to(device_of(method.learner)))
    elsewhere = [Task(task.support, other, task.seed) for task in tasks[:FORGETTING_TASKS]]
    after = plan.nats(method, elsewhere, "other text", progress).mean(axis=0)
    return {"tasks": len(elsewhere), "before": before, "after": after.tolist()}


def _text(tasks: Sequence[Task]) -> dict[str, Any]:
    """How alike the texts are: of support and query, and of different tasks; None where they are too short or too few."""
    differ = _unless_refused(lambda: diversity(tasks))
    return {
        "overlap": _unless_refused(lambda: overlap(tasks)),
        "between": differ.between if differ else None,
        "within": differ.within if differ else None,
        "says": differ.sentence() if differ else None,
    }


def _unless_refused(measure: Callable[[], Any]) -> Any:
    try:
        return measure()
    except QuickstudyError:
        return None


def _require_finite(rows: np.ndarray, method: Method, steps: Sequence[int]) -> None:
    for task, at in np.argwhere(~np.isfinite(rows))[:1]:
        what = f"{method.name}: the loss on task {task + 1} is not a number after {steps[at]} steps"
        raise QuickstudyError(f"{what}; {'lower its rate' if method.takes_steps else 'the base itself gives none there'}")
