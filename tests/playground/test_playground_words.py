"""The page's words: all of them there, in both languages, and in use."""

from __future__ import annotations

import re
from pathlib import Path
from string import Formatter

import pytest

import quickstudy.playground
from quickstudy.playground.words import LANGUAGES, WORDS, Say, preferred

SOURCE = "".join(path.read_text(encoding="utf-8") for path in Path(quickstudy.playground.__path__[0]).glob("*.py"))


def values(string: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(string) if name}


@pytest.mark.parametrize("key", WORDS)
def test_every_string_is_in_both_languages_with_the_same_values(key):
    english, chinese = WORDS[key]
    assert values(english) == values(chinese)
    assert re.search(r"[\u4e00-\u9fff]", chinese) or chinese == english == "MAML" or key in ("in_python", "accuracy_between")
    assert not re.search(r"[\u4e00-\u9fff]", english)


@pytest.mark.parametrize("key", WORDS)
def test_every_string_is_used(key):
    used = set(re.findall(r'"(\w+)"', SOURCE.split("\nWORDS")[0] + SOURCE.split("class Say")[1]))
    assert key in used


def test_values_are_words_whatever_they_look_like():
    assert Say("en").html("opened", folder="<b>", labels="{labels}").startswith("Opened &lt;b&gt;, which knows {labels} labels.")


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("en-US,en;q=0.9,zh;q=0.8", "en"),
        ("de-DE, de;q=0.9, zh-TW;q=0.5, en;q=0.3", "zh"),
        ("fr", "en"),
        ("", "en"),
        ("zh;q=nonsense", "zh"),
        (";q=;,,", "en"),
    ],
)
def test_the_browser_says_which_language(accepted, language):
    assert preferred(accepted) == language
    assert language in LANGUAGES
