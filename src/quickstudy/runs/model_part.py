"""`ModelPart`: the part of a recipe that says what is adapted."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from quickstudy.runs.kinds import Count
from quickstudy.runs.part import Part


class Conv4Part(Part):
    """Four blocks of convolution, batch norm and ReLU over images, from the seed (`models/conv.py`)."""

    filters: Count = 64
    """Of each convolution; the literature has 32, 48 and 64."""
    down: Literal["pool", "stride"] = "stride"
    """How a block halves the image: by max pooling, or by a stride and, at the end, the mean over space."""
    channels: Literal[1, 3] = 1
    """1: images are read as grey; 3: in colour."""
    size: Count = 28
    """Pixels a side to which images are scaled."""
    ways: Count | None = None
    """Outputs of a head inside, as in published MAML. Null: the network gives embeddings."""
    batch_norm: Literal["transductive", "running"] = "transductive"
    """What normalises: each call's own statistics, or running averages, which move in training mode."""


class ResNet12Part(Part):
    """ResNet-12 over images, from the seed (`models/resnet.py`)."""

    width: Literal[512, 640] = 640
    """Of the last block: the four are 64-128-256-512 or 64-160-320-640."""
    channels: Literal[1, 3] = 3
    """1: images are read as grey; 3: in colour."""
    size: Count = 84
    """Pixels a side to which images are scaled."""
    ways: Count | None = None
    """Outputs of a head inside. Null: the network gives embeddings."""
    batch_norm: Literal["transductive", "running"] = "running"
    """What normalises: each call's own statistics, or running averages, which move in training mode."""


class ViTPart(Part):
    """A small Vision Transformer, from the seed (`models/vit.py`)."""

    patch: Count = 7
    """Pixels a side of a patch; patches fill the image."""
    width: Count = 64
    """Of a patch's vector, and of the embedding."""
    depth: Count = 4
    """Blocks."""
    heads: Count = 4
    """Of the attention in each block; they divide the width."""
    channels: Literal[1, 3] = 1
    """1: images are read as grey; 3: in colour."""
    size: Count = 28
    """Pixels a side to which images are scaled."""
    ways: Count | None = None
    """Outputs of a head inside. Null: the network gives embeddings."""


class ModelPart(Part):
    """What is adapted."""

    name: str | None = None
    """`minilm`, `smollm2`, a Hugging Face id or a local folder: a sentence encoder or a language model, frozen."""
    lora: Count | dict[str, Any] | None = None
    """Adapters that learn, on it: a rank, or PEFT's `LoraConfig` fields and `layers` (how many of the top)."""
    dtype: Literal["float32", "bfloat16"] | None = None
    """Of its own weights; bfloat16 halves their memory. Null: float32."""
    mlp: Annotated[list[Count], Field(min_length=2)] | None = None
    """In place of a name: the widths of a perceptron, from inputs to outputs."""
    gru: Count | None = None
    """In place of a name: a recurrent policy with so many units of memory, for agents."""
    fast_weights: Count | None = None
    """In place of a name: a policy of so many units whose memory is associations, for agents."""
    policy: Count | None = None
    """In place of a name: a policy of two layers of so many units, without memory, for agents."""
    conv4: Conv4Part | None = None
    """In place of a name: the convolutional network of the few-shot literature."""
    resnet12: ResNet12Part | None = None
    """In place of a name: a deeper one."""
    vit: ViTPart | None = None
    """In place of a name: a small Vision Transformer."""

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        """`model: conv4` is short for `model: {conv4: {}}`, and any other name for `model: {name: ...}`."""
        if not isinstance(value, str):
            return value
        return {value: {}} if value in ("conv4", "resnet12", "vit") else {"name": value}

    @property
    def network(self) -> tuple[str, Conv4Part | ResNet12Part | ViTPart] | None:
        """The network over images that is made from the seed, with its key; None where the model is another."""
        made = {"conv4": self.conv4, "resnet12": self.resnet12, "vit": self.vit}
        return next(((key, part) for key, part in made.items() if part is not None), None)

    @model_validator(mode="after")
    def _one(self) -> ModelPart:
        kinds = self.name, self.mlp, self.gru, self.fast_weights, self.policy, self.conv4, self.resnet12, self.vit
        if sum(each is not None for each in kinds) != 1:
            raise ValueError("needs exactly one of name, mlp, gru, fast_weights, policy, conv4, resnet12 and vit")
        for key in ("lora", "dtype"):
            if getattr(self, key) is not None and self.name is None:
                raise ValueError(f"has {key}, which belongs to a named model")
        return self
