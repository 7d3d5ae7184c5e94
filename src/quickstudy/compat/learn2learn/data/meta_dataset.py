"""Datasets that know which of their examples have which label."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any

from torch.utils.data import Dataset

from quickstudy.errors import QuickstudyError

Label = Any
"""What a dataset has as the second part of an example: a number or a string."""


class MetaDataset(Dataset):
    """A dataset of `(data, label)`, with `labels`, `labels_to_indices` and `indices_to_labels`.

    Every example is read once to learn its label. Nothing is cached on disk.

    Args:
        dataset: of torch, with a length.
        labels_to_indices: the places of each label's examples, which saves the reading; or
        indices_to_labels: the label of each place.

    Raises:
        QuickstudyError: something else than a dataset, or a label of several numbers.
    """

    labels_to_indices: dict[Label, list[int]]
    indices_to_labels: dict[int, Label]
    labels: list[Label]

    def __init__(
        self,
        dataset: Dataset,
        labels_to_indices: Mapping[Label, Iterable[int]] | None = None,
        indices_to_labels: Mapping[int, Label] | None = None,
    ):
        if not isinstance(dataset, Dataset):
            raise QuickstudyError(f"a MetaDataset wraps a torch.utils.data.Dataset, not {type(dataset).__name__}; wrap it in one")
        self.dataset = dataset
        self.create_bookkeeping(labels_to_indices, indices_to_labels)

    def create_bookkeeping(
        self,
        labels_to_indices: Mapping[Label, Iterable[int]] | None = None,
        indices_to_labels: Mapping[int, Label] | None = None,
    ) -> None:
        """Makes `labels`, `labels_to_indices` and `indices_to_labels`, of one of these or of the examples."""
        if labels_to_indices is not None:
            pairs = [(index, label) for label, indices in labels_to_indices.items() for index in indices]
        elif indices_to_labels is not None:
            pairs = list(indices_to_labels.items())
        else:
            pairs = [(index, _label(self.dataset[index], index)) for index in range(len(self.dataset))]  # type: ignore[arg-type]
        self._book(pairs)

    def _book(self, pairs: Iterable[tuple[int, Label]]) -> None:
        self.labels_to_indices, self.indices_to_labels = {}, {}
        for index, label in pairs:
            self.labels_to_indices.setdefault(label, []).append(index)
            self.indices_to_labels[index] = label
        self.labels = list(self.labels_to_indices)

    def __getitem__(self, item: int) -> Any:
        return self.dataset[item]

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]


class UnionMetaDataset(MetaDataset):
    """The examples of several datasets one after the other, their labels numbered anew: equal labels of two are two."""

    def __init__(self, datasets: Sequence[Dataset]):
        self.datasets = [dataset if isinstance(dataset, MetaDataset) else MetaDataset(dataset) for dataset in datasets]
        self._ends = list(accumulate(map(len, self.datasets)))
        pairs, known = [], 0
        for dataset, end in zip(self.datasets, self._ends, strict=True):
            number = {label: known + i for i, label in enumerate(dataset.labels)}
            begin = end - len(dataset)
            pairs += [(begin + index, number[label]) for index, label in dataset.indices_to_labels.items()]
            known += len(number)
        self._book(pairs)

    def __getitem__(self, item: int) -> list[Any]:
        if not 0 <= item < len(self):
            raise IndexError(f"the union has {len(self)} examples, from 0 to {len(self) - 1}; there is none at {item}")
        which = bisect_right(self._ends, item)
        dataset = self.datasets[which]
        data, _, *more = dataset[item - self._ends[which] + len(dataset)]
        return [data, self.indices_to_labels[item], *more]

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0


class FilteredMetaDataset(MetaDataset):
    """The examples of these labels alone, label by label; the labels stay as they are.

    Raises:
        QuickstudyError: a label that the dataset has not.
    """

    def __init__(self, dataset: Dataset, labels: Iterable[Label]):
        self.dataset = dataset = dataset if isinstance(dataset, MetaDataset) else MetaDataset(dataset)
        labels = list(labels)
        unknown = [label for label in labels if label not in dataset.labels_to_indices]
        if unknown:
            raise QuickstudyError(f"the dataset has no example of the label {unknown[0]!r}; give labels that it has")
        self.to_true_indices = [index for label in labels for index in dataset.labels_to_indices[label]]
        self._book((place, dataset.indices_to_labels[index]) for place, index in enumerate(self.to_true_indices))

    def __getitem__(self, item: int) -> Any:
        return self.dataset[self.to_true_indices[item]]

    def __len__(self) -> int:
        return len(self.to_true_indices)


def _label(example: Any, index: int) -> Label:
    label = example[1]
    if not hasattr(label, "item"):
        return label
    try:
        return label.item()
    except (RuntimeError, ValueError):
        shape = tuple(label.shape)
        raise QuickstudyError(f"example {index} has a label of shape {shape}; a label is one number or one string") from None
