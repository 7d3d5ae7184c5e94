"""Modules that meta-learning uses."""

from quickstudy.compat.learn2learn.nn.kroneckers import KroneckerLinear as KroneckerLinear
from quickstudy.compat.learn2learn.nn.metalayers import MetaModule as MetaModule
from quickstudy.compat.learn2learn.nn.metalayers import ParameterTransform as ParameterTransform
from quickstudy.compat.learn2learn.nn.misc import Flatten as Flatten
from quickstudy.compat.learn2learn.nn.misc import Lambda as Lambda
from quickstudy.compat.learn2learn.nn.misc import Scale as Scale
from quickstudy.compat.learn2learn.nn.misc import freeze as freeze
from quickstudy.compat.learn2learn.nn.misc import unfreeze as unfreeze
from quickstudy.compat.learn2learn.nn.protonet import PrototypicalClassifier as PrototypicalClassifier
