"""A plan's bytes are those of the step it plans, and its parts add up."""

from __future__ import annotations

import itertools

import pytest

from quickstudy.errors import QuickstudyError
from quickstudy.runs.build import build_learner, train_episodes
from quickstudy.runs.outer import OuterLoop
from quickstudy.runs.plan.base import estimate
from quickstudy.runs.plan.live import LiveBytes
from quickstudy.runs.plan.lower import lower
from quickstudy.runs.plan.plan import Planner
from quickstudy.runs.processes import Processes


def made(recipe, steps=(2, 4)) -> int:
    """Bytes at the peak of real steps, beside the weights and the optimizer's state."""
    learner, episodes = build_learner(recipe), train_episodes(recipe)
    outer, most = OuterLoop(learner, recipe, Processes()), 0
    outer.step(0, episodes[0])
    for index in steps:
        with LiveBytes() as live:
            outer.step(index, episodes[index])
        most = max(most, live.peak)
    return most


def agrees(recipe, least=0.85, most=1.15) -> bool:
    plan = Planner(recipe).plan()
    return least < (plan.kept + plan.activations) / made(recipe) < most


@pytest.mark.parametrize(
    "change",
    [
        "learner.inner_steps=9",
        "learner={name: maml, keep_graph: true, inner_steps: 9}",
        "learner={name: maml, gradient: first_order}",
        "learner={name: maml, micro_batch: 2, inner_steps: 6}",
        "learner={name: maml, rule: adam}",
        "learner=mamlpp",
        "learner=reptile",
        "learner=meta_sgd",
    ],
)
def test_bytes_of_gradient_learners(curves, change):
    wide = ["model.mlp=[1,128,128,1]", "episodes.shots=40", "episodes.queries=40", "steps=5"]
    assert agrees(curves(change, *wide), 0.95, 1.05)


def test_bytes_of_joint_training(curves):
    assert agrees(
        curves("learner=joint", "model.mlp=[1,128,128,1]", "episodes.shots=40", "episodes.queries=40", "steps=5"), 0.75, 1.25
    )


def test_bytes_of_an_implicit_gradient(curves):
    assert agrees(curves("learner={name: imaml, inner_steps: 3}", "model.mlp=[1,128,128,1]", "steps=5"), 0.75)


@pytest.mark.parametrize("learner", ["maml", "anil", "proto_maml", "prototypical", "matching", "r2d2"])
@pytest.mark.parametrize("dropout", ["false", "true"])
def test_bytes_on_an_encoder(words, learner, dropout):
    assert agrees(words(f"learner={learner}", f"dropout={dropout}"), 0.75, 1.3)  # tensors of a few kB


def test_time_is_that_of_the_calls(curves):
    """By a clock that counts calls of itself: all a plan's seconds come from it."""
    ticks = itertools.count()
    plan = Planner(curves(), clock=lambda: float(next(ticks))).plan()
    # one tick a measured call: K slopes and K products (the last of a tape), and the query's slope; and one for the rest
    assert plan.calls == pytest.approx({"slope": 3, "taped": 1, "product": 2, "product of a tape": 1})
    assert plan.step == pytest.approx(8)
    assert (plan.steps, plan.validations) == (25, 4)
    assert plan.seconds == pytest.approx(25 * plan.step + 4 * plan.validation)


def test_what_lowers(curves):
    planner = Planner(curves("learner.keep_graph=true", "learner.inner_steps=20", "episodes.shots=200"))
    plan = planner.plan()
    memory, seconds = lower(planner, plan)
    assert "learner.keep_graph=false" in {each.change for each in memory}
    assert all(each.plan.memory < 0.9 * plan.memory for each in memory)
    assert all(each.plan.step < 0.9 * plan.step for each in seconds)
    assert "learner.inner_steps=10" in {each.change for each in seconds}
    assert [each.same for each in memory] == sorted((each.same for each in memory), reverse=True)


def test_a_base_by_its_config_is_what_its_own_plan_says(words, tiny_bert):
    planner = Planner(words("dropout=true"))  # one task after the other: the calls are the model's alone
    plan = planner.plan()
    length = max(planner.learner.model.length(text) for text in train_episodes(planner.recipe).source.texts)
    wide, half = (estimate(tiny_bert, planner, plan, tokens=length, precision=each) for each in ("fp32", "bf16"))
    own = [p for p in planner.learner.model.parameters() if not p.requires_grad]
    assert wide.weights == sum(p.nbytes for p in own) == 2 * half.weights
    assert wide.parameters == sum(p.numel() for p in own)
    assert wide.kept == pytest.approx(plan.kept)
    assert 0.7 < wide.activations / plan.activations < 1.4
    assert half.activations < wide.activations


def test_larger_bases_load_no_weights(words):
    planner = Planner(words())
    plan = planner.plan(looks=1)
    found = estimate("1B", planner, plan, tokens=64, precision="bf16")
    assert found.weights == 2 * found.parameters == 2 * 1_235_814_400
    assert found.numbers()["estimate"] is True


@pytest.mark.parametrize(
    ("name", "said"),
    [("absent", "there is no absent; give 1B, 8B, a folder or a config.json"), ("empty.json", "says no model_type")],
)
def test_a_base_that_is_none(words, name, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.json").write_text("{}")
    planner = Planner(words())
    with pytest.raises(QuickstudyError, match=said):
        estimate(name, planner, planner.plan(looks=1), tokens=8, precision="fp32")


def test_a_base_for_what_has_no_adapters(curves):
    planner = Planner(curves())
    with pytest.raises(QuickstudyError, match=r"the recipe has none; give a recipe of sentences with model\.lora"):
        estimate("1B", planner, planner.plan(looks=1), tokens=8, precision="fp32")
