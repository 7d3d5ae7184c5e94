"""`checkup`: each thing that can be wrong with a table is found and said, and a good table gets no advice."""

import pytest

from quickstudy.errors import QuickstudyError
from quickstudy.tasks.checkup import MOST_LABELS, checkup, refuse_many_labels
from quickstudy.tasks.named import named
from quickstudy.tasks.table import Table


def _table(*pairs):
    return Table([text for text, _ in pairs], [label for _, label in pairs], "my.csv")


GOOD = [("where is my card", "arrival"), ("not here yet", "arrival"), ("it was eaten", "swallowed"), ("gone in", "swallowed")]


def test_a_good_table():
    found = checkup(_table(*GOOD))
    assert (found.rows, found.per_class, found.words_median, found.words_most) == (4, {"arrival": 2, "swallowed": 2}, 3.0, 4)
    assert found.advice == []
    assert found.text().splitlines() == [
        "my.csv: 4 sentences, 2 labels",
        "sentences a label (least / median / most): 2 / 2 / 2",
        "words a sentence (median / most): 3 / 4",
        "repeated rows: 0; sentences with several labels: 0",
        "labels are words: yes",
        "",
        "Nothing to mend.",
    ]
    assert checkup(named("helpdesk")).advice == []


@pytest.mark.parametrize(
    ("more", "field", "value", "said"),
    [
        ([("Gone  in", "swallowed")], "duplicates", 1, "1 row repeats an earlier one; remove"),
        ([("Gone in", "arrival")], "contradictions", [("gone in", ["arrival", "swallowed"])], "is 'arrival' and 'swallowed'"),
        ([("a b", "Arri-val"), ("c d", "Arri-val")], "lookalikes", [["Arri-val", "arrival"]], "look like one; if they are"),
        ([("a b", "lonely")], "rare", ["lonely"], "'lonely' has a single sentence"),
        ([(f"a b {i}", "arrival") for i in range(18)], "imbalance", 10.0, "'arrival' has 10 times the sentences of 'swallowed'"),
        ([(f"{i}", "arrival") for i in range(5)], "wordless", 5, "5 of 9 texts have no letter in them"),
        ([("word " * 201, "arrival")], "long", 1, "1 text of more than 200 words may be cut"),
    ],
)
def test_what_is_wrong_is_found_and_said(more, field, value, said):
    found = checkup(_table(*GOOD, *more))
    assert getattr(found, field) == value
    assert len(found.advice) == 1
    assert said in found.advice[0]
    assert found.advice[0] in found.text()


def test_contradictions_show_three_examples():
    pairs = [(f"sentence {i}", label) for i in range(5) for label in ("yes_please", "no_thanks")]
    found = checkup(_table(*pairs))
    assert len(found.contradictions) == 5
    assert found.advice[0].count("sentence ") == 3
    assert "5 sentences have more than one label" in found.advice[0]


@pytest.mark.parametrize(
    ("labels", "are_words"),
    [
        (["card_arrival", "CardLost"], True),
        (["news_story", "国际"], True),
        (["0", "1"], False),
        (["label_1", "label_2"], False),
        (["A", "B"], False),
        (["c12", "LABEL-3"], False),
    ],
)
def test_whether_labels_are_words(labels, are_words):
    found = checkup(_table(*[(f"{label} {i}", label) for label in labels for i in range(2)]))
    assert found.labels_are_words == are_words
    assert any("labels are not words" in sentence for sentence in found.advice) != are_words


def test_one_label_and_no_rows():
    assert checkup(_table(*GOOD[:2])).advice == ["There is only one label, 'arrival': add sentences of another."]
    with pytest.raises(QuickstudyError, match=r"my.csv has no rows"):
        checkup(_table())


def test_a_few_texts_without_letters_are_no_matter():
    found = checkup(_table(*GOOD, *((f"{i} ?", "arrival") for i in range(4))))
    assert (found.wordless, found.warnings) == (4, [])


def test_texts_of_any_script_have_letters():
    assert checkup(_table(("我的卡丢了", "card"), ("카드 분실", "card"), ("42", "card"), ("ok", "yes"))).wordless == 1


def test_so_many_labels_are_no_labels():
    many = [(f"sentence {i}", f"label {i}") for i in range(MOST_LABELS + 1)]
    refuse_many_labels(_table(*many[:-1]))
    with pytest.raises(QuickstudyError, match=r"my.csv has 10,001 different labels for 10,001 sentences.*10,000.*--label"):
        refuse_many_labels(_table(*many))
