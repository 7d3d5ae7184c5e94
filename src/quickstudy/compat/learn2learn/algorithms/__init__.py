"""MAML, Meta-SGD and gradient-based meta-learning in general, each as a wrapper with `clone` and `adapt`."""

from quickstudy.compat.learn2learn.algorithms.gbml import GBML as GBML
from quickstudy.compat.learn2learn.algorithms.maml import MAML as MAML
from quickstudy.compat.learn2learn.algorithms.maml import maml_update as maml_update
from quickstudy.compat.learn2learn.algorithms.meta_sgd import MetaSGD as MetaSGD
from quickstudy.compat.learn2learn.algorithms.meta_sgd import meta_sgd_update as meta_sgd_update
