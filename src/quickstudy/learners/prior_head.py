"""A head on frozen embeddings whose few settings were learned from hundreds of other tasks."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

from quickstudy.learners.adapted import Adapted
from quickstudy.learners.metric import MetricLearner
from quickstudy.models.functional import seeded
from quickstudy.models.heads import LinearHead
from quickstudy.models.softmax_regression import fit
from quickstudy.tasks.batch import Batch
from quickstudy.tasks.names import are_names
from quickstudy.tasks.targets import number

_FILE = Path(__file__).parents[1] / "priors" / "head.json"
ROUNDS = 10
"""How often unlabelled sentences are assigned to classes anew."""
Weight = tuple[float, float, float]
"""(a, b, c): exp(a + b log(shots) + c log(ways))."""


@dataclass(frozen=True)
class Prior:
    """What was learned about learning: each number as a function of shots and ways.

    Args:
        scale: of the logits.
        pull: towards the prototypes.
        name: how many examples a class's name counts for.
        unlabelled: how many examples the unlabelled sentences assigned to a class count for.
        sharpness: of that assignment, as a logarithm.
        temperature: what logits are divided by before they become probabilities.
        common: the share of the part along the support's mean, which all classes have in common, that is taken off at one
            shot; the root of the number of shots divides it, since with more the fit finds by itself what tells them apart.
        towards: what the pull is towards.
    """

    scale: Weight = (2.3, 0.0, 0.0)
    pull: Weight = (-2.0, -1.0, 0.0)
    name: Weight = (0.0, 0.0, 0.0)
    unlabelled: Weight = (1.6, 0.0, 0.0)
    sharpness: float = 3.0
    temperature: Weight = (0.0, 0.0, 0.0)
    common: float = 0.0
    towards: Literal["prototypes", "zero"] = "prototypes"

    @classmethod
    def logistic(cls, C: float) -> Prior:
        """Logistic regression with an L2 penalty of inverse strength C, counted as in `LogisticProbe`, without an intercept."""
        return cls(scale=(0.0, 0.0, 0.0), pull=(-math.log(C), -1.0, -1.0), name=(0.0, 0.0, 0.0), towards="zero")

    @staticmethod
    @cache
    def shipped(*, without: str | None = None) -> Prior:
        """The prior that comes with quickstudy (`priors/head.json`, made by recipes/text/prior_head.py).

        Args:
            without: the data set that had no part in it, so that it can be judged on that one; None: all had.
        """
        stored = json.loads(_FILE.read_text(encoding="utf-8"))
        return Prior(**(stored["left_out"][without] if without else stored["prior"]))


class PriorHead(MetricLearner):
    """Softmax regression pulled to prototypes (MAP), in which names and unlabelled sentences count as examples.

    An example that is its own label read as words ("card lost" for card_lost) is that class's name. With embeddings z of
    unit length, a share of each one's part along the mean u of the classes is taken off (as Mu and Viswanath 2018,
    "all-but-the-top", do), z - s (z.u) u, and what is left has unit length again. Prototypes c_k are the normalised weighted
    means of examples, name, and the mean of the unlabelled sentences that belong to the class (each softly assigned to the
    nearest prototypes, as in Ren et al. 2018, section 3.1.1); then `models.softmax_regression.fit` with the prototypes as
    centres. All weights come from the prior.

    Args:
        prior: by default the one that comes with quickstudy.
        unlabelled: sentences without labels, of the kind that is to be classified.
    """

    def __init__(self, model: nn.Module, *, prior: Prior | None = None, unlabelled: Sequence[str] = ()):
        super().__init__(model, scale=1.0)
        self.prior = prior or Prior.shipped()
        self.unlabelled = list(dict.fromkeys(unlabelled))
        self._others: torch.Tensor | None = None

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """Nothing is learned by gradients."""
        return iter(())

    @torch.no_grad()
    def adapt(self, support: Batch) -> Adapted:
        """Embeds the support and fits the head."""
        names = torch.tensor(are_names(support))
        (support,), classes = number(support)
        with seeded(support.seed, self.model):
            embeddings = F.normalize(self.embed(support.inputs), dim=1)
            if self.unlabelled and self._others is None:  # encoded once: learning a task leaves the encoder as it is
                self._others = F.normalize(self.embed(self.unlabelled), dim=1)
        head = self.fitted(embeddings, support.targets.to(embeddings.device), names.to(embeddings.device), self._others)
        shots = torch.tensor(max(1.0, float((~names).sum()) / len(classes)))
        temperature = float(_weight(self.prior.temperature, shots, len(classes)))
        return Adapted(self.model, self._function, head=head, classes=classes, temperature=temperature)

    def fitted(
        self, embeddings: torch.Tensor, targets: torch.Tensor, names: torch.Tensor, others: torch.Tensor | None = None
    ) -> LinearHead:
        """The head for these embeddings `(examples, dim)` of unit length.

        Args:
            names: which of them are class names, `(examples,)`.
            others: embeddings of unlabelled sentences.
        """
        member = F.one_hot(targets).to(embeddings)
        ways, shots = member.shape[1], member[~names].sum(dim=0).clamp(min=1)
        usual = shots.log().mean().exp()
        common, share = _common(embeddings, member, names), self.prior.common / float(usual.sqrt())
        embeddings = F.normalize(_less(embeddings, common, share), dim=1)
        weights = torch.where(names, _weight(self.prior.name, shots, ways)[targets], torch.ones_like(embeddings[:, 0]))
        sums = (member * weights.unsqueeze(1)).T @ embeddings
        centres = F.normalize(sums, dim=1)
        if others is not None:
            others = F.normalize(_less(others, common, share), dim=1)
            most = _weight(self.prior.unlabelled, shots, ways)
            for _ in range(ROUNDS):
                belongs = (math.exp(self.prior.sharpness) * others @ centres.T).softmax(dim=1)
                mass = belongs.sum(dim=0)
                counts = torch.minimum(most, mass) / mass.clamp(min=1e-9)
                centres = F.normalize(sums + counts.unsqueeze(1) * (belongs.T @ others), dim=1)
        scale, pull = (float(_weight(weight, usual, ways)) for weight in (self.prior.scale, self.prior.pull))
        if self.prior.towards == "zero":
            centres = torch.zeros_like(centres)
        weight = fit(embeddings, targets, centres, weights=weights, scale=scale, pull=pull)
        # taken off the weights: of W (z - s (z.u) u) and (W - s (W.u) u) z the second is a plain linear head
        return LinearHead(scale * _less(weight, common, share), weight.new_zeros(ways))


def _less(vectors: torch.Tensor, common: torch.Tensor, share: float) -> torch.Tensor:
    return vectors - share * (vectors @ common).unsqueeze(1) * common


def _common(embeddings: torch.Tensor, member: torch.Tensor, names: torch.Tensor) -> torch.Tensor:
    """The direction `(dim,)` of the mean of the classes' means; of sentences, since names are of another kind."""
    counted = torch.ones_like(names) if bool(names.all()) else ~names
    counts = member[counted].sum(dim=0)
    means = member[counted].T @ embeddings[counted] / counts.clamp(min=1).unsqueeze(1)
    return F.normalize(means.sum(dim=0), dim=0)


def _weight(weight: Weight, shots: torch.Tensor, ways: int) -> torch.Tensor:
    constant, by_shots, by_ways = weight
    return torch.exp(constant + by_shots * shots.log() + by_ways * math.log(ways))
