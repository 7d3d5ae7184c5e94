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

    Each call works on a shell that shares every tensor with the module, since a functional call swaps parameters in place
    while it runs: another thread, or a reader of the module's parameters, never sees them swapped. Buffers are cloned (else
    batch norm would move the learner's running mean), tied weights stay tied, train or eval mode stays as it is.
    """

    def __init__(self, model: nn.Module):
        self.model = model
        self._shell = _deep_shell if any(map(_hides_modules, model.modules())) else _shell

    def __call__(self, parameters: Parameters, inputs: Any) -> Any:
        model = self._shell(self.model)
        buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
        args, kwargs = arguments(inputs)
        return functional_call(model, {**parameters, **buffers}, args, kwargs)


def arguments(inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """How inputs are passed to a model: a mapping as keywords, a tuple as positions, anything else as one argument."""
    if isinstance(inputs, Mapping):
        return (), dict(inputs)
    return (inputs if isinstance(inputs, tuple) else (inputs,)), {}


def _shell(model: nn.Module) -> nn.Module:
    """New modules around the same tensors and attributes, far cheaper than a deep copy."""
    made: dict[int, nn.Module] = {}

    def around(module: nn.Module) -> nn.Module:
        if id(module) not in made:
            new = made[id(module)] = module.__new__(type(module))
            new.__dict__.update(module.__dict__)
            new.__dict__.update(_parameters=dict(module._parameters), _buffers=dict(module._buffers))
            new.__dict__["_modules"] = {name: None if part is None else around(part) for name, part in module._modules.items()}
        return made[id(module)]

    return around(model)


def _deep_shell(model: nn.Module) -> nn.Module:
    """The same for a module that refers to its parts in other ways too, all of which have to lead into the shell."""
    return copy.deepcopy(model, {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())})


def _hides_modules(module: nn.Module) -> bool:
    """Whether an attribute holds modules beside those that torch knows of: in a list, a dict, a bound method."""

    def hidden(value: Any) -> bool:
        if isinstance(value, (list, tuple)):
            return any(map(hidden, value))
        if isinstance(value, dict):
            return any(map(hidden, value.values()))
        return isinstance(value, nn.Module) or isinstance(getattr(value, "__self__", None), nn.Module)

    return any(hidden(value) for name, value in vars(module).items() if name not in ("_modules", "_parameters", "_buffers"))


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
