"""What `adapt` does by default: which head it takes, whether names help, and how sure it says that it is."""

from __future__ import annotations

import math
import random
import zlib
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from quickstudy import Batch, QuickstudyError
from quickstudy.evaluation.cross_validation import HeldOut
from quickstudy.learners.default import MARGIN, Default, best, names_tell, temperature
from quickstudy.learners.prior_head import Prior, PriorHead

WORDS = ["card lost", "money back", "late parcel", "new address", "wrong colour", "opening hours"]
LABELS = [word.replace(" ", "_") for word in WORDS]


class Topics(nn.Module):
    """A sentence's embedding is the direction of the topic whose words it starts with, and noise of its own."""

    def __init__(self, noise: float = 0.4, dim: int = 16):
        super().__init__()
        self.noise, self.dim = noise, dim

    def forward(self, sentences: list[str]) -> torch.Tensor:
        return torch.stack([self.one(sentence) for sentence in sentences])

    def one(self, sentence: str) -> torch.Tensor:
        seed = zlib.crc32(sentence.encode())
        noise = self.noise * torch.randn(self.dim, generator=torch.Generator().manual_seed(seed)) / self.dim**0.5
        centre = torch.zeros(self.dim)
        for i, word in enumerate(WORDS):
            if sentence.startswith(word):
                centre[i] = 1.0
        return F.normalize(centre + noise, dim=0)


def support(shots: int, ways: int = 3, labels: list[str] = LABELS) -> Batch:
    rows = [(f"{WORDS[k]} number {i} of {k}", labels[k]) for i in range(shots) for k in range(ways)]
    return Batch([text for text, _ in rows], [label for _, label in rows])


def held_out(right: list[bool] | np.ndarray) -> HeldOut:
    targets = torch.zeros(len(right), dtype=torch.long)
    logits = torch.tensor([[1.0, 0.0] if it else [0.0, 1.0] for it in right])
    return HeldOut(list(range(len(right))), logits, targets, 5, np.arange(len(right)) % 5)


def share(right: int, of: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).permutation(np.arange(of) < right)


def test_strong_evidence_makes_another_candidate_the_choice():
    found = {"first": held_out(share(50, 100, 0)), "second": held_out(share(70, 100, 1)), "third": held_out(share(90, 100, 2))}
    assert best(found) == "third"


def test_weak_evidence_leaves_the_first():
    assert best({"first": held_out(share(6, 10, 0)), "second": held_out(share(8, 10, 1))}) == "first"


@pytest.mark.parametrize(("gained", "chosen"), [(3, "first"), (5, "second")])
def test_the_margin_is_counted_in_standard_errors_of_the_paired_difference(gained, chosen):
    """Of 100 pairs `gained` differ, all in its favour: mean / error = sqrt(gained / (1 - gained / 100))."""
    first = np.arange(100) < 50
    second = np.arange(100) < 50 + gained
    assert (math.sqrt(gained / (1 - gained / 100)) > MARGIN) == (chosen == "second")
    assert best({"first": held_out(first), "second": held_out(second)}) == chosen


def test_one_that_is_as_good_or_worse_never_takes_its_place():
    right = share(60, 100, 0)
    assert best({"first": held_out(right), "same": held_out(right), "worse": held_out(right & share(50, 100, 3))}) == "first"


def test_what_could_not_be_measured_does_not_count():
    assert best({"first": None, "second": None}) == "first"
    assert best({"first": held_out(share(50, 100, 0)), "second": None}) == "first"


@pytest.mark.parametrize("planted", [0.25, 1.0, 4.0])
def test_a_planted_temperature_is_found(planted):
    generator = torch.Generator().manual_seed(0)
    true = 2 * torch.randn(4000, 5, generator=generator)
    targets = torch.multinomial(true.softmax(dim=1), 1, generator=generator).squeeze(1)
    found = HeldOut(list(range(4000)), planted * true, targets, 5, np.zeros(4000, dtype=int))
    assert temperature(found) == pytest.approx(planted, rel=0.08)


def test_without_held_out_examples_the_temperature_is_the_prior_s():
    prior = replace(Prior(), temperature=(0.5, 0.0, 0.0))
    learned = Default(Topics(), prior=prior).adapt(support(1))
    assert learned.temperature == pytest.approx(math.exp(0.5))


