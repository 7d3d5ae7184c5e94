"""Does it pay? The same evaluation at other numbers of examples, and where the lead ends."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from quickstudy.evaluation.evaluate import LOWER_IS_BETTER, Progress, evaluate
from quickstudy.evaluation.report.draw_intervals import certain
from quickstudy.evaluation.report.words import difference, interval
from quickstudy.learners.base import Learner
from quickstudy.models.encoder import Encoder, Memory
from quickstudy.tasks.episodes import Episodes
from quickstudy.tasks.names import readable
from quickstudy.tasks.table import Table
from quickstudy.tasks.targets import is_labels
from quickstudy.wording import listed

SHOTS = (1, 2, 5, 10, 20)
TASKS, SLOW_TASKS = 50, 20
"""Tasks for each number of shots; the second where a learner moves the model itself, which takes its time."""
KEPT = 5
"""Queries of each class that the most shots must leave, where shots and queries come from one table."""


def shots_to_try(episodes: Episodes) -> list[int]:
    """1, 2, 5, 10, 20 as far as the data allow, and the number that the evaluation itself had, if it is one number."""
    own = {episodes.shots[0]} if episodes.shots[0] == episodes.shots[1] else set()
    if not isinstance(episodes.source, Table):
        return sorted({*SHOTS, *own})
    queries: Any = episodes.queries
    if episodes.support is not None:
        most = min(episodes.support.counts[label] for label in episodes.source.classes)
    else:
        most = min(episodes.source.counts.values()) - (KEPT if queries == "all" else min(KEPT, queries))
    return sorted({*(shots for shots in SHOTS if shots <= most), *own})


def learning_curve(
    learners: Sequence[Learner],
    episodes: Episodes,
    result: dict[str, Any],
    memories: dict[int, Memory] | None = None,
    *,
    progress: Progress | None = None,
) -> list[dict[str, Any]]:
    """For each number of shots `{"shots", "tasks", "metric", "rows": [{"learner", "mean", "ci95"}], "lead"}`.

    `rows` are in the order of the learners. `lead` is the first learner less the best of the others, `{"against",
    "difference", "ci95"}`, or None where it is alone. The number of shots of `result` is not judged again.

    Args:
        learners: the judged one, then its baselines.
        episodes: the tasks of `result`; the others are drawn likewise, from the same seed, so with the same classes.
        memories: embeddings already at hand, by `id` of the encoder.
    """
    counts = shots_to_try(episodes)
    ways: Any = episodes.ways
    queries: Any = episodes.queries
    most = TASKS if all(learner.frozen_features for learner in learners) else SLOW_TASKS
    drawn = {
        shots: Episodes(
            episodes.source,
            ways=ways,
            shots=shots,
            queries=queries,
            tasks=min(episodes.tasks, most),
            seed=episodes.seed,
            support=episodes.support,
            names=episodes.names,
            inputs=episodes.inputs,
        )
        for shots in counts
    }
    own = result["episodes"]["shots"]
    points = []
    with ExitStack() as stack:
        _remember(stack, learners, [drawn[shots] for shots in counts if shots != own], memories or {}, progress)
        for done, shots in enumerate(counts, start=1):
            found = result if shots == own else evaluate(learners[0], drawn[shots], baselines=learners[1:])
            points.append(_point(shots, found, len(learners)))
            if progress:
                progress("report: learning curve", done, len(counts))
    return points


def _point(shots: int, result: dict[str, Any], learners: int) -> dict[str, Any]:
    metric = result["results"][0]["metric"]
    rows = [row for row in result["results"] if row["metric"] == metric][:learners]
    against = [c for c in result["comparisons"] if c["metric"] == metric][: learners - 1]
    sign = -1 if metric in LOWER_IS_BETTER else 1
    lead = min(against, key=lambda c: sign * c["difference"], default=None)
    return {
        "shots": shots,
        "tasks": rows[0]["count"],
        "metric": metric,
        "rows": [{key: row[key] for key in ("learner", "mean", "ci95")} for row in rows],
        "lead": lead and {key: lead[key] for key in ("against", "difference", "ci95")},
    }


def does_it_pay(points: Sequence[dict[str, Any]], unit: str = "examples per label") -> str:
    """Where the first learner's lead over the best baseline is certain, and where plain baselines have caught up."""
    judged, metric = points[0]["rows"][0]["learner"], points[0]["metric"]
    if points[0]["lead"] is None:
        return f"{judged} was judged alone, so there is no baseline to pay against."
    sides = {point["shots"]: _side(point) for point in points}
    ahead, behind = ([shots for shots, side in sides.items() if side == which] for which in (1, -1))
    everywhere = f"at every number measured ({listed([str(s) for s in sides])} {unit})"
    caught = [point for point in points if ahead and point["shots"] > ahead[-1]]
    if len(ahead) == len(sides):
        return f"Yes: {judged} is certainly ahead of the best baseline {everywhere}."
    if len(behind) == len(sides):
        return f"No: a plain baseline is certainly better than {judged} {everywhere}."
    if caught:
        lead = caught[0]["lead"]
        steady = all(sides[shots] == 1 for shots in sides if shots <= ahead[-1])
        at = f"Up to {ahead[-1]} {unit}" if steady else f"In part: with {listed([str(s) for s in ahead])} {unit}"
        return (
            f"{at} {judged} is certainly ahead of the best baseline. From "
            f"{caught[0]['shots']} on plain baselines catch up: there its lead over {lead['against']} is "
            f"{difference(lead['difference'], metric)} (95% interval {interval(lead['ci95'], metric, signed=True)}), "
            f"{'so it is behind' if sides[caught[0]['shots']] < 0 else 'which is not certain'}."
        )
    if ahead:
        at = listed([str(s) for s in ahead])
        return f"With {at} {unit} {judged} is certainly ahead of the best baseline; with other numbers it is not."
    tried = listed([str(s) for s in sides], last="or")
    better = [point["lead"]["against"] for point in points if sides[point["shots"]] < 0]
    plain = f"a plain baseline ({listed(list(dict.fromkeys(better)), last='or')})"
    also = f"; with {listed([str(s) for s in behind])} {plain} is certainly better" if behind else ""
    return f"No certain gain: with {tried} {unit} {judged} is not certainly ahead of the best baseline{also}."


