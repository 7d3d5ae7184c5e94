"""Transforms of tasks of images."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch

from quickstudy.compat.learn2learn.data.meta_dataset import MetaDataset
from quickstudy.compat.learn2learn.data.task_dataset import TaskDescription
from quickstudy.compat.learn2learn.data.transforms import TaskTransform
from quickstudy.errors import QuickstudyError


class RandomClassRotation(TaskTransform):
    """Turns all images `(..., height, width)` of a class alike, counterclockwise. Stands after `LoadData`.

    Args:
        degrees: those to draw from, with Python's own randomness.

    Raises:
        QuickstudyError: a number that is no multiple of 90.
    """

    def __init__(self, dataset: MetaDataset, degrees: Sequence[float]):
        super().__init__(dataset)
        askew = [angle for angle in degrees if angle % 90]
        if askew:
            raise QuickstudyError(f"RandomClassRotation turns by multiples of 90 degrees, not by {askew[0]:g}; leave it out")
        self.degrees = degrees

    def change(self, task_description: TaskDescription) -> TaskDescription:
        for examples in self.by_label(task_description).values():
            turned = partial(_turned, int(random.choice(self.degrees) // 90))
            for described in examples:
                described.transforms.append(turned)
        return task_description


def _turned(quarters: int, example: Sequence[Any]) -> list[Any]:
    image, *label = example
    return [torch.rot90(image, quarters, (-2, -1)), *label]
