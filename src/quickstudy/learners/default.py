"""What `quickstudy adapt` does unless told otherwise: the candidate that cross-validation chooses, calibrated."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import nn

from quickstudy.errors import QuickstudyError
from quickstudy.evaluation.cross_validation import HeldOut, cross_validate, embedded_once
from quickstudy.learners.adapted import Adapted
from quickstudy.learners.base import Learner
from quickstudy.learners.baselines.centroid import Centroid
from quickstudy.learners.baselines.fine_tune import CHOSEN, FineTune
from quickstudy.learners.baselines.nearest_neighbours import NearestNeighbours
from quickstudy.learners.baselines.ridge import Ridge
from quickstudy.learners.metric import MetricLearner
from quickstudy.learners.prior_head import Prior, PriorHead
from quickstudy.models.encoder import Encoder, reads_images
from quickstudy.models.examples import Examples, threshold
from quickstudy.models.loading import load
from quickstudy.tasks.batch import Batch
from quickstudy.tasks.names import are_names, is_word, readable, with_names
from quickstudy.tasks.targets import is_labels, number

Names = Literal["auto", "yes", "no"]
WITHOUT = " without names"
MARGIN = 2.0
"""Standard errors by which a candidate must beat the first one: few examples choose badly, many tasks chose the first."""


class Default(Learner):
    """Chooses among heads on frozen embeddings by cross-validation on the support, and calibrates the chosen one.

    With `thorough`, fine-tuning of the encoder is one candidate more, by the same rule.

    Candidates: the prior head, the same without class names, the nearest class mean, ridge regression, logistic
    regression with two penalties, a vote of the nearest examples, and whatever else is given. The prior head comes
    first; another takes its place if it is better on the same held-out examples by more than two standard errors.

    Args:
        model: an encoder.
        names: whether the labels are words that say what they mean; "auto" looks whether they tell the examples apart.
        unlabelled: sentences without labels, for the prior head.
        others: further candidates, such as a meta-trained learner.
        prior: of the prior head; by default the one that comes with quickstudy.
        thorough: whether to try LoRA on the encoder too, which takes minutes. It moves the adapters that the model has,
            or those of a second, fresh encoder of the same name.

    Raises:
        QuickstudyError: `names` that are not known; `thorough` on a model that cannot have adapters.
    """

    kinds = ("classify",)

    def __init__(
        self,
        model: nn.Module,
        *,
        names: Names = "auto",
        unlabelled: Sequence[str] = (),
        others: Sequence[Learner] = (),
        prior: Prior | None = None,
        thorough: bool = False,
    ):
        super().__init__()
        if names not in ("auto", "yes", "no"):
            raise QuickstudyError(f"names={names!r} is not known; it is 'auto', 'yes' or 'no'")
        if names == "yes" and reads_images(model):
            raise QuickstudyError("names='yes': the encoder reads images, and a label's name is none; leave names out")
        self.model, self.names, self.thorough = model, names, thorough
        self.favourite = PriorHead(model, prior=prior, unlabelled=unlabelled)
        self.candidates: dict[str, Learner] = {
            "prior head": self.favourite,
            "nearest class mean": Centroid(model),
            "ridge regression": Ridge(model),
            "logistic regression, C=10": PriorHead(model, prior=Prior.logistic(10)),
            "logistic regression, C=100": PriorHead(model, prior=Prior.logistic(100)),
            "nearest examples": NearestNeighbours(model),
            **{f"{type(learner).__name__}, as trained": learner for learner in others},
        }
        if thorough:
            self.candidates["LoRA fine-tuning"] = FineTune(_with_adapters(model), **CHOSEN["LoRA"])
        self.frozen_features = all(learner.frozen_features for learner in others)

    @property
    def title(self) -> str:
        """Its name, and whether it is thorough."""
        return f"{type(self).__name__} (thorough)" if self.thorough else type(self).__name__

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """Nothing is meta-learned here; the prior of the prior head was, before."""
        return iter(())

    @torch.no_grad()
    def adapt(self, support: Batch) -> Adapted:
        """Learns the labels with the best candidate."""
        named = self._named(support)
        (numbered,), classes = number(named)
        frozen = [learner for learner in self.candidates.values() if learner.frozen_features]
        models = {id(learner.model): learner for learner in frozen}  # each encodes the sentences once
        with ExitStack() as stack:
            for learner in models.values():
                stack.enter_context(embedded_once(learner, named))
            supports = dict.fromkeys(self.candidates, named)
            if len(named) > len(support):
                supports[f"prior head{WITHOUT}"] = support
            held_out = {title: cross_validate(self._learner(title), batch, classes) for title, batch in supports.items()}
            title = best(held_out)
            learned = self._learner(title).adapt(supports[title])
            if found := held_out[title]:
                learned.temperature = temperature(found)
            accuracies = {name: float(found.right.mean()) for name, found in held_out.items() if found}
            learned.candidates = {title: accuracies.get(title), **accuracies}
            if is_labels(support.inputs):
                learned.examples = _examples(learned, named, numbered.targets, held_out[title])
        return learned

    def _named(self, support: Batch) -> Batch:
        """The support with class names as examples, where they are to be had and are not there yet."""
        words = is_labels(support.targets) and is_labels(support.inputs) and not reads_images(self.model)
        if self.names == "no" or not words or any(are_names(support)):
            return support
        named = with_names(support)
        return named if self.names == "yes" or names_tell(self.favourite, support) else support

    def _learner(self, title: str) -> Learner:
        return self.candidates[title.removesuffix(WITHOUT)]


def _with_adapters(model: nn.Module) -> nn.Module:
    """The model itself where something of it learns, else another of the same name, with adapters."""
    if not isinstance(model, Encoder) or "name" not in model.spec:
        raise QuickstudyError(
            f"thorough fine-tunes a pretrained encoder by LoRA, and {type(model).__name__} is none that was loaded by name; "
            "use models.load, or leave thorough out"
        )
    if any(p.requires_grad for p in model.parameters()):
        return model
    try:
        return load(model.spec["name"], lora=8).to(model.device)
    except QuickstudyError as error:
        raise QuickstudyError(f"thorough cannot fine-tune {model.spec['name']} by LoRA; leave thorough out ({error})") from error


def _examples(learned: Adapted, support: Batch, targets: torch.Tensor, held_out: HeldOut | None) -> Examples:
    """The support as the chosen candidate embeds it, and how familiar a sentence must look to fit any label.

    What was held out is embedded by what was learned without it: an encoder that moved finds its own examples too familiar.
    """
    embeddings = F.normalize(learned.embed(support.inputs), dim=1)
    examples = Examples(support.inputs, targets.to(embeddings.device), embeddings)
    if held_out is None:
        return examples
    seen = []
    for fold, without in enumerate(held_out.learned):
        asked = [row for row, its in zip(held_out.rows, held_out.fold, strict=True) if its == fold]
        rest = sorted(set(range(len(support))) - set(asked))
        known, new = (F.normalize(without.embed([support.inputs[i] for i in rows]), dim=1) for rows in (rest, asked))
        seen.append(Examples([support.inputs[i] for i in rest], examples.targets[rest], known).familiarity(new))
    return replace(examples, none_below=threshold(torch.cat(seen).cpu().numpy()))


def best(held_out: Mapping[str, HeldOut | None]) -> str:
    """The candidate to take: the first, unless another is better by more than two standard errors of the paired difference."""
    favourite, first = next(iter(held_out.items()))
    if first is None:
        return favourite
    gains: dict[str, float] = {}
    for title, found in held_out.items():
        difference = found.right.astype(float) - first.right if found else first.right * 0.0
        error = difference.std() / math.sqrt(len(difference))
        if difference.mean() > MARGIN * error and difference.mean() > 0:
            gains[title] = float(difference.mean())
    return max(gains, key=gains.__getitem__, default=favourite)


def temperature(held_out: HeldOut) -> float:
    """What to divide logits by so that probabilities fit the held-out answers (Guo et al. 2017, section 4.2)."""
    from scipy.optimize import minimize_scalar

    def loss(log_t: float) -> float:
        value = F.cross_entropy(held_out.logits.double() / math.exp(log_t), held_out.targets)
        return float(value) + log_t**2 / len(held_out.rows)  # a handful of right answers must not make it certain of all

    found: Any = minimize_scalar(loss, bounds=(-3.0, 3.0), method="bounded")
    return math.exp(float(found.x))


def names_tell(learner: MetricLearner, support: Batch) -> bool:
    """Whether labels are words that mean something to the model, judged by the share of each class nearest to its own name.

    So many classes right must be likelier under some share above chance (a uniform prior) than under chance. Classes are
    counted, not examples: all examples of a class share one name's luck.
    """
    from scipy.special import betaincc, binom

    (numbered,), classes = number(support)
    if sum(is_word(str(name)) for name in classes) <= len(classes) / 2:  # one label like "w2" among words is no reason
        return False
    names = F.normalize(learner.embed([readable(str(name)) for name in classes]), dim=1)
    nearest = (F.normalize(learner.embed(support.inputs), dim=1) @ names.T).argmax(dim=1).cpu()
    member = F.one_hot(numbered.targets).double()
    shares = (member.T @ (nearest == numbered.targets).double()) / member.sum(dim=0)
    count, right, chance = len(classes), round(float(shares.sum())), 1 / len(classes)
    telling = betaincc(right + 1, count - right + 1, chance) / ((count + 1) * (1 - chance))
    guessing = binom(count, right) * chance**right * (1 - chance) ** (count - right)
    return bool(telling > guessing)
