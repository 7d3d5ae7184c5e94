"""MAML for reinforcement (Finn, Abbeel and Levine 2017, section 4.2 and algorithm 3), with the right second-order term."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.func import vmap

from quickstudy.errors import QuickstudyError
from quickstudy.inner.diverged import check_learned
from quickstudy.inner.policy_gradient import Steps, ppo_loss, reinforce_loss
from quickstudy.inner.rules import SGD, Rates
from quickstudy.inner.trajectories import Lives, trajectories
from quickstudy.learners.agents.acting import Acting, Agent
from quickstudy.learners.gradient import Gradient
from quickstudy.models.device import device_of, like
from quickstudy.models.functional import Functional, Parameters
from quickstudy.models.policy import Policy
from quickstudy.tasks.batch import Batch
from quickstudy.tasks.environments.spaces import Box
from quickstudy.tasks.playing import Playing
from quickstudy.tasks.trials import Trials, seed_of


class MAMLRL(Agent):
    """A policy from which one step of the policy gradient, or a few, lead to a good one for each task.

    theta'_i = theta - alpha dL_i(theta)/dtheta (equation 4) from trajectories of task i by theta, K times, each time from new
    ones; the outer loss is that of trajectories by theta'_i. L is the surrogate -pi_theta(a) / pi(a) A, where pi acted. Its
    second derivative is that of the expected return, but for terms across the steps of an episode that vanish near an optimum and
    are mostly noise (Rothfuss et al. 2019, section 5); that of the usual -log pi_theta(a) A is not. The outer loss is clipped
    (Schulman et al. 2017), so that several of its steps are made on what was played once.

    The episodes of a trial that are for learning alone are shared evenly among the K steps, and played side by side. The policy
    sees observations, and nothing of its last action and reward.

    Args:
        model: the policy, without a memory.
        inner_lr: alpha, or `Rates` that are learned.
        outer_lr: for the outer optimizer.
        inner_steps: K. 0 trains one policy for all tasks, as joint training does.
        adapt_steps: K in `adapt`; None: `inner_steps`.
        later: the length of a step after the first, as a share of that one's; the authors' code has a half. Advantages are
            normalised, so that a full step near a good policy overshoots.
        gradient: "exact" (second order) or "first_order" (the inner gradient counts as constant).
        gamma: of the discount.
        lam: lambda of GAE.
        clip: of the ratio of probabilities in the outer loss.
        epochs: outer steps on what was played.
        least_std: of real-valued actions; None: that of the environment's `Box`. An inner step grows as 1 / std^2, and overshoots
            where a policy becomes too certain.

    Attributes:
        action: what the policy may do, with that deviation.

    Raises:
        QuickstudyError: a model that is no `Policy` or has a memory, or a setting that cannot be.
    """

    def __init__(
        self,
        model: Policy,
        inner_lr: float | Rates = 0.1,
        outer_lr: float = 0.005,
        *,
        inner_steps: int = 1,
        adapt_steps: int | None = None,
        later: float = 0.5,
        gradient: Gradient = "exact",
        gamma: float = 0.99,
        lam: float = 1.0,
        clip: float = 0.2,
        epochs: int = 3,
        least_std: float | None = None,
    ):
        super().__init__()
        if not isinstance(model, Policy) or model.remembers:
            raise QuickstudyError(
                f"MAMLRL adapts a policy without memory, and a {type(model).__name__} is none; give model.policy"
            )
        if gradient not in ("exact", "first_order"):
            raise QuickstudyError(f"gradient={gradient!r} is not known to MAMLRL; it is 'exact' or 'first_order'")
        for name, steps in (("inner_steps", inner_steps), ("adapt_steps", adapt_steps or 0)):
            if steps < 0:
                raise QuickstudyError(f"{name}={steps}: the number of inner steps cannot be negative")
        self.action = its = model.action
        if least_std is not None and isinstance(its, Box):
            if not 0 < least_std < its.std[1]:
                raise QuickstudyError(
                    f"least_std={least_std:g}: the least deviation of actions lies between 0 and {its.std[1]:g}"
                )
            self.action = replace(its, std=(least_std, its.std[1]))
        self.model, self.outer_lr, self.gradient = model, outer_lr, gradient
        self.inner_steps, self.adapt_steps, self.later = inner_steps, adapt_steps, later
        self.gamma, self.lam, self.clip, self.epochs = gamma, lam, clip, epochs
        self.rule = SGD(inner_lr)
        self.rule.bind({name: p.shape for name, p in model.named_parameters() if p.requires_grad}, like(model))
        self._function = Functional(model)

    def batches(self, tasks: Any) -> Iterator[Lives]:
        """Plays the trials once; every epoch learns the tasks again, from what theta has become."""
        played = self.play(tasks)
        for _ in range(self.epochs):
            yield played

    def forward(self, tasks: Any) -> torch.Tensor:
        """The mean loss after learning each task, on trials that were played; those that were not are played first."""
        played = self.play(tasks) if isinstance(tasks, Trials) else tasks
        phi, after = self.start(len(played)), played.after.to(device_of(self.model))
        for k, steps in enumerate(played.before):
            phi = self.step(k, phi, steps)
        return _means(ppo_loss(self._log_probs(phi, after), after.log_probs, after.advantages, self.clip), after.live).mean()

    def start(self, tasks: int) -> Parameters:
        """theta for each task, `(tasks, ...)`."""
        return {name: p.expand(tasks, *p.shape) for name, p in self.model.named_parameters() if p.requires_grad}

    def step(self, k: int, phi: Parameters, steps: Steps) -> Parameters:
        """One inner step of all tasks, from what each has lived through; with a graph where phi has one."""
        onward, steps = torch.is_grad_enabled(), steps.to(device_of(self.model))
        with torch.enable_grad():
            phi = phi if onward else {name: value.detach().requires_grad_() for name, value in phi.items()}
            # Tasks share no parameter here, so that the gradient of the sum is that of each.
            surrogate = reinforce_loss(self._log_probs(phi, steps), steps.log_probs, steps.advantages)
            loss = _means(surrogate, steps.live).sum() * (self.later if k else 1.0)
            second_order = onward and self.gradient == "exact"
            found = torch.autograd.grad(
                loss, list(phi.values()), create_graph=second_order, allow_unused=True, materialize_grads=True
            )
        return self.rule.update(k, phi, {}, dict(zip(phi, found, strict=True)))[0]

    @torch.no_grad()
    def play(self, trials: Trials) -> Lives:
        """What happens in these trials, before each inner step and after the last; actions are drawn."""
        generator = torch.Generator().manual_seed(trials.support.seed)
        phi, before = self._learn(trials.support.inputs, self.inner_steps, generator)
        return Lives(before, self._lived(phi, trials.query.inputs, generator))

    def begin(self, support: Batch) -> _Memory:
        """theta."""
        return _Memory(self.start(len(support)), torch.Generator().manual_seed(support.seed))

    def choose(self, memory: _Memory, seen: torch.Tensor) -> tuple[torch.Tensor, _Memory]:
        """Actions of what was learned, drawn as they are while it learns."""
        generator = memory.generator.clone_state()
        outputs = self._outputs(memory.phi, seen[:, None])[:, 0].cpu()
        return self.action.sample(outputs, generator), replace(memory, generator=generator)

    def told(self, memory: _Memory, reward: torch.Tensor, ended: torch.Tensor, live: torch.Tensor) -> _Memory:
        """What comes of it changes nothing: it has learned."""
        return memory

    @torch.no_grad()
    def adapt(self, support: Batch) -> Acting:
        """K inner steps on the episodes that are for learning alone.

        Raises:
            QuickstudyError: episodes that cannot be shared among the steps, no trajectory that is finite, or a step that is not.
        """
        steps = self.inner_steps if self.adapt_steps is None else self.adapt_steps
        generator = torch.Generator().manual_seed(support.seed)
        phi, _ = self._learn(support.inputs, steps, generator)
        return Acting(self, _Memory(phi, generator))

    def _learn(self, playing: Playing, steps: int, generator: torch.Generator) -> tuple[Parameters, list[Steps]]:
        """The parameters of each task after so many steps, and what it lived through before each."""
        if steps and (not playing.count or playing.count % steps):
            raise QuickstudyError(
                f"explored={playing.count}: the episodes for learning are shared evenly among {steps} inner steps; "
                f"give a multiple of {steps}"
            )
        phi, before = self.start(len(playing)), []
        for k in range(steps):
            part = replace(playing, count=playing.count // steps, seed=seed_of(playing.seed, k))
            before.append(self._lived(phi, part, generator))
            phi = self.step(k, phi, before[-1])
            check_learned(list(phi.values()), k + 1)
        return phi, before

    def _lived(self, phi: Parameters, playing: Playing, generator: torch.Generator) -> Steps:
        """Trajectories by these parameters; actions are drawn."""

        def draw(seen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            outputs = self._outputs(phi, seen).cpu()
            actions = self.action.sample(outputs.flatten(0, 1), generator).unflatten(0, seen.shape[:2])
            return actions, self.action.log_prob(outputs, actions)

        return trajectories(playing, draw, gamma=self.gamma, lam=self.lam)

    def _outputs(self, phi: Parameters, seen: torch.Tensor) -> torch.Tensor:
        """The policy of each task on its own observations, `(tasks, ..., observation)`."""
        flat = seen.flatten(0, -2)
        nothing = flat.new_zeros(len(flat))
        read = self.model.read(flat, self.action.none(len(flat)).to(flat.device), nothing, nothing.bool())
        memory = self.model.begin(1)
        read = read.view(*seen.shape[:-1], -1).to(memory.device)
        return vmap(lambda phi, read: self._function(phi, (read, memory))[0])(phi, read)

    def _log_probs(self, phi: Parameters, steps: Steps) -> torch.Tensor:
        return self.action.log_prob(self._outputs(phi, steps.read), steps.actions)


@dataclass(frozen=True)
class _Memory:
    """The parameters of each task, `(tasks, ...)`, and the chance of its actions."""

    phi: Parameters
    generator: torch.Generator


def _means(values: torch.Tensor, live: torch.Tensor) -> torch.Tensor:
    """The mean of each task over the steps that count, `(tasks,)`."""
    return (values * live).sum((1, 2)) / live.sum((1, 2)).clamp_min(1)