def test_a_few_right_answers_do_not_make_it_certain():
    logits = torch.tensor([[3.0, 0.0]] * 4)
    few = HeldOut([0, 1, 2, 3], logits, torch.zeros(4, dtype=torch.long), 2, np.zeros(4, dtype=int))
    many = HeldOut(list(range(4000)), logits.repeat(1000, 1), torch.zeros(4000, dtype=torch.long), 2, np.zeros(4000, dtype=int))
    assert 0.4 < temperature(few) < 1
    assert temperature(many) < temperature(few) / 2


def telling(batch: Batch, noise: float = 0.4) -> bool:
    return names_tell(PriorHead(Topics(noise)), batch)


def test_names_that_lie_near_their_examples_tell():
    assert telling(support(5))
    assert telling(support(1))
    assert telling(support(5, ways=6))


def test_numbers_and_codes_are_no_names():
    class Numbers(nn.Module):
        """Gives what starts with a number that number's direction, so that labels lie on their examples."""

        def forward(self, sentences):
            return torch.eye(10)[[int(sentence[0]) for sentence in sentences]]

    numbered = Batch([f"{i % 3} and {i}" for i in range(15)], [f"{i % 3}" for i in range(15)])
    assert not names_tell(PriorHead(Numbers()), numbered)
    assert names_tell(PriorHead(Numbers()), Batch(numbered.inputs, [f"{label} pieces" for label in numbered.targets]))
    assert not telling(support(5, labels=["0", "1", "2"]))
    assert not telling(support(5, labels=["A1", "B2", "card_lost"]))


def test_permuted_names_are_found_out_with_enough_examples():
    permuted = [*LABELS[1:], LABELS[0]]
    assert not telling(support(10, ways=6, labels=permuted))
    assert not telling(support(3, ways=3, labels=[*LABELS[1:3], LABELS[0]]))


def test_words_that_mean_nothing_to_the_model_are_mostly_found_out():
    """Where such a word lies is chance, but the same for all examples of a class, so that a few sets of words pass."""
    syllables = [first + second for first in "bdgklmnprstvz" for second in "aeiou"]
    draw = random.Random(0)
    sets = [["".join(draw.choices(syllables, k=3)) for _ in WORDS] for _ in range(30)]
    assert sum(telling(support(5, ways=6, labels=words)) for words in sets) <= 12
    assert sum(telling(support(5, ways=6, labels=words), noise=0.2) for words in [LABELS] * 3) == 3


def test_names_are_examples_where_they_tell_and_are_told_to_be():
    for names, batch, expected in [
        ("auto", support(3), True),
        ("auto", support(10, labels=[*LABELS[1:3], LABELS[0]]), False),
        ("yes", support(3, labels=["0", "1", "2"]), True),
        ("no", support(3), False),
    ]:
        learned = Default(Topics(), names=names).adapt(batch)
        assert learned.examples is not None
        assert (len(learned.examples.texts) > len(batch)) == expected
        assert ("prior head without names" in learned.candidates) == expected


def test_names_that_are_there_already_are_not_added_again():
    batch = support(3)
    batch = Batch([*batch.inputs, *WORDS[:3]], [*batch.targets, *LABELS[:3]])
    learned = Default(Topics(), names="yes").adapt(batch)
    assert learned.examples is not None
    assert len(learned.examples.texts) == len(batch)


def test_other_words_for_names_are_refused():
    with pytest.raises(QuickstudyError, match=r"'maybe'.*'auto', 'yes' or 'no'"):
        Default(Topics(), names="maybe")  # pyright: ignore[reportArgumentType]


def test_a_single_example_a_class_is_enough():
    learned = Default(Topics()).adapt(support(1))
    assert learned.predict([f"{word} some new one" for word in WORDS[:3]]) == LABELS[:3]
    assert learned.examples.none_below == -math.inf
    assert learned.candidates == {"prior head": None}


def test_two_classes_are_enough():
    learned = Default(Topics()).adapt(support(4, ways=2))
    assert learned.predict([f"{word} some new one" for word in WORDS[:2]]) == LABELS[:2]
    assert next(iter(learned.candidates)) == "prior head"


