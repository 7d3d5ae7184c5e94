"""Where a model computes."""

import pytest
import torch
from torch import nn

from quickstudy import QuickstudyError
from quickstudy.models.device import CPU, chosen, device_of, name_of


def test_auto_is_the_processor_where_there_is_no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert chosen() == CPU == chosen("cpu")
    assert name_of(CPU) == "cpu"


def test_auto_is_the_gpu_of_this_process(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert chosen() == torch.device("cuda", 1)


@pytest.mark.parametrize("name", ["gpu", "cuda:99", ""])
def test_a_device_that_is_not_there_is_named(name):
    with pytest.raises(QuickstudyError, match="is not there"):
        chosen(name)


def test_a_model_is_where_its_tensors_are():
    assert device_of(nn.Identity()) == CPU
    assert device_of(nn.Linear(1, 1, device="meta")) == torch.device("meta")
    with_buffer = nn.Module()
    with_buffer.register_buffer("mean", torch.empty(1, device="meta"))
    assert device_of(with_buffer) == torch.device("meta")
