"""Every learner found in `learners/`, on every kind of model that suits it."""

from __future__ import annotations

import copy
import tempfile
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from quickstudy import models
from quickstudy.learners import find
from quickstudy.learners.base import Learner
from quickstudy.learners.baselines.in_context import InContext
from quickstudy.learners.find import find_learner, settings_of
from quickstudy.learners.gradient import GradientLearner
from quickstudy.models.language_model import LanguageModel
from quickstudy.models.networks import mlp
from quickstudy.models.sentence_encoder import SentenceEncoder
from quickstudy.tasks.batch import Batch
from quickstudy.tasks.task import Task

LABELS = ["card_lost", "card_late", "top_up", "refund"]
TOPICS = dict(zip(LABELS, ("lost stolen gone", "late waiting slow", "money add more", "back return wrong"), strict=True))
FILLERS = ["my", "the", "card", "please", "help", "is", "it", "now", "i", "and", "was", "not"]
SMALL = {
    "inner_lr": 0.1,
    "inner_steps": 2,
    "inner_batch": 3,
    "lr": 0.01,
    "steps": 3,
    "batch": 3,
    "context": 2,
    "classes": LABELS,
    "first_order_until": 0.0,
}
"""Settings that keep a learner small, given to every constructor that takes them."""
BENCHES = {
    "vectors": "classify",
    "labels": "classify",
    "sentences": "classify",
    "lora": "classify",
    "values": "regress",
    "tokens": "language",
}


@dataclass(frozen=True)
class Case:
    """A learner on a bench: what it learns from, with what."""

    cls: type[Learner]
    bench: str

    def __str__(self) -> str:
        return f"{self.cls.__name__}-{self.bench}"

    def on(self, bench: str) -> Case:
        return replace(self, bench=bench)

    @property
    def reads_text(self) -> bool:
        return self.bench in ("sentences", "lora")

    @property
    def context(self) -> int:
        """How many numbers the learner adds to the model's inputs."""
        return SMALL["context"] if "context" in settings_of(self.cls) and not self.reads_tokens_alone else 0

    @property
    def reads_tokens_alone(self) -> bool:
        return self.cls.language_models_only

    @property
    def calls_its_own_way(self) -> bool:
        return issubclass(self.cls, InContext) or getattr(self.cls, "call", GradientLearner.call) is not GradientLearner.call

    def model(self, seed: int = 0) -> nn.Module:
        if self.bench == "tokens":
            return language_model(seed)
        if self.reads_text:
            return encoder(self.bench == "lora", seed)
        return mlp([4 + self.context, 8, 1 if self.bench == "values" else 3], seed=seed)

    def learner(self, model: nn.Module | None = None, *, seed: int = 0, **settings: Any) -> Any:
        known = settings_of(self.cls)
        small = {name: value for name, value in SMALL.items() if name in known}
        if self.reads_tokens_alone:  # its context is a number of tokens
            small.pop("context", None)
        if "steps" in small:  # its own words for the inner loop's
            small = {name: value for name, value in small.items() if not name.startswith("inner_")}
        return self.cls(self.model(seed) if model is None else model, **{**small, **settings})

    def task(self, seed: int = 0) -> Task:
        draw = token_batch if self.bench == "tokens" else text_batch if self.reads_text else vector_batch
        return Task(draw(self.bench, 2, 2 * seed, seed), draw(self.bench, 2, 2 * seed + 1, seed), seed=seed)


def vector_batch(bench: str, shots: int, seed: int, topic: int) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    targets = torch.arange(3).repeat(shots)
    centres = torch.randn(3, 4, generator=torch.Generator().manual_seed(100 + topic))
    inputs = centres[targets] + 0.3 * torch.randn(3 * shots, 4, generator=generator)
    if bench == "values":
        return Batch(inputs, inputs.sum(dim=1, keepdim=True) + topic)
    return Batch(inputs, [LABELS[i] for i in targets]) if bench == "labels" else Batch(inputs, targets)


def text_batch(bench: str, shots: int, seed: int, topic: int) -> Batch:
    generator = torch.Generator().manual_seed(seed)

    def pick(words: list[str]) -> str:
        return words[int(torch.randint(len(words), (), generator=generator))]

    labels = [LABELS[topic % 4], LABELS[(topic + 1) % 4]] * shots
    texts = [" ".join([*(pick(FILLERS) for _ in range(1 + i)), pick(TOPICS[label].split())]) for i, label in enumerate(labels)]
    return Batch(texts, labels)


