"""Gradients through Llama, whose norms ask for single precision, and through Adam where LoRA's first gradient is zero."""

import pytest
import torch

from quickstudy import MAML, Batch, Task, check_gradients, models


@pytest.fixture
def task():
    generator = torch.Generator().manual_seed(0)
    blocks = [torch.randint(2, 12, (n,), generator=generator) for n in (6, 4, 5)]
    batches = [Batch([b[:-1] for b in some], [b[1:] for b in some]) for some in (blocks[:2], blocks[2:])]
    return Task(*batches, seed=1)


@pytest.fixture
def model(tiny_llama):
    return models.load(tiny_llama, lora={"r": 2, "layers": 1})


@pytest.mark.parametrize("gradient", ["exact", "first_order"])
def test_a_gradient_through_llama_is_found_right_in_double_precision(model, task, gradient):
    report = check_gradients(MAML(model, 0.3, inner_steps=2, gradient=gradient), task)
    assert report.ok, report
    assert max(report.errors.values()) < 1e-7
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_adam_has_a_kink_where_loras_first_gradient_is_zero(model, task):
    report = check_gradients(MAML(model, 0.01, inner_steps=2, rule="adam"), task)
    assert len(report.faults) == 1
    assert "a kink: the first inner gradient of `module.model.layers.1.self_attn.q_proj.lora_A" in report.faults[0]
    assert "one of 7" in report.faults[0]
    assert "rule: {name: adam, eps: 0.001}" in report.faults[0]


@pytest.mark.parametrize(
    "settings", [{"rule": {"name": "adam", "eps": 1e-3}}, {"rule": "adam", "gradient": "first_order"}, {"rule": "sgd"}]
)
def test_what_the_fault_advises_is_right(model, task, settings):
    report = check_gradients(MAML(model, 0.01, inner_steps=2, **settings), task)
    assert report.ok, report


def test_away_from_zero_there_is_no_kink(model, task):
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".lora_B." in name:
                parameter.normal_(generator=torch.Generator().manual_seed(0))
    assert not any("kink" in fault for fault in check_gradients(MAML(model, 0.01, inner_steps=2, rule="adam"), task).faults)
