"""What the page does with sentences is what the command line does."""

from __future__ import annotations

import io
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest

from quickstudy.cli.main import run
from quickstudy.errors import QuickstudyError
from quickstudy.playground import panels
from quickstudy.playground.drawing import Map, stylesheet
from quickstudy.playground.learning import Workshop, archive, commands
from quickstudy.playground.one_more import Curve
from quickstudy.playground.sentences import typed
from quickstudy.playground.words import Say
from quickstudy.tasks.table import Table

SAY = Say("zh")
ASKED = "我的快递什么时候到"


@pytest.fixture(scope="module")
def workshop() -> Workshop:
    return Workshop()


@pytest.fixture(scope="module")
def learned(workshop):
    return workshop.measured(workshop.learn(typed(SAY("example"), SAY), "ngrams"))


@pytest.fixture
def unpacked(learned, tmp_path, monkeypatch) -> Path:
    zipfile.ZipFile(io.BytesIO(archive(learned))).extractall(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_archive_is_what_adapt_would_have_written(unpacked, capsys):
    assert sorted(path.name for path in unpacked.iterdir()) == ["clf", "my.csv"]
    shell, _ = commands("ngrams")
    adapt = shell.splitlines()[0].split()[1:]
    assert run([*adapt[:-1], "again"]) == 0
    again, ours = files(unpacked / "again"), files(unpacked / "clf")
    again["README.md"] = again["README.md"].replace(b"again", b"clf")
    assert ours == again


def test_the_code_does_what_the_page_does(unpacked, learned):
    _, python = commands("ngrams")
    scope: dict = {}
    exec(python, scope)
    assert scope["classifier"].predict_proba([ASKED]).tolist() == learned.adapted.predict_proba([ASKED]).tolist()


def test_an_artefact_that_is_opened_answers_alike(workshop, learned, unpacked):
    opened = workshop.open(Path("clf"))
    assert opened.table is not None
    assert sorted(opened.table.texts) == sorted(learned.table.texts)  # without the names that are examples too
    here, there = workshop.answer(learned, ASKED), workshop.answer(opened, ASKED)
    assert here.probabilities[0][0] == "快递"
    assert here.nearest == there.nearest
    assert dict(here.probabilities) == pytest.approx(dict(there.probabilities))
    assert sum(probability for _, probability in here.probabilities) == pytest.approx(1)
    assert workshop.answer(learned, "photosynthesis").none


def test_what_is_no_classifier_of_sentences_is_refused(workshop, tmp_path, unpacked):
    with pytest.raises(QuickstudyError, match="is not there"):
        workshop.open(tmp_path / "nothing")
    stored = (unpacked / "clf" / "quickstudy.json").read_text(encoding="utf-8")
    (unpacked / "clf" / "quickstudy.json").write_text(stored.replace('"classes": [', '"classes": null, "x": ['), encoding="utf-8")
    with pytest.raises(QuickstudyError):
        workshop.open(unpacked / "clf")


def test_only_the_encoders_on_offer_are_loaded(workshop, tmp_path):
    for name in (str(tmp_path), "somebody/model", "savedmodel:/tmp", "../clf"):
        with pytest.raises(QuickstudyError, match="is not on offer"):
            workshop.learn(Table(["a", "b"], ["x", "y"]), name)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (Table(["a", "b"], ["x", "x"], "the box"), "the box has only one label, 'x'"),
        (Table([], [], "the box"), "the box has 0 labels"),
    ],
)
def test_what_cannot_be_learned_is_said(workshop, table, said):
    with pytest.raises(QuickstudyError, match=said):
        workshop.learn(table, "ngrams")


def test_what_is_doubtful_is_said(workshop):
    table = Table(["12", "13", "14", "15"], ["card-lost", "Card lost", "b", "c"])
    summary = panels.summary(workshop.learn(table, "ngrams"), Say("en"))
    assert "look like one" in summary
    assert "no letter in them" in summary
    assert "is the label first" in summary


