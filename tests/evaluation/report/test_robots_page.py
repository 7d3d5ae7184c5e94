"""The page of a run that learned from demonstrations: whole, harmless, and with the numbers that `evaluate` prints."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from quickstudy import evaluate
from quickstudy.evaluation.expert import Expert
from quickstudy.evaluation.imitation.gather import gather
from quickstudy.evaluation.imitation.page import render, write
from quickstudy.evaluation.report.observed import Observed
from quickstudy.evaluation.report.page import MARK
from quickstudy.evaluation.table import render as printed
from quickstudy.learners.base import Learner
from quickstudy.learners.baselines.fine_tune import FineTune
from quickstudy.learners.baselines.zero_step import ZeroStep
from quickstudy.learners.cnp import CNP
from quickstudy.models.networks import mlp
from quickstudy.tasks.robots.demonstrating import demonstrate
from quickstudy.tasks.robots.demonstrations import Demonstrations
from quickstudy.tasks.robots.find import find_robot

ARM = f"{Path(__file__).parents[2] / 'tasks' / 'robots' / 'my_arm.py'}:arm"
RECIPE = "learner: {name: cnp}\nmodel:\n  mlp: [7, 8, 2]  # <b>\n"


def judged(*, alone=False, tasks=10, pictures=True):
    """What a page is made of, for policies that are not trained."""
    arm = find_robot(ARM)
    arm.render = arm.render if pictures else None
    shown: Any = {task: [demonstrate(arm, "test", task, steps=20)] for task in range(tasks)}
    drawn = Demonstrations(shown, arm.name, "test").attempts(arm, episodes=2)
    torch.manual_seed(0)
    clone, observed = mlp([3, 8, 2], seed=0), Observed()
    learners: list[Learner] = [
        CNP(mlp([7, 8, 2], seed=0), context=4),
        ZeroStep(clone),
        FineTune(clone, 0.003, steps=4, space="."),
    ]
    learners = learners[:1] if alone else learners
    result = evaluate(learners[0], drawn, baselines=learners[1:], observe=observed)
    result["expert"] = evaluate(Expert(arm), drawn)["results"][0]
    seeds = {"the starts (--seed)": 0, "the run": 7}
    return gather(result, observed, learners, drawn, model="<my> run", recipe=RECIPE, seeds=seeds), result


@pytest.fixture(scope="module")
def found():
    return judged()


def test_the_page_needs_nothing_from_outside_and_runs_nothing(found, read):
    html = render(found[0])
    page = read(html)
    assert html.startswith("<!DOCTYPE html>")
    assert MARK in html
    assert {tag for tag, _ in page.elements}.isdisjoint({"script", "link", "iframe", "object", "embed", "a"})
    assert not re.search(r"https?:|url\(|@import", html)
    policy = next(e["content"] for e in page.named("meta") if "http-equiv" in e)
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_before_after_and_expert_are_shown(found, read):
    page = read(render(found[0]))
    films = page.named("img")
    assert [(film["alt"] or "").split(",")[0] for film in films] == ["Film of ZeroStep", "Film of CNP", "Film of scripted"]
    assert all((film["src"] or "").startswith("data:image/webp;base64,UklGR") for film in films)
    assert "Expert scripted, knows the task Done after" in page.text
    assert "There are no films" not in page.text


def test_it_has_every_section_and_the_numbers_that_are_printed(found, read):
    page, result = read(render(found[0])), found[1]
    assert [section["id"] for section in page.named("section")] == ["films", "methods", "differences", "protocol"]
    figures = [e["aria-labelledby"].split()[0] for e in page.named("svg") if "plot" in (e.get("class") or "")]
    assert figures == ["forest-title", "differences-title"]
    assert "<my> run with plane: 10 tasks that training did not see, one demonstration each" in page.text
    assert printed(result).splitlines()[0].replace("-", "\u2212") in page.text
    for row in [*result["results"], result["expert"]]:
        assert f"{100 * row['mean']:.1f}%" in page.text
    assert f"the expert, which knows the task, {100 * result['expert']['mean']:.1f}%." in page.text
    assert "shown once, 4 steps of Adam at 0.003" in page.text
    assert "What a demonstration adds" in page.text
    assert "2 episodes of at most 20 steps, from other starts" in page.text
    assert result["episodes"]["hash"] in page.text
    assert "Seed of the run 7" in page.text
    assert "mlp: [7, 8, 2] # <b>" in page.text


def test_weak_tasks_are_named_by_their_numbers(found):
    result, said = found[1], found[0]["by_task"]
    named = {int(task): int(done) / 2 for task, done in re.findall(r"(\d+) \((\d) of 2\)", said)}
    assert sum(named.values()) + (10 - len(named)) == pytest.approx(10 * result["results"][0]["mean"])
    assert f"in every episode of {10 - len(named)} of 10 tasks" in said


def test_alone_and_without_pictures(read, tmp_path):
    found, result = judged(alone=True, tasks=2, pictures=False)
    write(tmp_path / "r.html", found)
    page = read((tmp_path / "r.html").read_text(encoding="utf-8"))
    assert (
        f"CNP succeeds in {100 * result['results'][0]['mean']:.1f}% of its episodes; no baseline stands beside it." in page.text
    )
    assert "There are no films: plane has no pictures; give Robot(render=...)." in page.text
    assert "Not measured With --baselines full, a clone" in page.text
    assert page.named("img") == []
    assert "differences" not in [section["id"] for section in page.named("section")]
