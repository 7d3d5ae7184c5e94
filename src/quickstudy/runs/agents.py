"""The agents that one that learned to act is judged beside."""

from __future__ import annotations

from contextlib import suppress

from quickstudy.errors import QuickstudyError
from quickstudy.learners.agents.acting import Agent
from quickstudy.tasks.trials import Trials

TUNED = 0.2
"""The c of UCB1 that was best in trials of 100 pulls of 5 arms; with 10 pulls it makes no difference up to 0.3."""


def agents_for(trials: Trials) -> list[Agent]:
    """Those that know the family of tasks as well, and learn nothing from one task to the next.

    The exact optimum is among them where it is small enough to be computed.
    """
    from quickstudy.learners.agents.certainty_equivalent_agent import CertaintyEquivalentAgent
    from quickstudy.learners.agents.greedy_bandit import GreedyBandit
    from quickstudy.learners.agents.optimal_bandit import OptimalBandit
    from quickstudy.learners.agents.psrl_agent import PSRLAgent
    from quickstudy.learners.agents.random_agent import RandomAgent
    from quickstudy.learners.agents.thompson_bandit import ThompsonBandit
    from quickstudy.learners.agents.ucb1_bandit import UCB1Bandit
    from quickstudy.tasks.environments import Bandits, MDPs

    environment = trials.environment
    found: list[Agent] = [RandomAgent(environment)]
    if isinstance(environment, Bandits):
        found += [GreedyBandit(environment), ThompsonBandit(environment), UCB1Bandit(environment, c=TUNED)]
        with suppress(QuickstudyError):  # too many states
            found += [OptimalBandit(environment, trials.episodes)] if not trials.explored else []
    if isinstance(environment, MDPs):
        found += [PSRLAgent(environment), CertaintyEquivalentAgent(environment)]
    return found
