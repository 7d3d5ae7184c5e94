"""Environments: what an agent learns to act in, many trials side by side."""

from quickstudy.tasks.environments.bandits import Bandits
from quickstudy.tasks.environments.environment import Environment
from quickstudy.tasks.environments.gymnasium import Gymnasium
from quickstudy.tasks.environments.mdps import MDPs
from quickstudy.tasks.environments.points import Points
from quickstudy.tasks.environments.spaces import Box, Discrete

__all__ = ["Bandits", "Box", "Discrete", "Environment", "Gymnasium", "MDPs", "Points"]
