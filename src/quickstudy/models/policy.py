"""Policies: what an agent reads of a step, to how likely each action is, and what it expects."""

from __future__ import annotations

import torch
from torch import nn

from quickstudy.tasks.environments.environment import Environment, Interface


class Policy(nn.Module):
    """Reads observation, last action, last reward and whether an episode has just ended; this one remembers nothing else.

    Args:
        environment: whose observations it reads and whose actions it gives; nothing else of it is kept.
        width: units of each of the two hidden layers, or of the memory.
        seed: of the weights.

    Attributes:
        remembers: whether it knows more of a trial than it reads now.
    """

    remembers = False

    def __init__(self, environment: Environment | Interface, width: int = 64, *, seed: int = 0):
        super().__init__()
        self.observation, self.action, self.width = environment.observation, environment.action, width
        self.inputs = self.observation + self.action.width + 2
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.body = self.made(self.inputs)
            self.actor = nn.Linear(width, self.action.outputs)
            self.critic = nn.Linear(width, 1)
        for head in (self.actor, self.critic):  # begins by trying every action alike
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)

    def made(self, inputs: int) -> nn.Module:
        """What makes of the input what the heads read."""
        return nn.Sequential(nn.Linear(inputs, self.width), nn.Tanh(), nn.Linear(self.width, self.width), nn.Tanh())

    def read(self, seen: torch.Tensor, action: torch.Tensor, reward: torch.Tensor, ended: torch.Tensor) -> torch.Tensor:
        """The input of a step, `(trials, inputs)`."""
        return torch.cat([seen, self.action.encode(action), reward[:, None], ended[:, None].float()], dim=1)

    def last_rewards(self, read: torch.Tensor) -> torch.Tensor:
        """Those that stand in inputs `(..., inputs)`."""
        return read[..., -2]

    def begin(self, trials: int) -> torch.Tensor:
        """The memory of one that has read nothing, `(1, trials, ...)`."""
        return self.critic.weight.new_zeros(1, trials, 0)

    def forward(self, read: torch.Tensor, memory: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Outputs `(steps, trials, outputs)`, values `(steps, trials)` and the memory after `read` `(steps, trials, inputs)`."""
        states, memory = self.states(read, memory)
        return self.actor(states), self.critic(states).squeeze(-1), memory

    def states(self, read: torch.Tensor, memory: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What the heads read, and the memory after it."""
        return self.body(read), memory


class RecurrentPolicy(Policy):
    """A GRU: what it remembers of a trial is what it has learned (Duan et al. 2016, section 2.2)."""

    remembers = True

    def made(self, inputs: int) -> nn.Module:
        """As of `Policy`."""
        return nn.GRU(inputs, self.width)

    def begin(self, trials: int) -> torch.Tensor:
        """As of `Policy`."""
        return self.critic.weight.new_zeros(1, trials, self.width)

    def states(self, read: torch.Tensor, memory: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """As of `Policy`."""
        return self.body(read, memory)
