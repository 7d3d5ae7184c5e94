"""What runs the trials of `Gymnasium`: an environment for each, or one that is vectorised for all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from quickstudy.errors import QuickstudyError

Options = dict[str, Any]
"""What an environment's `reset(options=...)` takes."""


class Copies:
    """Single environments, as many as there ever were trials at once.

    Args:
        first: one of them.
        make: gives another.
    """

    def __init__(self, first: Any, make: Callable[[], Any]):
        self.envs, self.make = [first], make
        self.name, self.horizon = _about(first)
        self.seen, self.actions = first.observation_space, first.action_space

    def reset(self, seeds: list[int], options: list[Options] | None) -> Any:
        """An observation of each, `(trials, ...)`."""
        while len(self.envs) < len(seeds):
            self.envs.append(self.make())
        each = zip(self.envs, seeds, options or [None] * len(seeds), strict=False)
        return [env.reset(seed=seed, options=option)[0] for env, seed, option in each]

    def step(self, actions: np.ndarray, rows: Sequence[int]) -> tuple[Any, Any, np.ndarray]:
        """Observations, rewards and whether an episode is over, of these rows; the others stay as they are."""
        seen, rewards, terminated, truncated, _ = zip(*(self.envs[row].step(actions[row]) for row in rows), strict=True)
        return seen, rewards, np.array(terminated, bool) | np.array(truncated, bool)


class Together:
    """A `VectorEnv` for all trials."""

    def __init__(self, env: Any):
        from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

        self.env = env
        self.name, self.horizon = _about(env)
        self.seen, self.actions = env.single_observation_space, env.single_action_space
        self.copies = isinstance(env.unwrapped, (SyncVectorEnv, AsyncVectorEnv))
        self.resets = env.metadata.get("autoreset_mode") != AutoresetMode.DISABLED

    def reset(self, seeds: list[int], options: list[Options] | None) -> Any:
        """As of `Copies`.

        Raises:
            QuickstudyError: not as many trials as environments.
        """
        if len(seeds) != self.env.num_envs:
            raise QuickstudyError(
                f"{len(seeds)} trials for a VectorEnv of {self.env.num_envs} environments: make one of {len(seeds)}, "
                "or give a function that makes a single environment, which serves any number"
            )
        if not self.copies:
            stacked = {key: np.stack([option[key] for option in options]) for key in options[0]} if options else None
            return self.env.reset(seed=seed_of(seeds), options=stacked)[0]
        seen, _ = self.env.reset(seed=seeds, options=dict(options[0]) if options else None)
        # A reset gives all copies the same options, so those of every other task take a reset of one copy alone.
        for row, option in list(enumerate(options or []))[1:]:
            seen, _ = self.env.reset(seed=seeds, options={**option, "reset_mask": np.arange(len(seeds)) == row})
        return seen

    def step(self, actions: np.ndarray, rows: Sequence[int]) -> tuple[Any, Any, np.ndarray]:
        """As of `Copies`, but the others begin episodes that nobody asks for."""
        seen, rewards, terminated, truncated, _ = self.env.step(actions)
        ended = np.array(terminated, bool) | np.array(truncated, bool)
        found = np.asarray(seen)[rows], np.asarray(rewards)[rows], ended[rows]
        if not self.resets and ended.any():  # or the next step would be refused
            self.env.reset(options={"reset_mask": ended})
        return found


def simulators(make: str | Callable[[], Any]) -> Copies | Together:
    """Of an id, or of a function that gives an environment.

    Raises:
        QuickstudyError: Gymnasium is not installed, or refuses the id; the function gives something else.
    """
    try:
        import gymnasium
    except ImportError:
        raise QuickstudyError("environments of Gymnasium need the package gymnasium: pip install 'quickstudy[rl]'") from None
    if isinstance(make, str):
        try:
            return Copies(gymnasium.make(make), lambda: gymnasium.make(make))
        except (gymnasium.error.Error, ImportError) as error:
            raise QuickstudyError(f"Gymnasium cannot make {make}: {error}") from error
    first = make()
    if isinstance(first, gymnasium.vector.VectorEnv):
        return Together(first)
    if isinstance(first, gymnasium.Env):
        return Copies(first, make)
    raise QuickstudyError(f"make gave a {type(first).__name__}; it should give a gymnasium.Env or a gymnasium.vector.VectorEnv")


def _about(env: Any) -> tuple[str, int | None]:
    """The name, and the steps of an episode."""
    return (env.spec.id, env.spec.max_episode_steps) if env.spec else (type(env.unwrapped).__name__, None)


def seed_of(numbers: Sequence[int]) -> int:
    """Of 31 bits, since some simulators take no more."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0]) >> 1
