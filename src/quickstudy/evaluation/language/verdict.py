"""Who wins after how many steps, in words: baselines first, where they win."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from quickstudy.evaluation.report.draw_intervals import certain
from quickstudy.evaluation.statistics import FEW, Interval
from quickstudy.wording import listed

State = Literal["behind", "ahead", "trails", "leads", "level"]
LEAST = 0.0005
"""Nats a token below which two methods are level: what is shown has three digits after the point."""


@dataclass(frozen=True)
class Standing:
    """How the judged method stands after a number of steps.

    Args:
        state: certainly "behind" a baseline, or "ahead" of all; not certainly, it "trails" or "leads" the best; "level" with it.
        rival: the baseline that this is about: the best of those that it is behind, of those that are not certain, or of all.
        lead: nats a token that the judged method has fewer than it.
        ci95: of the lead.
        tasks: that both were judged on.
    """

    steps: int
    state: State
    rival: str
    lead: float
    ci95: Interval
    tasks: int


def standings(found: dict[str, Any], ceilings: Sequence[str] = ()) -> list[Standing]:
    """The judged method beside the best baseline, after each number of steps; none where it was judged alone.

    Args:
        found: what `summary` gave.
        ceilings: baselines that are no rivals.
    """
    rows = [row for row in found["comparisons"] if row["against"] not in ceilings]
    of_steps = {k: [row for row in rows if row["steps"] == k] for k in dict.fromkeys(row["steps"] for row in rows)}
    return [_standing(k, its) for k, its in of_steps.items()]


def verdict(found: dict[str, Any], ceilings: Sequence[str] = ()) -> str:
    """Who wins after how many steps, a sentence for each rival; "better" is said of what is certain alone."""
    judged, places = found["results"][0]["learner"], standings(found, ceilings)
    if not places:
        return f"{judged} was judged alone."
    groups: dict[tuple[State, str], list[Standing]] = {}
    for state in get_args(State):
        for place in places:
            if place.state == state:
                groups.setdefault((state, place.rival), []).append(place)
    if any(state != "level" for state, _ in groups):  # of starts that are the same there is nothing to say
        groups = {key: its for key, its in groups.items() if key[0] != "level"}
    return " ".join(_said(judged, *key, its) for key, its in groups.items())


def ceilings(result: dict[str, Any]) -> list[str]:
    """Methods that are no rivals: they take more steps than are judged."""
    return [method["learner"] for method in result["methods"] if method["ceiling"]]


def after(steps: Sequence[int]) -> str:
    """ "after 1 step", "after 0, 1 and 2 steps"."""
    return f"after {listed([str(k) for k in steps])} step{'s' * (list(steps) != [1])}"


def _standing(steps: int, rows: list[dict[str, Any]]) -> Standing:
    sure = {row["against"]: certain(row["ci95"], row["count"]) and abs(row["difference"]) >= LEAST for row in rows}
    better = [row for row in rows if sure[row["against"]] and row["difference"] > 0]
    unsure = [row for row in rows if not sure[row["against"]]]
    rival = max(better or unsure or rows, key=lambda row: row["difference"])
    leads = rival["difference"] < 0
    state: State = "behind" if better else "ahead" if all(sure.values()) else "leads" if leads else "trails"
    if not better and abs(rival["difference"]) < LEAST:
        state = "level"
    ends = rival["ci95"] and sorted(-end for end in rival["ci95"])
    return Standing(steps, state, rival["against"], -rival["difference"], ends, rival["count"])


def _said(judged: str, state: State, rival: str, places: Sequence[Standing]) -> str:
    when, tasks = after([place.steps for place in places]), min(place.tasks for place in places)
    leads = [abs(place.lead) for place in places]
    by = f"{_between(leads)} nats a token"
    if state == "behind":
        return f"A baseline wins {when}: {rival} is {by} better than {judged}."
    if state == "ahead":
        return f"{judged} wins {when}: {by} better than {rival}, the best baseline."
    if state == "level":
        return f"{judged} and {rival}, the best baseline, are level {when}."
    why = "but that is not certain"
    if tasks < FEW:
        why = f"but {tasks} tasks are few" if tasks != 1 else "but a single task is no evidence yet"
    if state == "trails":
        return f"A baseline is ahead {when}: {rival} leads {judged} by {by}, {why}."
    return f"{judged} is ahead of {rival} by {by} {when}, {why}."


def _between(leads: Sequence[float]) -> str:
    shown = [f"{lead:.3f}" for lead in leads]
    return listed(shown) if len(shown) < 3 else f"{min(shown)} to {max(shown)}"
