"""`topics`: every text in one group, groups of the size that was asked for, and of texts about the same thing."""

import os
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quickstudy.errors import QuickstudyError
from quickstudy.tasks.documents import documents
from quickstudy.tasks.topics import topics

_DATA = Path(os.environ.get("QUICKSTUDY_DATA", Path(__file__).parents[3] / "shared" / "data")) / "domain_text"
SUBJECTS = ["parcel courier letter stamp", "oven flour butter sugar", "goal referee striker league", "moon orbit comet star"]
SHARED = ["the", "of", "and", "is", *map(str, range(6))]
CHINESE = ["快递包裹邮件寄送", "面粉黄油烤箱白糖", "足球联赛裁判进球", "月亮彗星轨道恒星"]


def about(subjects: list[str], each: int, sep: str = " ") -> tuple[list[str], list[int]]:
    """Texts of words of one subject and of words that all share, shuffled; and their subjects."""
    draw, found = random.Random(0), []
    for number, subject in enumerate(subjects):
        for _ in range(each):
            own = subject.split(sep) if sep else list(subject)
            found.append((sep.join(draw.sample(own, 3) + draw.sample(SHARED, 4)), number))
    draw.shuffle(found)
    return [text for text, _ in found], [number for _, number in found]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text("ab cde我爱你", max_size=12), max_size=70), st.integers(1, 12), st.integers(0, 3))
def test_every_text_is_in_one_group_of_the_right_size(texts, size, seed):
    groups = topics(texts, size, seed=seed)
    assert sorted(place for group in groups for place in group) == list(range(len(texts)))
    assert all(group == sorted(group) for group in groups)
    if len(texts) >= size:
        assert sorted(map(len, groups)) == [size] * (len(texts) // size - 1) + [size + len(texts) % size]
    else:
        assert groups == ([list(range(len(texts)))] if texts else [])


@pytest.mark.parametrize(("subjects", "sep"), [(SUBJECTS, " "), (CHINESE, "")])
def test_groups_are_about_one_subject(subjects, sep):
    texts, truth = about(subjects[:2], 16, sep)
    groups = topics(texts, 16)
    assert {frozenset(truth[place] for place in group) for group in groups} == {frozenset([0]), frozenset([1])}
    assert groups == topics(texts, 16)
    # Of four that are equally far from each other, which go left is a matter of chance, and one may be cut in two.
    texts, truth = about(subjects, 16, sep)
    groups = [[truth[place] for place in group] for group in topics(texts, 16)]
    assert sum(max(map(group.count, group)) for group in groups) >= 0.75 * len(texts)


def test_texts_without_a_common_word_stay_in_their_order():
    assert sorted(topics([f"w{i} v{i}" for i in range(10)], 3)) == [[0, 1, 2], [3, 4, 5], [6, 7, 8, 9]]
    assert sorted(topics(["the same"] * 100, 50)) == [list(range(50)), list(range(50, 100))]
    assert topics(["one common", "two common"], 1) in ([[0], [1]], [[1], [0]])


def test_a_single_word_tells_texts_apart():
    assert sorted(topics([f"{'apple ' * (i % 2)}u{i}" for i in range(8)], 4)) == [[0, 2, 4, 6], [1, 3, 5, 7]]


def test_size_below_one():
    with pytest.raises(QuickstudyError, match="size=0: a topic has at least one text; give a number of at least 1"):
        topics(["a"], 0)


@pytest.mark.skipif(not _DATA.is_dir(), reason="the data folder (QUICKSTUDY_DATA) has no domain_text")
def test_news_of_one_section_come_together():
    news = [each for each in documents(_DATA / "news_bbc.jsonl.gz") if each.part == "train"]
    groups = topics([each.text for each in news], 16)
    sections = [[news[place].name.split("/")[0] for place in group] for group in groups]
    purity = sum(max(map(its.count, its)) for its in sections) / len(news)
    chance = max(map([each.name.split("/")[0] for each in news].count, {each.name.split("/")[0] for each in news})) / len(news)
    assert purity > 0.8 > 2 * chance
