"""What a wrapper of a module has in common with it."""

from __future__ import annotations

from typing import Any

from torch import nn


class BaseLearner(nn.Module):
    """A wrapper that is called as its module is, and has its attributes beside its own."""

    module: nn.Module

    def __init__(self, module: nn.Module | None = None):
        super().__init__()
        self.module = module  # type: ignore[assignment]  # a subclass may set it later

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            module = self.__dict__.get("_modules", {}).get("module")
            if module is None:
                raise
            return getattr(module, name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The module's output."""
        return self.module(*args, **kwargs)


def chosen(given: bool | None, otherwise: bool) -> bool:
    """An option of one call, or else the wrapper's own."""
    return otherwise if given is None else given
