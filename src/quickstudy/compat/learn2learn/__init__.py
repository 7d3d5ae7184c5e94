"""Scripts written for learn2learn 0.2 (Arnold et al. 2020), with `import quickstudy.compat.learn2learn as l2l`.

What its gym, text, Lightning and downloads of data need is left out; `docs/from-learn2learn.md` says what takes their place.
"""

from quickstudy.compat.learn2learn import algorithms as algorithms
from quickstudy.compat.learn2learn import data as data
from quickstudy.compat.learn2learn import nn as nn
from quickstudy.compat.learn2learn import optim as optim
from quickstudy.compat.learn2learn import utils as utils
from quickstudy.compat.learn2learn import vision as vision
from quickstudy.compat.learn2learn.cloning import clone_module as clone_module
from quickstudy.compat.learn2learn.cloning import clone_parameters as clone_parameters
from quickstudy.compat.learn2learn.cloning import detach_module as detach_module
from quickstudy.compat.learn2learn.cloning import update_module as update_module
from quickstudy.compat.learn2learn.distributions import clone_distribution as clone_distribution
from quickstudy.compat.learn2learn.distributions import detach_distribution as detach_distribution
from quickstudy.compat.learn2learn.utils import magic_box as magic_box
