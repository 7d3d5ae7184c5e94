"""The prior head: what names, unlabelled sentences and the pull count for."""

from __future__ import annotations

import math
from dataclasses import replace

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


SHARED = torch.eye(8)[7]
"""A direction that all embeddings have a part in."""


def with_shared(parts: torch.Tensor, centres: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Noisy embeddings, each with its own part in the shared direction."""
    return F.normalize(around(centres, targets, 0.5) + parts.unsqueeze(1) * SHARED, dim=1)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_share_of_the_common_direction_that_the_prior_says_is_taken_off(share):
    embeddings = with_shared(torch.full((12,), 2.0), torch.eye(3, 8), TARGETS)
    mean = F.normalize(torch.stack([embeddings[k == TARGETS].mean(dim=0) for k in range(3)]).sum(dim=0), dim=0)
    share = share / 2  # of four shots the root counts
    left = F.normalize(embeddings - share * (embeddings @ mean).unsqueeze(1) * mean, dim=1)
    centres = F.normalize(torch.stack([left[k == TARGETS].sum(dim=0) for k in range(3)]), dim=1)
    expected = centres - share * (centres @ mean).unsqueeze(1) * mean
    assert_close(fitted(Prior(pull=NEAREST, common=2 * share), embeddings, TARGETS), expected, rtol=0, atol=1e-4)


def test_a_class_with_less_of_what_all_share_is_found_all_the_same():
    """One class has little of it, so that what has much of it is unlike this class whatever else it says."""
    targets, parts = torch.arange(3).repeat(40), torch.tensor([3.0, 3.0, 0.3]).repeat(40)
    support = F.normalize(torch.eye(3, 8) + parts[:3].unsqueeze(1) * SHARED, dim=1)
    asked = with_shared(torch.full((120,), 1.5), torch.eye(3, 8), targets)

    def right(share: float) -> float:
        weight = fitted(Prior(pull=NEAREST, common=share), support, torch.arange(3))
        return float(((asked @ weight.T).argmax(dim=1) == targets).float().mean())

    assert right(1.0) > right(0.0) + 0.05


def test_what_is_common_is_of_sentences_and_each_class_counts_once():
    targets = torch.tensor([0] * 9 + [1])
    embeddings, names = torch.cat([torch.eye(2, 8)[targets], torch.eye(2, 8).flip(1)]), torch.tensor([False] * 10 + [True] * 2)
    prior = Prior(pull=NEAREST, common=3**0.5)  # nine shots and one: three in the geometric mean
    weight = fitted(prior, embeddings, torch.cat([targets, torch.arange(2)]), names)
    mean = F.normalize(torch.eye(2, 8).sum(dim=0), dim=0)
    assert_close(weight @ mean, torch.zeros(2), rtol=0, atol=1e-5)
    assert (weight @ F.normalize(torch.eye(2, 8)[targets].mean(dim=0), dim=0)).abs().max() > 0.1


def test_names_alone_have_something_in_common_too():
    weight = fitted(Prior(pull=NEAREST, common=1.0), torch.eye(2, 4), torch.arange(2), torch.tensor([True, True]))
    assert_close(weight, torch.tensor([[0.5, -0.5, 0, 0], [-0.5, 0.5, 0, 0]]) * 2**0.5, rtol=0, atol=1e-4)


def test_unlabelled_sentences_lose_what_is_common_as_well():
    """The same as without a shared direction, once it is taken off both by hand."""
    targets, prior = torch.arange(3), Prior(pull=NEAREST, common=1.0, unlabelled=(3.0, 0.0, 0.0))
    support = F.normalize(torch.eye(3, 8) + 2 * SHARED, dim=1)
    others = with_shared(torch.full((150,), 2.0), torch.eye(3, 8), torch.arange(150) % 3)
    mean = F.normalize(support.sum(dim=0), dim=0)
    by_hand = [F.normalize(z - (z @ mean).unsqueeze(1) * mean, dim=1) for z in (support, others)]
    expected = fitted(replace(prior, common=0.0), by_hand[0], targets, others=by_hand[1])
    assert_close(fitted(prior, support, targets, others=others), expected, rtol=0, atol=1e-4)


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
