"""`RecurrentPolicy`: a policy whose memory is what it has learned of a task (Duan et al. 2016, section 2.2)."""

from __future__ import annotations

import torch
from torch import nn

from quickstudy.tasks.environments.environment import Environment


class RecurrentPolicy(nn.Module):
    """A GRU that reads observation, last action, last reward and whether an episode has just ended; gives actions and a value.

    Args:
        environment: whose observations it reads and whose actions it gives; nothing else of it is kept.
        width: units of memory.
        seed: of the weights.
    """

    def __init__(self, environment: Environment, width: int = 64, *, seed: int = 0):
        super().__init__()
        self.observation, self.action, self.width = environment.observation, environment.action, width
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.memory = nn.GRU(self.observation + self.action.width + 2, width)
            self.actor = nn.Linear(width, self.action.outputs)
            self.critic = nn.Linear(width, 1)
        for head in (self.actor, self.critic):  # begins by trying every action alike
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)

    def read(self, seen: torch.Tensor, action: torch.Tensor, reward: torch.Tensor, ended: torch.Tensor) -> torch.Tensor:
        """The input of a step, `(trials, inputs)`."""
        return torch.cat([seen, self.action.encode(action), reward[:, None], ended[:, None].float()], dim=1)

    def begin(self, trials: int) -> torch.Tensor:
        """An empty memory, `(1, trials, width)`."""
        return self.critic.weight.new_zeros(1, trials, self.width)

    def forward(self, read: torch.Tensor, memory: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Outputs `(steps, trials, outputs)`, values `(steps, trials)` and the memory after `read` `(steps, trials, inputs)`."""
        states, memory = self.memory(read, memory)
        return self.actor(states), self.critic(states).squeeze(-1), memory
