"""Which figures the page of an agent has, and the sentence that goes before each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from quickstudy.evaluation.report.draw_intervals import certain
from quickstudy.evaluation.trials.curves import Curve, median_curve
from quickstudy.evaluation.trials.draw_bands import Line, bands
from quickstudy.evaluation.trials.draw_paths import paths
from quickstudy.evaluation.trials.facts import alike, beside_cosine
from quickstudy.evaluation.trials.observed import Played
from quickstudy.evaluation.trials.setting import Setting
from quickstudy.evaluation.trials.trainings import Cosine


@dataclass(frozen=True)
class Drawn:
    """A sentence, and the figure below it; none where it would have a single point."""

    said: str
    figure: str


def over_a_trial(agents: Sequence[Played], its: Setting) -> Drawn:
    """The rewards of every agent."""
    judged, point = agents[0], its.point
    name, (gain, ends) = judged.learner.title, judged.gain
    first, last = alike(judged.rewards.middle[0], judged.rewards.middle[-1])
    said = f"{name}'s first {point} of a trial pays {first} on average, and its last {last}"
    if len(judged.rewards.middle) == 1:
        said = f"A trial is a single {point}, so there is no curve over it."
    elif not certain(ends, judged.trials):
        said += "; the difference may be chance."
    elif its.one:
        said += "."
    else:
        said += ": it learns within the trial." if gain > 0 else ": it does worse as a trial goes on."
    title = f"Mean {its.reward} of every agent over a trial"
    lines = [Line(agent.learner.title, agent.rewards, place) for place, agent in enumerate(agents)]
    return Drawn(said, _drawn(lines, its, f"mean {its.reward}", "rewards", title))


def of_bandits(agents: Sequence[Played], its: Setting) -> dict[str, Drawn]:
    """Regret, pulls of the best arm, and arms that were tried, by name; nothing where these are no bandits."""
    judged = agents[0]
    name = judged.learner.title
    if judged.regret is None or judged.on_best is None or judged.tried is None:
        return {}
    lost = {agent.learner.title: agent.regret.middle[-1] for agent in agents if agent.regret}
    other = min((title for title in lost if title != name), key=lambda title: lost[title], default=None)
    regret = f"In {its.length} {name} loses {lost[name]:.3g} to the best arm"
    regret += f"; {other}, the best of the others, loses {lost[other]:.3g}." if other else "."
    best = f"{name}'s last pull is of the best arm in {100 * judged.on_best.middle[-1]:.0f}% of the trials."
    tried = f"By its last pull {name} has tried {judged.tried.middle[-1]:.2g} different arms on average."
    regrets, bests = (
        [Line(agent.learner.title, curve, place) for place, agent in enumerate(agents) if (curve := getattr(agent, kind))]
        for kind in ("regret", "on_best")
    )
    lost_title = "Regret of every agent against the best arm, added up over the pulls"
    best_title = "Share of the trials in which each agent's pull is of the best arm"
    tried_title = f"How many different arms {name} has tried"
    found = [
        (regret, _drawn(regrets, its, "regret so far, in rewards", "regret", lost_title, least=0.0)),
        (best, _drawn(bests, its, "share of the trials", "best", best_title, percent=True, least=0.0, most=1.0)),
        (tried, _drawn([Line(name, judged.tried, 0)], its, "different arms so far", "tried", tried_title, least=0.0)),
    ]
    return {key: Drawn(*each) for key, each in zip(("regret", "best", "tried"), found, strict=True)}


def of_models(agents: Sequence[Played], halving: Curve | None) -> dict[str, Drawn]:
    """How often every agent trains the model that is best in the end, by name; nothing where no models are chosen.

    Args:
        halving: that of successive halving in the same trials.
    """
    judged = agents[0]
    if halving is None or judged.on_best is None:
        return {}
    name, curve = judged.learner.title, judged.on_best
    shares = [f"{100 * sum(each.middle) / len(each.middle):.0f}%" for each in (curve, halving)]
    said = f"{name} gives {shares[0]} of its budget to the candidate that is best in the end, successive halving {shares[1]}."
    others = [(agent.learner.title, agent.on_best) for agent in agents[1:] if agent.on_best]
    named = [(name, curve), ("successive halving", halving), *others]
    lines = [Line(title, its, place) for place, (title, its) in enumerate(named)]
    title = "Share of the trials in which each decision goes to the candidate that is best in the end"
    up = "share of the trials"
    return {"best": Drawn(said, bands(lines, "decision", up, key="best", title=title, percent=True, least=0.0, most=1.0))}


def of_points(agents: Sequence[Played]) -> Drawn | None:
    """The ways of the judged agent before and after it has learned; None where there are none."""
    judged = agents[0]
    if judged.ways is None:
        return None
    name, (before, after) = judged.learner.title, judged.ways
    first, last = alike(before.paid, after.paid)
    said = f"In these {len(after.each)} tasks {name}'s mean return of an episode is {first} before it has learned anything, "
    said += f"and {last} after."
    return Drawn(said, paths(judged.ways, key="paths", title=f"Ways of {name} before and after it has learned a task"))


def of_trainings(agents: Sequence[Played], cosine: Cosine | None, *, rate: bool) -> dict[str, Drawn]:
    """Losses of all, and rates of the judged one beside the cosine's, by name; nothing where these are no trainings.

    Args:
        rate: whether the agents choose it.
    """
    judged = agents[0]
    if cosine is None or judged.trained is None:
        return {}
    name = judged.learner.title
    said = f"On the same trainings {name}'s last loss is {beside_cosine(judged, cosine, interval=True)}."
    others = [(agent.learner.title, agent.trained.losses) for agent in agents[1:] if agent.trained]
    losses = [(name, judged.trained.losses), ("tuned cosine", cosine.losses), *others]
    lines = [Line(each, median_curve(values), place, first=0) for place, (each, values) in enumerate(losses)]
    title = "Validation loss of trainings over the decisions, medians with quartiles"
    found = {"losses": Drawn(said, bands(lines, "decision", "validation loss, nats", key="losses", title=title, log=True))}
    return found | ({"rates": _rates(name, median_curve(judged.trained.rates), cosine)} if rate else {})


def _rates(name: str, chosen: Curve, cosine: Cosine) -> Drawn:
    first, last = (f"{chosen.middle[at]:.2g}" for at in (1, -1))
    said = f"From a first rate that is drawn at random, {name} goes to {first} in the median at its first decision and to {last} "
    said += f"at its last; the cosine goes from its peak, {cosine.peak:.2g}, to {cosine.rates[-1]:.2g}."
    lines = [Line(name, chosen, 0, first=0), Line("tuned cosine", Curve(*[cosine.rates] * 3), 1)]
    title = f"Learning rates that {name} chooses, medians with quartiles, beside those of the cosine"
    return Drawn(said, bands(lines, "decision", "learning rate", key="rates", title=title, log=True))


def _drawn(lines: Sequence[Line], its: Setting, up: str, key: str, title: str, **more: Any) -> str:
    if len(lines[0].curve.middle) < 2:
        return ""
    return bands(lines, its.point, up, key=key, title=title, **more)