def test_a_label_with_one_example_is_learned_beside_others():
    batch = support(5, ways=2)
    batch = Batch([*batch.inputs, "late parcel the only one"], [*batch.targets, "late_parcel"])
    learned = Default(Topics()).adapt(batch)
    assert learned.predict(["late parcel again", "money back now"]) == ["late_parcel", "money_back"]
    assert all(accuracy is not None for accuracy in learned.candidates.values())
    assert math.isfinite(learned.temperature)


def test_examples_are_kept_and_what_is_like_none_of_them_is_none():
    batch = support(8, ways=3)
    learned = Default(Topics(), names="no").adapt(batch)
    assert learned.examples is not None
    assert (list(learned.examples.texts), learned.examples.targets.tolist()) == (batch.inputs, [0, 1, 2] * 8)
    asked = [f"{word} some new one" for word in WORDS]
    found = learned.examples.like(learned.model(asked))
    assert [like.none for like in found] == [False] * 3 + [True] * 3
    assert {target for _, target, _ in found[1].nearest} == {1}
    own = [like.none for like in learned.examples.like(learned.model(batch.inputs))]
    assert sum(own) <= 2


def test_numbers_in_tensors_are_checked_too():
    inputs = Topics()(support(6).inputs)
    learned = Default(nn.Identity()).adapt(Batch(inputs, torch.tensor([4, 2, 9] * 6)))
    assert learned.predict(inputs[:3]).tolist() == [4, 2, 9]
    assert learned.candidates["prior head"] == 1.0
    assert learned.examples is None


def test_a_trained_learner_is_one_candidate_more():
    class Bad(PriorHead):
        """Learns everything the wrong way round."""

        def adapt(self, support):
            learned = super().adapt(support)
            learned.classes = learned.classes[::-1]
            return learned

    learned = Default(Topics(), others=[Bad(Topics())]).adapt(support(6, ways=2))
    assert learned.candidates["Bad, as trained"] == 0
    assert next(iter(learned.candidates)) != "Bad, as trained"


def test_a_candidate_that_is_clearly_better_is_taken_and_calibrated():
    class Knows(PriorHead):
        """Reads the topic off the sentence."""

        def embed(self, inputs):
            return torch.stack([torch.eye(len(WORDS))[[s.startswith(word) for word in WORDS].index(True)] for s in inputs])

        def adapt(self, support):
            learned = super().adapt(support)
            learned.call, learned.model = (lambda phi, inputs: self.embed(inputs)), nn.Identity()
            return learned

    batch = support(20)
    learned = Default(Topics(noise=8.0), names="no", others=[Knows(Topics())]).adapt(batch)
    assert next(iter(learned.candidates)) == "Knows, as trained"
    assert learned.candidates["Knows, as trained"] == 1.0 > learned.candidates["prior head"]
    assert learned.predict(batch.inputs) == batch.targets


def test_probabilities_fit_the_held_out_answers():
    """Noise is what makes it doubt: the share of new sentences that it has right is about what it says."""
    learned = Default(Topics(noise=3.0), names="no").adapt(support(25))
    new = [f"{word} unseen {i}" for i in range(200) for word in WORDS[:3]]
    probabilities = learned.predict_proba(new)
    right = sum(said == LABELS[i % 3] for i, said in enumerate(learned.predict(new))) / len(new)
    assert learned.temperature != 1.0
    assert float(probabilities.amax(dim=1).mean()) == pytest.approx(right, abs=0.08)
    assert right < 0.95


def test_learning_leaves_the_number_of_threads_as_it_was():
    before = torch.get_num_threads()
    Default(Topics()).adapt(support(2))
    assert torch.get_num_threads() == before


def test_a_label_that_is_no_word_among_words_is_no_reason_to_leave_names_out():
    batch = support(3)
    renamed = {LABELS[0]: LABELS[0], LABELS[1]: LABELS[1], LABELS[2]: "w2"}
    assert names_tell(PriorHead(Topics()), Batch(batch.inputs, [renamed[label] for label in batch.targets]))
