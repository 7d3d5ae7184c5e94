"""What a classifier learned from: the nearest examples, and sentences that are like none of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from quickstudy.models.examples import ALARMS, Examples, threshold

TEXTS = ["east", "east by north", "north", "north by east"]


def at(*degrees: float) -> torch.Tensor:
    """Unit vectors in a plane of three dimensions."""
    angles = torch.tensor(degrees, dtype=torch.float64) * math.pi / 180
    return torch.stack([angles.cos(), angles.sin(), torch.zeros_like(angles)], dim=1)


def examples(none_below: float = -math.inf) -> Examples:
    return Examples(TEXTS, torch.tensor([0, 0, 1, 1]), at(0, 20, 90, 70), none_below)


def test_the_nearest_come_first_with_their_class_and_cosine():
    (like,) = examples().like(5 * at(18), count=2)
    assert [(text, target) for text, target, _ in like.nearest] == [("east by north", 0), ("east", 0)]
    assert [cosine for *_, cosine in like.nearest] == pytest.approx([math.cos(math.radians(a)) for a in (2, 18)])


def test_no_more_are_shown_than_there_are():
    assert [len(like.nearest) for like in examples().like(at(0, 90), count=9)] == [4, 4]


def test_familiarity_is_the_cosine_to_the_nearest_class_mean():
    found = examples().familiarity(3 * at(10, 80, 45))
    assert found.tolist() == pytest.approx([1, 1, math.cos(math.radians(35))])


def test_a_sentence_unlike_all_classes_is_none_of_them():
    away = torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64)
    asked = torch.cat([at(10, 45), away])
    assert [like.none for like in examples(0.9).like(asked)] == [False, True, True]
    assert [like.none for like in examples().like(asked)] == [False, False, False]


def test_the_threshold_lets_all_but_a_twentieth_pass():
    seen = np.random.default_rng(0).normal(size=1000)
    assert (seen < threshold(seen)).mean() == pytest.approx(ALARMS, abs=0.002)


def test_without_anything_held_out_nothing_is_none():
    assert threshold(np.zeros(0)) == -math.inf


def test_a_single_class_is_enough_to_be_like():
    alone = Examples(["east"], torch.tensor([0]), at(0))
    assert alone.familiarity(F.normalize(torch.ones(1, 3, dtype=torch.float64))).item() == pytest.approx(3**-0.5)
