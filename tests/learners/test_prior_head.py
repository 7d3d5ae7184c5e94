"""The prior head: what names, unlabelled sentences and the pull count for."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

from quickstudy import Batch
from quickstudy.learners.prior_head import Prior, PriorHead
from quickstudy.tasks.names import with_names

NEAREST = (12.0, 0.0, 0.0)
"""A pull so strong that the weights stay at the prototypes."""


class Vectors(nn.Module):
    """A model that knows these sentences' embeddings, and counts how many it was asked for."""

    def __init__(self, known: dict[str, torch.Tensor]):
        super().__init__()
        self.known, self.asked = known, []

    def forward(self, sentences: list[str]) -> torch.Tensor:
        self.asked.extend(sentences)
        return torch.stack([self.known[sentence] for sentence in sentences])


def around(centres: torch.Tensor, targets: torch.Tensor, noise: float, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(centres[targets] + noise * torch.randn(len(targets), centres.shape[1], generator=generator), dim=1)


def fitted(prior: Prior, embeddings, targets, names=None, others=None) -> torch.Tensor:
    """The head's weights, less the logits' scale."""
    names = torch.zeros(len(targets), dtype=torch.bool) if names is None else names
    shots = torch.stack([(targets[~names] == k).sum().clamp(min=1) for k in range(int(targets.max()) + 1)]).float()
    scale = math.exp(prior.scale[0] + prior.scale[1] * shots.log().mean() + prior.scale[2] * math.log(len(shots)))
    return PriorHead(nn.Identity(), prior=prior).fitted(embeddings, targets, names, others).state_dict()["weight"] / scale


TARGETS = torch.arange(12) % 3
EMBEDDINGS = around(torch.eye(3, 8), TARGETS, 0.3)
NAMES = torch.tensor([False] * 12 + [True] * 3)
WITH_NAMES = torch.cat([EMBEDDINGS, around(torch.eye(3, 8), torch.arange(3), 0.5, seed=1)]), torch.cat([TARGETS, torch.arange(3)])


@pytest.mark.parametrize("pull", [(-2.0, -1.0, 0.0), NEAREST], ids=["fitted", "nearest"])
def test_a_name_that_weighs_nothing_is_no_name(pull):
    without = fitted(Prior(pull=pull), EMBEDDINGS, TARGETS)
    assert_close(fitted(Prior(pull=pull, name=(-40.0, 0.0, 0.0)), *WITH_NAMES, NAMES), without, rtol=0, atol=5e-3)
    assert (fitted(Prior(pull=pull), *WITH_NAMES, NAMES) - without).norm() > 0.05


def test_a_huge_pull_is_the_nearest_prototype():
    means = F.normalize(torch.stack([EMBEDDINGS[k == TARGETS].mean(dim=0) for k in range(3)]), dim=1)
    assert_close(fitted(Prior(pull=NEAREST), EMBEDDINGS, TARGETS), means, rtol=0, atol=1e-4)
    assert (fitted(Prior(), EMBEDDINGS, TARGETS) - means).norm() > 0.01


def test_a_name_counts_for_as_many_examples_as_its_own_class_has_shots():
    """Uneven classes: with b=1 a name weighs as much as all of its class."""
    targets = torch.tensor([0] * 20 + [1] + [2] * 3)
    embeddings = around(torch.eye(3, 8), targets, 0.3)
    own = around(torch.eye(3, 8), torch.arange(3), 0.5, seed=1)
    names = torch.tensor([False] * 24 + [True] * 3)
    rows, labels = torch.cat([embeddings, own]), torch.cat([targets, torch.arange(3)])
    found = fitted(Prior(pull=NEAREST, name=(0.0, 1.0, 0.0)), rows, labels, names)
    expected = torch.stack([embeddings[targets == k].mean(dim=0) + own[k] for k in range(3)])
    assert_close(found, F.normalize(expected, dim=1), rtol=0, atol=1e-4)


def test_names_are_recognised_and_a_class_may_have_nothing_else():
    known = {"lost card": torch.tensor([1.0, 0.2, 0.0]), "gone": torch.tensor([1.0, 0.0, 0.3]), "refund": torch.eye(3)[1]}
    support = Batch(["gone", "refund"], ["lost_card", "refund"])
    named = with_names(Batch(["gone"], ["lost_card"]))
    both = Batch([*named.inputs, "refund"], [*named.targets, "refund"])
    prior = Prior(pull=NEAREST, name=(math.log(3.0), 0.0, 0.0))
    head = PriorHead(Vectors(known), prior=prior)
    (lost, refund), (alone, _) = (head.adapt(b).head.state_dict()["weight"] / math.exp(prior.scale[0]) for b in (both, support))
    gone, name = F.normalize(known["gone"], dim=0), F.normalize(known["lost card"], dim=0)
    assert_close(lost, F.normalize(gone + 3 * name, dim=0), rtol=0, atol=1e-4)
    assert_close(alone, gone, rtol=0, atol=1e-4)
    assert_close(refund, known["refund"], rtol=0, atol=1e-4)


def mixture() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """One misleading example a class, half way to the next class, and unlabelled ones where the classes are."""
    centres = torch.eye(3, 8)
    support = F.normalize(centres + 0.8 * centres.roll(1, dims=0), dim=1)
    return centres, support, around(centres, torch.arange(150) % 3, 0.2)


def test_unlabelled_sentences_move_a_wrong_prototype_to_the_right_place():
    centres, support, others = mixture()
    targets, prior = torch.arange(3), Prior(pull=NEAREST, unlabelled=(3.0, 0.0, 0.0))
    before, after = fitted(prior, support, targets), fitted(prior, support, targets, others=others)
    assert (before * centres).sum(dim=1).max() < 0.8
    assert (after * centres).sum(dim=1).min() > 0.98


def test_unlabelled_sentences_count_for_no_more_than_the_prior_says():
    _, support, others = mixture()
    targets = torch.arange(3)
    little = fitted(Prior(pull=NEAREST, unlabelled=(-30.0, 0.0, 0.0)), support, targets, others=others)
    assert_close(little, fitted(Prior(pull=NEAREST), support, targets), rtol=0, atol=1e-4)


def test_unlabelled_sentences_never_count_for_more_than_they_are():
    """Two sentences are at most two examples, whatever the prior says; as few as they are, each goes to one class."""
    targets = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
    embeddings = around(torch.eye(2, 4), targets, 0.1)
    others = around(torch.eye(2, 4), torch.tensor([0, 1]), 0.6, seed=3)
    sharp = {"pull": NEAREST, "sharpness": 8.0}  # each belongs wholly to the nearest class
    found = fitted(Prior(**sharp, unlabelled=(20.0, 0.0, 0.0)), embeddings, targets, others=others)
    belongs = (others @ found.T).argmax(dim=1)
    assert belongs.tolist() == [0, 1]
    expected = torch.stack([embeddings[targets == k].sum(dim=0) + others[k] for k in range(2)])
    assert_close(found, F.normalize(expected, dim=1), rtol=0, atol=1e-3)


def test_unlabelled_sentences_far_from_a_class_leave_it_alone():
    embeddings, targets = around(torch.eye(2, 4), torch.tensor([0, 0, 1, 1]), 0.1), torch.tensor([0, 0, 1, 1])
    others = around(torch.eye(2, 4), torch.zeros(50, dtype=torch.long), 0.1, seed=1)
    prior = Prior(pull=NEAREST, sharpness=5.0, unlabelled=(3.0, 0.0, 0.0))
    moved = (fitted(prior, embeddings, targets, others=others) - fitted(prior, embeddings, targets)).norm(dim=1)
    assert moved[1] < 1e-3 < moved[0]


def test_unlabelled_sentences_are_embedded_once():
    known = {name: around(torch.eye(2, 4), torch.tensor([i % 2]), 0.2, seed=i)[0] for i, name in enumerate("abcdef")}
    model = Vectors(known)
    head = PriorHead(model, unlabelled=["e", "f", "e"])
    for _ in range(3):
        head.adapt(Batch(["a", "b"], ["one", "two"]))
    assert (model.asked.count("a"), model.asked.count("e"), model.asked.count("f")) == (3, 1, 1)


def test_the_length_of_an_embedding_does_not_matter():
    lengths = 1 + torch.arange(12).float().unsqueeze(1)
    heads = [PriorHead(nn.Identity()).adapt(Batch(rows, TARGETS)).head for rows in (EMBEDDINGS, lengths * EMBEDDINGS)]
    assert_close(heads[0].state_dict()["weight"], heads[1].state_dict()["weight"], rtol=1e-4, atol=1e-4)


def test_the_shipped_prior_opens_and_is_used():
    assert PriorHead(nn.Identity()).prior == Prior.shipped()
    assert all(len(getattr(Prior.shipped(), name)) == 3 for name in ("scale", "pull", "name", "unlabelled"))
    shots = torch.tensor([1.0, 5.0, 100.0])
    for name in ("scale", "pull", "name", "unlabelled"):
        a, b, c = getattr(Prior.shipped(), name)
        assert torch.exp(a + b * shots.log() + c * math.log(50)).isfinite().all()


def test_a_prior_with_other_numbers_is_another_head():
    heads = [PriorHead(nn.Identity(), prior=p).adapt(Batch(EMBEDDINGS, TARGETS)).head for p in (Prior(), Prior(scale=(0, 0, 0)))]
    assert (heads[0].state_dict()["weight"] - heads[1].state_dict()["weight"]).norm() > 0.1
