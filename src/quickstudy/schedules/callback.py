"""`StrategyCallback`: a `LearnedSchedule` for the `Trainer` of Transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers.trainer_callback import ExportableState, TrainerCallback, TrainerControl, TrainerState
from transformers.trainer_utils import SchedulerType
from transformers.training_args import TrainingArguments

from quickstudy.errors import QuickstudyError
from quickstudy.learners.agents.strategy import Strategy
from quickstudy.schedules.learned import LearnedSchedule


class StrategyCallback(TrainerCallback, ExportableState):
    """Sets the rates of a `Trainer` as `LearnedSchedule` says, and keeps its state in the Trainer's checkpoints.

    The Trainer has to leave the rate alone, so `lr_scheduler_type="constant"`. The loss is read from what the model returns in
    training, and accumulated as the Trainer does; the validation loss is `eval_loss` of the last evaluation, and one that comes
    right after a step is known to the decision after that step.
    With `max_grad_norm` above 0, the Trainer's default, the policy sees clipped gradients.

    Args:
        strategy: the policy, or the folder of a run that trained one.
        every: optimizer steps for each decision, as in `LearnedSchedule`.

    Attributes:
        schedule: the schedule of the training that goes on or was the last; its `rates` can be plotted.

    Raises:
        QuickstudyError: as the training begins: as in `LearnedSchedule`, another scheduler, several processes, or a checkpoint
            without this callback; in it: a model that returns no loss.
    """

    def __init__(self, strategy: Strategy | str | Path, *, every: int | None = None):
        if strategy is None:  # what `state` writes for one that is no folder
            raise QuickstudyError(
                "the Trainer cannot restore a StrategyCallback whose strategy is an object; give it the folder of its run, or "
                "leave restore_callback_states_from_checkpoint at False"
            )
        self.strategy, self.every = strategy, every
        self.schedule: LearnedSchedule | None = None
        self._hook: torch.utils.hooks.RemovableHandle | None = None
        self._parts: list[float] = []  # losses of the step that goes on
        self._summed = False
        # Of a step that was made and not followed yet: an evaluation after it may still come.
        self._pending: dict[str, float] = {}

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **now: Any) -> None:
        """A schedule for the Trainer's optimizer, in the state of the checkpoint where it resumes."""
        kind, scheduler = SchedulerType(args.lr_scheduler_type), now["lr_scheduler"]
        if kind is not SchedulerType.CONSTANT or not isinstance(scheduler, torch.optim.lr_scheduler.LambdaLR):
            raise QuickstudyError(
                f"the Trainer has a scheduler that sets the rates as well ({kind.value}, a {type(scheduler).__name__}); give "
                'TrainingArguments lr_scheduler_type="constant", and the Trainer no scheduler'
            )
        if args.world_size > 1 or args.n_gpu > 1:
            raise QuickstudyError(
                f"StrategyCallback reads the loss of one process on one device, and here are {max(args.world_size, args.n_gpu)}; "
                "train on one, or write the loop yourself, with LearnedSchedule and the mean loss"
            )
        self._let_go()
        self.schedule = LearnedSchedule(now["optimizer"], self.strategy, state.max_steps, every=self.every)
        self._parts, self._pending = [], {}
        if state.global_step:
            self._resume(state)
        self._hook = now["model"].register_forward_hook(self._read, with_kwargs=True)

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **now: Any) -> None:
        """Follows the step before, whose evaluation is over by now."""
        self._follow(now["lr_scheduler"])
        self._parts = []

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **now: Any) -> None:
        """Notes the loss of this step, over all that its gradient was accumulated of."""
        if not self._parts:
            raise QuickstudyError(
                f"{type(now['model']).__name__} returned no loss in step {state.global_step}; give it labels, without "
                "label_smoothing_factor and compute_loss_func, or write the loop yourself, with LearnedSchedule"
            )
        total = sum(self._parts)
        self._pending["loss"] = total if self._summed else total / len(self._parts)

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **now: Any) -> None:
        """Notes the validation loss."""
        if "eval_loss" in now["metrics"]:
            self._pending["validation"] = now["metrics"]["eval_loss"]

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **now: Any) -> None:
        """Follows the last step, and lets go of the model."""
        self._follow(now["lr_scheduler"])
        self._let_go()

    def state(self) -> dict[str, Any]:
        """What the Trainer writes into a checkpoint, for JSON."""
        strategy = None if isinstance(self.strategy, Strategy) else str(self.strategy)
        kept: dict[str, Any] = {}
        if self.schedule is not None:
            found = self.schedule.state_dict()
            kept = {"schedule": found | {"memory": found["memory"].tolist()}, "pending": dict(self._pending)}
        return {"args": {"strategy": strategy, "every": self.every}, "attributes": {"kept": kept}}

    def _resume(self, state: TrainerState) -> None:
        # The Trainer reads this back whatever restore_callback_states_from_checkpoint says.
        stored: Any = (state.stateful_callbacks or {}).get(type(self).__name__)  # type: ignore[attr-defined]
        kept = stored["attributes"]["kept"] if isinstance(stored, dict) else None
        if not kept:
            raise QuickstudyError(
                f"the checkpoint of step {state.global_step} has no state of a StrategyCallback; resume from one that was "
                "written with it, or train from the start"
            )
        assert self.schedule is not None
        self.schedule.load_state_dict(kept["schedule"])
        self._pending = dict(kept["pending"])

    def _follow(self, scheduler: Any) -> None:
        if self.schedule is None or "loss" not in self._pending:
            return
        self.schedule.step(self._pending["loss"], self._pending.get("validation"))
        self._pending = {}
        # The constant scheduler writes these into the optimizer after each step, and the Trainer logs them.
        rates = self.schedule.get_last_lr()
        scheduler.load_state_dict(scheduler.state_dict() | {"base_lrs": rates, "_last_lr": list(rates)})

    def _read(self, model: nn.Module, inputs: Any, named: dict[str, Any], outputs: Any) -> None:
        if not model.training:
            return
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs[0]
        if isinstance(loss, torch.Tensor) and loss.numel() == 1:
            self._parts.append(loss.item())
            # The Trainer takes such losses for shares of the whole, and others for means.
            self._summed = named.get("num_items_in_batch") is not None

    def _let_go(self) -> None:
        if self._hook is not None:
            self._hook.remove()
            self._hook = None
