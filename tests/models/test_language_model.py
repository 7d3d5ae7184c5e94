"""Causal language models: blocks in, logits of all their positions out."""

import json
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close
from transformers import AutoModelForCausalLM, AutoTokenizer

from quickstudy import QuickstudyError, models
from quickstudy.inner.losses import default_loss, total
from quickstudy.models import gguf
from quickstudy.models.adapters import without_adapters
from quickstudy.models.frozen_layers import Lowered
from quickstudy.models.functional import Functional
from quickstudy.models.gguf import model_folder
from quickstudy.models.language_model import LanguageModel
from quickstudy.models.loading import tokenizer
from quickstudy.models.sentence_encoder import SentenceEncoder

SIZES = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2, "num_hidden_layers": 3, "vocab_size": 20}
CONFIGS = {
    "Llama": SIZES | {"num_key_value_heads": 1},
    "Mistral": SIZES | {"num_key_value_heads": 1},
    "Qwen2": SIZES | {"num_key_value_heads": 1},
    "GPT2": {"n_embd": 16, "n_head": 2, "n_layer": 2, "vocab_size": 20, "n_positions": 32},
    "Gemma2": SIZES | {"head_dim": 8, "num_key_value_heads": 1, "final_logit_softcapping": 1.0},
    "GPTNeoX": SIZES,
}
CUT = ("Llama", "Mistral", "Qwen2")
"""Those whose frozen layers are known how to leave out."""


def made(name: str, layers: int | None = None) -> LanguageModel:
    import transformers

    config = getattr(transformers, f"{name}Config")(**CONFIGS[name], attn_implementation="eager", initializer_range=0.3)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = transformers.AutoModelForCausalLM.from_config(config).eval().requires_grad_(False)
    if layers:
        from quickstudy.models.adapters import add_lora

        add_lora(module, {"r": 2, "layers": layers}, seed=0)
    return LanguageModel(module, None)


def test_padding_leaves_no_mark_on_a_sliding_window_in_double_precision():
    import transformers

    config = transformers.MistralConfig(**CONFIGS["Mistral"], sliding_window=4, attn_implementation="eager")
    model = LanguageModel(transformers.AutoModelForCausalLM.from_config(config).eval().double(), None)
    alone = torch.cat([model([block]) for block in blocks(3, 7)])
    assert_close(model(blocks(3, 7)), alone)
    assert alone.isfinite().all()


def moved(model: LanguageModel, scale: float = 1.0) -> dict[str, torch.Tensor]:
    """Other values for its adapters, the same at each call."""
    generator = torch.Generator().manual_seed(0)
    learned = {name: p for name, p in model.named_parameters() if p.requires_grad}
    return {name: scale * torch.randn(p.shape, generator=generator) for name, p in learned.items()}


def blocks(*lengths: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(sum(lengths))
    return [torch.randint(20, (length,), generator=generator) for length in lengths]


@pytest.mark.parametrize("name", CONFIGS)
def test_logits_are_the_models_own_on_each_block_alone(name):
    model, some = made(name), blocks(5, 3, 7)
    alone = torch.cat([model.module(input_ids=block.unsqueeze(0)).logits[0] for block in some])
    assert_close(model(some), alone)
    assert_close(model(torch.stack(blocks(4, 4))).flatten(0, 1), model(blocks(4, 4)))


@pytest.mark.parametrize("name", CONFIGS)
def test_wanted_positions_are_a_choice_of_all(name):
    model, some = made(name), blocks(5, 3, 7)
    wanted = [torch.arange(len(block)) % 2 == 1 for block in some]
    assert_close(model(some, wanted=wanted), model(some)[torch.cat(wanted)])


@pytest.mark.parametrize("name", CONFIGS)
def test_frozen_layers_are_computed_once_a_block_and_change_nothing(name):
    model, some = made(name, layers=1), blocks(5, 3, 7)
    phi = moved(model)
    calls, stack = [], next(part for part in model.module.modules() if isinstance(part, torch.nn.ModuleList))
    expected = torch.func.functional_call(model, phi, (some,))
    stack[0].register_forward_hook(lambda *_: calls.append(1))
    call = Functional(model)
    for _ in range(3):
        assert_close(call(phi, some), expected)
    wanted = [torch.ones(len(block), dtype=torch.bool) for block in some]
    assert_close(call(phi, {"blocks": some, "wanted": wanted}), expected)
    assert (len(calls) < 4) == (name in CUT)
    call(phi, blocks(4))
    assert len(calls) > 0


def test_gradients_are_the_same_with_and_without_the_frozen_layers_cut():
    model, some = made("Llama", layers=1), blocks(5, 3)
    phi = {name: value.requires_grad_() for name, value in moved(model).items()}
    targets = [block.roll(-1) for block in some]
    found = [
        torch.autograd.grad(total(default_loss, call(phi, some), targets)[0], list(phi.values()))
        for call in (Functional(model), lambda values, each: torch.func.functional_call(model, values, (each,)))
    ]
    assert_close(found[0], found[1])


def test_without_adapters_it_is_the_plain_model():
    plain, adapted = made("Llama"), made("Llama", layers=1)
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.fill_(0.3)
    some = blocks(5, 3)
    before = adapted(some)
    assert_close(without_adapters(adapted)(some), plain(some))
    assert_close(adapted(some), before)
    assert not torch.allclose(before, plain(some))


def test_a_folder_with_a_language_model_is_opened_as_one(tiny_llama, tmp_path):
    model = models.load(tiny_llama, lora={"r": 2, "layers": 1})
    assert isinstance(model, LanguageModel)
    assert model.base == str(Path(tiny_llama).resolve())
    assert tokenizer(tiny_llama).vocab_size == model.tokenizer.vocab_size
    assert all(".layers.1." in name for name, p in model.named_parameters() if p.requires_grad)
    shutil.copytree(tiny_llama, tmp_path / "embedder")
    parts = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]
    (tmp_path / "embedder" / "modules.json").write_text(json.dumps(parts))
    assert isinstance(models.load(str(tmp_path / "embedder")), SentenceEncoder)


