"""RL^2: fast reinforcement learning via slow reinforcement learning (Duan et al. 2016)."""

from __future__ import annotations

from typing import Any

from quickstudy.errors import QuickstudyError
from quickstudy.learners.agents.ppo import PPO
from quickstudy.models.policy import Policy


class RL2(PPO):
    """A recurrent policy whose memory is the learning algorithm: it lasts over the episodes of a trial, and no longer.

    The policy reads what came of its last action, and is trained to do well over whole trials (section 2.2), so it has to
    explore where that pays later. All settings are those of `PPO`; `prediction` teaches the memory much sooner what to keep.

    Raises:
        QuickstudyError: a model without memory.
    """

    def __init__(self, model: Policy, outer_lr: float = 0.01, **settings: Any):
        if not getattr(model, "remembers", False):
            raise QuickstudyError(
                f"RL2 learns in the memory of its policy, and a {type(model).__name__} has none; give model.gru, or "
                "model.fast_weights"
            )
        super().__init__(model, outer_lr, **settings)
