"""Everything that the page of a language model shows, as numbers and words; `page` only sets it."""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, cast

from quickstudy.evaluation.evaluate import Progress
from quickstudy.evaluation.language.copied import copied_sentence
from quickstudy.evaluation.language.drawn import Drawn
from quickstudy.evaluation.language.method import Method
from quickstudy.evaluation.language.methods import base_of
from quickstudy.evaluation.language.plan import Plan
from quickstudy.evaluation.language.samples import continuations
from quickstudy.evaluation.language.table import forgetting, likeness, rates
from quickstudy.evaluation.language.tokens import changed_tokens
from quickstudy.evaluation.language.verdict import after, ceilings, standings, verdict
from quickstudy.evaluation.report import words
from quickstudy.evaluation.report.facts import Fact
from quickstudy.evaluation.report.gather import command, peak_memory
from quickstudy.evaluation.statistics import FEW
from quickstudy.models.language_model import LanguageModel
from quickstudy.wording import counted, listed

TOKEN_TASKS, SAMPLES = 6, 2
"""Tasks whose tokens are looked at, and whose texts are continued: the first ones."""


def gather(
    result: dict[str, Any],
    judged: Method,
    plan: Plan,
    asked: Drawn,
    *,
    model: str,
    data: str | None = None,
    why: str = "it was not asked for",
    protocol: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """What the page needs beyond the result.

    Args:
        result: of `judge`, with what `copied` found under "leaks" (None: it was not asked).
        judged, plan: the first method, and what it did.
        asked: the tasks.
        model: what was judged, as the user named it.
        data: what it was judged on, likewise; None: its own test domains.
        why: there is no leak check, in words.
        protocol: further rows of it.
    """
    memory, begun = peak_memory(), time.perf_counter()  # before the report itself needs some
    base = base_of(cast(LanguageModel, judged.learner.model))
    steps, factor = max(plan.taken.values())
    gained, lost = changed_tokens(judged, base, asked.tasks[:TOKEN_TASKS], steps, factor, progress)
    seed = asked.settings["seed"]
    texts = continuations(judged, base, asked.tasks[:SAMPLES], steps, factor, seed=seed, progress=progress)
    none = ceilings(result)
    its = {name: found | {"verdict": words.minus(verdict(found, none))} for name, found in result["domains"].items()}
    return {
        "model": model,
        "data": Path(data).name or data if data else listed(list(result["domains"])),
        "setting": _setting(result["episodes"], result["results"][0]["count"]),
        "verdict": words.minus(verdict(result, none)),
        "facts": facts(result),
        "result": result,
        "judged": judged.name,
        "most": after([steps]),
        "domains": its,
        "domain_of": asked.domains,
        "gained": gained,
        "lost": lost,
        "looked_at": min(TOKEN_TASKS, len(asked.tasks)),
        "texts": texts,
        "forgetting": words.minus(forgetting(result)),
        "likeness": likeness(result),
        "rates": rates(result),
        "leaks": result.get("leaks"),
        "leak_words": copied_sentence(result.get("leaks"), why),
        "memory": memory,
        "protocol": _protocol(result, protocol or {}),
        "command": command(),
        "seconds": time.perf_counter() - begun,
    }


def facts(result: dict[str, Any]) -> list[Fact]:
    """Three facts, in the order in which a reader asks: what it is worth, whether a baseline does as well, what it costs."""
    rows = [row for row in result["results"] if row["learner"] == result["methods"][0]["learner"]]
    best = min(rows, key=lambda row: row["mean"])
    return [_worth(result, rows, best), _ahead(result, best["steps"]), _cost(result)]


def _worth(result: dict[str, Any], rows: list[dict[str, Any]], best: dict[str, Any]) -> Fact:
    base = next((row for row in result["results"] if row["learner"] == "ZeroStep"), None)
    start, who = (base["mean"], "by the base") if base else (rows[0]["mean"], after([rows[0]["steps"]]))
    change = words.minus(f"{best['mean'] - start:+.3f}")
    perplexity = f"perplexity {_perplexity(start)} to {_perplexity(best['mean'])}"
    detail = f"A token: from {start:.3f} {who} to {best['mean']:.3f} {after([best['steps']])}, where it is best; {perplexity}."
    return Fact("What adapting is worth", f"{change} nats", detail)


def _ahead(result: dict[str, Any], steps: int) -> Fact:
    question = "Is it ahead of every baseline"
    place = next((each for each in standings(result, ceilings(result)) if each.steps == steps), None)
    if place is None:
        return Fact(question, "Nothing beside it", "It was judged alone, so no simpler method was measured.")
    ends = f" (95% interval {' to '.join(words.minus(f'{end:+.3f}') for end in place.ci95)})" if place.ci95 else ""
    lead = f"{abs(place.lead):.3f} nats a token"
    if place.state == "level":
        return Fact(question, "Level", f"No better than {place.rival} {after([steps])}{ends}.")
    if place.state == "behind":
        return Fact(question, "No", f"{place.rival} is {lead} better {after([steps])}{ends}.")
    if place.state == "ahead":
        return Fact(question, "Yes", f"{lead} better than {place.rival}, the best of them, {after([steps])}{ends}.")
    side = "ahead of" if place.lead > 0 else "behind"
    few = "; so few tasks are no evidence" if place.tasks < FEW else ", which may be chance"
    return Fact(question, "Not certain", f"{lead} {side} {place.rival}, the best of them, {after([steps])}{few}{ends}.")


def _cost(result: dict[str, Any]) -> Fact:
    first, episodes, other = result["methods"][0], result["episodes"], result["forgetting"]
    last = f" {after(result['steps'][-1:])}" if first["takes_steps"] else ""
    learned = f"To learn {episodes['shots']} blocks of {episodes['block']} tokens on this machine{last}."
    forgotten = f" Other text: {other['after'][-1] - other['before']:+.3f} nats a token." if other else ""
    return Fact("What it costs", f"{words.seconds(first['seconds_per_task'])} a task", learned + words.minus(forgotten))


def _perplexity(nats: float) -> str:
    return f"{math.exp(nats):.1f}" if nats < 20 else "beyond measure"


def _setting(episodes: dict[str, Any], count: int) -> str:
    tasks, domains = counted(count, "task"), len(episodes["domains"])
    where = f"of {domains} domains" if domains > 1 else "of one domain"
    shots, queries = episodes["shots"], episodes["queries"]
    return f"{tasks} {where}, {shots} blocks of {episodes['block']} tokens to learn from, {queries} to be judged on"


def _protocol(result: dict[str, Any], more: Mapping[str, str]) -> list[tuple[str, str]]:
    import peft
    import torch
    import transformers

    from quickstudy import __version__

    episodes = result["episodes"]
    size = f" of {episodes['size']} documents or more" if episodes["size"] else ""
    apart = (
        "its first half is learned from, the rest is judged on"
        if episodes["by"] == "document"
        else "none is both learned from and judged on"
    )
    libraries = f"torch {torch.__version__}, transformers {transformers.__version__}, peft {peft.__version__}"
    return [
        ("Hash of the tasks", episodes["hash"]),
        ("Tasks", listed([f"{count} of {name}" for name, count in episodes["domains"].items()])),
        ("A task", f"one {episodes['by']}{size}; no document is in two tasks, and {apart}"),
        ("Shots (blocks to learn from)", str(episodes["shots"])),
        ("Queries (blocks to be judged on)", str(episodes["queries"])),
        ("Block", f"{episodes['block']} tokens at most, of one document"),
        ("Seed", str(episodes["seed"])),
        *more.items(),
        ("Score", "nats a token of a task's queries; the mean over tasks"),
        ("Intervals", "95%, over tasks; differences are paired by task (bootstrap, 10,000 resamples)"),
        ("Versions", f"quickstudy {__version__}, {libraries}, Python {platform.python_version()}"),
        ("Date", datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")),
    ]