def _side(point: dict[str, Any]) -> int:
    """1 where the first learner is certainly ahead, -1 where it is certainly behind, else 0."""
    if not certain(point["lead"]["ci95"], point["tasks"]):
        return 0
    sign = -1 if point["metric"] in LOWER_IS_BETTER else 1
    return 1 if sign * point["lead"]["difference"] > 0 else -1


def _remember(
    stack: ExitStack,
    learners: Sequence[Learner],
    drawn: Sequence[Episodes],
    memories: dict[int, Memory],
    progress: Progress | None,
) -> None:
    """Embeds what all the curve's tasks hold, once for each encoder, and once for encoders that are copies of another."""
    batches = [batch for episodes in drawn for task in episodes[0] for batch in (task.support, task.query)]
    sentences = list(dict.fromkeys(sentence for batch in batches for sentence in batch.inputs))
    labels = sorted({label for batch in batches if is_labels(batch.targets) for label in batch.targets})
    done: list[tuple[Encoder, Memory]] = []
    for learner in learners:
        model = getattr(learner, "model", None)
        if not isinstance(model, Encoder) or not learner.frozen_features or any(model is other for other, _ in done):
            continue
        memory = next((memory for other, memory in done if _alike(model, other)), None)
        if memory is None:
            what = f"report: {model.reads}s embedded"
            report = (lambda at, of, what=what: progress(what, at, of)) if progress else None
            names = sorted(set(map(readable, labels))) if model.reads == "sentence" else []
            with model.remember(memories.get(id(model), {})):
                memory = model.memory([*sentences, *names], progress=report)
        done.append((model, memory))
        stack.enter_context(model.remember(memory))


def _alike(left: Encoder, right: Encoder) -> bool:
    """Whether two encoders are copies, as the judged plain model and its baselines' are."""
    if left.settings != right.settings:
        return False
    mine, its = left.state_dict(), right.state_dict()
    return mine.keys() == its.keys() and all(mine[key].equal(its[key]) for key in mine)
