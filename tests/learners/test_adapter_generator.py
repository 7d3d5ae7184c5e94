"""Adapters from one forward pass: the gradient, the start, and that they learn to tell tasks apart."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch.testing import assert_close

from quickstudy import MAML, Batch, QuickstudyError, Task, check_gradients
from quickstudy.learners.adapter_generator import AdapterGenerator
from quickstudy.learners.baselines.zero_step import ZeroStep
from quickstudy.models.adapters import add_lora
from quickstudy.models.hidden_states import HiddenStates
from quickstudy.models.language_model import LanguageModel
from quickstudy.models.networks import mlp

transformers = pytest.importorskip("transformers")

WORDS = 20


SMALL: dict[str, Any] = {"inner_lr": 0.3, "bases": 3, "width": 6}


def bare() -> Any:
    """A small random Llama of two layers in float64, frozen."""
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2, "num_key_value_heads": 1}
    config = transformers.LlamaConfig(vocab_size=WORDS, num_hidden_layers=2, initializer_range=0.3, **sizes)
    config._attn_implementation = "eager"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return LanguageModel(transformers.LlamaForCausalLM(config).requires_grad_(False).double(), None).eval()


def model(lora: Any = None) -> Any:
    """The same with adapters, on its upper layer unless told otherwise; their B is not zero."""
    made = bare()
    add_lora(made.module, lora or {"r": 2, "layers": 1}, 0)
    generator = torch.Generator().manual_seed(0)
    for parameter in made.parameters():
        if parameter.requires_grad:
            parameter.data.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return made.eval()


def task(seed: int = 0, *, support: int = 6, query: int = 4) -> Task:
    """Three blocks each of uneven length, whose words have frequencies of the task's own."""
    generator = torch.Generator().manual_seed(seed)
    frequencies = (2 * torch.randn(WORDS, generator=generator)).exp()

    def batch(tokens: int) -> Batch:
        lengths = [tokens + i for i in range(3)]
        blocks = [torch.multinomial(frequencies, length + 1, replacement=True, generator=generator) for length in lengths]
        return Batch([block[:-1] for block in blocks], [block[1:] for block in blocks])

    return Task(batch(support), batch(query), seed=seed)