def test_two_at_once_get_what_each_gets_alone(workshop, learned):
    other = Table([text[::-1] for text in learned.table.texts], learned.table.labels)
    tables, found = [learned.table, other] * 2, {}

    def work(number: int) -> None:
        mine = workshop.measured(workshop.learn(tables[number], "ngrams"))
        found[number] = mine.adapted.predict_proba([ASKED]).tolist(), mine.estimate, workshop.answer(mine, ASKED).nearest

    together = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in together:
        thread.start()
    for thread in together:
        thread.join()
    assert found[0] == found[2]
    assert found[1] == found[3]
    alone = learned.adapted.predict_proba([ASKED]).tolist(), learned.estimate, workshop.answer(learned, ASKED).nearest
    assert found[0] == alone
    assert found[1] != alone


def test_the_curve_is_that_of_the_chosen_head_and_goes_on_as_a_power_law(workshop, learned):
    curve = workshop.curve(learned)
    assert curve is not None
    assert [shots for shots, _, _ in curve.points] == [1, 2, 3, 4]
    assert curve.now == 5
    exact = Curve([(shots, 1 - 0.4 * shots**-0.5, None) for shots in (1, 2, 4)], 4)
    assert exact.at(9) == pytest.approx(1 - 0.4 / 3)
    assert exact.gain == pytest.approx(0.4 * (4**-0.5 - 5**-0.5))
    falling = Curve([(1, 0.9, None), (2, 0.8, None), (3, 0.7, None)], 3)
    assert falling.gain == 0
    assert 0 <= Curve([(1, 0.9, None), (2, 1.0, None)], 3).gain < 0.01


def test_a_label_with_two_sentences_has_no_curve(workshop):
    table = typed(SAY("example"), SAY)
    fewer = Table(table.texts[3:], table.labels[3:])
    lesson = workshop.learn(fewer, "ngrams")
    assert workshop.curve(lesson) is None
    said = panels.one_more(None, fewer, Say("en"))
    assert "it takes 3 sentences of each label to see, and 丢卡 has 2" in said


def test_the_map_has_each_sentence_in_its_place_and_the_new_one(workshop, learned):
    drawn = Map.of(learned)
    assert drawn is not None
    for row in (0, 7, 19):
        found = workshop.answer(learned, drawn.texts[row])
        np.testing.assert_allclose(drawn.place(found.embedding), drawn.plane.points[row], atol=1e-6)
    plain, new = panels.plane(drawn, SAY), panels.plane(drawn, SAY, workshop.answer(learned, ASKED).embedding)
    assert SAY("map_new") not in plain
    assert new.count("<path") == plain.count("<path") + 1
    assert "钱包被偷了" in plain  # a mark says its sentence
    assert panels.plane(None, SAY) == panels.plane(Map.of(workshop.learn(Table(["a", "b"], ["x", "y"]), "ngrams")), SAY)


def test_labels_and_sentences_are_words_whatever_they_look_like(workshop):
    evil = "<img src=x onerror=alert(1)>"
    mine = workshop.measured(workshop.learn(Table([f"{evil} {i}" for i in range(6)], [evil, "b"] * 3), "ngrams"))
    found = workshop.answer(mine, evil)
    shown = [
        panels.summary(mine, SAY),
        panels.answer(found, SAY),
        panels.plane(Map.of(mine), SAY, found.embedding),
        panels.one_more(workshop.curve(mine), mine.table, SAY),
        panels.accuracy(mine, SAY),
        panels.trouble(evil),
        panels.opened(mine, Path(evil), SAY),
    ]
    assert "<img" not in "".join(shown)
    assert "&lt;img" in shown[1]


def test_the_report_lends_its_strokes():
    styles = stylesheet()
    for name in (".plot ", ".halo", ".series", ".filled", "--c7"):
        assert name in styles
    assert "body {" not in styles
