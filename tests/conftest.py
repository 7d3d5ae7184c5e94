"""What all tests share."""

import gc
import os
from pathlib import Path

import pytest


@pytest.fixture(autouse=True, scope="session")
def _cache_of_its_own(tmp_path_factory):
    """Tests leave the user's cache of embeddings alone, and start with an empty one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QUICKSTUDY_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


WORDS = {"lost": "lost stolen gone", "late": "late waiting slow", "refund": "back return wrong"}
"""Labels, and the words that give them away."""
FILLERS = "my the card please help is it now"


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory) -> str:
    """A folder with a small random BERT that knows the words above, for `models.load`."""
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("tiny_bert")
    words = sorted({*FILLERS.split(), *" ".join(WORDS.values()).split(), *WORDS})
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]))
    transformers.BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2, "max_position_embeddings": 32}
    config = transformers.BertConfig(vocab_size=len(words) + 5, num_hidden_layers=1, initializer_range=0.3, **sizes)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformers.BertModel(config).save_pretrained(folder)
    return str(folder)


PROSE = "my card is lost please help now the refund is late it is wrong and the money is gone"


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory) -> str:
    """A folder with a small random Llama of two layers that knows some words, for `models.load`."""
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers

    folder = tmp_path_factory.mktemp("tiny_llama")
    words = ["<unk>", "</s>", *sorted({*FILLERS.split(), *" ".join(WORDS.values()).split(), *PROSE.split()})]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    special = {"unk_token": "<unk>", "eos_token": "</s>", "pad_token": "</s>"}
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2, "num_key_value_heads": 1}
    config = transformers.LlamaConfig(vocab_size=len(words), num_hidden_layers=2, initializer_range=0.3, **sizes)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformers.LlamaForCausalLM(config).save_pretrained(folder)
    return str(folder)


@pytest.fixture
def double():
    """Inside, Llama's norms, attention and positions, which ask for single precision, are in double."""
    from quickstudy.evaluation.double import Wide

    with Wide():
        yield


@pytest.fixture
def in_use():
    """How many tensors live, their bytes, and the bytes of memory that this process has; when it is called."""
    import torch

    def counted() -> tuple[int, int, int]:
        gc.collect()
        tensors = [it for it in gc.get_objects() if type(it) in (torch.Tensor, torch.nn.Parameter)]
        resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        return len(tensors), sum(it.nbytes for it in tensors), resident

    return counted


@pytest.fixture(scope="session")
def small_recipe() -> str:
    """A training that takes a second, and what to tune in it."""
    return """\
learner: {name: maml, inner_lr: 0.01, outer_lr: 0.005}
model: {mlp: [1, 8, 1]}
data: {source: sinusoids}
episodes: {shots: 5, queries: 5, tasks: 2}
validation: {shots: 5, queries: 5, episodes: 2, every: 2}
tune: {learner.inner_lr: [0.01, 0.02]}
steps: 4
"""


@pytest.fixture(scope="session")
def sentences() -> tuple[list[str], list[str]]:
    """Six different sentences of each of three labels, and the labels."""
    fillers = FILLERS.split()
    rows = [
        (f"{fillers[i]} {fillers[(i + k + 3) % 8]} {word.split()[i % 3]}", label)
        for i in range(6)
        for k, (label, word) in enumerate(WORDS.items())
    ]
    return [text for text, _ in rows], [label for _, label in rows]


@pytest.fixture
def same_side_by_side(monkeypatch):
    """Asserts that a gradient learner takes these tasks side by side, with the value and gradients of one after the other."""
    import torch
    from torch.testing import assert_close

    from quickstudy.learners.together import groups

    def outer(learner, tasks):
        value = learner(tasks)
        learned = {name: p for name, p in learner.named_parameters() if p.requires_grad}
        return value.detach(), dict(zip(learned, torch.autograd.grad(value, list(learned.values())), strict=True))

    def check(learner, tasks):
        assert groups.together(learner, tasks, list(learner.parameters())), "these tasks go side by side"
        several, found = outer(learner, tasks)
        monkeypatch.setattr("quickstudy.learners.gradient.together", lambda *_: None)
        alone, expected = outer(learner, tasks)
        assert_close(several, alone, rtol=1e-10, atol=1e-12)
        for name, gradient in expected.items():
            assert_close(found[name], gradient, rtol=1e-8, atol=1e-11)

    return check
