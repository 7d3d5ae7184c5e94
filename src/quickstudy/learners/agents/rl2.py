"""RL^2: fast reinforcement learning via slow reinforcement learning (Duan et al. 2016)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from quickstudy.errors import QuickstudyError
from quickstudy.inner.policy_gradient import Steps, advantages, normalised, ppo_loss
from quickstudy.learners.agents.acting import Agent
from quickstudy.models.recurrent_policy import RecurrentPolicy
from quickstudy.tasks.batch import Batch
from quickstudy.tasks.trials import Trials


class RL2(Agent):
    """A recurrent policy whose memory is the learning algorithm: it lasts over the episodes of a trial, and no longer.

    The policy reads what came of its last action, and is trained by PPO to do well over whole trials (section 2.2), so it has
    to explore where that pays later. A trial is one long episode to it: rewards count across episodes.

    Args:
        model: the policy.
        outer_lr: for the outer optimizer.
        gamma: of the discount. 1 where the total is what counts.
        lam: lambda of GAE. Low where later rewards hardly depend on an action (tabular MDPs: 0.3).
        clip: of PPO's ratio.
        epochs: passes over the trials of an outer step.
        minibatches: of each pass.
        entropy: weight of the policy's entropy at first; it falls to 0 with the training.
        value: weight of the squared error of the values.

    Raises:
        QuickstudyError: a model without memory.
    """

    def __init__(
        self,
        model: RecurrentPolicy,
        outer_lr: float = 0.01,
        *,
        gamma: float = 1.0,
        lam: float = 0.95,
        clip: float = 0.2,
        epochs: int = 3,
        minibatches: int = 8,
        entropy: float = 0.05,
        value: float = 0.5,
    ):
        super().__init__()
        if not isinstance(model, RecurrentPolicy):
            raise QuickstudyError(
                f"RL2 learns in the memory of its policy, and a {type(model).__name__} has none; give model.gru"
            )
        self.model, self.outer_lr = model, outer_lr
        self.gamma, self.lam, self.clip = gamma, lam, clip
        self.epochs, self.minibatches, self.entropy, self.value = epochs, minibatches, entropy, value

    def batches(self, tasks: Any) -> Iterator[Steps]:
        """Plays the trials, then gives minibatches of them."""
        played = self.play(tasks)
        for _ in range(self.epochs):
            for part in torch.randperm(len(played)).chunk(self.minibatches):
                yield played.take(part)

    def forward(self, tasks: Any) -> torch.Tensor:
        """PPO's loss over trials that were played; trials that were not are played first."""
        played = self.play(tasks) if isinstance(tasks, Trials) else tasks
        outputs, values, _ = self.model(played.read, self.model.begin(len(played)))
        action, live = self.model.action, played.live
        surrogate = ppo_loss(action.log_prob(outputs, played.actions), played.log_probs, played.advantages, self.clip)
        entropy = self.entropy * (1 - self.progress)
        loss = surrogate + self.value * (values - played.returns).square() - entropy * action.entropy(outputs)
        return loss[live].mean()

    @torch.no_grad()
    def play(self, trials: Trials) -> Steps:
        """What happens in these trials: actions are drawn, and episodes for learning alone are played and pay nothing."""
        model, generator = self.model, torch.Generator().manual_seed(trials.seed + 3)
        memory, told = model.begin(len(trials)), self._nothing(len(trials))
        reads, actions, log_probs, values, rewards, lives = [], [], [], [], [], []

        def act(seen: torch.Tensor) -> torch.Tensor:
            nonlocal memory
            reads.append(model.read(seen, *told))
            outputs, value, memory = model(reads[-1][None], memory)
            actions.append(model.action.sample(outputs[0], generator))
            log_probs.append(model.action.log_prob(outputs[0], actions[-1]))
            values.append(value[0])
            return actions[-1]

        for part, pays in ((trials.support, 0.0), (trials.query, 1.0)):
            for reward, ended, live in part.inputs.steps(act):
                told = actions[-1], reward, ended
                rewards.append(pays * reward)
                lives.append(live)
        value, live = torch.stack(values), torch.stack(lives)
        ahead = advantages(torch.stack(rewards), value, self.gamma, self.lam)
        logs = torch.stack(log_probs)
        return Steps(torch.stack(reads), torch.stack(actions), logs, normalised(ahead, live), ahead + value, live)

    def begin(self, support: Batch) -> Any:
        """An empty memory."""
        return self.model.begin(len(support)), self._nothing(len(support))

    def choose(self, memory: Any, seen: torch.Tensor) -> tuple[torch.Tensor, Any]:
        """The most likely actions."""
        state, told = memory
        outputs, _, state = self.model(self.model.read(seen, *told)[None], state)
        actions = self.model.action.mode(outputs[0])
        return actions, (state, (actions, *told[1:]))

    def told(self, memory: Any, reward: torch.Tensor, ended: torch.Tensor) -> Any:
        """Kept for the next step's reading."""
        state, (actions, *_) = memory
        return state, (actions, reward, ended)

    def _nothing(self, trials: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """No action, no reward, no end of an episode yet."""
        return self.model.action.none(trials), torch.zeros(trials), torch.zeros(trials, dtype=torch.bool)
