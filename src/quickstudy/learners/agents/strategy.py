"""A policy that runs a training loop (Daniel, Taylor and Nowozin 2016; Biedenkapp et al. 2020)."""

from __future__ import annotations

from quickstudy.learners.agents.ppo import PPO


class Strategy(PPO):
    """Chooses how a training goes on: its rate, its optimizer, what it trains on next, as `TrainingEnvironment` lets it; or
    which of several models does, in a `SelectionEnvironment`.

    Many small trainings are its experience, and their losses its reward. Feed-forward it is a rule for the next decision; with
    a memory, `model.gru`, it is RL^2 whose task is a training. All settings are those of `PPO`.
    """
