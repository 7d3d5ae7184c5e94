"""A larger base by its config alone: no weights are loaded, and everything is counted on tensors without values."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch.func import functional_call

from quickstudy.errors import QuickstudyError, reason
from quickstudy.inner.derivatives import Autograd
from quickstudy.models.adapters import add_lora
from quickstudy.models.frozen_layers import Lowered
from quickstudy.models.functional import Parameters
from quickstudy.models.mixed_lora import MixedLoRA
from quickstudy.models.sentence_encoder import SentenceEncoder
from quickstudy.runs.plan.live import LiveBytes
from quickstudy.runs.plan.plan import Plan, Planner
from quickstudy.tasks.batch import Batch

LLAMA = {"model_type": "llama", "vocab_size": 128256, "max_position_embeddings": 131072, "num_key_value_heads": 8}
SHAPES = {
    "1B": LLAMA
    | {"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "num_attention_heads": 32, "head_dim": 64},
    "8B": LLAMA | {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32},
}
"""Llama 3's own sizes, as its configs have them."""
TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
META = torch.device("meta")


@dataclass(frozen=True)
class Base:
    """Bytes that a recipe would need with another base: an estimate, not measured.

    Attributes:
        name: as it was given.
        precision: of the weights and the activations; adapters and what the recursion keeps are float32.
        tokens: of each sentence.
        parameters: of the base, without adapters.
        adapters: bytes of the adapters and of the outer optimizer's state.
        kept: by the recursion, as in the recipe's plan, by the size of the adapters.
        activations: of as many rows as in the recipe's plan.
    """

    name: str
    precision: str
    tokens: int
    parameters: int
    weights: int
    adapters: float
    kept: float
    activations: float

    @property
    def memory(self) -> float:
        """Bytes at the peak."""
        return self.weights + self.adapters + self.kept + self.activations

    def numbers(self) -> dict[str, Any]:
        """As JSON has them."""
        return {"estimate": True, "memory": self.memory, **asdict(self)}


def estimate(name: str, planner: Planner, plan: Plan, *, tokens: int, precision: Literal["fp32", "bf16"]) -> Base:
    """What the planned recipe would need with this base.

    Args:
        name: 1B or 8B, a Hugging Face config.json, or a folder that holds one.
        planner, plan: of the recipe, on its own model.
        tokens: of each sentence.

    Raises:
        QuickstudyError: no such config, or a recipe without adapters on a sentence encoder.
    """
    recipe, own = planner.recipe, planner.learner.model
    if not isinstance(own, SentenceEncoder) or recipe.model.lora is None:
        raise QuickstudyError(
            "--base takes the place of a sentence encoder that learns through adapters, and the recipe has none; give a "
            "recipe of sentences with model.lora"
        )
    config = _config(name)
    with META:
        module = _model(config, TYPES[precision], name)
    base = list(module.parameters())
    module.requires_grad_(False)
    with META:
        add_lora(module, recipe.model.lora, recipe.seed)
    adapters = sum(p.nbytes for p in module.parameters() if p.requires_grad)
    times = adapters / sum(p.nbytes for p in own.parameters() if p.requires_grad)
    rows, alive = plan.rows
    together = min(rows, own.chunk)
    return Base(
        name=name,
        precision=precision,
        tokens=tokens,
        parameters=sum(p.numel() for p in base),
        weights=sum(p.nbytes for p in base),
        adapters=adapters + plan.optimizer * times,
        kept=plan.kept * times,
        activations=_activations(_Sized(module, tokens), plan, recipe.episodes.tasks, together) * alive / together,
    )


class _Sized(SentenceEncoder):
    """An encoder whose sentences all have so many tokens."""

    def __init__(self, module: torch.nn.Module, tokens: int):
        super().__init__(module, None)
        self.tokens = tokens
        self.eval()

    def lowered(self, inputs: Any, moving: Collection[str]) -> Any:
        return inputs

    def called(self, sentences: Sequence[str] | Lowered) -> tuple[torch.nn.Module, Mapping[str, torch.Tensor]]:
        return self.module, {"input_ids": torch.ones(len(sentences), self.tokens, dtype=torch.long, device=META)}

    def pooled(self, module: torch.nn.Module, tokens: Mapping[str, torch.Tensor]) -> torch.Tensor:
        return module(**tokens).last_hidden_state.mean(1)  # without a mask, whose values the model would look at


def _activations(encoder: _Sized, plan: Plan, tasks: int, rows: int) -> int:
    """Bytes at the peak of a call like the one at the peak of the plan."""
    what, of = plan.call
    sentences = Batch([""] * rows)
    phi: Parameters = {name: p.detach() for name, p in encoder.named_parameters() if p.requires_grad}
    mixed = MixedLoRA(encoder) if "Stacked" in of else None
    if mixed:
        phi = {name: value.expand(tasks, *value.shape) for name, value in phi.items()}

    def objective(phi: Parameters, batch: Batch, whole: bool) -> tuple[torch.Tensor, float]:
        if mixed:
            return mixed(phi, batch.inputs, torch.zeros(len(batch), dtype=torch.long, device=META)).float().sum(), 1.0
        _, inputs = encoder.called(batch.inputs)
        return functional_call(encoder, phi, (dict(inputs),)).float().sum(), 1.0

    derivatives = Autograd(objective, encoder)
    with LiveBytes() as live:
        if what in ("product", "step"):
            derivatives.hessian_vector(sentences, phi, 1.0, phi, ())
        else:
            derivatives.slope(phi, sentences)
    return live.peak


def _config(name: str) -> dict[str, Any]:
    if name in SHAPES:
        return SHAPES[name]
    path = Path(name).expanduser()
    path = path / "config.json" if path.is_dir() else path
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise QuickstudyError(f"--base {name}: there is no {path}; give {', '.join(SHAPES)}, a folder or a config.json") from None
    except (OSError, ValueError) as error:
        raise QuickstudyError(
            f"--base {name}: {path} cannot be read as JSON ({error}); give a Hugging Face config.json"
        ) from error
    if not isinstance(found, dict) or "model_type" not in found:
        raise QuickstudyError(f"--base {name}: {path} says no model_type; give a Hugging Face config.json")
    return found


def _model(config: Mapping[str, Any], dtype: torch.dtype, name: str) -> torch.nn.Module:
    import transformers

    fields = {key: value for key, value in config.items() if key not in ("architectures", "dtype", "torch_dtype", "auto_map")}
    try:
        made = transformers.AutoConfig.for_model(**fields)
        return transformers.AutoModel.from_config(made, attn_implementation="eager", dtype=dtype).eval()
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        said = f"--base {name}: no model can be made of this config ({reason(error)}); give another one"
        raise QuickstudyError(said) from error
