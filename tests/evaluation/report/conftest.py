from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from quickstudy import Centroid, Episodes, LogisticProbe, Table, evaluate
from quickstudy.evaluation.report.observed import Observed
from quickstudy.models.encoder import Encoder

VOID = {"meta", "link", "br", "hr", "img", "input", "wbr"}
INLINE = {"b", "bdi", "span", "wbr"}
HOSTILE = ("<script>alert('a')</script>", 'a "quoted" & \u05e9\u05dc\u05d5\u05dd', "c" * 300, "plain_label")


class Letters(Encoder):
    """Embeds a sentence as how often some letters are in it."""

    def __init__(self):
        nn.Module.__init__(self)
        self.weight, self.normalize, self.dim, self._known, self.embedded = nn.Parameter(torch.eye(4)), False, 4, {}, []

    def forward(self, sentences):
        self.embedded.extend(sentences)
        return torch.tensor([[float(s.count(c)) for c in "abcd"] for s in sentences]).reshape(-1, 4) @ self.weight

    def tokenize(self, sentence):
        return list(sentence.encode("utf-8", "replace"))


class Reader(HTMLParser):
    """A page as its elements, and whether each was closed in its order."""

    def __init__(self, page: str):
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.styles: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.elements.append((tag, dict(attrs)))
        assert len(dict(attrs)) == len(attrs)
        if tag not in INLINE:
            self.words.append(" ")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        (self.styles if self.open and self.open[-1] == "style" else self.words).append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def hostile_table(each: int = 8) -> Table:
    """Every third sentence reads like one of the next label, so that none is told apart without mistakes."""
    texts, labels = [], []
    for place, label in enumerate(HOSTILE):
        for i in range(each):
            letter = "abcd"[(place + (i % 3 == 2)) % 4]
            texts.append(f'{letter * 3}{"abcd"[i % 4]} <b onclick="x">{place}.{i}</b> & \u0627\u0644\u0644\u063a\u0629')
            labels.append(label)
    return Table(texts, labels, "my <table> & more.csv")


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch):
    monkeypatch.setenv("QUICKSTUDY_CACHE", "off")


@pytest.fixture
def judged():
    """A judged probe and a baseline on labels and sentences that try to break the page."""
    model = Letters()
    learners = [LogisticProbe(model, C=1.0), Centroid(model)]
    episodes = Episodes(hostile_table(), ways=3, shots=2, queries=3, tasks=12, seed=1)
    observed = Observed()
    result = evaluate(learners[0], episodes, baselines=learners[1:], observe=observed)
    return SimpleNamespace(model=model, learners=learners, episodes=episodes, observed=observed, result=result)


@pytest.fixture
def read():
    return Reader


@pytest.fixture
def drawing():
    """Reads a figure; it must be well formed, and name and describe itself."""

    def parse(svg: str) -> ElementTree.Element:
        root = ElementTree.fromstring(svg)
        ids = (root.attrib["aria-labelledby"]).split()
        assert [child.attrib["id"] for child in root if child.tag in ("title", "desc")] == ids
        assert all((child.text or "").strip() for child in root if child.tag in ("title", "desc"))
        assert root.attrib["role"] == "img"
        return root

    return parse
