"""An adapter from one forward pass (Generative Adapter, Chen et al. 2024; Text-to-LoRA, Charakorn et al. 2025)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from quickstudy.errors import QuickstudyError
from quickstudy.learners.gradient import GradientLearner
from quickstudy.models.adapters import is_adapter
from quickstudy.models.device import like
from quickstudy.models.functional import Parameters
from quickstudy.models.hidden_states import HiddenStates, blocks_of
from quickstudy.models.language_model import LanguageModel
from quickstudy.tasks.batch import Batch

SPREAD = 0.02
"""Standard deviation of the elements of a basis at first: about that of the A of an adapter on 576 inputs."""


class AdapterGenerator(GradientLearner):
    """The support to a low-rank adapter in one forward pass: learning a task takes no gradient, unless it is refined by steps.

    The frozen base reads the support, without any adapter. A small network makes of what it read, z, a coefficient for each
    basis of each adapted layer: phi_0 = theta + sum_m c_m(z) G_m, for A and B alike. Learned are theta (the model's own
    adapter, and phi_0 at first), the bases G and the network. Chen et al. make the update of outer products of the states
    instead, and Charakorn et al. make it from a description of the task; bases keep the network small.

    Args:
        inner_steps: by which the generated adapter is refined; the exact gradient goes through them and through the network.
        bases: M, for each layer.
        width: units of the network's hidden layer.
        seed: draws the bases and the network's first layer.

    Raises:
        QuickstudyError: a model that is no language model with adapters, or one in which something else moves or learns.
    """

    kinds = ("language",)
    language_models_only = True

    def __init__(
        self,
        model: nn.Module,
        inner_lr: Any = 0.01,
        outer_lr: float = 0.001,
        *,
        inner_steps: int = 0,
        bases: int = 8,
        width: int = 64,
        seed: int = 0,
        **settings: Any,
    ):
        super().__init__(model, inner_lr, outer_lr, inner_steps=inner_steps, **settings)
        for name, count in (("bases", bases), ("width", width)):
            if count < 1:
                raise QuickstudyError(
                    f"{name}={count}: an adapter cannot be made of fewer than 1; leave {name} out for the default"
                )
        self.states = HiddenStates(model, summary)
        layers = [name.rpartition(".lora_")[0] for name in self.names]
        self.rows = [list(dict.fromkeys(layers)).index(layer) for layer in layers]
        generator = torch.Generator().manual_seed(seed)

        def drawn(spread: float, *shape: int) -> nn.Parameter:
            return nn.Parameter((spread * torch.randn(shape, generator=generator)).to(like(model)))

        shapes = {name: p.shape for name, p in model.named_parameters()}
        self.bases = nn.ParameterList(drawn(SPREAD, bases, *shapes[name]) for name in self.names)
        self.first = drawn(1.0, 2 * self.states.dim, width)  # z is of unit length, so a step of Adam moves no unit far
        self.last = drawn(0.0, width, len(set(layers)) * bases)  # the bases are not zero, so the gradient for it is not

    def resolve(self, space: Any) -> list[str]:
        """The adapters in the space."""
        own = [name for name, _ in self.model.named_parameters() if is_adapter(name)]
        if not isinstance(self.model, LanguageModel) or not own:
            raise QuickstudyError(
                f"AdapterGenerator makes adapters for a language model, and this {type(self.model).__name__} has none to make; "
                "load one with them: models.load(name, lora={'r': 8, 'layers': 4})"
            )
        names = super().resolve(space)
        if others := [name for name in names if not is_adapter(name)]:
            raise QuickstudyError(
                f"AdapterGenerator makes adapters, and the adaptation space {space!r} holds more than these (`{others[0]}`); "
                "freeze the rest, or give space='lora_'"
            )
        return names

    def start(self, support: Batch) -> Parameters:
        """The generated adapter."""
        own, coefficients = dict(self.model.named_parameters()), self.coefficients(support)
        return {
            name: own[name] + torch.tensordot(coefficients[row], basis, dims=1)
            for name, row, basis in zip(self.names, self.rows, self.bases, strict=True)
        }

    def coefficients(self, support: Batch) -> torch.Tensor:
        """c, `(layers, bases)`."""
        read = torch.stack(self.states(blocks_of(support.inputs))).mean(dim=0)
        z = F.normalize(_normal(read) - _normal(self.states([self._any_words])[0]), dim=-1)
        return (torch.tanh(z.flatten() @ self.first) @ self.last).view(-1, len(self.bases[0]))

    @property
    def _any_words(self) -> torch.Tensor:
        """A text of words from all over the vocabulary: most of what is read of a text is read of this one too."""
        module: Any = self.model.module
        words = len(module.get_input_embeddings().weight)
        return torch.arange(0, words, max(1, words // 64))


def summary(states: Sequence[torch.Tensor], block: torch.Tensor) -> torch.Tensor:
    """What the network sees of a block, `(2, dim)`: the mean over tokens of the states halfway and after the last layer.

    Each token counts as much as any other; the first one's states are otherwise hundreds of times larger.
    """
    return torch.stack([_normal(states[depth]).mean(dim=0) for depth in (len(states) // 2, -1)])


def _normal(states: torch.Tensor) -> torch.Tensor:
    return F.layer_norm(states, states.shape[-1:])
