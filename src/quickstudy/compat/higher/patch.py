"""The model of an inner loop: a module whose parameters are tensors that follow one another in time."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import torch
from torch import nn

from quickstudy.compat.higher.utils import get_func_params
from quickstudy.errors import QuickstudyError
from quickstudy.models.shell import shelling


class FunctionalModel(nn.Module):
    """A module with fast weights in the place of its parameters; the module stays as it is.

    It is a shell of the module (`models/shell.py`): new modules of the same classes around the same attributes, whose
    parameters are the fast weights of now and whose buffers are copies of its own. So submodules can be called, and methods
    other than `forward`; attributes are those of the shell.

    Args:
        device: where fast weights and buffers are; None: where they were.
        copy_initial_weights: whether the first ones are detached copies; else a gradient passes on to the parameters.
        track_higher_grads: whether all fast weights since the start are kept, or the latest alone.

    Raises:
        QuickstudyError: the model is itself the model of an inner loop.
    """

    def __init__(
        self,
        model: nn.Module,
        device: torch.device | str | None = None,
        copy_initial_weights: bool = True,
        track_higher_grads: bool = True,
    ):
        super().__init__()
        if any(isinstance(module, FunctionalModel) for module in model.modules()):
            raise QuickstudyError(
                "the model is the functional model of another inner loop; give the module that it was made from"
            )
        shell = shelling(model)(model)
        number = {id(p): i for i, p in enumerate(model.parameters())}
        buffers = {id(b): b.detach().clone().to(device=device) for b in model.buffers()}
        places = []
        for module in shell.modules():
            places += [(module._parameters, name, number[id(p)]) for name, p in module._parameters.items() if p is not None]
            module._buffers.update({name: buffers[id(b)] for name, b in module._buffers.items() if b is not None})
        # the shell's own dictionaries, so that whatever torch does with a module's parameters, buffers and parts it does here
        shared = {name: vars(shell)[name] for name in ("_parameters", "_buffers", "_modules")}
        vars(self).update(shared, _shell=shell, _places=places, _count=len(number), _history=[])
        del vars(self)["training"]
        self.track_higher_grads = track_higher_grads
        if copy_initial_weights:
            self.fast_params = get_func_params(model, device)
        else:
            self.fast_params = [p.clone().to(device=device) for p in model.parameters()]

    def forward(self, *args: Any, params: Iterable[torch.Tensor] | None = None, **kwargs: Any) -> Any:
        """The model's output with its fast weights; with `params`, which become the latest ones, where they are given."""
        if params is not None:
            self.fast_params = params
        return self._shell(*args, **kwargs)

    def parameters(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, recurse: bool = True, time: int | None = None
    ) -> Iterator[torch.Tensor]:
        """The fast weights, in the order of the model's parameters.

        Args:
            recurse: has no effect: those of all submodules are among them.
            time: after so many updates, 0 being the start; None: the latest.

        Raises:
            QuickstudyError: a time that has not been reached, or one that was not kept.
        """
        if time is None or (time in (0, -1) and not self.track_higher_grads):
            return iter(self._history[-1])
        if not self.track_higher_grads:
            raise QuickstudyError(f"parameters(time={time}): with track_higher_grads=False only the latest ones are kept")
        if not -len(self._history) <= time < len(self._history):
            raise QuickstudyError(f"parameters(time={time}): there are those of times 0 to {len(self._history) - 1}")
        return iter(self._history[time])

    @property
    def fast_params(self) -> list[torch.Tensor]:
        """The latest fast weights. Set, they are one more point in time."""
        return list(self._history[-1])

    @fast_params.setter
    def fast_params(self, params: Iterable[torch.Tensor]) -> None:
        self.update_params(params)

    @property
    def init_fast_params(self) -> list[torch.Tensor]:
        """The fast weights at the start.

        Raises:
            QuickstudyError: with `track_higher_grads=False` they are not kept.
        """
        if not self.track_higher_grads:
            raise QuickstudyError("init_fast_params: with track_higher_grads=False the first fast weights are not kept")
        return list(self._history[0])

    def update_params(self, params: Iterable[torch.Tensor]) -> None:
        """Makes these the fast weights.

        Raises:
            QuickstudyError: they are not as many as the model has parameters.
        """
        latest = list(params)
        if len(latest) != self._count:
            raise QuickstudyError(f"{len(latest)} fast weights for a model of {self._count} parameters: give one for each")
        for parameters, name, i in self._places:
            parameters[name] = latest[i]
        if not self.track_higher_grads:
            self._history.clear()
        self._history.append(latest)

    def train(self, mode: bool = True) -> FunctionalModel:
        """As the model's own `train`."""
        self._shell.train(mode)
        return self

    def __getitem__(self, key: Any) -> Any:
        """A layer, or some, of an `nn.Sequential`."""
        return vars(self)["_shell"][key]

    def __getattr__(self, name: str) -> Any:
        return getattr(vars(self)["_shell"], name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("fast_params", "track_higher_grads"):
            object.__setattr__(self, name, value)
        else:
            setattr(self._shell, name, value)  # whose forward pass reads it


def monkeypatch(
    module: nn.Module,
    device: torch.device | str | None = None,
    copy_initial_weights: bool = True,
    track_higher_grads: bool = True,
) -> FunctionalModel:
    """`FunctionalModel`, by higher's name for what makes one; nothing is patched."""
    if copy_initial_weights and track_higher_grads:
        say_that_it_is_detached()
    return FunctionalModel(module, device, copy_initial_weights, track_higher_grads)


@cache
def say_that_it_is_detached() -> None:
    """One warning a process, at the line that asked for the inner loop."""
    warnings.warn(
        "copy_initial_weights=True, the default, starts from a detached copy: no gradient will reach the model's own parameters, "
        "only fmodel.parameters(time=0). To meta-learn them, as MAML does, give copy_initial_weights=False",
        stacklevel=3,
    )
