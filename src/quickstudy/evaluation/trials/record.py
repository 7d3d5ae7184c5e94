"""`Recording`: an agent that plays as it would, and all that it does and gets is written down."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from quickstudy.learners.agents.acting import Acting


@dataclass(frozen=True, eq=False)
class Record:
    """What an agent did in episodes that were played side by side.

    Args:
        actions: `(steps, trials, ...)`.
        rewards: `(steps, trials)`; 0 where the step does not count.
        ended: whether it was the last step of its episode, `(steps, trials)`.
        live: whether the step counts, `(steps, trials)`.
    """

    actions: torch.Tensor
    rewards: torch.Tensor
    ended: torch.Tensor
    live: torch.Tensor

    @property
    def episode(self) -> torch.Tensor:
        """Which episode each step is of, from 0: `(steps,)`. All trials begin the next one together."""
        over = (self.ended | ~self.live).all(1).long()
        return over.cumsum(0) - over

    @property
    def by_episode(self) -> torch.Tensor:
        """What each episode paid, `(episodes, trials)`."""
        episode = self.episode
        nothing = torch.zeros(int(episode[-1]) + 1, self.rewards.shape[1])
        return nothing.index_add_(0, episode, self.rewards)

    @property
    def returns(self) -> torch.Tensor:
        """What each trial paid, `(trials,)`."""
        return self.rewards.sum(0)

    @property
    def last(self) -> Record:
        """The last episode alone."""
        rows = self.episode == self.episode[-1]
        return Record(self.actions[rows], self.rewards[rows], self.ended[rows], self.live[rows])


class Recording(Acting):
    """Plays as another does. It is given to whatever plays, `Trials.score` for one, in that one's place.

    Args:
        its: the other; it stays as it is.
    """

    def __init__(self, its: Acting):
        super().__init__(its.agent, its.memory)
        self._its, self._actions = its, []
        self._told: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []

    @property
    def record(self) -> Record:
        """What was done since it last began from what it knew."""
        return Record(torch.stack(self._actions), *(torch.stack(each) for each in zip(*self._told, strict=True)))

    def act(self, seen: torch.Tensor) -> torch.Tensor:
        """As the other acts."""
        actions = self._its.act(seen)
        self._actions.append(actions)
        return actions

    def told(self, reward: torch.Tensor, ended: torch.Tensor, live: torch.Tensor | None = None) -> None:
        """As the other is told."""
        self._its.told(reward, ended, live)
        self._told.append((reward, ended, torch.ones_like(ended) if live is None else live))

    def again(self) -> Recording:
        """Another that knows the same; it writes to the record of this one, which begins anew."""
        other = Recording(self._its.again())
        self._actions, self._told = other._actions, other._told
        return other