def outer(learner: Any, tasks: list[Task]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    learned = {name: p for name, p in learner.named_parameters() if p.requires_grad}
    value = learner(tasks)
    found = torch.autograd.grad(value, list(learned.values()), allow_unused=True, materialize_grads=True)
    return value.detach(), dict(zip(learned, found, strict=True))


def trained(learner: Any, steps: int, lr: float = 0.01) -> list[float]:
    optimizer, losses = torch.optim.Adam(learner.parameters(), lr=lr), []
    for step in range(steps):
        optimizer.zero_grad()
        loss = learner([task(2 * step, support=16), task(2 * step + 1, support=16)])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def speaking(learner: AdapterGenerator) -> AdapterGenerator:
    """With a last layer that is not zero, so that what the network says counts."""
    with torch.no_grad():
        learner.last.copy_(torch.randn(learner.last.shape, generator=torch.Generator().manual_seed(5)))
    return learner


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_the_gradient_at_the_start_is_right(steps, double):
    report = check_gradients(AdapterGenerator(model(), inner_steps=steps, **SMALL), task())
    assert report, str(report)


@pytest.mark.parametrize(
    "settings", [{"inner_steps": 0}, {"inner_steps": 1}, {"inner_steps": 2}, {"inner_steps": 2, "keep_graph": True}]
)
def test_the_gradient_for_the_network_is_right_where_it_has_a_say(settings, double):
    learner = speaking(AdapterGenerator(model(), **SMALL, **settings))
    _, gradients = outer(learner, [task()])
    assert all(gradients[name].abs().max() > 1e-5 for name in gradients if not name.startswith("model."))
    report = check_gradients(learner, task())
    assert report, str(report)
    assert report.oracle == "finite differences"


def test_at_first_it_is_the_model_as_it_comes(double):
    learner, one = AdapterGenerator(model(), **SMALL), task()
    adapted = learner.adapt(one.support)
    assert_close(adapted.phi, {name: p.detach() for name, p in learner.model.named_parameters() if p.requires_grad})
    assert_close(adapted.logits(one.query.inputs), ZeroStep(model()).adapt(one.support).logits(one.query.inputs))
    assert_close(
        outer(AdapterGenerator(model(), inner_steps=2, **SMALL), [one])[0], outer(MAML(model(), 0.3, inner_steps=2), [one])[0]
    )


def test_at_first_the_last_layer_learns_and_from_the_second_step_on_everything_does():
    learner = AdapterGenerator(model(), **SMALL)
    _, first = outer(learner, [task()])
    assert first["last"].abs().max() > 1e-4
    assert all(gradient.abs().max() > 1e-5 for name, gradient in first.items() if name.startswith("model."))
    before = {name: p.detach().clone() for name, p in learner.named_parameters() if p.requires_grad}
    trained(learner, 2)
    assert all(not torch.equal(p, before[name]) for name, p in learner.named_parameters() if p.requires_grad)


def test_training_lowers_the_loss_of_unseen_tasks_below_that_of_its_own_start():
    learner = AdapterGenerator(model({"r": 4, "layers": 2}).float(), width=32)
    unseen = [task(seed, support=16) for seed in range(5000, 5010)]

    def losses() -> tuple[float, float]:
        own = ZeroStep(learner.model)
        return tuple(
            sum(each.score(one.adapt(each.support))["nats_per_token"] for each in unseen) / len(unseen) for one in (learner, own)
        )  # type: ignore[return-value]

    before, _ = losses()
    trained(learner, 60)
    generated, start = losses()
    assert generated < start - 0.1, (before, start, generated)
    assert generated < before - 0.2
    assert len({tuple(learner.coefficients(each.support).flatten().tolist()) for each in unseen}) == len(unseen)


def test_micro_batches_and_more_steps_change_nothing_else(double):
    one, settings = task(), {"inner_steps": 2, **SMALL}
    whole, parts = (outer(speaking(AdapterGenerator(model(), micro_batch=m, **settings)), [one]) for m in (None, 1))
    assert_close(parts, whole)
    refined = speaking(AdapterGenerator(model(), adapt_steps=2, **SMALL)).adapt(one.support)
    assert_close(refined.phi, speaking(AdapterGenerator(model(), **settings)).adapt(one.support).phi)


def test_adapting_leaves_the_learner_as_it_was_and_a_seed_makes_it():
    learner, other, one = (*(AdapterGenerator(model(), seed=seed, **SMALL) for seed in (1, 2)), task())
    before, random = copy.deepcopy(learner.state_dict()), torch.get_rng_state()
    found = speaking(learner).adapt(one.support)
    assert torch.equal(torch.get_rng_state(), random)
    before["last"] = learner.last.detach()
    assert_close(learner.state_dict(), before, rtol=0, atol=0)
    again = speaking(AdapterGenerator(model(), seed=1, **SMALL)).adapt(one.support)
    assert_close(again.phi, found.phi, rtol=0, atol=0)
    assert not torch.equal(other.bases[0], learner.bases[0])


def test_a_block_is_read_once_whatever_the_adapters_are(monkeypatch):
    learner: Any = AdapterGenerator(model(), **SMALL)
    one, calls = task(), []
    read = HiddenStates._read
    monkeypatch.setattr(HiddenStates, "_read", lambda self, *args: calls.append(1) or read(self, *args))
    first = learner.coefficients(one.support)
    trained(learner, 1)
    trained(learner, 1)
    seen = len(calls)
    assert seen == 10  # the blocks of three supports, and the text of any words
    again = learner.adapt(one.support)
    assert len(calls) == seen
    assert not torch.equal(learner.coefficients(one.support), first)
    with torch.no_grad():
        learner.model.module.model.embed_tokens.weight.add_(0.1)
    assert not torch.equal(learner.adapt(one.support).phi[learner.names[0]], again.phi[learner.names[0]])
    assert len(calls) == seen + len(one.support) + 1


def test_the_base_is_read_without_its_adapters_in_either_mode_and_alone():
    one, plain, blocks = model({"r": 2, "lora_dropout": 0.5}).train(), bare().module.base_model, task().support.inputs
    found = HiddenStates(one, lambda states, _: states[-1])(blocks)
    assert_close(found, [plain(input_ids=block[None]).last_hidden_state[0].detach() for block in blocks])
    assert not any(states.requires_grad for states in found)
    assert all(part.training for part in one.modules())
    assert torch.equal(HiddenStates(one, lambda states, _: states[-1])(blocks[1:2])[0], found[1])


def test_reading_leaves_no_hook_behind():
    one = model()
    states = HiddenStates(one, lambda states, _: torch.tensor(len(states)))
    assert [states([block])[0].item() for block in task().support.inputs] == [3, 3, 3]
    assert not any(part._forward_hooks for part in one.modules())


def test_what_is_kept_stays_within_its_room():
    states = HiddenStates(model(), lambda states, _: states[-1], room=2000)
    blocks = [torch.arange(4) + i for i in range(12)]
    found = states(blocks)
    assert_close(states(blocks), found, rtol=0, atol=0)
    assert sum(value.nbytes for value in states.kept._tensors.values()) == states.kept._bytes
    assert states(blocks[:1])
    assert states.kept._bytes <= 2000


def test_what_has_no_adapters_to_make_is_refused_in_words():
    with pytest.raises(QuickstudyError, match=r"this Sequential has none to make; .*lora="):
        AdapterGenerator(mlp([4, 3]))
    with pytest.raises(QuickstudyError, match="this LanguageModel has none to make"):
        AdapterGenerator(bare())
    with pytest.raises(QuickstudyError, match=r"holds more than these \(`module.model.embed_tokens.weight`"):
        AdapterGenerator(model(), space=".")
    learner: Any = AdapterGenerator(model(), **SMALL)
    learner.model.module.model.norm.weight.requires_grad_(True)
    with pytest.raises(QuickstudyError, match="has to stay as it is, and here it learns"):
        learner.adapt(task().support)
    for name in ("bases", "width"):
        with pytest.raises(QuickstudyError, match=f"{name}=0"):
            AdapterGenerator(model(), **{name: 0})
    with pytest.raises(QuickstudyError, match="these inputs are of another kind"):
        AdapterGenerator(model(), **SMALL).adapt(Batch(["some text"], ["label"]))
    with pytest.raises(QuickstudyError, match="nothing to learn from"):
        AdapterGenerator(model(), **SMALL).adapt(Batch([], []))


def test_frozen_adapters_stay_where_they_are_and_the_network_still_learns():
    base = model().requires_grad_(False)
    learner = AdapterGenerator(base, space="lora_", **SMALL)
    assert {name.partition(".")[0] for name, _ in learner.named_parameters() if _.requires_grad} == {"bases", "first", "last"}
    trained(learner, 2)
    assert_close(dict(learner.model.named_parameters()), dict(model().named_parameters()), rtol=0, atol=0)
