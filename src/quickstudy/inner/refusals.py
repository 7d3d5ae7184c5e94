"""What spoils a gradient without a word from autograd, refused where the inner loop calls the model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

import torch
from torch import nn
from torch.autograd.function import BackwardCFunction
from torch.nn.modules.module import register_module_forward_hook

from quickstudy.errors import QuickstudyError


@contextmanager
def untouched(phi: Mapping[str, torch.Tensor]) -> Iterator[None]:
    """The model is called inside, and must leave phi as it is.

    Raises:
        QuickstudyError: it changed a parameter in place; a change through `.data` is seen by `check_gradients` alone.
    """
    before = [value._version for value in phi.values()]
    yield
    for (name, value), version in zip(phi.items(), before, strict=True):
        if value._version != version:
            raise QuickstudyError(
                f"the model updates a parameter in place during its forward pass: `{name}`; compute a new tensor instead"
            )


_LOOKED_AT: WeakSet[nn.Module] = WeakSet()


def twice_differentiable(value: torch.Tensor, model: nn.Module, again: Callable[[], Any]) -> None:
    """Looks, once a model, for functions that are marked as differentiable once (layers of 4 bits may be).

    `torch.autograd.grad` leaves the part of such a function out of a second derivative and raises nothing.

    Args:
        value: the loss, with its graph.
        again: computes it anew, to find the module.

    Raises:
        QuickstudyError: there is one.
    """
    if model in _LOOKED_AT:
        return
    function = next((f for _, f in custom_functions(value.grad_fn) if differentiable_once(f)), None)
    if function is not None:
        raise QuickstudyError(no_second_derivative(_where(function, model, again), function))
    _LOOKED_AT.add(model)


def no_second_derivative(where: str, function: type) -> str:
    """The sentence on a custom function of a module."""
    return (
        f"{where} computes with {function.__name__}, which has no second derivative, so an exact gradient would lack its part "
        "without a word: give gradient='first_order', or load the layer in 16 or 32 bits"
    )


def custom_functions(end: Any, start: Iterable[Any] = ()) -> Iterator[tuple[Any, type]]:
    """The `torch.autograd.Function`s of a graph between its end and its start: each node and its class."""
    todo, seen = [end], {None, *start}
    while todo:
        node = todo.pop()
        if node in seen:
            continue
        seen.add(node)
        if isinstance(node, BackwardCFunction):
            yield node, node._forward_cls  # type: ignore[attr-defined]
        todo += [before for before, _ in node.next_functions]


def differentiable_once(function: Any) -> bool:
    """Whether its backward is marked `once_differentiable`."""
    return getattr(function.backward, "__globals__", None) is vars(torch.autograd.function)


def _where(function: type, model: nn.Module, again: Callable[[], Any]) -> str:
    """The innermost module whose output has the function in its graph. It may be a shell's, so that its class alone is known."""
    found: list[type] = []

    def look(module: nn.Module, _: Any, output: Any) -> None:
        if not found and isinstance(output, torch.Tensor) and function in dict(custom_functions(output.grad_fn)).values():
            found.append(type(module))

    hook = register_module_forward_hook(look)
    try:
        again()
    finally:
        hook.remove()
    names = [f"`{name}`" for name, module in model.named_modules() if found and type(module) is found[0] and name]
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{names[0]} ({found[0].__name__}){more}" if names else type(model).__name__
