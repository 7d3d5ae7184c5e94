"""Which methods are judged beside a language model's own, and what they share."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from quickstudy import MAML, FineTune, QuickstudyError, ZeroStep, models
from quickstudy.evaluation.language.holding import holding
from quickstudy.evaluation.language.method import Method
from quickstudy.evaluation.language.methods import LONG, SLOW_TASKS, base_of, fresh_adapters, methods
from quickstudy.learners.baselines.in_context import InContext

SETTINGS = {"lora": {"r": 2, "layers": 1}, "lr": 0.002, "micro_batch": 2}
BLOCK = [torch.tensor([2, 5, 7, 3, 9, 4])]


def names(judged: Method, which: str, **more) -> list[str]:
    return [each.name for each in methods(judged, which, **SETTINGS, **more)]  # type: ignore[arg-type]


def test_none_standard_and_full(llama):
    run = Method("MAML", MAML(llama, 0.01), "")
    assert names(run, "none") == ["MAML"]
    assert names(run, "standard") == ["MAML", "ZeroStep", "Fresh LoRA", "In context"]
    assert names(run, "full") == ["MAML", "ZeroStep", "Fresh LoRA", "In context", "Full tuning", "Long tuning"]
    with pytest.raises(QuickstudyError, match="none, standard, full"):
        names(run, "all")


def test_nothing_is_its_own_baseline(llama):
    assert names(fresh_adapters(llama, 0.002, 2), "standard") == ["Fresh LoRA", "ZeroStep", "In context"]
    assert names(Method("ICL", InContext(llama), ""), "standard") == ["ICL", "ZeroStep", "Fresh LoRA"]


def test_fresh_adapters_are_untrained_and_share_the_rest(llama, tiny_llama):
    judged, zero, fresh, context = methods(Method("MAML", MAML(llama, 0.01), ""), "standard", **SETTINGS)
    plain = models.load(tiny_llama)
    with torch.no_grad():
        expected = plain(BLOCK)
        assert_close(fresh.learner.model(BLOCK), expected)
        assert_close(zero.learner.model(BLOCK), expected)
        assert_close(context.learner.model(BLOCK), expected)
        assert (judged.learner.model(BLOCK) - expected).abs().max() > 1e-3
    assert fresh.learner.model._frozen is llama._frozen
    own, others = dict(llama.named_parameters()), dict(fresh.learner.model.named_parameters())
    assert list(own) == list(others)
    assert {name for name in own if own[name] is not others[name]} == {name for name in own if "lora_" in name}
    assert [name for name, p in others.items() if p.requires_grad] == [name for name in own if "lora_" in name]


def test_slow_baselines(llama):
    *_, full, long = methods(Method("MAML", MAML(llama, 0.01), ""), "full", **SETTINGS)
    assert (full.first, long.first, long.ceiling) == (SLOW_TASKS, SLOW_TASKS, LONG)
    assert len(full.learner.names) == len(list(base_of(llama).named_parameters()))
    assert [full.rate * each for each in full.tried] == pytest.approx([1e-5, 3e-5, 1e-4, 3e-4])
    assert len(full.tried) == len(long.tried)


def test_a_model_without_adapters_has_baselines_of_its_own(tiny_llama):
    whole = models.load(tiny_llama)
    judged = Method("MAML", MAML(whole, 0.01, space="layers.1"), "")
    with torch.no_grad():
        whole.module.lm_head.weight.mul_(2)  # what it has learned
    _, zero, fresh, _ = methods(judged, "standard", **SETTINGS)
    assert_close(zero.learner.model(BLOCK), models.load(tiny_llama)(BLOCK))
    assert any("lora_" in name for name in fresh.learner.names)


def test_a_model_holds_other_values(llama, text):
    (task,) = text("cards", count=1).tasks
    learner = FineTune(llama, 0.05, steps=2)
    adapted = learner.adapt(task.support)
    before = {name: p.clone() for name, p in llama.named_parameters()}
    other = holding(llama, adapted.phi)
    with torch.no_grad():
        assert_close(other(BLOCK), adapted.logits(BLOCK))
        assert (llama(BLOCK) - other(BLOCK)).abs().max() > 1e-4
    assert all(torch.equal(before[name], p) for name, p in llama.named_parameters())
    assert ZeroStep(other).adapt(task.support).logits(BLOCK).shape == (6, 22)


def test_a_tied_weight_is_replaced_in_all_its_places(llama):
    llama.module.lm_head.weight = llama.module.model.embed_tokens.weight
    name = next(name for name, p in llama.named_parameters() if p is llama.module.lm_head.weight)
    other = holding(llama, {name: torch.zeros_like(llama.module.lm_head.weight)})
    assert other.module.lm_head.weight is other.module.model.embed_tokens.weight
    assert not other.module.lm_head.weight.any()
    assert llama.module.lm_head.weight.any()
