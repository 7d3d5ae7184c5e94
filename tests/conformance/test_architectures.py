"""Small random Transformers of many architectures: the exact gradient through LoRA, learning a task, saving, and PEFT."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close

import quickstudy
from quickstudy import MAML, Batch, Task, check_gradients, models

SPECIAL = ["<pad>", "<unk>", "<s>", "</s>", "<mask>"]
FILLERS, LABELS = ["my", "the", "card", "please", "help", "now"], {"lost": "lost stolen gone", "late": "late waiting slow"}
WORDS = [*FILLERS, *" ".join(LABELS.values()).split()]
SIZES = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2, "num_hidden_layers": 2}
TEXT: dict[str, dict[str, Any]] = {
    "Bert": SIZES,
    "Roberta": SIZES | {"max_position_embeddings": 40},
    "DistilBert": {"dim": 16, "hidden_dim": 16, "n_heads": 2, "n_layers": 2},
    "Albert": SIZES | {"embedding_size": 8},
    "Electra": SIZES | {"embedding_size": 8},
    "DebertaV2": SIZES | {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 8},
    "ModernBert": SIZES | {"global_attn_every_n_layers": 2, "local_attention": 8},
    "MPNet": SIZES,
    "T5": {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 2, "num_heads": 2, "decoder_start_token_id": 0},
    "XLNet": {"d_model": 16, "n_layer": 2, "n_head": 2, "d_inner": 16},
}
CAUSAL: dict[str, dict[str, Any]] = {
    "GPT2": {"n_embd": 16, "n_head": 2, "n_layer": 2, "n_positions": 32},
    "Llama": SIZES | {"num_key_value_heads": 1},
    "Qwen3": SIZES | {"num_key_value_heads": 1, "head_dim": 8},
}
IMAGES = {"ViT": SIZES | {"image_size": 16, "patch_size": 8}}
READS = {"ViT": "AutoModel", "T5": "AutoModelForTextEncoding"} | dict.fromkeys(CAUSAL, "AutoModelForCausalLM")


@pytest.fixture(scope="module", params=[*TEXT, *CAUSAL, *IMAGES])
def made(request, tmp_path_factory) -> tuple[str, Path]:
    """A name, and a folder as its authors would have saved it."""
    transformers, name = pytest.importorskip("transformers"), request.param
    folder = tmp_path_factory.mktemp(name)
    settings = (TEXT | CAUSAL | IMAGES)[name] | {"initializer_range": 0.3}
    if name in IMAGES:
        (folder / "preprocessor_config.json").write_text('{"size": {"height": 16, "width": 16}, "do_normalize": false}')
        for i, pixels in enumerate(np.random.default_rng(0).integers(256, size=(24, 16, 16, 3), dtype=np.uint8)):
            Image.fromarray(pixels).save(folder / f"{i}.png")
    else:
        write_tokenizer(transformers, folder)
        ids = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "vocab_size": len(SPECIAL) + len(WORDS)}
        settings |= ids if name == "T5" else ids | {"cls_token_id": 2, "sep_token_id": 3}
    config = getattr(transformers, f"{name}Config")(**settings)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        as_saved = transformers.AutoModelForCausalLM if name in CAUSAL else transformers.AutoModel
        as_saved.from_config(config).save_pretrained(folder)
    return name, folder


def write_tokenizer(transformers: Any, folder: Path) -> None:
    from tokenizers import Tokenizer, pre_tokenizers, processors
    from tokenizers.models import WordLevel

    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate([*SPECIAL, *WORDS])}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 2), ("</s>", 3)])
    special = dict(zip(("pad_token", "unk_token", "bos_token", "eos_token", "mask_token"), SPECIAL, strict=True))
    special |= {"cls_token": "<s>", "sep_token": "</s>"}
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=32, **special).save_pretrained(folder)


def model(folder: Path) -> Any:
    """With adapters that do something already."""
    found, generator = models.load(str(folder), lora={"r": 2}), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in found.parameters():
            if p.requires_grad:
                p += 0.2 * torch.randn(p.shape, generator=generator)
    return found


def task(name: str, folder: Path, seed: int = 0) -> Task:
    chance = torch.Generator().manual_seed(seed)
    if name in CAUSAL:
        parts = [[torch.randint(5, 5 + len(WORDS), (length,), generator=chance) for length in (6, 4)] for _ in range(2)]
        return Task(*(Batch([part[:-1] for part in each], [part[1:] for part in each]) for each in parts), seed=seed)
    if name in IMAGES:
        inputs = [str(folder / f"{8 * seed + i}.png") for i in range(8)]
    else:
        inputs = [f"{FILLERS[(i + seed) % 6]} {list(LABELS.values())[i % 2].split()[(i + seed) // 2 % 3]}" for i in range(8)]
    labels = [list(LABELS)[i % 2] for i in range(8)]
    return Task(Batch(inputs[:4], labels[:4]), Batch(inputs[4:], labels[4:]), seed=seed)


def test_the_exact_gradient_is_right(made):
    name, folder = made
    found = check_gradients(MAML(model(folder), 0.1, 0.01, inner_steps=2), task(name, folder))
    assert found.ok, str(found)


def test_several_tasks_are_learned_as_one_by_one(made):
    name, folder = made
    learner = MAML(model(folder), 0.1, 0.01, inner_steps=2)
    tasks = [task(name, folder, seed) for seed in range(3)]
    together = learner(tasks)
    alone = [learner([each]) for each in tasks]
    assert_close(together, sum(alone) / 3, rtol=1e-4, atol=1e-5)
    learned = list(learner.parameters())
    assert_close(torch.autograd.grad(together, learned), torch.autograd.grad(sum(alone) / 3, learned), rtol=1e-3, atol=1e-5)


def test_what_was_learned_opens_again_and_in_peft(made, tmp_path):
    import peft
    import transformers

    name, folder = made
    learned = MAML(model(folder), 0.1, 0.01, inner_steps=2).adapt(task(name, folder).support)
    learned.save_pretrained(tmp_path / "saved")
    asked = task(name, folder, 1).query.inputs
    expected = learned.logits(asked)
    assert_close(quickstudy.load(tmp_path / "saved").logits(asked), expected)
    adapter = next((tmp_path / "saved").rglob("adapter_config.json")).parent
    plain = getattr(transformers, READS.get(name, "AutoModel")).from_pretrained(folder, attn_implementation="eager")
    opened = peft.PeftModel.from_pretrained(plain, adapter).eval()
    if name in CAUSAL:
        theirs = torch.cat([opened(input_ids=block[None]).logits[0] for block in asked])
        assert_close(theirs, expected, rtol=1e-4, atol=1e-5)
        return
    ours = quickstudy.load(tmp_path / "saved").model.module
    shape = torch.rand(2, 3, 16, 16) if name in IMAGES else torch.tensor([[2, 6, 7, 3], [2, 8, 9, 3]])
    assert_close(opened(shape)[0], ours(shape)[0], rtol=1e-4, atol=1e-5)