def token_batch(bench: str, shots: int, seed: int, topic: int) -> Batch:
    """Blocks of uneven length, whose words come from a part of the vocabulary that the topic decides."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(3, 8, (shots,), generator=generator).tolist()
    blocks = [3 * (topic % 4) + torch.randint(8, (length + 1,), generator=generator) for length in lengths]
    return Batch([block[:-1] for block in blocks], [block[1:] for block in blocks])


def language_model(seed: int) -> LanguageModel:
    """A copy of a tiny random Llama with adapters on its upper layer."""
    return _moved(_language_template(), seed)


def encoder(lora: bool, seed: int) -> SentenceEncoder:
    """A copy of a tiny random BERT."""
    return _moved(_template(lora), seed)


def _moved(template: Any, seed: int) -> Any:
    """A copy of it, its trainable values moved a little by `seed` (so that LoRA's B is not zero)."""
    made = copy.deepcopy(template, {id(template.tokenizer): template.tokenizer})
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return made


@cache
def _template(lora: bool) -> SentenceEncoder:
    made = models.load(_folder().name, lora={"r": 2, "target_modules": ["query", "value"]} if lora else None)
    return made if lora else made.requires_grad_(True)


@cache
def _language_template() -> LanguageModel:
    return models.load(_language_folder().name, lora={"r": 2, "layers": 1})


@cache
def _language_folder() -> tempfile.TemporaryDirectory:
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers

    folder = tempfile.TemporaryDirectory()
    words = ["<unk>", "</s>", *sorted({*FILLERS, *" ".join(TOPICS.values()).split()})]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    special = {"unk_token": "<unk>", "eos_token": "</s>", "pad_token": "</s>"}
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder.name)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2, "num_key_value_heads": 1}
    config = transformers.LlamaConfig(vocab_size=len(words), num_hidden_layers=2, initializer_range=0.3, **sizes)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformers.LlamaForCausalLM(config).save_pretrained(folder.name)
    return folder


@cache
def _folder() -> tempfile.TemporaryDirectory:
    import transformers

    folder = tempfile.TemporaryDirectory()
    words = sorted({*FILLERS, *" ".join(TOPICS.values()).split(), *" ".join(LABELS).replace("_", " ").split()})
    (Path(folder.name) / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]))
    transformers.BertTokenizerFast(str(Path(folder.name) / "vocab.txt")).save_pretrained(folder.name)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2, "max_position_embeddings": 32}
    config = transformers.BertConfig(vocab_size=len(words) + 5, num_hidden_layers=1, initializer_range=0.3, **sizes)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformers.BertModel(config).save_pretrained(folder.name)
    return folder


@cache
def learners() -> list[type[Learner]]:
    return [find_learner(name) for name in find._files()]


@cache
def learns(cls: type[Learner]) -> bool:
    return any(True for _ in Case(cls, "vectors" if suits(cls, "vectors", "classify") else "tokens").learner().parameters())


def differentiates(cls: type[Learner]) -> bool:
    """Whether its outer gradient is the one through the inner loop."""
    own = ("forward", "learn", "differentiate")
    by_loop = issubclass(cls, GradientLearner) and all(getattr(cls, each) is getattr(GradientLearner, each) for each in own)
    return by_loop and learns(cls)


def cases(benches: dict[str, str] = BENCHES) -> list[Case]:
    every = [Case(cls, bench) for cls in learners() for bench, kind in benches.items() if suits(cls, bench, kind)]
    return [case for case in every if not (case.context and (case.reads_text or case.bench == "tokens"))]


def suits(cls: type[Learner], bench: str, kind: str) -> bool:
    return kind in cls.kinds and (bench == "tokens" or not Case(cls, bench).reads_tokens_alone)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for one of these gets it for every learner there is."""
    asked = {
        "case": lambda: cases(),
        "case_that_learns": lambda: [case for case in cases() if learns(case.cls)],
        "vectors": lambda: cases({"vectors": "classify"}),
        "vectors_that_learn": lambda: [case for case in cases({"vectors": "classify"}) if learns(case.cls)],
        "text": lambda: cases({"lora": "classify"}),
        "through_the_loop": lambda: [
            case for case in cases({"vectors": "classify", "lora": "classify"}) if differentiates(case.cls)
        ],
        "by_gradient": lambda: [case for case in cases({"vectors": "classify"}) if issubclass(case.cls, GradientLearner)],
    }
    for name, found in asked.items():
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, found(), ids=str)


@pytest.fixture
def every_learner() -> list[type[Learner]]:
    return learners()
