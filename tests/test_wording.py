"""Counts and lists in words."""

from __future__ import annotations

from quickstudy.wording import counted, listed


def test_one_and_many():
    assert [counted(number, "task") for number in (0, 1, 2, 2000)] == ["0 tasks", "1 task", "2 tasks", "2,000 tasks"]


def test_lists():
    assert [listed(words) for words in ([], ["a"], ["a", "b"])] == ["", "a", "a and b"]
    assert listed(["a", "b", "c"], last="or") == "a, b or c"
