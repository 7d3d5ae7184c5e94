"""How examples become tokens, and that what a model reads once is what it reads anew."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.testing import assert_close

from quickstudy import QuickstudyError
from quickstudy.models.language_model import LanguageModel
from quickstudy.models.prefix import Prefix
from quickstudy.models.prompts import Wording

transformers = pytest.importorskip("transformers")

SIZES = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("LlamaForCausalLM", {"intermediate_size": 24, "num_key_value_heads": 1}),
    "absolute positions": ("GPT2LMHeadModel", {"n_positions": 64}),
    "sliding window": ("MistralForCausalLM", {"intermediate_size": 24, "num_key_value_heads": 2, "sliding_window": 4}),
    "capped logits": (
        "Gemma2ForCausalLM",
        {"intermediate_size": 24, "num_key_value_heads": 2, "head_dim": 8, "sliding_window": 4, "final_logit_softcapping": 3.0},
    ),
    "recurrent": ("MambaForCausalLM", {"state_size": 4}),
}
"""A causal language model of each sort: its class and what its configuration needs beside its sizes."""


def model(kind: str) -> LanguageModel:
    name, extra = KINDS[kind]
    cls = getattr(transformers, name)
    config = cls.config_class(**SIZES, **extra, initializer_range=0.4)
    config._attn_implementation = "eager"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return LanguageModel(cls(config).double(), None).eval()


def tokens(*lengths: int, seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(40, (length,), generator=generator) for length in lengths]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("parts", [(9,), (5, 4), (1, 8), (0, 9), (9, 0)])
def test_what_was_read_once_gives_the_logits_of_the_whole(kind, parts):
    language_model, (first, *more), blocks = model(kind), tokens(*parts), tokens(3, 7, 1, seed=1)
    wanted = [torch.tensor([True, False, True]), torch.arange(7) > 4, torch.tensor([False])]
    prefix = Prefix(language_model, first)
    for each in more:
        prefix = prefix.then(each)
    for places in (None, wanted):
        whole = [
            language_model([torch.cat([first, *more, block])])[-len(block) :][slice(None) if places is None else places[at]]
            for at, block in enumerate(blocks)
        ]
        for _ in range(2):  # asked again, what was kept is as it was
            assert_close(prefix(blocks, places), torch.cat(whole), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", ["llama", "sliding window", "absolute positions"])
def test_it_is_read_once_and_only_what_is_asked_goes_through_the_head(kind):
    language_model, (before,), blocks = model(kind), tokens(9), tokens(3, 7, seed=1)
    read, judged = [], []
    language_model.module.get_input_embeddings().register_forward_hook(lambda _, args, __: read.append(args[0].numel()))
    language_model.module.get_output_embeddings().register_forward_hook(lambda _, args, __: judged.append(args[0].shape[:-1]))
    prefix = Prefix(language_model, before)
    for _ in range(2):
        prefix(blocks, [torch.tensor([False, False, True]), torch.arange(7) == 6])
    assert read == [9, 14, 14]
    assert judged == [(1, 1), (2, 2), (2, 2)]


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_is_that_of_the_whole(kind):
    language_model, (before,), blocks = model(kind), tokens(6), tokens(3, 4, seed=1)
    learned = list(language_model.parameters())
    short = torch.autograd.grad(Prefix(language_model, before).then(before[:2])(blocks).logsumexp(-1).sum(), learned)
    whole = [language_model([torch.cat([before, before[:2], block])])[-len(block) :] for block in blocks]
    for found, expected in zip(short, torch.autograd.grad(torch.cat(whole).logsumexp(-1).sum(), learned), strict=True):
        assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_nothing_before_is_the_model_itself():
    language_model, blocks = model("llama"), tokens(3, 7, seed=1)
    assert_close(Prefix(language_model, torch.zeros(0, dtype=torch.long))(blocks), language_model(blocks), rtol=0, atol=0)


def test_no_blocks_are_no_logits():
    assert Prefix(model("llama"), tokens(3)[0])([]).shape == (0, 40)


class Words:
    """A token a word, numbered as they come; line ends are tokens."""

    def __init__(self, before: tuple[int, ...] = ()):
        self.known, self.before = {"<s>": 0}, before

    def __call__(self, text: str, add_special_tokens: bool = True) -> dict[str, list[int]]:
        words = text.replace("\n\n", " <after> ").replace("\n", " <between> ").split()
        ids = [self.known.setdefault(word, len(self.known)) for word in words]
        return {"input_ids": [*self.before, *ids] if add_special_tokens else ids}

    def said(self, ids: torch.Tensor) -> str:
        return " ".join(list(self.known)[i] for i in ids.tolist())


@pytest.mark.parametrize(
    ("method", "given", "answer"),
    [
        ("direct", "my card is gone <between>", "card lost <after>"),
        ("channel", "card lost <between>", "my card is gone <after>"),
    ],
)
def test_an_example_in_two_parts(method, given, answer):
    wording = Wording(Words(before=(0,)), method)
    parts = wording.ordered(wording.sentence(" my card\nis  gone"), wording.label("card_lost"))
    assert [wording.tokenizer.said(part) for part in parts] == [given, answer]
    assert wording.start.tolist() == [0]


def test_the_start_of_a_tokenizer_that_puts_nothing_before_a_text_is_empty():
    start = Wording(Words(), "direct").start
    assert start.shape == (0,)
    assert start.dtype == torch.long


def test_what_cannot_be_said_is_refused_in_words():
    with pytest.raises(QuickstudyError, match="method='noisy' is not known; it is 'direct'"):
        Wording(Words(), "noisy")  # type: ignore[arg-type]
    with pytest.raises(QuickstudyError, match="the label '__' holds no words"):
        Wording(Words(), "direct").label("__")
    with pytest.raises(QuickstudyError, match="makes no token of '☃'"):
        Wording(lambda text, add_special_tokens: {"input_ids": []}, "direct").sentence("☃")
