"""Everything that a page shows, as numbers and words; `page` only sets it."""

from __future__ import annotations

import platform
import shlex
import sys
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

from quickstudy.evaluation.evaluate import LOWER_IS_BETTER, TRANSDUCTIVE, Progress, ranking, verdict
from quickstudy.evaluation.leakage import leak_sentence
from quickstudy.evaluation.report import words
from quickstudy.evaluation.report.beforehand import did_it_pay
from quickstudy.evaluation.report.calibration import calibration
from quickstudy.evaluation.report.confusions import worst_pairs
from quickstudy.evaluation.report.curve import does_it_pay, learning_curve
from quickstudy.evaluation.report.facts import examples, facts
from quickstudy.evaluation.report.observed import Observed, Record
from quickstudy.evaluation.report.projection import Projection, choose, project
from quickstudy.learners.base import Learner
from quickstudy.models.encoder import Encoder
from quickstudy.tasks.episodes import Episodes
from quickstudy.tasks.table import Table


def gather(
    result: dict[str, Any],
    observed: Observed,
    learners: Sequence[Learner],
    episodes: Episodes,
    *,
    model: str,
    part: str,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """What the page needs beyond the result.

    Args:
        result: of `evaluate`.
        observed: what it observed.
        learners: the judged one and its baselines but for the slow ones, which a learning curve would take hours of.
        episodes: the tasks.
        model: what was judged, as the user named it.
        part: which part of the data it was judged on, in words.
    """
    memory, begun = peak_memory(), time.perf_counter()  # before the report itself needs some
    order = ranking(result)
    metric = order[0][0]["metric"]
    rows = [row for row in result["results"] if row["metric"] == metric]
    best = observed.records[next(place for place, row in enumerate(rows) if row is order[0][0])]
    source = episodes.source
    curve = learning_curve(learners, episodes, result, observed.memories, progress=progress)
    pairs = worst_pairs(best.asked)
    trained = "leaks" in result
    ways = result["episodes"]["ways"]
    return {
        "model": model,
        "data": getattr(source, "name", type(source).__name__),
        "setting": _setting(result, observed),
        "verdict": words.minus(verdict(result)),
        "facts": facts(result, observed),
        "metric": metric,
        "lower": metric in LOWER_IS_BETTER,
        "labels": bool(observed.labels),
        "judged": rows[0]["learner"],
        "order": order,
        "names_matter": order[0][0]["learner"] == "ZeroStep" and bool(observed.labels) and not episodes.names,
        "chance": 1 / ways if isinstance(ways, int) and observed.labels else None,
        "curve": curve,
        "unit": (unit := "examples per label" if observed.labels else "examples"),
        "pays": does_it_pay(curve, unit),
        "slow": len(learners) < len(rows),
        "meta_curve": (beforehand := result.get("meta_training_curve")),
        "beforehand": did_it_pay(beforehand, rows[0]["learner"]),
        "best": order[0][0]["learner"],
        "pairs": pairs,
        "answers": sum(len(task.truth) for task in best.asked),
        "map": (plane := _map(best, observed, [label for pair in pairs for label in pair.labels])),
        "key": list(dict.fromkeys(plane.labels)) if plane else [],
        "calibration": calibration(best.asked),
        "leaks": result.get("leaks"),
        "leak_words": _leaks(result, learners[0], model) if observed.labels else None,
        "trained": trained,
        "needs": {row["learner"]: examples(result, row["learner"], observed) for row in rows},
        "memory": memory,
        "used": (len(observed.learned_from), len(observed.labels)) if observed.labels else None,
        "protocol": _protocol(result, episodes, part),
        "command": command(),
        "seconds": time.perf_counter() - begun,
    }


def peak_memory() -> int | None:
    """The most bytes that this process has had in memory; None where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def command() -> str:
    """The command line as it can be typed again."""
    return shlex.join(["quickstudy", *sys.argv[1:]])


def _setting(result: dict[str, Any], observed: Observed) -> str:
    episodes, count = result["episodes"], result["results"][0]["count"]
    tasks = f"{count} tasks" if count != 1 else "1 task"
    given = sorted({min(observed.examples), max(observed.examples)})
    if not observed.labels or episodes["ways"] is None:
        return f"{tasks}, {' to '.join(map(str, given))} examples each"
    ways = episodes["ways"]
    labels = "all labels at once" if ways == "all" else f"{_between(ways)} labels at a time"
    return f"{tasks}, {labels}, {_between(episodes['shots'])} {'example' if episodes['shots'] == 1 else 'examples'} per label"


def _between(number: Any) -> str:
    return " to ".join(map(str, number)) if isinstance(number, (list, tuple)) else str(number)


def _leaks(result: dict[str, Any], judged: Learner, model: str) -> str:
    found, shown = result.get("leaks"), words.short(model, 80)
    if found is None and ".baselines." in type(judged).__module__:
        return f"There was no meta-training set to leak from: {shown} has learned from no labelled task beforehand."
    if found is None:
        return f"Not checked: what {shown} may have learned from beforehand is not at hand."
    return leak_sentence(found | {"examples": []}).replace(": .", ".")


def _map(best: Record, observed: Observed, first: Sequence[str]) -> Projection | None:
    """The best method's own embeddings, before it learns a task."""
    model = getattr(best.learner, "model", None)
    sentences = choose(observed.labels, first)
    if not isinstance(model, Encoder) or not sentences:
        return None
    with model.remember(observed.memories.get(id(model), {})):
        embeddings = model.embed(sentences).double().cpu().numpy()
    return project(embeddings, [observed.labels[sentence] for sentence in sentences])


def _protocol(result: dict[str, Any], drawn: Episodes, part: str) -> list[tuple[str, str]]:
    import torch

    from quickstudy import __version__

    episodes = result["episodes"]
    queries, table = episodes["queries"], isinstance(drawn.source, Table)
    each = " per label" if table else ""
    rows = [
        ("Hash of the tasks", episodes["hash"]),
        ("Tasks", str(result["results"][0]["count"])),
        ("Ways (labels a task)", _between(episodes["ways"]) if table else "None"),
        (f"Shots (examples{each} to learn from)", _between(episodes["shots"])),
        (f"Queries (examples{each} to be judged on)", "all that are left" if queries == "all" else str(queries)),
        ("Seed", str(episodes["seed"])),
        ("Split", part),
        ("Label names as examples", ("yes" if drawn.names else "no") if table else "None"),
        ("Queries", TRANSDUCTIVE[episodes["transductive"]]),
        ("Intervals", "95%, over tasks; differences are paired by task (bootstrap, 10,000 resamples)"),
        ("Versions", f"quickstudy {__version__}, torch {torch.__version__}, Python {platform.python_version()}"),
        ("Date", datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")),
    ]
    return [(what, shown) for what, shown in rows if shown != "None"]
