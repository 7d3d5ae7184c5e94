"""A dataset on its device, an iterator without an end, and a task in its two parts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch.utils.data import Dataset, TensorDataset

from quickstudy.errors import QuickstudyError

Pair = tuple[torch.Tensor, torch.Tensor]


class OnDeviceDataset(TensorDataset):
    """A dataset of `(tensor, label)`, read once and held on a device.

    Args:
        device: None: the CPU, in pinned memory where torch sees a GPU.
        transform: of each example's tensor, whenever it is asked for.
    """

    def __init__(
        self,
        dataset: Dataset,
        device: torch.device | str | None = None,
        transform: Callable[[torch.Tensor], Any] | None = None,
    ):
        data, labels = zip(*(dataset[i] for i in range(len(dataset))), strict=True)  # type: ignore[arg-type]
        tensors = [torch.stack(data).to(device), torch.as_tensor(labels).to(device)]
        if tensors[0].device.type == "cpu" and torch.cuda.is_available():
            tensors = [tensor.pin_memory() for tensor in tensors]
        super().__init__(*tensors)
        self.transform = transform

    def __getitem__(self, index: Any) -> Any:
        data, label = super().__getitem__(index)
        return (data if self.transform is None else self.transform(data)), label


class InfiniteIterator:
    """Goes through an iterable, such as a `DataLoader`, again and again.

    Raises:
        QuickstudyError: it is empty.
    """

    def __init__(self, dataloader: Iterable):
        self.dataloader, self.iterator = dataloader, iter(dataloader)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        for item in self.iterator:
            return item
        self.iterator = iter(self.dataloader)
        for item in self.iterator:
            return item
        raise QuickstudyError("InfiniteIterator has nothing to repeat: the iterable is empty, or can be gone through only once")


def partition_task(data: torch.Tensor, labels: torch.Tensor, shots: int = 1) -> tuple[Pair, Pair]:
    """A task's support, the first `shots` examples of each label, and its query, the others; both label by label.

    Args:
        data: `(examples, ...)`.
        labels: `(examples,)`, each label as often as any other.

    Raises:
        QuickstudyError: lengths that differ, labels that are not equally frequent, more shots than examples of a label.
    """
    if len(data) != len(labels):
        raise QuickstudyError(f"{len(data)} examples and {len(labels)} labels: give one label for each example")
    places = [torch.nonzero(labels == label).flatten() for label in labels.unique()]
    counts = sorted(map(len, places))
    if counts[0] != counts[-1]:
        raise QuickstudyError(f"a label has {counts[0]} examples, another {counts[-1]}; give as many of each label")
    if shots > counts[0]:
        raise QuickstudyError(f"shots={shots}, but each label has {counts[0]} examples; give at most {counts[0]}")
    support, query = torch.cat([p[:shots] for p in places]), torch.cat([p[shots:] for p in places])
    return (data[support], labels[support]), (data[query], labels[query])
