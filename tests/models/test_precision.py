"""Half precision is taken where the processor has it, the embeddings agree, and it is faster; and nowhere else."""

from __future__ import annotations

import time

import pytest
import torch

from quickstudy import MAML, Episodes, QuickstudyError, Table, models
from quickstudy.models import precision
from quickstudy.models.adapters import is_adapter
from quickstudy.models.loading import made
from quickstudy.models.precision import half_pays

CPU = torch.device("cpu")


def encode(slow_in: str, *, error: float = 0.0):
    """An encoder that takes longer in one of both precisions, and whose short answers are off by `error`."""
    full = torch.randn(8, 16, generator=torch.Generator().manual_seed(0))
    noise = torch.randn(8, 16, generator=torch.Generator().manual_seed(1))

    def once() -> torch.Tensor:
        short = torch.is_autocast_enabled("cpu")
        time.sleep(0.02 if short == (slow_in == "half") else 0.0)
        return full + error * noise if short else full

    return once


@pytest.mark.parametrize(
    ("has", "slow_in", "error", "pays"),
    [(True, "full", 0.001, True), (True, "half", 0.001, False), (True, "full", 0.2, False), (False, "full", 0.0, False)],
    ids=["pays", "slower", "differs", "emulated"],
)
def test_what_decides(monkeypatch, has, slow_in, error, pays):
    monkeypatch.setattr(precision, "has_bf16", lambda device: has)
    assert half_pays(encode(slow_in, error=error), CPU) == pays


def test_a_processor_without_it_is_not_even_tried(monkeypatch):
    monkeypatch.setattr(precision, "has_bf16", lambda device: False)
    assert not half_pays(lambda: pytest.fail("tried"), CPU)


def test_many_sentences_are_encoded_in_half_and_kept_apart_from_others(monkeypatch, tmp_path):
    from test_sentence_encoder import tiny
    from torch import nn

    monkeypatch.setenv("QUICKSTUDY_CACHE", str(tmp_path))
    monkeypatch.setattr("quickstudy.models.encoder.MANY", 5)
    tried = []
    monkeypatch.setattr("quickstudy.models.encoder.half_pays", lambda encode, device: tried.append(encode().shape) or True)

    def encoder():
        made = tiny(dense=[nn.Linear(6, 6)])
        for seed, parameter in enumerate(made.parameters()):
            parameter.data = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed))
        return made.requires_grad_(False)

    sentences = [chr(97 + i) * 3 for i in range(6)]
    full, short = encoder().memory(sentences[:4]), encoder().memory(sentences)
    assert len(tried) == 1
    assert all(vector.dtype == torch.float32 for vector in short.values())
    assert not torch.equal(full["aaa"], short["aaa"])
    assert torch.cosine_similarity(full["aaa"], short["aaa"], dim=0) > 0.999
    assert torch.equal(encoder().memory(sentences[:4])["aaa"], full["aaa"])
    assert torch.equal(encoder().memory(sentences)["aaa"], short["aaa"])
    learning = encoder()
    learning.dense.requires_grad_(True)
    # not to the last bit: there are more sentences in the call
    exact = torch.allclose(learning.memory(sentences)["aaa"], full["aaa"], rtol=1e-5, atol=1e-6)
    assert exact, "what learns is never rounded"


def test_a_base_in_half_leaves_what_learns_and_embeddings_in_single(tiny_bert, sentences):
    encoder = models.load(tiny_bert, lora=2, dtype="bfloat16")
    kinds = {is_adapter(name): p.dtype for name, p in encoder.named_parameters()}
    assert kinds == {True: torch.float32, False: torch.bfloat16}
    assert encoder.embed(sentences[0][:2]).dtype == torch.float32
    again = made(encoder.spec)
    assert {p.dtype for p in again.parameters()} == set(kinds.values())
    close = torch.cosine_similarity(encoder.embed(sentences[0]), models.load(tiny_bert).embed(sentences[0]))
    assert bool((close > 0.999).all())


def test_a_gradient_goes_through_a_base_in_half(tiny_bert, sentences):
    encoder = models.load(tiny_bert, lora=2, dtype="bfloat16")
    for name, parameter in encoder.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1, generator=torch.Generator().manual_seed(0))
    tasks = Episodes(Table(*sentences), ways=3, shots=2, queries=2, tasks=2, seed=0)[0]

    def outer(keep: bool) -> list[torch.Tensor]:
        learner = MAML(encoder, 0.5, inner_steps=2, keep_graph=keep)
        return list(torch.autograd.grad(learner(tasks), list(learner.parameters())))

    recomputed, kept = (torch.cat([g.flatten() for g in outer(keep)]) for keep in (False, True))
    assert recomputed.dtype == torch.float32
    assert (recomputed - kept).norm() < 0.02 * kept.norm()
    with pytest.raises(QuickstudyError, match="ngrams computes in float32"):
        models.load("ngrams", dtype="bfloat16")
