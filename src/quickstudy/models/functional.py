"""Calling a module with other values for some of its parameters, without touching the module."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.func import functional_call

from quickstudy.models.device import CPU, device_of
from quickstudy.models.encoder import Encoder
from quickstudy.models.language_model import LanguageModel
from quickstudy.models.shell import shelling
from quickstudy.tasks.batch import Batch

Parameters = dict[str, torch.Tensor]
"""Parameters by the names of `model.named_parameters()`."""


class Functional:
    """A module as a function of its parameters: `call(parameters, inputs)`.

    Each call works on a shell that shares every tensor with the module, since a functional call swaps parameters in place
    while it runs: another thread, or a reader of the module's parameters, never sees them swapped. Buffers are cloned (else
    batch norm would move the learner's running mean), tied weights stay tied, train or eval mode stays as it is. The layers
    of a Transformer below the lowest one that moves or learns are computed once an input.
    """

    def __init__(self, model: nn.Module):
        self.model = model
        self._around = shelling(model)

    def __call__(self, parameters: Parameters, inputs: Any) -> Any:
        inputs = there(inputs, self.model)
        if isinstance(self.model, (Encoder, LanguageModel)):
            inputs = self.model.lowered(inputs, parameters)
        model = self._around(self.model)
        buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
        args, kwargs = arguments(inputs)
        return functional_call(model, {**parameters, **buffers}, args, kwargs)


def there(inputs: Any, model: nn.Module) -> Any:
    """Inputs with their tensors where the model is."""
    device = device_of(model)
    return inputs if device == CPU or isinstance(model, Encoder) else Batch(inputs).to(device).inputs


def arguments(inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """How inputs are passed to a model: a mapping as keywords, a tuple as positions, anything else as one argument."""
    if isinstance(inputs, Mapping):
        return (), dict(inputs)
    return (inputs if isinstance(inputs, tuple) else (inputs,)), {}


_RANDOM_STATE = threading.RLock()


@contextmanager
def seeded(seed: int, model: nn.Module) -> Iterator[None]:
    """Draws the model's own randomness (dropout) from `seed` and leaves the global random state as it was.

    torch draws dropout from one random state for the whole process, so a model that is in training mode holds a lock:
    threads then take turns. A model in eval mode draws nothing and needs neither.
    """
    if not any(module.training for module in model.modules()):
        yield
        return
    with _RANDOM_STATE, torch.random.fork_rng(devices=_cuda_devices(model)):
        torch.manual_seed(seed)
        yield


def random_state(model: nn.Module) -> list[torch.Tensor]:
    """The state that the model's next dropout mask comes from, to replay it."""
    return [torch.get_rng_state(), *(torch.cuda.get_rng_state(d) for d in _cuda_devices(model))]


def replay(model: nn.Module, state: list[torch.Tensor]) -> None:
    """Puts the random state back to what `random_state` saw."""
    torch.set_rng_state(state[0])
    for device, saved in zip(_cuda_devices(model), state[1:], strict=True):
        torch.cuda.set_rng_state(saved, device)


def _cuda_devices(model: nn.Module) -> list[int]:
    return sorted({p.device.index for p in model.parameters() if p.device.type == "cuda"})
