"""Policy gradients: PPO (Schulman et al. 2017), GAE (Schulman et al. 2016), REINFORCE with a linear baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch


@dataclass(frozen=True)
class Steps:
    """What happened in trials that were played, `(steps, trials, ...)` each.

    Args:
        read: what the policy read.
        actions: what it did.
        log_probs: of the actions, when they were taken.
        advantages: how much better than expected they turned out.
        returns: what the values should have been.
        live: whether a step counts.
    """

    read: torch.Tensor
    actions: torch.Tensor
    log_probs: torch.Tensor
    advantages: torch.Tensor
    returns: torch.Tensor
    live: torch.Tensor

    def __len__(self) -> int:
        return self.live.shape[1]

    def to(self, device: torch.device) -> Steps:
        """The same, there."""
        return Steps(*(getattr(self, field.name).to(device) for field in fields(self)))

    def take(self, trials: torch.Tensor | Sequence[int]) -> Steps:
        """Some of the trials."""
        return Steps(*(getattr(self, field.name)[:, trials] for field in fields(self)))


def advantages(rewards: torch.Tensor, values: torch.Tensor, gamma: float, lam: float, ended: torch.Tensor | None = None):
    """Generalised advantage estimation, equations 11 to 16: sum_l (gamma lam)^l delta_{t+l}.

    Nothing is expected after the last step, nor across the end of an episode where `ended` says so; in a trial of RL^2 it is
    not given, since what an episode teaches pays in the next.

    Args:
        rewards, values: `(steps, trials)`.
        ended: whether an episode ends with this step, `(steps, trials)`.
    """
    going_on = torch.ones_like(rewards) if ended is None else (~ended).to(rewards)
    found, next_value, ahead = torch.empty_like(rewards), torch.zeros_like(rewards[0]), torch.zeros_like(rewards[0])
    for step in reversed(range(len(rewards))):
        delta = rewards[step] + gamma * going_on[step] * next_value - values[step]
        ahead = delta + gamma * lam * going_on[step] * ahead
        found[step], next_value = ahead, values[step]
    return found


def normalised(values: torch.Tensor, live: torch.Tensor) -> torch.Tensor:
    """Mean 0 and deviation 1 over the steps that count."""
    counted = values[live]
    spread = counted.std() if len(counted) > 1 else counted.new_zeros(())
    return (values - counted.mean()) / (spread + 1e-8)


def ppo_loss(log_probs: torch.Tensor, old: torch.Tensor, advantages: torch.Tensor, clip: float) -> torch.Tensor:
    """The clipped surrogate, equation 7, negated; one value a step."""
    ratio = (log_probs - old).exp()
    return -torch.minimum(ratio * advantages, ratio.clamp(1 - clip, 1 + clip) * advantages)


def reinforce_loss(log_probs: torch.Tensor, old: torch.Tensor, advantages: torch.Tensor) -> torch.Tensor:
    """-pi(a) / pi_old(a) A; one value a step.

    Where pi is pi_old, its gradient is the policy gradient (Williams 1992), that of -log pi(a) A. Its second derivative is
    that of what is expected too, which -log pi(a) A gets wrong (Al-Shedivat et al. 2018; Rothfuss et al. 2019, section 5).
    """
    return -(log_probs - old).exp() * advantages


def returns_to_go(rewards: torch.Tensor, gamma: float) -> torch.Tensor:
    """sum_l gamma^l r_{t+l}, `(steps, trials)`."""
    return advantages(rewards, torch.zeros_like(rewards), gamma, 1.0)


def linear_baseline(seen: torch.Tensor, returns: torch.Tensor, live: torch.Tensor, ridge: float = 1e-5) -> torch.Tensor:
    """Returns as a linear function of observation, its square and time, fitted to them (Duan et al. 2016, benchmarking RL).

    Args:
        seen: observations, `(..., steps, trials, dim)`; whatever comes before the steps has a function of its own.
        returns: `(..., steps, trials)`.
        live: whether a step counts, of that shape.
    """
    time = (torch.arange(returns.shape[-2]).to(returns) / 100)[:, None, None].expand(*returns.shape, 1)
    features = torch.cat([seen, seen.square(), time, time**2, time**3, torch.ones_like(time)], dim=-1).double()
    counted = (features * live[..., None]).flatten(-3, -2)
    gram = counted.mT @ counted + ridge * torch.eye(features.shape[-1], dtype=torch.double)
    weights = torch.linalg.solve(gram, counted.mT @ returns.flatten(-2)[..., None].double())
    return (features @ weights[..., None, :, :]).squeeze(-1).to(returns)
