"""`Points`: a point in the plane that is to find a goal it is not told (Finn, Abbeel and Levine 2017, section 5.3)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from quickstudy.errors import QuickstudyError
from quickstudy.tasks.environments.environment import Tensors
from quickstudy.tasks.environments.spaces import Box

STRIDE = 0.1
"""How far a coordinate moves by an action of 1."""
NEAR = 0.01
"""An episode is over where both coordinates are as near as this to the goal's."""


@dataclass(frozen=True)
class Points:
    """Navigation in the plane: from the origin to a goal that differs from task to task; paid is minus the distance to it.

    Observed is the position. An action, cut to [-1, 1], moves it by a tenth of that. Whoever stays at the origin gets -38.3 on
    average, and nobody gets 0.

    Args:
        goals: the larger of a goal's two coordinates lies between these, and goals are uniform where it does: by default in
            the square [-0.5, 0.5]^2.
        obstacles: circles in each task, which are not seen. A move that would meet one is not made.
        radius: of each.
        goal_seen: whether the goal is observed, after the position; an oracle, to compare with.
        horizon: steps of an episode at most.

    Raises:
        QuickstudyError: goals that are nowhere, no steps, or obstacles that leave no place.
    """

    goals: tuple[float, float] = (0.0, 0.5)
    obstacles: int = 0
    radius: float = 0.1
    goal_seen: bool = False
    horizon: int = 100

    def __post_init__(self):
        near, far = self.goals
        if not 0 <= near < far:
            raise QuickstudyError(f"goals={self.goals}: give two distances, the second one larger, such as (0.0, 0.5)")
        if self.horizon < 1:
            raise QuickstudyError(f"horizon={self.horizon}: give at least 1")
        if self.obstacles < 0 or self.radius <= 0:
            raise QuickstudyError(f"{self.obstacles} obstacles of radius {self.radius:g}: give 0 or more, of a radius above 0")
        if self.obstacles and 2 * self.radius > far:
            raise QuickstudyError(f"radius={self.radius:g}: the obstacles leave no place for goals up to {far:g}; give less")

    action = Box(2, -1.0, 1.0)

    @property
    def observation(self) -> int:
        """Two numbers of the position, and two of the goal where it is seen."""
        return 4 if self.goal_seen else 2

    def draw(self, trials: int, generator: torch.Generator) -> Tensors:
        """`goal` `(trials, 2)`, and the centres of `obstacles` `(trials, obstacles, 2)`: anywhere as far out as goals may be, but
        neither over the origin nor over the goal."""
        near, far = self.goals
        goal = _square((trials, 1), generator)
        out = goal.abs().amax(-1, keepdim=True).clamp_min(1e-9)
        goal = goal / out * (near**2 + (far**2 - near**2) * out**2).sqrt()  # evenly over what lies between two squares
        ends = torch.cat([goal, torch.zeros_like(goal)], dim=1)
        centres = far * _square((trials, self.obstacles), generator)
        while (over := (torch.cdist(centres, ends) < self.radius + NEAR).any(-1)).any():
            centres = torch.where(over[..., None], far * _square(over.shape, generator), centres)
        return {"goal": goal.squeeze(1), "obstacles": centres}

    def reset(self, tasks: Tensors, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """The origin."""
        state = torch.zeros_like(tasks["goal"])
        return state, self._seen(tasks, state)

    def step(self, tasks: Tensors, state: torch.Tensor, actions: torch.Tensor, generator: torch.Generator):
        """A move."""
        move = STRIDE * actions.clamp(-1, 1)
        if self.obstacles:
            move = torch.where(self._meets(tasks["obstacles"], state, move), 0.0, move)
        state = state + move
        off = state - tasks["goal"]
        return state, self._seen(tasks, state), -off.norm(dim=-1), (off.abs() < NEAR).all(-1)

    def _seen(self, tasks: Tensors, state: torch.Tensor) -> torch.Tensor:
        return torch.cat([state, tasks["goal"]], dim=1) if self.goal_seen else state

    def _meets(self, centres: torch.Tensor, state: torch.Tensor, move: torch.Tensor) -> torch.Tensor:
        """Whether the way of a move enters a circle, `(trials, 1)`."""
        to, way = centres - state[:, None], move[:, None]
        along = ((to * way).sum(-1) / way.square().sum(-1).clamp_min(1e-12)).clamp(0, 1)
        return ((to - along[..., None] * way).norm(dim=-1) < self.radius).any(1, keepdim=True)


def _square(shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    """Uniform in [-1, 1]^2, `(*shape, 2)`."""
    return 2 * torch.rand(*shape, 2, generator=generator) - 1
