"""What is played, in words."""

from __future__ import annotations

from dataclasses import dataclass

from quickstudy.inner.training_loop import SelectionEnvironment, TrainingEnvironment
from quickstudy.tasks.environments import Bandits, MDPs, Points
from quickstudy.tasks.trials import Trials
from quickstudy.wording import counted


@dataclass(frozen=True)
class Setting:
    """How a page calls the parts of its trials.

    Args:
        environment: "bandits of 5 arms".
        length: of a trial, "10 pulls".
        point: what a curve over a trial has at each point, "pull".
        reward: what is paid there, "reward of a pull".
        one: whether a trial is a single episode, so that the points are its steps.
    """

    environment: str
    length: str
    point: str
    reward: str
    one: bool = False


def setting(trials: Trials) -> Setting:
    """That of some trials."""
    its, episodes = trials.environment, trials.episodes
    one = episodes == 1
    if isinstance(its, Bandits):
        return Setting(f"bandits of {its.arms} arms", counted(episodes, "pull"), "pull", "reward of a pull", one)
    if isinstance(its, TrainingEnvironment | SelectionEnvironment):
        if isinstance(its, SelectionEnvironment):
            what, whose, classes = f"budgets among {its.candidates} small classifiers", " of the best model", its.training.classes
        else:
            what, whose, classes = "trainings of small classifiers", "", its.classes
        name = f"{what} on tasks of {classes} classes"
        length = counted(its.horizon, "decision") + ("" if one else f" in each of {episodes} trainings")
        point = "decision" if one else "training"
        return Setting(name, length, point, f"decrease of log validation loss{whose} in a {point}", one)
    name, most = getattr(its, "name", type(its).__name__), "at most "
    if isinstance(its, Points):
        name = "the plane, where a goal is hidden"
    if isinstance(its, MDPs):
        name, most = f"MDPs of {counted(its.states, 'state')} and {counted(its.actions, 'action')}", ""
    point = "step" if one else "episode"
    length = f"{counted(episodes, 'episode')} of {most}{counted(its.horizon, 'step')}"
    return Setting(name, length, point, f"reward of {'a' if one else 'an'} {point}", one)
