"""The layers below the lowest adapted one are computed once a sentence, and nothing can be told apart."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.testing import assert_close

from quickstudy import MAML, Batch, Task
from quickstudy.models.adapters import add_lora
from quickstudy.models.encoder import CHUNK
from quickstudy.models.frozen_layers import ARCHITECTURES, FrozenLayers, Lowered, agree
from quickstudy.models.functional import Functional
from quickstudy.models.sentence_encoder import SentenceEncoder

transformers = pytest.importorskip("transformers")

SIZES = {"vocab_size": 40, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 3, "num_attention_heads": 2}
EXTRA = {
    "BertModel": {},
    "RobertaModel": {"pad_token_id": 1},
    "XLMRobertaModel": {"pad_token_id": 1},
    "DistilBertModel": {"hidden_dim": 24, "dim": 16, "n_layers": 3, "n_heads": 2},
    "ModernBertModel": {
        "pad_token_id": 0,
        "eos_token_id": 1,
        "bos_token_id": 1,
        "cls_token_id": 1,
        "sep_token_id": 1,
        "global_attn_every_n_layers": 2,
        "local_attention": 4,
    },
    "LlamaModel": {},
    "MistralModel": {"num_key_value_heads": 2, "sliding_window": 4},
    "Qwen2Model": {"num_key_value_heads": 2},
    "Qwen3Model": {"num_key_value_heads": 2, "head_dim": 8},
}
SENTENCES = [chr(97 + i % 26) * (1 + i % 5) + chr(97 + i % 7) for i in range(CHUNK + 9)]


class Letters:
    """A token a letter, from 4 on."""

    def __call__(self, text, truncation, max_length):
        return {"input_ids": [4 + (ord(letter) - 97) % 26 for letter in text][:max_length]}

    def pad(self, rows, padding, padding_side, return_tensors):
        longest = max(map(len, rows["input_ids"]))
        ids = torch.tensor([row + [1] * (longest - len(row)) for row in rows["input_ids"]])
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows["input_ids"]])
        return transformers.BatchEncoding({"input_ids": ids, "attention_mask": mask})


def encoder(kind: str = "BertModel", layers: int = 1) -> SentenceEncoder:
    cls = getattr(transformers, kind)
    config = cls.config_class(**{**SIZES, **EXTRA[kind]}, initializer_range=0.4)
    config._attn_implementation = "eager"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = cls(config)
    module.requires_grad_(False)
    add_lora(module, {"r": 2, "layers": layers}, 0)
    return SentenceEncoder(module, Letters()).eval()


def moved(model: SentenceEncoder, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    trainable = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    return {name: p + 0.3 * torch.randn(p.shape, generator=generator) for name, p in trainable.items()}


def plainly(model: SentenceEncoder) -> SentenceEncoder:
    """The same encoder without the short way."""
    other = copy.deepcopy(model)
    other._frozen = None
    return other


@pytest.mark.parametrize("kind", ARCHITECTURES)
@torch.no_grad()
def test_every_architecture_gives_what_it_gives_without(kind):
    model = encoder(kind)
    phi = moved(model)
    for _ in range(2):  # computed, then remembered
        assert_close(Functional(model)(phi, SENTENCES), Functional(plainly(model))(phi, SENTENCES), atol=1e-5, rtol=1e-5)
    assert model._frozen is not None, "the check of the two ways failed"
    assert isinstance(model.lowered(SENTENCES, phi), Lowered)
    assert model.lowered(SENTENCES, phi).depth == 2


def test_the_exact_gradient_is_the_same():
    model = encoder(layers=2)
    support, query = Batch(SENTENCES[:6], list("abcabc"), 0), Batch(SENTENCES[6:14], list("abcabcab"), 0)
    gradients = []
    for each in (model, plainly(model)):
        learner = MAML(each, inner_lr=0.5, inner_steps=3)
        learner([Task(support, query)]).backward()
        gradients.append([p.grad for p in learner.parameters() if p.requires_grad])
    assert any(g.abs().max() > 1e-4 for g in gradients[0])
    assert_close(gradients[0], gradients[1], atol=1e-7, rtol=1e-5)


def test_each_sentence_goes_through_the_frozen_layers_once(monkeypatch):
    model, seen = encoder(), []
    lower = FrozenLayers.lower
    monkeypatch.setattr(FrozenLayers, "lower", lambda self, t, depth: seen.extend(t["input_ids"]) or lower(self, t, depth))
    for seed in range(3):
        Functional(model)(moved(model, seed), SENTENCES)
    assert len(seen) == len(set(SENTENCES))


def test_the_depth_is_that_of_the_lowest_layer_that_moves_or_learns():
    model = encoder()
    frozen = FrozenLayers(model.module)
    assert frozen.depth(()) == 2
    assert frozen.depth({"encoder.layer.1.output.dense.weight"}) == 1
    assert frozen.depth({"embeddings.LayerNorm.weight"}) == 0
    model.module.encoder.layer[0].output.LayerNorm.bias.requires_grad_()
    assert frozen.depth(()) == 0
    assert FrozenLayers(encoder().train().module).depth(()) == 0, "dropout would be drawn once for all steps"
    assert FrozenLayers(torch.nn.Linear(2, 2)).depth(()) == 0


@torch.no_grad()
def test_what_was_computed_is_forgotten_when_a_frozen_layer_changes():
    model = encoder()
    phi = moved(model)
    before = Functional(model)(phi, SENTENCES)
    model.module.encoder.layer[0].output.dense.weight.mul_(1.5)
    after = Functional(model)(phi, SENTENCES)
    assert not torch.allclose(before, after)
    assert_close(after, Functional(plainly(model))(phi, SENTENCES), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_no_more_is_kept_than_there_is_room_for():
    model = encoder()
    model._frozen = FrozenLayers(model.module, room=600)
    phi = moved(model)
    for at in range(0, len(SENTENCES), 4):
        assert_close(Functional(model)(phi, SENTENCES[at : at + 4]), Functional(plainly(model))(phi, SENTENCES[at : at + 4]))
    kept = model._frozen.kept._tensors
    assert sum(row.nbytes for row in kept.values()) == model._frozen.kept._bytes <= 600
    assert len(kept) <= 4


@torch.no_grad()
def test_a_model_whose_two_ways_differ_takes_the_long_one():
    model = encoder()
    phi = moved(model)
    model._frozen.lower = lambda tokens, depth: [torch.zeros(int(m.sum()), 16) for m in tokens["attention_mask"]]
    assert_close(Functional(model)(phi, SENTENCES), Functional(plainly(model))(phi, SENTENCES))
    assert model._frozen is None


@pytest.mark.parametrize(("dtype", "apart"), [(torch.float32, 1e-4), (torch.bfloat16, 0.2)], ids=str)
def test_two_ways_agree_as_far_as_their_numbers_are_rounded(dtype, apart):
    model, long = torch.nn.Linear(2, 2, dtype=dtype), torch.linspace(-1, 1, 9)
    assert agree(long * (1 + torch.finfo(dtype).eps), long, model)
    assert not agree(long * (1 + apart), long, model)
