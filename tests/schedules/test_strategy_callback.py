"""The callback in real trainings of a tiny BERT: the rates are those of a loop that is written out, also after a resume."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import nn

from quickstudy import LearnedSchedule, QuickstudyError, Strategy, StrategyCallback
from quickstudy.models.policy import RecurrentPolicy
from quickstudy.tasks.environments.environment import Interface
from quickstudy.tasks.environments.spaces import Discrete

transformers = pytest.importorskip("transformers")
pytest.importorskip("accelerate")

STEPS = 12


def lively():
    """A policy with a memory that chooses differently from time to time."""
    learner = Strategy(RecurrentPolicy(Interface(8, Discrete(5)), 8))
    learner.model.actor.weight.data.normal_(std=3.0, generator=torch.Generator().manual_seed(5))
    learner.model.actor.bias.data[-1] = -4.0  # seldom the largest factor
    return learner


def bert(**settings):
    sizes = {"vocab_size": 20, "hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2, "num_hidden_layers": 2}
    config = transformers.BertConfig(**sizes, max_position_embeddings=8, num_labels=3, **settings)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return transformers.BertForSequenceClassification(config)


def rows(count, seed):
    ids = torch.randint(20, (count, 6), generator=torch.Generator().manual_seed(seed))
    return [{"input_ids": each, "labels": each[0] % 3} for each in ids]


class Batches(list):
    """Collates, and remembers."""

    def __call__(self, rows):
        self.append({name: torch.stack([row[name] for row in rows]) for name in rows[0]})
        return dict(self[-1])


class Peeking(transformers.TrainerCallback):
    """Calls the model in evaluation in the middle of a step, which is no part of the training loss."""

    def on_pre_optimizer_step(self, args, state, control, model, **now):
        model.eval()
        model(**Batches()(rows(3, 7)))
        model.train()


def trainer(folder, *callbacks, model=None, batches=None, **settings):
    known = {
        "output_dir": str(folder),
        "max_steps": STEPS,
        "per_device_train_batch_size": 4,
        "per_device_eval_batch_size": 5,
        "learning_rate": 0.02,
        "lr_scheduler_type": "constant",
        "optim": "adamw_torch",
        "use_cpu": True,
        "report_to": "none",
        "disable_tqdm": True,
        "logging_steps": 1,
        "save_strategy": "no",
        "eval_strategy": "steps",
        "eval_steps": 4,
        "seed": 1,
        "data_seed": 2,
    }
    return transformers.Trainer(
        bert() if model is None else model,
        transformers.TrainingArguments(**{**known, **settings}),
        data_collator=Batches() if batches is None else batches,
        train_dataset=rows(40, 5),
        eval_dataset=rows(20, 6),
        callbacks=list(callbacks),
    )


@pytest.mark.parametrize(("accumulated", "on_start"), [(1, True), (2, False)])
def test_rates_and_weights_are_those_of_a_loop(tmp_path, accumulated, on_start):
    batches, callback = Batches(), StrategyCallback(lively(), every=2)
    settings = {"gradient_accumulation_steps": accumulated, "max_steps": STEPS, "eval_on_start": on_start}
    its = trainer(
        tmp_path,
        callback,
        Peeking(),
        model=bert(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0),
        batches=batches,
        **settings,
    )
    its.train()
    trained = [each for each in batches if len(each["labels"]) == 4][: STEPS * accumulated]

    model = bert(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    optimizer = torch.optim.AdamW(model.parameters(), 0.02, weight_decay=0.0)
    schedule = LearnedSchedule(optimizer, lively(), STEPS, every=2)

    def judged():
        model.eval()
        with torch.no_grad():
            rows = Batches()(its.eval_dataset)
            return model(**rows).loss.item()

    validation, used = judged() if on_start else None, []
    for step in range(1, STEPS + 1):
        model.train()
        total = 0.0
        for at in range(accumulated):
            loss = model(**trained[(step - 1) * accumulated + at]).loss
            loss.backward()
            total += loss.item()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        used.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step(total, judged() if step % 4 == 0 else validation)
        optimizer.zero_grad()
        validation = None
    assert len({after / before for (_, before), (_, after) in pairwise(schedule.rates)}) > 1
    assert callback.schedule is not None
    assert callback.schedule.rates == schedule.rates
    assert [each["learning_rate"] for each in its.state.log_history if "learning_rate" in each] == used
    for one, two in zip(its.model.parameters(), model.parameters(), strict=True):
        assert torch.equal(one, two)


def nothing_hangs_on(its):
    optimizer = its.optimizer.optimizer
    return not (optimizer._optimizer_step_pre_hooks or optimizer._optimizer_step_post_hooks or its.model._forward_hooks)


@pytest.mark.parametrize("restored", [False, True])
@pytest.mark.parametrize("save_steps", [4, 5])
def test_resumed_is_as_if_never_stopped(tmp_path, monkeypatch, restored, save_steps):
    """Dropout, data and validation as they come; a checkpoint is written with and without an evaluation at its step."""
    learner = lively()
    if restored:  # the Trainer makes the callback anew from what it wrote, which takes a folder
        import quickstudy.schedules.policy as policy

        monkeypatch.setattr(policy, "_opened", lambda folder: (12, lively()))
        learner = tmp_path / "run"
    settings = {"save_strategy": "steps", "save_steps": save_steps, "restore_callback_states_from_checkpoint": restored}
    whole = StrategyCallback(learner, every=2)
    expected = trainer(tmp_path, whole, **settings)
    expected.train()
    assert len({after / before for (_, before), (_, after) in pairwise(whole.schedule.rates)}) > 1
    assert nothing_hangs_on(expected)

    its = trainer(tmp_path, StrategyCallback(learner, every=2), **settings)
    its.train(resume_from_checkpoint=str(tmp_path / f"checkpoint-{save_steps}"))
    (callback,) = (each for each in its.callback_handler.callbacks if isinstance(each, StrategyCallback))
    assert callback.schedule.rates == whole.schedule.rates
    assert all(torch.equal(one, two) for one, two in zip(its.model.parameters(), expected.model.parameters(), strict=True))
    assert nothing_hangs_on(its)


def test_a_second_training_begins_anew(tmp_path):
    callback = StrategyCallback(lively(), every=2)
    its = trainer(tmp_path, callback, max_steps=4)
    its.train()
    first = callback.schedule
    its.train()
    assert callback.schedule is not first
    assert callback.schedule.rates[0][1] / 0.02 in (0.25, 0.5, 1.0, 2.0, 4.0)
    assert len(callback.schedule.rates) == 2
    assert nothing_hangs_on(its)


def test_what_cannot_be_restored_is_said(tmp_path):
    settings = {"save_strategy": "steps", "save_steps": 3, "max_steps": 6}
    trainer(tmp_path / "without", **settings).train()
    its = trainer(tmp_path / "without", StrategyCallback(lively()), **settings)
    with pytest.raises(QuickstudyError, match="the checkpoint of step 3 has no state of a StrategyCallback"):
        its.train(resume_from_checkpoint=str(tmp_path / "without" / "checkpoint-3"))
    trainer(tmp_path / "with", StrategyCallback(lively()), **settings).train()
    longer = trainer(tmp_path / "with", StrategyCallback(lively()), **{**settings, "max_steps": 8})
    with pytest.raises(QuickstudyError, match="the state is of a training with 6 steps, and this one has 8"):
        longer.train(resume_from_checkpoint=str(tmp_path / "with" / "checkpoint-3"))
    restoring = trainer(tmp_path / "with", StrategyCallback(lively()), **settings, restore_callback_states_from_checkpoint=True)
    with pytest.raises(
        QuickstudyError, match="cannot restore a StrategyCallback whose strategy is an object; give it the folder"
    ):
        restoring.train(resume_from_checkpoint=str(tmp_path / "with" / "checkpoint-3"))


def test_a_loss_that_is_not_finite_is_seen(tmp_path):
    """The Trainer's own log leaves it out."""
    callback, model = StrategyCallback(lively(), every=2), bert()
    with torch.no_grad():
        model.classifier.bias[0] = math.nan
    its = trainer(tmp_path, callback, model=model)
    with (
        pytest.warns(UserWarning, match="the loss is nan after step 1: all rates are multiplied by 0.25"),
        pytest.raises(QuickstudyError, match="the loss is nan after step 2 of 12"),
    ):
        its.train()
    assert callback.schedule.rates == [(1, 0.005)]


@pytest.mark.parametrize("kind", ["linear", "cosine", "constant_with_warmup"])
def test_another_scheduler_is_refused(tmp_path, kind):
    its = trainer(tmp_path, StrategyCallback(lively()), lr_scheduler_type=kind)
    with pytest.raises(QuickstudyError, match=rf'sets the rates as well \({kind}, a LambdaLR\); .*lr_scheduler_type="constant"'):
        its.train()


def test_a_scheduler_that_was_given_is_noticed(tmp_path):
    its = trainer(tmp_path, StrategyCallback(lively(), every=2))
    optimizer = its.create_optimizer()
    its.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.9**step)
    with pytest.raises(QuickstudyError, match=r"the rate of group 0 is .* and LearnedSchedule had it at 0\.\d+; leave out"):
        its.train()


def test_a_loss_that_the_model_does_not_return(tmp_path):
    its = trainer(tmp_path, StrategyCallback(lively()), label_smoothing_factor=0.1)
    with pytest.raises(QuickstudyError, match="BertForSequenceClassification returned no loss in step 1; give it labels"):
        its.train()
