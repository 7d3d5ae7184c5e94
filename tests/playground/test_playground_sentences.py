"""Sentences as they are typed, pasted and dropped."""

from __future__ import annotations

import gzip

import pytest

from quickstudy.cli.main import run
from quickstudy.errors import QuickstudyError
from quickstudy.playground.sentences import LARGEST, MOST, as_csv, dropped, typed
from quickstudy.playground.words import LANGUAGES, Say
from quickstudy.tasks.table import Table

SAY = Say("en")


def rows(table: Table) -> list[tuple[str, str]]:
    return list(zip(table.texts, table.labels, strict=True))


@pytest.mark.parametrize(
    "text",
    [
        "card, i lost it, yesterday\n\n  refund ,give it back  \n",
        "card\ti lost it, yesterday\nrefund\tgive it back",
        "card\uff0ci lost it, yesterday\r\nrefund, give it back\r\n",
        'text,label\n"i lost it, yesterday",card\ngive it back,refund\n',
        "label\ttext\ncard\ti lost it, yesterday\nrefund\tgive it back\n",
        "note;label;text\n1;card;i lost it, yesterday\n2;refund;give it back\n",
    ],
)
def test_lines_and_tables_are_the_same_sentences(text):
    assert rows(typed(text, SAY)) == [("i lost it, yesterday", "card"), ("give it back", "refund")]


def test_the_example_is_a_table_in_every_language():
    for language in LANGUAGES:
        table = typed(Say(language)("example"), Say(language))
        assert len(table) == 20
        assert set(table.counts.values()) == {5}


def test_a_table_comes_back_from_its_text():
    table = Table(['a "quoted", text', "two\nlines", "名字\t词"], ["x,y", " z".strip(), "标签"])
    assert rows(typed(as_csv(table), SAY)) == rows(table)
    columns = ("utterance", "intent")
    assert rows(typed(as_csv(table, columns), SAY, columns)) == rows(table)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "There is no sentence yet"),
        (" \n\t\n", "There is no sentence yet"),
        ("card, fine\njust words\n", "the box, line 2: no comma or tab between label and sentence ('just words')"),
        ("card, fine\n, no label\n", "the box, line 2: the label is missing"),
        ("card, fine\ncard,  \n", "the box, line 2: the text is blank"),
        ("text,label\nfine,card\nalone\n", "the box, line 3: too few columns (1; the header has 2)"),
        ("a,\ud800b\n", "the box, line 1: the text holds half a character at position 0"),
        ("text,label\n\ud800b,a\n", "not UTF-8"),
        ("a, b\n" * (MOST + 1), "the box has more than 2,000 sentences"),
        ("a, " + "b" * LARGEST * 1_000_000, "the box is larger than 2 MB"),
    ],
)
def test_what_is_wrong_with_the_box_is_said_with_its_line(text, said):
    with pytest.raises(QuickstudyError) as caught:
        typed(text, SAY)
    assert said in str(caught.value)


def test_as_many_as_are_taken_are_taken():
    assert len(typed("a, b\n" * MOST, SAY)) == MOST


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b"one,two\n1,2\n"),
        ("b.csv", b"text,label\n\x00"),
        ("c.tsv", "text\tlabel\ncaf\xe9\tx\n".encode("latin-1")),
        ("d.jsonl", b'{"text": "x", "label": "y"}\n{"text": '),
        ("e.csv", b""),
        ("f.csv", b'text,label\n"open,x\n'),
        ("g.png", b"\x89PNG"),
        ("h.csv", b"text,label\nonly,one\n"),
    ],
)
def test_a_bad_file_gets_the_words_of_adapt(name, content, tmp_path, capsys):
    path = tmp_path / name
    path.write_bytes(content)
    assert run(["adapt", "--support", str(path), "--out", str(tmp_path / "clf")]) == 2
    expected = capsys.readouterr().err.removeprefix("quickstudy: ").strip().replace(str(path), name)
    with pytest.raises(QuickstudyError) as caught:
        dropped(name, content, SAY).require()
    assert str(caught.value) == expected


def test_a_good_file_is_read_by_its_ending_and_its_columns():
    assert rows(dropped("x.jsonl", b'{"text": "a b", "label": 3}\n', SAY)) == [("a b", "3")]
    assert rows(dropped("x.CSV", b"q,a\nhello,1\n", SAY, ("q", "a"))) == [("hello", "1")]
    with pytest.raises(QuickstudyError, match=r"ends in none of .csv"):
        dropped("x.csv.gz", gzip.compress(b"text,label\na,b\n"), SAY)  # what it unpacks to has no limit
    with pytest.raises(QuickstudyError, match=r"x.csv has more than 2,000 sentences"):
        dropped("x.csv", b"text,label\n" + b"a,b\n" * 10_001, SAY)