def test_a_folder_without_a_tokenizer_says_so(tiny_llama, tmp_path):
    shutil.copytree(tiny_llama, tmp_path / "bare", ignore=shutil.ignore_patterns("tokenizer*"))
    with pytest.raises(QuickstudyError, match="bare holds no tokenizer"):
        models.load(str(tmp_path / "bare"))


def test_it_writes_the_same_from_the_same_seed_and_leaves_the_global_one(tiny_llama):
    model = models.load(tiny_llama)
    state = torch.get_rng_state()
    written = [model.continued("my card", tokens=8, temperature=1.0, seed=seed) for seed in (0, 0, 1)]
    assert torch.equal(torch.get_rng_state(), state)
    assert written[0] == written[1] != written[2]
    ids = torch.tensor(model.tokenizer("my card")["input_ids"])
    for _ in range(3):
        ids = torch.cat([ids, model([ids])[-1:].argmax(-1)])
    assert model.continued("my card", tokens=3, temperature=0) == model.tokenizer.decode(ids[2:], skip_special_tokens=True)


def test_gguf_files_that_are_none(tmp_path):
    with pytest.raises(QuickstudyError, match=r"no\.gguf is not there"):
        models.load(str(tmp_path / "no.gguf"))
    (tmp_path / "bad.gguf").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(QuickstudyError, match=r"cannot read the language model in .*bad\.gguf"):
        model_folder(tmp_path / "bad.gguf")
    assert not list(Path(tmp_path).glob("**/config.json"))


def test_of_two_that_read_a_gguf_file_one_waits_and_both_get_the_folder(tiny_llama, tmp_path, monkeypatch):
    monkeypatch.setenv("QUICKSTUDY_CACHE", str(tmp_path / "cache"))
    (tmp_path / "some.gguf").write_bytes(b"GGUF")

    reads = []

    def read(file):
        reads.append(file)
        time.sleep(0.2)  # so that the other comes while this one is at it
        return AutoModelForCausalLM.from_pretrained(tiny_llama), AutoTokenizer.from_pretrained(tiny_llama)

    monkeypatch.setattr(gguf, "_read", read)
    with ThreadPoolExecutor(2) as both:  # the lock keeps threads apart as it does processes
        first, second = both.map(model_folder, [tmp_path / "some.gguf"] * 2)
    assert first == second
    assert len(reads) == 1
    assert [path.name for path in first.parent.iterdir()] == [first.name]
    assert (first / "config.json").is_file()


def test_a_base_in_half_precision_has_adapters_and_logits_in_single(tiny_llama):
    model = models.load(tiny_llama, lora={"r": 2, "layers": 1}, dtype="bfloat16")
    assert {p.dtype for p in model.parameters() if p.requires_grad} == {torch.float32}
    assert {p.dtype for p in model.parameters() if not p.requires_grad} == {torch.bfloat16}
    some, phi = blocks(5, 3), {name: value.requires_grad_() for name, value in moved(model, 0.1).items()}
    assert isinstance(model.lowered(some, phi), Lowered)
    logits = Functional(model)(phi, some)
    assert logits.dtype == torch.float32
    gradients = torch.autograd.grad(logits.square().mean(), list(phi.values()))
    assert all(g.dtype == torch.float32 and g.isfinite().all() and g.abs().max() > 0 for g in gradients)
    whole = models.load(tiny_llama, lora={"r": 2, "layers": 1})
    expected = Functional(whole)(phi, some)
    # all together, not one by one: a half has eight bits, and single logits near zero are off by their own size
    assert (logits - expected).norm() < 0.02 * expected.norm()
