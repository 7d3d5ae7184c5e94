"""Meta-learning with pretrained Transformers: learn how to learn, so that a handful of examples is enough."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

_PUBLIC = {
    "Task": "tasks.task",
    "Batch": "tasks.batch",
    "Table": "tasks.table",
    "Episodes": "tasks.episodes",
    "Sinusoids": "tasks.sinusoids",
    "Unlabelled": "tasks.unlabelled",
    "TextDomains": "tasks.text_domains",
    "Trials": "tasks.trials",
    "TrialStream": "tasks.trials",
    "Bandits": "tasks.environments",
    "MDPs": "tasks.environments",
    "Points": "tasks.environments",
    "Gymnasium": "tasks.environments",
    "Learner": "learners.base",
    "MAML": "learners.maml",
    "ANIL": "learners.anil",
    "BOIL": "learners.boil",
    "MetaSGD": "learners.meta_sgd",
    "MAMLpp": "learners.mamlpp",
    "MetaCurvature": "learners.meta_curvature",
    "IMAML": "learners.imaml",
    "ProtoMAML": "learners.proto_maml",
    "ExampleWeights": "learners.example_weights",
    "TokenWeights": "learners.token_weights",
    "AdapterGenerator": "learners.adapter_generator",
    "MetaICL": "learners.meta_icl",
    "CAVIA": "learners.cavia",
    "CNP": "learners.cnp",
    "Reptile": "learners.reptile",
    "Prototypical": "learners.prototypical",
    "Matching": "learners.matching",
    "Siamese": "learners.siamese",
    "R2D2": "learners.r2d2",
    "PriorHead": "learners.prior_head",
    "Default": "learners.default",
    "PPO": "learners.agents.ppo",
    "RL2": "learners.agents.rl2",
    "MAMLRL": "learners.agents.maml_rl",
    "Strategy": "learners.agents.strategy",
    "Centroid": "learners.baselines.centroid",
    "LogisticProbe": "learners.baselines.logistic_probe",
    "NearestNeighbours": "learners.baselines.nearest_neighbours",
    "Ridge": "learners.baselines.ridge",
    "FineTune": "learners.baselines.fine_tune",
    "JointTraining": "learners.baselines.joint",
    "ZeroStep": "learners.baselines.zero_step",
    "InContext": "learners.baselines.in_context",
    "Rates": "inner.rules",
    "LearnedSchedule": "schedules.learned",
    "StrategyCallback": "schedules.callback",
    "check_gradients": "evaluation.gradients",
    "evaluate": "evaluation.evaluate",
    "load": "runs.opening",
    "QuickstudyError": "errors",
}
__all__ = [*_PUBLIC, "models"]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first asked for, so that `import quickstudy` costs nothing."""
    if name == "models":
        return importlib.import_module("quickstudy.models")
    if name not in _PUBLIC:
        raise AttributeError(f"module 'quickstudy' has no attribute {name!r}")
    return getattr(importlib.import_module(f"quickstudy.{_PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)


if TYPE_CHECKING:
    from quickstudy import models as models
    from quickstudy.errors import QuickstudyError as QuickstudyError
    from quickstudy.evaluation.evaluate import evaluate as evaluate
    from quickstudy.evaluation.gradients import check_gradients as check_gradients
    from quickstudy.inner.rules import Rates as Rates
    from quickstudy.learners.adapter_generator import AdapterGenerator as AdapterGenerator
    from quickstudy.learners.agents.maml_rl import MAMLRL as MAMLRL
    from quickstudy.learners.agents.ppo import PPO as PPO
    from quickstudy.learners.agents.rl2 import RL2 as RL2
    from quickstudy.learners.agents.strategy import Strategy as Strategy
    from quickstudy.learners.anil import ANIL as ANIL
    from quickstudy.learners.base import Learner as Learner
    from quickstudy.learners.baselines.centroid import Centroid as Centroid
    from quickstudy.learners.baselines.fine_tune import FineTune as FineTune
    from quickstudy.learners.baselines.in_context import InContext as InContext
    from quickstudy.learners.baselines.joint import JointTraining as JointTraining
    from quickstudy.learners.baselines.logistic_probe import LogisticProbe as LogisticProbe
    from quickstudy.learners.baselines.nearest_neighbours import NearestNeighbours as NearestNeighbours
    from quickstudy.learners.baselines.ridge import Ridge as Ridge
    from quickstudy.learners.baselines.zero_step import ZeroStep as ZeroStep
    from quickstudy.learners.boil import BOIL as BOIL
    from quickstudy.learners.cavia import CAVIA as CAVIA
    from quickstudy.learners.cnp import CNP as CNP
    from quickstudy.learners.default import Default as Default
    from quickstudy.learners.example_weights import ExampleWeights as ExampleWeights
    from quickstudy.learners.imaml import IMAML as IMAML
    from quickstudy.learners.maml import MAML as MAML
    from quickstudy.learners.mamlpp import MAMLpp as MAMLpp
    from quickstudy.learners.matching import Matching as Matching
    from quickstudy.learners.meta_curvature import MetaCurvature as MetaCurvature
    from quickstudy.learners.meta_icl import MetaICL as MetaICL
    from quickstudy.learners.meta_sgd import MetaSGD as MetaSGD
    from quickstudy.learners.prior_head import PriorHead as PriorHead
    from quickstudy.learners.proto_maml import ProtoMAML as ProtoMAML
    from quickstudy.learners.prototypical import Prototypical as Prototypical
    from quickstudy.learners.r2d2 import R2D2 as R2D2
    from quickstudy.learners.reptile import Reptile as Reptile
    from quickstudy.learners.siamese import Siamese as Siamese
    from quickstudy.learners.token_weights import TokenWeights as TokenWeights
    from quickstudy.runs.opening import load as load
    from quickstudy.schedules.callback import StrategyCallback as StrategyCallback
    from quickstudy.schedules.learned import LearnedSchedule as LearnedSchedule
    from quickstudy.tasks.batch import Batch as Batch
    from quickstudy.tasks.environments import Bandits as Bandits
    from quickstudy.tasks.environments import Gymnasium as Gymnasium
    from quickstudy.tasks.environments import MDPs as MDPs
    from quickstudy.tasks.environments import Points as Points
    from quickstudy.tasks.episodes import Episodes as Episodes
    from quickstudy.tasks.sinusoids import Sinusoids as Sinusoids
    from quickstudy.tasks.table import Table as Table
    from quickstudy.tasks.task import Task as Task
    from quickstudy.tasks.text_domains import TextDomains as TextDomains
    from quickstudy.tasks.trials import Trials as Trials
    from quickstudy.tasks.trials import TrialStream as TrialStream
    from quickstudy.tasks.unlabelled import Unlabelled as Unlabelled
