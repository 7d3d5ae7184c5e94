"""Where a model computes, and what numbers go with it."""

from __future__ import annotations

import os
from itertools import chain

import torch
from torch import nn

from quickstudy.errors import QuickstudyError, reason

CPU = torch.device("cpu")


def chosen(name: str = "auto") -> torch.device:
    """The device of this name; `auto`: the GPU where torch sees one, this process's own under torchrun, else the processor.

    Raises:
        QuickstudyError: there is no such device here.
    """
    if name == "auto":
        there = torch.cuda.device_count() if torch.cuda.is_available() else 0
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % there) if there else CPU
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise QuickstudyError(f"device {name!r} is not there ({reason(error)}); give auto, cpu, cuda or cuda:1") from None
    return device


def name_of(device: torch.device) -> str:
    """The device for a log: a GPU with the name of its make."""
    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)


def device_of(model: nn.Module) -> torch.device:
    """Where its parameters are, or its buffers; the processor where it has neither."""
    return next((tensor.device for tensor in chain(model.parameters(), model.buffers())), CPU)


def like(model: nn.Module) -> torch.Tensor:
    """An empty tensor where the model is, to make others as: of its precision, of single where that is a half."""
    first = next(model.parameters(), torch.empty(0, device=device_of(model)))
    return torch.empty(0, device=first.device, dtype=torch.promote_types(first.dtype, torch.float32))
