"""Learning step by step with an eye on held-out text."""

import math

import pytest
import torch

from quickstudy import MAML, Batch, FineTune, Task, models
from quickstudy.evaluation.steps import scores_after
from quickstudy.evaluation.watched import PATIENCE, average, learn_watched, nats_of


def text(seed: int, low: int = 2, high: int = 8) -> Batch:
    whole = [torch.randint(low, high, (9,), generator=torch.Generator().manual_seed(100 * seed + i)) for i in range(4)]
    return Batch([block[:-1] for block in whole], [block[1:] for block in whole])


@pytest.fixture
def model(tiny_llama):
    return models.load(tiny_llama, lora={"r": 2, "layers": 1})


def test_the_state_of_the_best_step_is_kept(model):
    learner = FineTune(model, 0.05, steps=6, batch=4)
    found = learn_watched(learner, text(0), [text(1), text(2)])
    nats = [average(each, [32, 32]) for each in found.curve]
    assert len(nats) == 7
    assert found.kept == nats.index(min(nats)) > 0
    assert nats_of(found.adapted, text(1)) == pytest.approx(found.curve[found.kept][0])
    assert not found.stopped


def test_a_model_in_training_mode_is_watched_too(model):
    found = learn_watched(FineTune(model.train(), 0.05, steps=2, batch=2), text(0), [text(1)])
    assert len(found.curve) == 3


def test_it_does_what_the_learner_does_by_itself(model):
    learner = FineTune(model, 0.05, steps=3, batch=2)
    found = learn_watched(learner, text(0), [])
    assert found.curve == []
    assert found.kept == 3
    assert nats_of(found.adapted, text(1)) == pytest.approx(nats_of(learner.adapt(text(0)), text(1)))


def test_it_stops_where_the_held_out_text_gets_no_better(model):
    learner = FineTune(model, 0.05, steps=20, batch=4)
    found = learn_watched(learner, text(0), [text(1, 12, 18)])  # of other words
    nats = [each[0] for each in found.curve]
    assert found.kept == nats.index(min(nats)) == len(nats) - 1 - PATIENCE < 20
    assert f"rose after step {found.kept}" in found.stopped


def test_a_loss_that_is_no_number_leaves_the_best_state_before_it(model):
    steps = []
    learner = MAML(model, 0.05, inner_steps=5, rule="adam", loss=lambda output, targets: broken(steps, output, targets))
    found = learn_watched(learner, text(0), [text(1)])
    assert "the loss at step 3 is not a number" in found.stopped
    assert found.kept == 2
    assert math.isfinite(nats_of(found.adapted, text(1)))


def broken(steps: list[int], output: torch.Tensor, targets: list[torch.Tensor]) -> torch.Tensor:
    steps.append(1)
    values = torch.nn.functional.cross_entropy(output, torch.cat(targets), reduction="none")
    return values * (math.nan if len(steps) == 3 else 1.0)


def test_stopped_by_hand_it_keeps_what_it_has(model):
    def stop(what, done, of):
        if done == 2:
            raise KeyboardInterrupt

    found = learn_watched(FineTune(model, 0.05, steps=9, batch=4), text(0), [], progress=stop)
    assert (found.kept, found.stopped) == (2, "stopped by hand")


def test_scores_after_each_step_are_those_of_so_many_steps(model):
    task = Task(text(0), text(1), seed=3)
    found = scores_after(FineTune(model, 0.05, steps=1), task, [0, 1, 3])
    for steps, score in found.items():
        adapted = FineTune(model, 0.05, steps=steps).adapt(task.support)
        assert task.score(adapted)["nats_per_token"] == pytest.approx(score)
    assert found[3] < found[0]
