"""The public interface of `higher` 0.2: programs that unroll an inner loop with it run with the import changed.

`docs/from-higher.md` has what is the same, what differs, and the way from here to a learner at the memory of one step.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn

from quickstudy.compat.higher import optim as optim
from quickstudy.compat.higher import patch as patch
from quickstudy.compat.higher import utils as utils
from quickstudy.compat.higher.optim import create_diff_optim as create_diff_optim
from quickstudy.compat.higher.optim import get_diff_optim as get_diff_optim
from quickstudy.compat.higher.optim import register_optim as register_optim
from quickstudy.compat.higher.optimizer import DifferentiableOptimizer, Override
from quickstudy.compat.higher.patch import FunctionalModel, say_that_it_is_detached
from quickstudy.compat.higher.patch import monkeypatch as monkeypatch


def innerloop_ctx(
    model: nn.Module,
    opt: torch.optim.Optimizer,
    device: torch.device | str | None = None,
    copy_initial_weights: bool = True,
    override: Override | None = None,
    track_higher_grads: bool = True,
) -> AbstractContextManager[tuple[FunctionalModel, DifferentiableOptimizer]]:
    """An inner loop from the model and the optimizer as they are now, neither of which it changes.

    Args:
        opt: over parameters of `model`, all or some, in groups or not. Its state is where the inner loop's starts.
        device: where the inner loop computes; None: where the model is.
        copy_initial_weights: True starts from a detached copy, so that the model's own parameters get no gradient (a warning
            says so, once); False starts from the parameters themselves, as MAML does.
        override: settings of the optimizer in the place of its own, each a list of one value or of one for each group.
            A value may be a tensor that requires a gradient: a learned learning rate.
        track_higher_grads: False keeps no graph from step to step, for tasks that are only to be learned.

    Returns:
        A context of the functional model and the differentiable optimizer.

    Raises:
        QuickstudyError: an optimizer without a differentiable form, or over parameters that are not the model's; a setting
            that it does not have.
    """
    if copy_initial_weights and track_higher_grads:
        say_that_it_is_detached()
    fmodel = FunctionalModel(model, device, copy_initial_weights, track_higher_grads)
    diffopt = get_diff_optim(opt, model.parameters(), fmodel, device, override, track_higher_grads)
    return nullcontext((fmodel, diffopt))
