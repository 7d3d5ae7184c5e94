"""Calling a module with other values for some of its parameters, without touching the module."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.func import functional_call

Parameters = dict[str, torch.Tensor]
"""Parameters by the names of `model.named_parameters()`."""


class Functional:
    """A module as a function of its parameters: `call(parameters, inputs)`.

    Buffers are cloned for each call (else batch norm would move the learner's running mean), tied weights stay tied,
    and the mode (train or eval) stays as it is. Any thread but the one that made it works on a shell of its own, since
    a functional call swaps the module's parameters in place while it runs.
    """

    def __init__(self, model: nn.Module):
        self.model = model
        self._home = threading.get_ident()

    def __call__(self, parameters: Parameters, inputs: Any) -> Any:
        model = self.model if threading.get_ident() == self._home else shell(self.model)
        buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
        args, kwargs = arguments(inputs)
        return functional_call(model, {**parameters, **buffers}, args, kwargs)


def arguments(inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """How inputs are passed to a model: a mapping as keywords, a tuple as positions, anything else as one argument."""
    if isinstance(inputs, Mapping):
        return (), dict(inputs)
    return (inputs if isinstance(inputs, tuple) else (inputs,)), {}


def shell(model: nn.Module) -> nn.Module:
    """A second module that shares every tensor (and the tokenizer) with the first."""
    shared = [*model.parameters(), *model.buffers()]
    shared += [module.tokenizer for module in model.modules() if hasattr(module, "tokenizer")]
    return copy.deepcopy(model, {id(item): item for item in shared})


_RANDOM_STATE = threading.Lock()


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
