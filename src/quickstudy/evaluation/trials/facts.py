"""The first screen of an agent's page: what it earns, whether others earn as much, and whether it learns within a trial."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from quickstudy.evaluation.evaluate import ranking
from quickstudy.evaluation.report import words
from quickstudy.evaluation.report.draw_intervals import certain
from quickstudy.evaluation.report.facts import Fact
from quickstudy.evaluation.statistics import FEW, Interval
from quickstudy.evaluation.table import with_interval
from quickstudy.evaluation.trials.observed import Played
from quickstudy.evaluation.trials.setting import Setting
from quickstudy.evaluation.trials.trainings import Cosine, change
from quickstudy.learners.agents.optimal_bandit import OptimalBandit
from quickstudy.wording import counted


def facts(result: dict[str, Any], agents: Sequence[Played], its: Setting, cosine: Cosine | None) -> list[Fact]:
    """Three facts, in the order in which a reader asks."""
    judged = agents[0]
    third = _beside(judged, cosine) if cosine else _cost(result) if its.one else _learns(judged, its)
    return [_earns(result, its), _lead(result, agents), third]


def signed(number: float, ends: Interval) -> str:
    """A difference with its interval, to two digits of the interval's width: "+0.067 (+0.028 to +0.107)"."""
    if not ends or ends[0] == ends[1]:
        return words.minus(f"{number:+.3g}")
    digits = max(0, 1 - math.floor(math.log10((ends[1] - ends[0]) / 2)))
    shown = [words.minus(f"{round(each, digits) + 0.0:+.{digits}f}") for each in (number, *ends)]
    return f"{shown[0]} ({shown[1]} to {shown[2]})"


def alike(*numbers: float) -> list[str]:
    """Numbers with as many decimals as the largest needs for three digits."""
    largest = max(map(abs, numbers))
    digits = max(0, 2 - math.floor(math.log10(largest))) if largest else 0
    return [words.minus(f"{round(each, digits) + 0.0:.{digits}f}") for each in numbers]


def beside_cosine(judged: Played, cosine: Cosine, *, interval: bool = False) -> str:
    """How the last losses of trainings stand to the schedule's: "6.9% above a tuned cosine's"."""
    assert judged.trained is not None
    difference, ends = change(judged.trained, cosine)
    said = f"{abs(100 * difference):.1f}% {'above' if difference > 0 else 'below'} a tuned cosine's"
    if interval and ends:
        said += words.minus(f" (95% interval {100 * ends[0]:+.1f}% to {100 * ends[1]:+.1f}%)")
    return said if certain(ends, judged.trials) else f"{said}, which is not certain"


def _earns(result: dict[str, Any], its: Setting) -> Fact:
    row = result["results"][0]
    sure = words.minus(with_interval(row["mean"], row["ci95"], percent=False, signed=False)).partition(" ")[2][1:-1]
    over = f"over {counted(row['count'], 'trial')} of {its.length}"
    detail = f"Mean return; 95% interval {sure}, {over}." if sure else f"Return, {over}, which has no interval."
    return Fact(f"What {row['learner']} earns", words.minus(f"{row['mean']:.4g} a trial"), detail)


def _lead(result: dict[str, Any], agents: Sequence[Played]) -> Fact:
    question = "More than agents that learned nothing"
    bounds = [agent.learner.title for agent in agents if isinstance(agent.learner, OptimalBandit)]
    others = [against for _, against in ranking(result) if against]
    if not others:
        return Fact(question, "Nothing beside it", "It was judged alone; no agent that learned nothing was measured.")
    rival = next((each for each in others if each["against"] not in bounds), others[0])
    count = result["results"][0]["count"]
    sure = certain(rival["ci95"], count)
    answer = ("Yes" if rival["difference"] > 0 else "No") if sure else "Not certain"
    why = f"; {counted(count, 'trial')} are few" if count < FEW else ""
    detail = f"{signed(rival['difference'], rival['ci95'])} beside {rival['against']}, the best agent that learned nothing{why}."
    bound = next((each for each in others if each["against"] in bounds), None)
    if bound and bound is not rival:
        detail += f" {signed(bound['difference'], bound['ci95'])} beside {bound['against']}, which no agent can beat on average."
    return Fact(question, answer, detail)


def _learns(judged: Played, its: Setting) -> Fact:
    first, last = alike(judged.rewards.middle[0], judged.rewards.middle[-1])
    detail = f"From {first} in the first {its.point} of a trial to {last} in the last"
    gain, _, sure = signed(*judged.gain).partition(" (")
    answer = f"{gain} {'an' if its.point == 'episode' else 'a'} {its.point}"
    detail += f" (difference {gain}, {sure}." if sure else "."
    return Fact("Does it learn within a trial", answer if certain(judged.gain[1], judged.trials) else "Not certain", detail)


def _cost(result: dict[str, Any]) -> Fact:
    seconds = words.seconds(result["results"][0]["seconds_per_task"])
    return Fact("What it costs", f"{seconds} a trial", "To play it on this machine, the environment included.")


def _beside(judged: Played, cosine: Cosine) -> Fact:
    answer, _, doubt = beside_cosine(judged, cosine).replace(" a tuned cosine's", "").partition(", ")
    detail = f"On the same trainings its last validation loss is {beside_cosine(judged, cosine, interval=True)}."
    return Fact("Its loss beside a tuned cosine's", "Not certain" if doubt else answer, detail)
