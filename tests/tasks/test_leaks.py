"""The leak check on sentences whose copies are known, and on real ones."""

import importlib.util
import os
import random
from pathlib import Path

import pytest

from quickstudy.tasks.leaks import Leak, leaks, words
from quickstudy.tasks.named import named

_ROOT = Path(__file__).parents[2]
_DATA = Path(os.environ.get("QUICKSTUDY_DATA", _ROOT.parent / "shared" / "data"))
needs_data = pytest.mark.skipif(not (_DATA / "banking77").is_dir(), reason="the data folder (QUICKSTUDY_DATA) is not here")

LONG = "the quick brown fox jumps over the lazy dog and then it runs back to where it came from at once"


@pytest.mark.parametrize(
    ("one", "two", "kind"),
    [
        ("Where is my card?", "where  is my card", "exact"),
        ("My top-up failed", "my top up failed!", "exact"),
        ("don’t", "Don't.", "exact"),
        ("ＡＴＭ", "atm", "exact"),
        ("???", "???", "exact"),
        ("yes", "yes", "exact"),
        ("my card was eaten", "my card was swallowed", "near"),
        ("my card was eaten", "my card was", "near"),
        ("my card was eaten", "oh my card was eaten", "near"),
        (LONG, LONG.replace("lazy", "idle").replace("at once", "in once"), "near"),
        ("no no no no no way", "no no no no no", "near"),
        ("孩子跟谁睡就是谁的孩子", "大人跟谁睡就是谁的孩子", "near"),
        ("my card was eaten", "my dog was here", None),
        ("my card here", "my dog here", None),
        ("yes", "no", None),
        ("???", "!!!", None),
        ("eaten was my card", "my card was eaten", None),
        (LONG, LONG.replace("quick", "slow").replace("lazy", "idle").replace("once", "last"), None),
        ("谁的孩子", "谁的大人", None),
    ],
)
def test_what_is_a_copy(one, two, kind):
    found = leaks({"train": ["something else entirely, not at all alike", one], "test": [two]})
    assert [(leak.part, leak.index, leak.other_part, leak.other_index, leak.kind) for leak in found] == (
        [("test", 0, "train", 1, kind)] if kind else []
    )


def test_similarity_and_order():
    parts = {"train": ["a b c d e", "x y z w"], "valid": ["x y z w"], "test": ["x y z v", "a b c d e", "a b c d f"]}
    assert leaks(parts) == [
        Leak("valid", 0, "train", 1, "exact", 1.0),
        Leak("test", 0, "train", 1, "near", 0.75),
        Leak("test", 0, "valid", 0, "near", 0.75),
        Leak("test", 1, "train", 0, "exact", 1.0),
        Leak("test", 2, "train", 0, "near", 0.8),
    ]


def test_copies_within_a_part_do_not_multiply():
    found = leaks({"train": ["hello there"] * 50, "test": ["Hello there!"] * 60})
    assert len(found) == 109
    assert {leak.index for leak in found} == set(range(60))
    assert {leak.other_index for leak in found} == set(range(50))
    assert leaks({"train": ["hello there"] * 50, "test": ["bye"]}) == []
    assert leaks({"train": [], "test": []}) == leaks({}) == []


def test_words_keep_letters_of_every_script():
    assert words("  Don't  STOP-it, now! ") == ("dont", "stopit", "now")
    assert words("नमस्ते दुनिया") == ("नमस्ते", "दुनिया")
    assert words("我爱你 ok") == ("我", "爱", "你", "ok")


def test_planted_copies_in_the_sample():
    texts = named("helpdesk").texts
    parts = {"train": texts[:400], "test": texts[400:]}
    assert leaks(parts) == []
    draw, planted = random.Random(0), []
    for text in texts[:100]:
        copied = text.split()
        copied[draw.randrange(len(copied))] = "banana"
        planted.append(" ".join(copied))
    found = {(leak.index, leak.other_index) for leak in leaks(parts | {"test": parts["test"] + planted})}
    long = [row for row in range(100) if len(words(texts[row])) >= 4]
    assert sum((200 + row, row) in found for row in long) >= 0.99 * len(long)


@needs_data
def test_recall_and_no_false_alarm_on_real_sentences(monkeypatch):
    monkeypatch.setenv("QUICKSTUDY_DATA", str(_DATA))
    spec = importlib.util.spec_from_file_location("benchmark", _ROOT / "benchmarks" / "leaks.py")
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    for name in benchmark.SETS:
        measured = benchmark.measure(name, range(1))
        assert measured["recall"]["exact"] == 1.0
        assert measured["recall, one word changed"] >= 0.95
        assert measured["alarms a split"]["clean"] == [0]
