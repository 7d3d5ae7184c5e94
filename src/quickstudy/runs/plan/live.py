"""Bytes in use: counted tensor by tensor, so that no allocator, no other process and no earlier peak has a say."""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):
    """Counts what is allocated inside for tensors, and is still in use; what was there before does not count.

    It sees each operation's results, those of the backward pass too, but not what a single kernel takes and gives back.
    Tensors on the `meta` device count as if they had values.

    Attributes:
        now: bytes in use.
        peak: the most so far.
    """

    def __init__(self):
        super().__init__()
        self.now = self.peak = 0
        self._storages: dict[int, weakref.ref] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for tensor in _tensors((args, kwargs)):
            self._see(tensor.untyped_storage(), counts=False)
        output = func(*args, **(kwargs or {}))
        for tensor in _tensors(output):
            self._see(tensor.untyped_storage(), counts=True)
        return output

    def _see(self, storage: torch.UntypedStorage, *, counts: bool) -> None:
        key = storage._cdata
        if key in self._storages:
            return
        size = storage.nbytes() if counts else 0

        def gone(_: Any) -> None:
            del self._storages[key]
            self.now -= size

        self._storages[key] = weakref.ref(storage, gone)
        self.now += size
        self.peak = max(self.peak, self.now)


def _tensors(tree: Any) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]
