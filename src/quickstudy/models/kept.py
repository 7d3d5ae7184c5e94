"""`Kept`: what was computed of inputs, within so many bytes, while what it depends on stays as it is."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch


class Kept:
    """Tensors by input; what came first goes first.

    Args:
        room: bytes that are kept.
    """

    def __init__(self, room: int):
        self.room = room
        self._tensors: dict[Any, torch.Tensor] = {}
        self._bytes, self._state = 0, ()

    def under(self, state: tuple[Hashable, ...]) -> dict[Any, torch.Tensor]:
        """What is kept; empty where the state has changed since."""
        if state != self._state:
            self._tensors, self._bytes, self._state = {}, 0, state
        return self._tensors

    def add(self, known: dict[Any, torch.Tensor], rows: Mapping[Any, torch.Tensor]) -> None:
        """Adds to what `under` gave, within the room there is."""
        known.update(rows)
        self._bytes += sum(row.nbytes for row in rows.values())
        for key in list(known):
            if self._bytes <= self.room:
                return
            if (old := known.pop(key, None)) is not None:  # another thread may have been here
                self._bytes -= old.nbytes
