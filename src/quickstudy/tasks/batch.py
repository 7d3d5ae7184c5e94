"""`Batch`: examples to learn from or to be judged on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from quickstudy.errors import QuickstudyError


@dataclass(frozen=True)
class Batch:
    """Examples and what they should map to.

    Args:
        inputs: any tree of tensors `(examples, ...)` and lists (of strings, of ragged tensors) in dicts and tuples.
            A dict is passed to the model as keywords, a tuple as positional arguments.
        targets: labels (a list of strings), class indices, real values, or ragged ones as a list of tensors.
        seed: all randomness of learning from these examples (dropout, minibatches) comes from it; `Task` sets it.

    Raises:
        QuickstudyError: inputs and targets of different lengths.
    """

    inputs: Any
    targets: Any = None
    seed: int = 0

    def __post_init__(self):
        lengths = {_length(leaf) for leaf in _leaves((self.inputs, self.targets))}
        if len(lengths) > 1:
            raise QuickstudyError(f"a batch needs as many targets as inputs; its parts have lengths {sorted(lengths)}")

    def __len__(self) -> int:
        return next((_length(leaf) for leaf in _leaves((self.inputs, self.targets))), 0)

    def minibatches(self, count: int, size: int | None) -> list[Batch]:
        """`count` minibatches of `size` examples, without repetition until all are used up; drawn from `seed`."""
        if size is None or size >= len(self):
            return [self] * count
        generator, order = torch.Generator().manual_seed(self.seed), []
        while len(order) < count * size:
            order += torch.randperm(len(self), generator=generator).tolist()
        return [self.take(order[at : at + size]) for at in range(0, count * size, size)]

    def take(self, indices: Sequence[int]) -> Batch:
        """The examples at these indices, in this order."""
        return self.map(lambda leaf: _pick(leaf, indices))

    def to(self, device: torch.device | str) -> Batch:
        """The same examples with every tensor on this device."""
        return self.map(lambda leaf: _move(leaf, device))

    def split(self, size: int | None) -> Iterator[Batch]:
        """Consecutive parts of at most `size` examples; the whole where `size` is None."""
        if size is None or size >= len(self):
            yield self
            return
        for start in range(0, len(self), size):
            yield self.take(range(start, min(start + size, len(self))))

    def map(self, change: Callable[[Any], Any]) -> Batch:
        """The same examples with every tensor or list of the tree replaced by `change` of it."""
        return replace(self, inputs=_mapped(self.inputs, change), targets=_mapped(self.targets, change))


def _leaves(tree: Any) -> Iterator[Any]:
    if isinstance(tree, Mapping):
        for value in tree.values():
            yield from _leaves(value)
    elif isinstance(tree, tuple):
        for value in tree:
            yield from _leaves(value)
    elif tree is not None:
        yield tree


def _mapped(tree: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(tree, Mapping):
        return {key: _mapped(value, change) for key, value in tree.items()}
    if isinstance(tree, tuple):
        return tuple(_mapped(value, change) for value in tree)
    return None if tree is None else change(tree)


def _length(leaf: Any) -> int:
    if isinstance(leaf, torch.Tensor) and leaf.ndim == 0:
        raise QuickstudyError("a batch holds one row per example; a tensor without dimensions has no rows")
    return len(leaf)


def _pick(leaf: Any, indices: Sequence[int]) -> Any:
    if isinstance(leaf, torch.Tensor):
        return leaf[torch.as_tensor(list(indices), device=leaf.device, dtype=torch.long)]
    if isinstance(leaf, list):
        return [leaf[i] for i in indices]
    return leaf[list(indices)]


def _move(leaf: Any, device: torch.device | str) -> Any:
    if isinstance(leaf, torch.Tensor):
        return leaf.to(device)
    if isinstance(leaf, list):
        return [_move(item, device) if isinstance(item, torch.Tensor) else item for item in leaf]
    return leaf
