"""Training as an environment: many small classifiers side by side, and one who chooses how their training goes on."""

from quickstudy.inner.training_loop.environment import TrainingEnvironment
from quickstudy.inner.training_loop.selection import SelectionEnvironment

__all__ = ["SelectionEnvironment", "TrainingEnvironment"]
