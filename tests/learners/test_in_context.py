"""In-context learning against the same computed by hand, on tiny random language models."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.testing import assert_close

from quickstudy import Batch, QuickstudyError, Task
from quickstudy.learners.baselines.in_context import InContext
from quickstudy.models.language_model import LanguageModel
from quickstudy.models.networks import mlp

transformers = pytest.importorskip("transformers")

SENTENCES = {
    "card_lost": ["my card is lost", "it is gone now", "stolen please help"],
    "card_late": ["the card is late", "i wait and wait", "so slow"],
    "top-up": ["more money please", "add it", "i add money now"],
}
WORDS = sorted({*" ".join(text for texts in SENTENCES.values() for text in texts).split(), "top", "up"})


def tokenizer() -> Any:
    """A token a word; line ends are tokens too."""
    from tokenizers import Regex, Tokenizer, pre_tokenizers
    from tokenizers.models import WordLevel

    words = ["<unk>", "\n", "\n\n", *WORDS]
    made = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Sequence(  # type: ignore[assignment]
        [pre_tokenizers.Split(" ", "removed"), pre_tokenizers.Split(Regex("\n+"), "isolated")]
    )
    return transformers.PreTrainedTokenizerFast(tokenizer_object=made, unk_token="<unk>")


def language_model(kind: str = "llama", dropout: float = 0.0) -> LanguageModel:
    sizes: dict[str, Any] = {"vocab_size": len(WORDS) + 3, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if kind == "llama":
            more = {"intermediate_size": 24, "attention_dropout": dropout, "max_position_embeddings": 96}
            config = transformers.LlamaConfig(**sizes, **more, initializer_range=0.4, attn_implementation="eager")
            module = transformers.LlamaForCausalLM(config)
        else:
            config = transformers.GPT2Config(**sizes, n_positions=96, initializer_range=0.4, attn_implementation="eager")
            module = transformers.GPT2LMHeadModel(config)
    return LanguageModel(module.double(), tokenizer()).eval()


def classify(ways: int = 2, shots: int = 2, seed: int = 0) -> Task:
    labels = list(SENTENCES)[:ways]
    support = [(SENTENCES[label][at], label) for at in range(shots) for label in labels]
    query = [(SENTENCES[label][2], label) for label in labels]
    batches = [Batch([text for text, _ in rows], [label for _, label in rows]) for rows in (support, query)]
    return Task(*batches, seed=seed)


def language(*lengths: int, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    rows = [torch.randint(len(WORDS) + 3, (length + 1,), generator=generator) for length in lengths]
    return Batch([row[:-1] for row in rows], [row[1:] for row in rows])


def demonstrated(learner: InContext, support: Batch, length: int = 10) -> str:
    """The support as the model reads it before a query of so many tokens."""
    text = learner.model.tokenizer.decode(learner.window(support).before(length))
    return text.replace(" \n", "\n").replace("\n ", "\n").lstrip(" ")


def by_hand(model: LanguageModel, before: str, given: str, answer: str) -> torch.Tensor:
    """The log-probability of each token of an answer, from one pass over everything."""
    first, last = (model.tokenizer(text, return_tensors="pt").input_ids[0] for text in (before + given, answer))
    logits = model([torch.cat([first, last])])[len(first) - 1 : -1]
    return logits.log_softmax(-1).gather(1, last[:, None])[:, 0].detach()


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
@pytest.mark.parametrize("context", [1024, 23, 22])
def test_the_querys_logits_are_those_of_support_and_query_in_one(kind, context):
    model, support, query = language_model(kind), language(5, 8), language(4, 9, 1, seed=1)
    logits = InContext(model, context=context).adapt(support).logits(query.inputs)
    whole = [model([torch.cat([*support.inputs, block])])[-len(block) :] for block in query.inputs]
    assert_close(logits, torch.cat(whole).detach(), rtol=1e-6, atol=1e-6)
    assert logits.shape == model(query.inputs).shape
    assert (logits - model(query.inputs)).abs().max() > 0.1, "the support matters"


def test_of_a_support_that_does_not_fit_the_last_tokens_stay():
    model, support, query = language_model(), language(20, 20), language(4, 9, seed=1)
    logits = InContext(model, context=16).adapt(support).logits(query.inputs)
    tokens = torch.cat(support.inputs)
    for block, found in zip(query.inputs, logits.split([4, 9]), strict=True):
        room = 16 - len(block)
        assert_close(found, model([torch.cat([tokens[-room:], block])])[room:].detach(), rtol=1e-6, atol=1e-6)
    assert_close(InContext(model, context=9).adapt(support).logits(query.inputs[1:]), model(query.inputs[1:]).detach())


def test_a_model_with_fewer_positions_has_a_shorter_window():
    assert InContext(language_model()).context == 96
    assert InContext(language_model(), context=50).context == 50


def test_the_forms_in_which_a_language_model_takes_blocks():
    model, support, query = language_model(), language(5, 8), language(6, 6, seed=1)
    adapted = InContext(model).adapt(support)
    rows = adapted.logits(query.inputs)
    assert_close(adapted.logits(torch.stack(query.inputs)), rows.unflatten(0, (2, 6)))
    wanted = [torch.arange(6) > 3, torch.arange(6) == 0]
    assert_close(adapted.logits({"blocks": query.inputs, "wanted": wanted}), rows[torch.cat(wanted)])
    assert_close(InContext(model).adapt(replace(support, inputs={"blocks": support.inputs})).logits(query.inputs), rows)
    assert adapted.logits([]).shape == (0, len(WORDS) + 3)


def test_text_is_scored_in_nats_a_token():
    model, task = language_model(), Task(language(5, 8), language(4, 9, 1, seed=1))
    logits = InContext(model).adapt(task.support).logits(task.query.inputs)
    nats = torch.nn.functional.cross_entropy(logits, torch.cat(task.query.targets)).item()
    assert task.score(InContext(model).adapt(task.support)) == {"nats_per_token": pytest.approx(nats)}


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
@pytest.mark.parametrize("ways", [2, 3])
def test_direct_scores_are_the_mean_log_probabilities_of_the_labels(kind, ways):
    learner, task = InContext(language_model(kind)), classify(ways)
    adapted, before = learner.adapt(task.support), demonstrated(learner, task.support)
    assert sorted(before.split("\n\n")[:-1]) == sorted(
        f"{text}\n{label.replace('_', ' ').replace('-', ' ')}"
        for text, label in zip(task.support.inputs, task.support.targets, strict=True)
    )
    expected = [
        [
            by_hand(learner.model, before, f"{text}\n", f"{label}\n\n").mean()
            for label in ("card lost", "card late", "top up")[:ways]
        ]
        for text in task.query.inputs
    ]
    assert_close(adapted.logits(task.query.inputs), torch.tensor(expected).double(), rtol=1e-5, atol=1e-6)
    assert adapted.classes == list(SENTENCES)[:ways]


def test_channel_scores_are_the_log_probabilities_of_the_sentences():
    learner, task = InContext(language_model(), method="channel"), classify(3)
    adapted, before = learner.adapt(task.support), demonstrated(learner, task.support)
    assert before.startswith(("card lost\n", "card late\n", "top up\n"))
    expected = [
        [by_hand(learner.model, before, f"{label}\n", f"{text}\n\n").sum() for label in ("card lost", "card late", "top up")]
        for text in task.query.inputs
    ]
    assert_close(adapted.logits(task.query.inputs), torch.tensor(expected).double(), rtol=1e-5, atol=1e-6)
    assert_close(adapted.predict_proba(task.query.inputs).sum(dim=1), torch.ones(3).double())
    assert set(adapted.predict(task.query.inputs)) <= set(SENTENCES)
    assert 0 <= task.score(adapted)["accuracy"] <= 1
    assert adapted.predict([]) == []


def test_the_order_comes_from_the_seed_and_is_not_always_the_same():
    learner = InContext(language_model())
    orders = [demonstrated(learner, classify(3, seed=seed).support) for seed in (0, 0, 1, 2, 3)]
    assert orders[0] == orders[1]
    assert len(set(orders)) > 2


def test_demonstrations_that_do_not_fit_are_left_out_class_by_class():
    learner, support = InContext(language_model(), context=50), classify(3).support
    order = torch.randperm(6, generator=torch.Generator().manual_seed(0)).tolist()
    drawn = [f"{support.inputs[at]}\n{support.targets[at].replace('_', ' ').replace('-', ' ')}" for at in order]
    every, more, one_each, none = (demonstrated(learner, support, length).split("\n\n")[:-1] for length in (3, 15, 24, 48))
    assert every == drawn
    assert {example.split("\n")[1] for example in one_each} == {"card lost", "card late", "top up"}
    assert [len(more), len(one_each), len(none)] == [4, 3, 0]
    for shown in (more, one_each):
        assert [example for example in drawn if example in shown] == shown
    for length in range(51):
        assert len(learner.window(support).before(length)) <= 50 - length


@pytest.mark.parametrize("method", ["direct", "channel"])
def test_one_query_says_nothing_of_another(method):
    task = classify(3)
    adapted = InContext(language_model(), method=method, context=40).adapt(task.support)
    logits = adapted.logits(task.query.inputs)
    assert_close(adapted.logits(task.query.inputs[::-1]).flip(0), logits, rtol=1e-6, atol=1e-6)
    assert_close(torch.cat([adapted.logits([text]) for text in task.query.inputs]), logits, rtol=1e-6, atol=1e-6)


def test_an_example_sees_nothing_that_comes_after_it():
    model = language_model()
    window = InContext(model).window(language(6, 6))
    before = window.before(4)
    changed = before.clone()
    changed[8:] = (changed[8:] + 1) % 20
    assert_close(model([before])[:8], model([changed])[:8], rtol=0, atol=0)
    read, again = (window.prefix(tokens)._kept.layers[-1].keys for tokens in (before, changed))
    assert_close(read[:, :, :8], again[:, :, :8], rtol=1e-12, atol=1e-12)
    assert not torch.allclose(read[:, :, 8:], again[:, :, 8:])


def test_the_support_is_read_once_a_task_and_again_after_a_step():
    model = language_model()
    adapted, lengths = InContext(model).adapt(language(6, 6)), []
    model.module.get_input_embeddings().register_forward_hook(lambda _, args, __: lengths.append(args[0].shape[1]))
    blocks = language(4, 3, seed=1).inputs
    for block in blocks:
        adapted.logits([block])
    assert lengths == [12, 4, 3]
    before = adapted.logits(blocks)
    with torch.no_grad():
        model.module.get_output_embeddings().weight.add_(0.1)
        model.module.get_input_embeddings().weight[:10].mul_(2)
    assert lengths.count(12) == 1
    assert not torch.allclose(adapted.logits(blocks), before)
    assert lengths.count(12) == 2
    assert_close(adapted.logits(blocks), InContext(model).adapt(language(6, 6)).logits(blocks))


@pytest.mark.parametrize("method", ["direct", "channel"])
def test_it_leaves_the_model_and_the_random_state_as_they_were(method):
    model, task = language_model(dropout=0.5).train(), classify()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    adapted = InContext(model, method=method).adapt(task.support)
    first = adapted.logits(task.query.inputs)
    assert_close(model.state_dict(), before, rtol=0, atol=0)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(9)
    assert_close(adapted.logits(task.query.inputs), first, rtol=0, atol=0)
    assert all(module.training for module in model.modules())
    assert not list(InContext(model).parameters())


def test_class_numbers_are_said_as_numbers():
    task, learner = classify(), InContext(language_model())
    numbers = torch.tensor([{"card_lost": 3, "card_late": 7}[label] for label in task.support.targets])
    adapted = learner.adapt(replace(task.support, targets=numbers))
    assert adapted.classes == [3, 7]
    assert set(adapted.predict(task.query.inputs).tolist()) <= {3, 7}  # type: ignore[union-attr]


def test_bad_input_is_refused_in_words(tmp_path):
    model, task, text = language_model(), classify(), language(5, 8)
    with pytest.raises(QuickstudyError, match="language model, and a Sequential has none; give a causal"):
        InContext(mlp([4, 3]))
    with pytest.raises(QuickstudyError, match="method='noisy'"):
        InContext(model, method="noisy")  # type: ignore[arg-type]
    with pytest.raises(QuickstudyError, match="InContext got tokens with labels: give sentences"):
        InContext(model).adapt(Batch(text.inputs, ["a", "b"]))
    with pytest.raises(QuickstudyError, match=r"token ids of shape \(tokens,\), and this one is torch.float32 of shape \(3,\)"):
        InContext(model).adapt(Batch(torch.zeros(2, 3), torch.zeros(2)))
    with pytest.raises(QuickstudyError, match="this one is 'help'; tokenize it first"):
        InContext(model).adapt(text).logits(["help"])
    with pytest.raises(QuickstudyError, match="ask about a list of sentences"):
        InContext(model).adapt(task.support).logits(text.inputs)
    with pytest.raises(QuickstudyError, match="real values"):
        InContext(model).adapt(replace(task.support, targets=torch.rand(4)))
    with pytest.raises(QuickstudyError, match="a query of 8 tokens does not fit into a context of 7; give a larger context="):
        InContext(model, context=7).adapt(text).logits(text.inputs)
    with pytest.raises(QuickstudyError, match="a query of 7 tokens does not fit into a context of 6"):
        InContext(model, context=6).adapt(task.support).logits(task.query.inputs)
    with pytest.raises(QuickstudyError, match="cannot be saved"):
        InContext(model).adapt(task.support).save_pretrained(tmp_path / "saved")
