from __future__ import annotations

import pytest
import torch
from torch import nn

from quickstudy import MAML, QuickstudyError
from quickstudy.models.space import resolve_space


class RMSNorm(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 4))
        self.norm, self.classifier = RMSNorm(), nn.Linear(4, 2)
        self.spare = nn.Linear(4, 4)


EVERY = [name for name, _ in Net().named_parameters()]
BODY = ["body.0.weight", "body.0.bias"]


def test_trainable_is_what_requires_a_gradient():
    model = Net()
    assert resolve_space(model, "trainable") == EVERY
    model.requires_grad_(False)
    model.body[0].requires_grad_(True)
    assert resolve_space(model, "trainable") == BODY


def test_norms_are_found_by_the_name_of_their_class():
    assert resolve_space(Net(), "norms") == ["body.1.weight", "body.1.bias", "norm.weight"]
    assert resolve_space(nn.BatchNorm1d(3), "norms") == ["weight", "bias"]


def test_the_head_is_the_classifier_wherever_it_stands():
    assert resolve_space(Net(), "head") == ["classifier.weight", "classifier.bias"]


@pytest.mark.parametrize(
    ("model", "names"),
    [
        (nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2), nn.Softmax(dim=-1)), ["2.weight", "2.bias"]),
        (nn.Linear(2, 2), ["weight", "bias"]),
        (nn.ModuleDict({"score": nn.Linear(2, 1), "last": nn.Linear(2, 2)}), ["score.weight", "score.bias"]),
        (nn.ModuleDict({"gpt": nn.ModuleDict({"lm_head": nn.Linear(2, 1)}), "last": nn.Linear(2, 2)}), ["gpt.lm_head.weight"]),
    ],
    ids=["last layer", "only layer", "score", "lm_head"],
)
def test_the_head_of_other_models(model, names):
    assert resolve_space(model, "head")[: len(names)] == names
    assert not any(name.startswith("last") for name in resolve_space(model, "head"))


def test_a_tied_head_is_named_as_named_parameters_does():
    model = nn.ModuleDict({"wte": nn.Embedding(5, 3), "lm_head": nn.Linear(3, 5, bias=False)})
    model["lm_head"].weight = model["wte"].weight
    assert resolve_space(model, "head") == ["wte.weight"]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [(r"^body\.0\.", BODY), (r"bias$", [n for n in EVERY if n.endswith("bias")]), (".", EVERY), ("0.weight", ["body.0.weight"])],
)
def test_a_pattern_is_searched_in_the_name(pattern, names):
    assert resolve_space(Net(), pattern) == names


def test_a_function_is_given_the_names_and_parameters_of_the_model():
    model, seen = Net(), []

    def small(name: str, parameter: nn.Parameter) -> bool:
        seen.append((name, parameter))
        return parameter.ndim == 1

    names = resolve_space(model, small)
    assert names == [name for name, p in model.named_parameters() if p.ndim == 1]
    assert all(p is q and n == m for (n, p), (m, q) in zip(seen, model.named_parameters(), strict=True))


def test_a_frozen_parameter_may_be_in_the_space():
    assert resolve_space(Net().requires_grad_(False), r"^body\.0\.") == BODY


@pytest.mark.parametrize(
    ("model", "space", "said"),
    [
        (Net(), "nothing like it", r"'nothing like it' selects no parameter.*18 parameters are body\.0\.weight"),
        (Net(), lambda name, parameter: False, "selects no parameter"),
        (Net().requires_grad_(False), "trainable", "every parameter is frozen"),
        (nn.Linear(2, 2), "norms", "'norms' selects no parameter"),
        (nn.ReLU(), "trainable", "0 parameters are none"),
        (nn.ReLU(), "head", "'head' selects no parameter"),
        (Net(), "bo(dy", "neither a known name nor a regular expression"),
    ],
    ids=["pattern", "function", "frozen", "norms", "no parameters", "no head", "not a pattern"],
)
def test_an_empty_space_is_refused_in_words(model, space, said):
    said = said.replace("18", str(len(EVERY)))
    with pytest.raises(QuickstudyError, match=said):
        resolve_space(model, space)


def test_a_learner_refuses_an_empty_space_when_it_is_made():
    with pytest.raises(QuickstudyError, match="selects no parameter"):
        MAML(Net(), space="no such name")
    assert MAML(Net(), space="head").names == ["classifier.weight", "classifier.bias"]
