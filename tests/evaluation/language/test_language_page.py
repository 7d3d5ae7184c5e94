"""The page: whole, harmless, in its order, and with the numbers that were found."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from quickstudy import FineTune
from quickstudy.evaluation.language.figures import differences, scores_over_steps, scores_table
from quickstudy.evaluation.language.gather import facts, gather
from quickstudy.evaluation.language.judge import judge
from quickstudy.evaluation.language.method import Method
from quickstudy.evaluation.language.methods import methods
from quickstudy.evaluation.language.page import in_line, probability, render, tint, write
from quickstudy.evaluation.report.page import MARK

SECTIONS = ["methods", "differences", "domains", "tokens", "samples", "forgetting", "text", "cost", "protocol"]
VOID = {"meta", "br", "wbr"}


class Reader(HTMLParser):
    """A page as its elements and its words; each element must be closed in its order."""

    def __init__(self, page: str):
        super().__init__()
        self.open, self.elements, self.words = [], [], []
        self.feed(page)
        self.close()
        assert self.open == []
        self.text = " ".join("".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append("" if self.open and self.open[-1] == "style" else data)

    def ids(self, tag: str) -> list[str]:
        return [attributes["id"] for name, attributes in self.elements if name == tag]


@pytest.fixture
def found(llama, text):
    """All that a page is made of, with a slow method, and names that try to break it."""
    judged = Method("Mine <b>", FineTune(llama, 0.05), "mine & yours")
    beside = methods(judged, "full", lora={"r": 2, "layers": 1}, lr=0.002)
    beside = [each for each in beside if each.name != "Full tuning"]
    beside[-1] = Method("Long tuning", beside[-1].learner, "long", first=2, ceiling=(3,))
    asked = text("cards", "money", count=4)
    other = asked.tasks[0].query
    result, plans = judge(beside, asked, [0, 1, 2], validation=text("waits", count=1), other=other)
    result["leaks"] = {"exact": 1, "near": 0, "documents": 9, "examples": [["<script>one", "two"]]}
    return gather(result, judged, plans[0], asked, model="<my> model", data="my/<data>", protocol={"Split": "all"})


def test_the_page_is_whole_and_needs_nothing_from_outside(found):
    page = render(found)
    assert page.startswith("<!DOCTYPE html>")
    assert MARK in page
    read = Reader(page)
    assert read.ids("section") == SECTIONS
    assert {tag for tag, _ in read.elements}.isdisjoint({"script", "link", "img", "a", "iframe"})
    assert not re.search(r"https?:|url\(|@import", page)
    for said in ("<my> model", "<data>", "Mine <b>", "mine & yours", "<script>one", "1 are exact copies"):
        assert said in read.text
    ids = [attributes["id"] for _, attributes in read.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_the_numbers_are_those_that_were_found(found):
    read, result = Reader(render(found)), found["result"]
    for row in result["results"]:
        assert f"{row['mean']:.3f}" in read.text
    assert result["episodes"]["hash"] in read.text
    assert found["verdict"] in read.text
    assert "the best of 4 on 1 tasks of waits" in read.text
    assert f"{result['forgetting']['before']:.3f}" in read.text
    for text in found["texts"]:
        assert " ".join(text.prompt.split()) in read.text


def test_sections_that_have_nothing_to_say_are_left_out(llama, text):
    judged = Method("Mine", FineTune(llama, 0.05), "mine")
    asked = text("cards", count=1)
    result, plans = judge([judged], asked, [0])
    read = Reader(render(gather(result, judged, plans[0], asked, model="m", why="not done")))
    assert read.ids("section") == ["methods", "tokens", "samples", "text", "cost", "protocol"]
    assert "Mine was judged alone." in read.text
    assert "Leak check: not done." in read.text


def test_a_slow_method_is_drawn_at_its_difference_and_never_called_the_best(found):
    result = found["result"]
    rows = list(scores_table(result, result))
    long = next(row for row in rows if row["name"] == "Long tuning")
    assert (long["few"], long["level"], long["count"]) == (True, True, 2)
    assert not any(cell["best"] for cell in long["cells"])
    best = [min(row["cells"][at]["mean"] for row in rows if not row["few"]) for at in range(3)]
    for row in rows[:-1]:
        assert [cell["best"] for cell in row["cells"]] == [
            cell["mean"] == mean for cell, mean in zip(row["cells"], best, strict=True)
        ]
    assert "Long tuning" in scores_over_steps(result)


def test_differences_are_of_the_baseline_less_the_judged(found):
    result = found["result"]
    rows = differences(result, "ZeroStep")
    mine = [row for row in result["results"] if row["learner"] == "Mine <b>"]
    base = [row for row in result["results"] if row["learner"] == "ZeroStep"]
    for row, its, others in zip(rows, mine, base, strict=True):
        assert row["difference"] == pytest.approx(others["mean"] - its["mean"])
        assert row["ci95"][0] <= row["difference"] <= row["ci95"][1]
        assert row["certain"] is False, "four tasks are few"


def test_three_facts(found):
    worth, ahead, cost = facts(found["result"])
    base, mine = (
        [row["mean"] for row in found["result"]["results"] if row["learner"] == name] for name in ("ZeroStep", "Mine <b>")
    )
    assert worth.answer == f"{min(mine) - base[0]:+.3f} nats".replace("-", "\u2212")
    assert ahead.answer == "Not certain"
    assert "so few tasks are no evidence" in ahead.detail
    assert cost.answer.endswith("a task")


@pytest.mark.parametrize(
    ("nats", "said"), [(0.0, "100%"), (0.7, "50%"), (4.0, "1 in 55"), (8.5, "1 in 4,900"), (99.0, "next to nothing")]
)
def test_a_probability_is_said_in_words(nats, said):
    assert probability(nats) == said


def test_colour_says_how_much_a_token_changed():
    assert tint(None) == tint(0.01) == ""
    assert tint(-1.5) == "--depth:24%;--hue:var(--accent)"
    assert tint(9.0) == "--depth:48%;--hue:var(--c1)"
    assert in_line(" a\nb\x00") == " a\u21b5b "


def test_a_page_is_written_where_one_may_be(found, tmp_path):
    write(tmp_path / "r.html", found)
    assert (tmp_path / "r.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    write(tmp_path / "r.html", found)
