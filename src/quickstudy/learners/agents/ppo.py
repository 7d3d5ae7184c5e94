"""Proximal policy optimisation over trials (Schulman et al. 2017)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch

from quickstudy.errors import QuickstudyError
from quickstudy.inner.policy_gradient import Steps, advantages, normalised, ppo_loss, returns_to_go
from quickstudy.learners.agents.acting import Agent
from quickstudy.models.device import device_of
from quickstudy.models.networks import mlp
from quickstudy.models.policy import Policy
from quickstudy.tasks.batch import Batch
from quickstudy.tasks.trials import Trials


class PPO(Agent):
    """A policy that is trained to do well over whole trials.

    To one with a memory a trial is one long episode: what an early one teaches pays later, so rewards count across episodes.

    Args:
        model: the policy.
        outer_lr: for the outer optimizer.
        gamma: of the discount. 1 where the total is what counts.
        lam: lambda of GAE. Low where later rewards hardly depend on an action (tabular MDPs: 0.3).
        clip: of the ratio of probabilities.
        epochs: passes over the trials of an outer step.
        minibatches: of each pass.
        entropy: weight of the policy's entropy at first; it falls to 0 with the training.
        value: weight of the squared error of the values.
        prediction: weight of what is not predicted of the reward of the action that was taken, as a share of its mean square.
            Above 0, what is remembered is learned from every reward, not from advantages alone (Jaderberg et al. 2017).
        acting: once it has learned: the "likely" action, or one that is "drawn", as in training. Where actions are real numbers a
            memory may have learned from what its own small errors did, and learns nothing without them.

    Raises:
        QuickstudyError: a model that is no `Policy`.
    """

    def __init__(
        self,
        model: Policy,
        outer_lr: float = 0.01,
        *,
        gamma: float = 1.0,
        lam: float = 0.95,
        clip: float = 0.2,
        epochs: int = 3,
        minibatches: int = 8,
        entropy: float = 0.05,
        value: float = 0.5,
        prediction: float = 0.0,
        acting: Literal["likely", "drawn"] = "likely",
    ):
        super().__init__()
        if not isinstance(model, Policy):
            raise QuickstudyError(
                f"{type(self).__name__} trains a policy, and a {type(model).__name__} is none; give model.policy"
            )
        if acting not in ("likely", "drawn"):
            raise QuickstudyError(f"acting={acting!r} is not known to {type(self).__name__}; it is 'likely' or 'drawn'")
        self.model, self.outer_lr, self.acting = model, outer_lr, acting
        self.gamma, self.lam, self.clip = gamma, lam, clip
        self.epochs, self.minibatches, self.entropy, self.value = epochs, minibatches, entropy, value
        self.prediction, width = prediction, model.width
        self.predictor = mlp([width + model.action.width, width, 1]) if prediction else None
        # The unit of values and returns, so that a return of 150 is no farther for the critic than one of 5.
        self.register_buffer("unit", torch.zeros(()))

    def batches(self, tasks: Any) -> Iterator[Steps]:
        """Plays the trials, then gives minibatches of them."""
        played = self.play(tasks)
        for _ in range(self.epochs):
            for part in torch.randperm(len(played)).chunk(self.minibatches):
                yield played.take(part)

    def forward(self, tasks: Any) -> torch.Tensor:
        """PPO's loss over trials that were played; trials that were not are played first."""
        played = (self.play(tasks) if isinstance(tasks, Trials) else tasks).to(device_of(self.model))
        states, _ = self.model.states(played.read, self.model.begin(len(played)))
        outputs, values = self.model.actor(states), self.model.critic(states).squeeze(-1)
        action, live = self.model.action, played.live
        surrogate = ppo_loss(action.log_prob(outputs, played.actions), played.log_probs, played.advantages, self.clip)
        entropy = self.entropy * (1 - self.progress)
        loss = surrogate + self.value * (values - played.returns).square() - entropy * action.entropy(outputs)
        return loss[live].mean() + (self.prediction * self._unpredicted(played, states) if self.predictor else 0.0)

    def _unpredicted(self, played: Steps, states: torch.Tensor) -> torch.Tensor:
        """The mean squared error of predicted rewards over their mean square. What an action paid stands in what is read next."""
        assert self.predictor is not None
        known = torch.cat([states, self.model.action.encode(played.actions)], dim=-1)
        paid, live = self.model.last_rewards(played.read[1:]), played.live[1:]
        wrong = self.predictor(known[:-1]).squeeze(-1) - paid
        return wrong[live].square().mean() / paid[live].square().mean().clamp_min(1e-8)

    @torch.no_grad()
    def play(self, trials: Trials) -> Steps:
        """What happens in these trials: actions are drawn, and episodes for learning alone are played and pay nothing."""
        model, generator = self.model, torch.Generator().manual_seed(trials.support.seed)
        memory, happened, lives, ends = self.begin(trials.support), [], [], []

        def act(seen: torch.Tensor) -> torch.Tensor:
            nonlocal memory
            read, outputs, value, state = self._thought(memory, seen)
            actions = model.action.sample(outputs, generator)
            happened.append([read, actions, model.action.log_prob(outputs, actions), value])
            memory = replace(memory, thought=(state, actions))
            return actions

        for part, pays in ((trials.support, 0.0), (trials.query, 1.0)):
            for reward, ended, live in part.inputs.steps(act):
                memory = self.told(memory, reward, ended, live)
                happened[-1].append(pays * reward)
                lives.append(live)
                ends.append(ended)
        live = torch.stack(lives)
        # A trial whose episode is over waits for the others'. It does not live through that: the steps that count come first.
        order = (~live).byte().argsort(dim=0, stable=True)
        found = (_ordered(torch.stack(each), order) for each in (lives, ends, *zip(*happened, strict=True)))
        live, ended, read, actions, log_probs, values, rewards = found
        rewards = rewards * live
        rewards = rewards / self._unit_of(rewards, live).cpu()
        # Without a memory nothing is taken from one episode to the next, and none is expected there either.
        ahead = advantages(rewards, values * live, self.gamma, self.lam, None if model.remembers else ended)
        return Steps(read, actions, log_probs, normalised(ahead, live), ahead + values, live)

    def _unit_of(self, rewards: torch.Tensor, live: torch.Tensor) -> torch.Tensor:
        """The root mean square of returns, over these trials and, less and less, those before."""
        now = returns_to_go(rewards, self.gamma)[live].square().mean().sqrt().clamp_min(1e-8).to(self.unit)
        self.unit = torch.where(self.unit == 0, now, 0.9 * self.unit + 0.1 * now)
        return self.unit

    def begin(self, support: Batch) -> _Memory:
        """An empty memory."""
        none, generator = torch.zeros(len(support)), torch.Generator().manual_seed(support.seed)
        return _Memory(self.model.begin(len(support)), (self.model.action.none(len(support)), none, none.bool()), generator)

    def choose(self, memory: _Memory, seen: torch.Tensor) -> tuple[torch.Tensor, _Memory]:
        """The most likely actions, or some that are drawn."""
        _, outputs, _, state = self._thought(memory, seen)
        if self.acting == "likely":
            actions = self.model.action.mode(outputs)
            return actions, replace(memory, thought=(state, actions))
        generator = memory.generator.clone_state()
        actions = self.model.action.sample(outputs, generator)
        return actions, replace(memory, thought=(state, actions), generator=generator)

    def told(self, memory: _Memory, reward: torch.Tensor, ended: torch.Tensor, live: torch.Tensor) -> _Memory:
        """What the next step reads; a trial in which this one does not count stays as it was."""
        state, actions = memory.thought  # type: ignore[misc]
        now = state, (actions, reward, ended)
        if live.all():
            return _Memory(*now, memory.generator)
        mixed = (torch.where(_like(live, new), new, old) for new, old in zip(now[1], memory.told, strict=True))
        state = torch.where(live[:, None].to(state.device), state, memory.state)
        return _Memory(state, tuple(mixed), memory.generator)  # type: ignore[arg-type]

    def _thought(self, memory: _Memory, seen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """What is read, and what the policy makes of it: outputs, values, and its state after it.

        Trials are on the processor, wherever the policy is: environments are, and so is their chance.
        """
        read = self.model.read(seen, *memory.told)
        outputs, values, state = self.model(read[None].to(memory.state.device), memory.state)
        return read, outputs[0].cpu(), values[0].cpu(), state


@dataclass(frozen=True)
class _Memory:
    """The policy's state, what came of the last step (action, reward, end of an episode), its chance, and the step under way."""

    state: torch.Tensor
    told: tuple[torch.Tensor, torch.Tensor, torch.Tensor]
    generator: torch.Generator
    thought: tuple[torch.Tensor, torch.Tensor] | None = None


def _ordered(steps: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
    """The steps of each trial, `(steps, trials, ...)`, in this order `(steps, trials)`."""
    return steps.gather(0, _like(order, steps).expand_as(steps))


def _like(values: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return values.view(*values.shape, *[1] * (other.ndim - values.ndim))
