"""`Gymnasium`: any environment that has Gymnasium's interface (Towers et al. 2024), one's own or one of its registry."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F

from quickstudy.errors import QuickstudyError
from quickstudy.tasks.environments.environment import Tensors
from quickstudy.tasks.environments.simulators import Options, seed_of, simulators
from quickstudy.tasks.environments.spaces import Box, Discrete, Space

if TYPE_CHECKING:
    import gymnasium


class Gymnasium:
    """Every trial has a simulator, and a task is the options that it is reset with.

    A task is a number. Its options follow from that, and with the number of an episode the seed of a reset, so the episodes of
    a trial begin differently and are of one task. What an environment draws by itself at reset is drawn anew every episode:
    what has to last over a trial belongs in the options. An episode is over when it is terminated or truncated.

    Unlike environments in tensors this one holds its simulators, and plays one batch of trials after another.

    A `VectorEnv` saves time where it is vectorised by itself. It then takes one seed, and each option stacked over the trials;
    a `SyncVectorEnv` or `AsyncVectorEnv` gives every trial its own, as single environments do.

    Args:
        make: an id such as "CartPole-v1"; or a function that gives a `gymnasium.Env`, and is called once for each trial, or a
            `gymnasium.vector.VectorEnv` of as many environments as there are trials.
        vary: draws the options of a task. Without it trials differ by seeds alone.
        horizon: steps of an episode at most. Default: those of the environment's `spec`.

    Attributes:
        name: of the environment.
        observation: numbers in an observation; a Box is flattened, a Discrete one-hot.
        action: what an agent may do; real numbers are cut to the bounds of each.
        horizon: as above.

    Raises:
        QuickstudyError: Gymnasium is not installed, or cannot make this; a space that is neither Box nor Discrete; no horizon.
    """

    def __init__(
        self,
        make: str | Callable[[], gymnasium.Env | gymnasium.vector.VectorEnv],
        *,
        vary: Callable[[np.random.Generator], Options] | None = None,
        horizon: int | None = None,
    ):
        self._simulators, self._vary = simulators(make), vary
        self._state: _State | None = None
        self.name = self._simulators.name
        self.observation, self._read = _observation(self.name, self._simulators.seen)
        self.action, self._write = _action(self.name, self._simulators.actions)
        self.horizon = _horizon(self.name, horizon, self._simulators.horizon)

    def __repr__(self) -> str:
        return f"Gymnasium({self.name}, horizon={self.horizon})"

    def draw(self, trials: int, generator: torch.Generator) -> Tensors:
        """`{"seed": (trials,)}`."""
        return {"seed": torch.randint(2**63 - 1, (trials,), generator=generator)}

    def reset(self, tasks: Tensors, generator: torch.Generator) -> tuple[_State, torch.Tensor]:
        """Begins an episode; what happens in a trial depends on its own number and the episode's, not on the other trials.

        Raises:
            QuickstudyError: a `VectorEnv` of another size than these trials.
        """
        episode = int(torch.randint(2**31, (), generator=generator))
        numbers = tasks["seed"].tolist()
        options = self._vary and [self._vary(np.random.default_rng(number)) for number in numbers]
        turns = defaultdict(count)  # episodes of one task side by side begin differently, as those one after the other do
        seen = self._simulators.reset([seed_of((number, episode + next(turns[number]))) for number in numbers], options)
        self._state = _State(self._seen(seen, len(numbers)), torch.zeros(len(numbers), dtype=torch.bool))
        return self._state, self._state.seen

    def step(self, tasks: Tensors, state: _State, actions: torch.Tensor, generator: torch.Generator):
        """Steps the trials that are not over; the others see what they saw last, and are paid nothing.

        Raises:
            QuickstudyError: a state that the simulators have left.
        """
        if state is not self._state:
            raise QuickstudyError(
                f"the simulators of {self.name} have left this state; play one batch of trials after another, or make a second "
                "Gymnasium for the other batch"
            )
        seen, reward, over = state.seen.clone(), torch.zeros(len(state.over)), state.over.clone()
        rows = (~over).nonzero().squeeze(1)
        if len(rows):
            found, paid, ended = self._simulators.step(self._write(np.asarray(actions)), rows.tolist())
            seen[rows] = self._seen(found, len(rows))
            reward[rows] = torch.tensor(self._checked("a reward", paid, (len(rows),)), dtype=torch.float32)
            over[rows] = torch.tensor(ended)
        self._state = _State(seen, over)
        return self._state, seen, reward, over

    def _seen(self, found: Any, rows: int) -> torch.Tensor:
        return self._read(self._checked("an observation", found, (rows, *self._simulators.seen.shape)))

    def _checked(self, what: str, found: Any, shape: tuple[int, ...]) -> np.ndarray:
        values = np.asarray(found)
        if values.shape != shape:
            raise QuickstudyError(
                f"{self.name} gave {what} of shape {values.shape[1:]}; it should be {shape[1:]}: mend the environment"
            )
        return values


@dataclass(frozen=True, eq=False)
class _State:
    """Last observations `(trials, observation)`, and whether the episode is over `(trials,)`."""

    seen: torch.Tensor
    over: torch.Tensor


def _observation(name: str, space: Any) -> tuple[int, Callable[[np.ndarray], torch.Tensor]]:
    """How many numbers an observation has, and what makes them of a simulator's, in memory of their own."""
    from gymnasium import spaces

    if isinstance(space, spaces.Discrete):
        count, start = int(space.n), int(space.start)
        return count, lambda seen: F.one_hot(torch.tensor(seen, dtype=torch.long) - start, count).float()
    if isinstance(space, spaces.Box):
        return math.prod(space.shape), lambda seen: torch.tensor(seen, dtype=torch.float32).reshape(len(seen), -1)
    raise QuickstudyError(
        f"{name} is observed in a {type(space).__name__} space, and an agent reads a Box or a Discrete one; "
        "wrap it in gymnasium.wrappers.FlattenObservation"
    )


def _action(name: str, space: Any) -> tuple[Space, Callable[[np.ndarray], np.ndarray]]:
    """What an agent may do, and what makes a simulator's actions of it."""
    from gymnasium import spaces

    if isinstance(space, spaces.Discrete):
        return Discrete(int(space.n)), lambda actions: (actions + int(space.start)).astype(space.dtype)
    if isinstance(space, spaces.Box):
        box = Box(math.prod(space.shape), float(space.low.min()), float(space.high.max()))
        return box, lambda actions: np.clip(actions.reshape(-1, *space.shape), space.low, space.high).astype(space.dtype)
    raise QuickstudyError(
        f"{name} takes actions of a {type(space).__name__} space, and an agent gives a Box or a Discrete one; "
        "wrap it in a gymnasium.ActionWrapper that takes one of these"
    )


def _horizon(name: str, given: int | None, own: int | None) -> int:
    horizon = own if given is None else given
    if horizon is None:
        raise QuickstudyError(f"{name} does not say how many steps an episode has at most; give horizon")
    if horizon < 1:
        raise QuickstudyError(f"horizon={horizon}: give at least 1")
    return horizon
