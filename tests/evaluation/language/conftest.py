"""Tiny language models and small texts by domain."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch

from quickstudy import models
from quickstudy.evaluation.language.drawn import drawn
from quickstudy.tasks.documents import Document
from quickstudy.tasks.text_domains import TextDomains

DOMAINS = {
    "cards": "my card is lost stolen gone",
    "waits": "it is late waiting slow now",
    "money": "the refund back return wrong money",
    "mixed": "please help and my the now it",
}


def written(domain: str, count: int = 12, words: int = 40) -> list[str]:
    """Documents of a few words each, most of them of a part of the vocabulary that the domain decides; none like another."""
    generator, every = random.Random(domain), " ".join(DOMAINS.values()).split()
    some = [[*generator.sample(DOMAINS[domain].split(), 3), *generator.sample(every, 2)] for _ in range(count)]
    return [" ".join(generator.choice(its) for _ in range(words)) for its in some]


@pytest.fixture
def llama(tiny_llama):
    """A tiny random Llama with adapters on its upper layer, which have moved a little."""
    model = models.load(tiny_llama, lora={"r": 2, "layers": 1})
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return model


@pytest.fixture
def text(llama):
    """Makes the tasks of some domains."""

    def make(*domains: str, count: int = 12, shots: int = 2, queries: int = 2, documents: int = 12, seed: int = 0):
        written_ = [Document(each, f"{d}{i}", d) for d in domains for i, each in enumerate(written(d, documents))]
        return drawn(TextDomains(written_, llama.tokenizer, block=16, size=4), shots, queries, count, seed=seed)

    return make


@pytest.fixture
def folder(tmp_path: Path, monkeypatch) -> Path:
    """The current folder, with a folder of text by domain in it."""
    monkeypatch.chdir(tmp_path)
    for domain in DOMAINS:
        (tmp_path / "texts" / domain).mkdir(parents=True)
        for i, each in enumerate(written(domain)):
            (tmp_path / "texts" / domain / f"{i:02}.txt").write_text(each)
    return tmp_path


@pytest.fixture
def rows():
    """What `summary` gives, of made-up numbers."""

    def make(judged: list[float], *, steps: tuple[int, ...] = (0, 1), count: int = 20, ends: float = 0.01, **others: list[float]):
        results = [
            {
                "learner": name,
                "metric": "nats_per_token",
                "steps": k,
                "count": count,
                "mean": mean,
                "ci95": [mean - 0.1, mean + 0.1],
            }
            for name, means in {"Mine": judged, **others}.items()
            for k, mean in zip(steps, means, strict=True)
        ]
        comparisons = [
            {"learner": "Mine", "against": name, "metric": "nats_per_token", "steps": k, "count": count, "difference": d}
            | {"ci95": [d - ends, d + ends] if count > 1 else None}
            for name, means in others.items()
            for k, d in ((k, mine - mean) for k, mine, mean in zip(steps, judged, means, strict=True))
        ]
        return {"results": results, "comparisons": comparisons}

    return make
