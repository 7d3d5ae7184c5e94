"""Learned updates: transforms of gradients, and what applies them so that they can be differentiated."""

from quickstudy.compat.learn2learn.optim import transforms as transforms
from quickstudy.compat.learn2learn.optim.learnable_optimizer import LearnableOptimizer as LearnableOptimizer
from quickstudy.compat.learn2learn.optim.parameter_update import ParameterUpdate as ParameterUpdate
from quickstudy.compat.learn2learn.optim.transforms import KroneckerTransform as KroneckerTransform
from quickstudy.compat.learn2learn.optim.transforms import MetaCurvatureTransform as MetaCurvatureTransform
from quickstudy.compat.learn2learn.optim.transforms import ModuleTransform as ModuleTransform
from quickstudy.compat.learn2learn.optim.transforms import ReshapedTransform as ReshapedTransform
from quickstudy.compat.learn2learn.optim.transforms import TransformDictionary as TransformDictionary
from quickstudy.compat.learn2learn.optim.update_rules import DifferentiableSGD as DifferentiableSGD
