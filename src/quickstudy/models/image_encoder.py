"""Image encoders: a network over pixels, and how images become its pixels, as one module over references to images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call

from quickstudy.errors import QuickstudyError
from quickstudy.models.batch_norm import looks_across, refuse_one_example
from quickstudy.models.encoder import CHUNK, Encoder, Memory
from quickstudy.tasks.image_files import contents
from quickstudy.tasks.pictures import Pictures

_PIXELS = 2**19
"""Numbers in one call of the network when nothing learns: so many small images go through together."""


class ImageEncoder(Encoder):
    """Images to embeddings, `(images, dim)`.

    Args:
        module: the network, from `(images, channels, height, width)` to `(images, dim)`; or a Hugging Face vision model,
            whose last hidden states become one vector: that of its CLS token, or the mean over places where it has none.
        pictures: how references become pixels.
        mean, std: of each channel (or one number for all); pixels become (pixel - mean) / std first.
        normalize: whether embeddings have unit length.
        spec: what `models.load` needs to make this encoder again.

    Raises:
        QuickstudyError: a module that does not give one vector for each image.
    """

    reads = "image"
    mean: torch.Tensor
    std: torch.Tensor

    def __init__(
        self,
        module: nn.Module,
        pictures: Pictures,
        *,
        mean: float | Sequence[float] = 0.0,
        std: float | Sequence[float] = 1.0,
        normalize: bool = False,
        spec: dict[str, Any] | None = None,
    ):
        super().__init__(module, 0, normalize=normalize, spec=spec)
        self.pictures = pictures
        self.register_buffer("mean", torch.tensor(mean).reshape(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).reshape(-1, 1, 1), persistent=False)
        self.on_cpu = max(CHUNK, _PIXELS // (pictures.channels * pictures.size**2))
        self._cls = any("cls_token" in name for name, _ in module.named_parameters())
        self.dim = self._dimension()

    def forward(self, inputs: Sequence[str] | torch.Tensor) -> torch.Tensor:
        """Embeddings of references, or of images `(images, channels, height, width)` with values from 0 to 1.

        All of them go through the network together; with a graph where something is trainable.
        """
        if not len(inputs):
            return torch.empty(0, self.dim, device=self.device)
        vectors = self._vectors(self.module(self.pixels(inputs)))
        return F.normalize(vectors, dim=-1) if self.normalize else vectors

    @property
    def device(self) -> torch.device:
        """Where images go."""
        return self.mean.device

    def pixels(self, inputs: Sequence[str] | torch.Tensor) -> torch.Tensor:
        """What the network gets of references or of images, `(images, channels, height, width)`."""
        images = inputs if isinstance(inputs, torch.Tensor) else self.pictures(inputs)
        return (images.to(self.mean) - self.mean) / self.std

    def embed(self, inputs: Any, *, progress: Callable[[int, int], None] | None = None) -> torch.Tensor:
        """Embeddings without a graph; all together, and never looked up, where batch norm looks across images."""
        if not looks_across(self.module):
            return super().embed(inputs, progress=progress)
        refuse_one_example(self.module, len(inputs))
        with torch.no_grad():  # on cloned buffers, so that no running average moves
            return functional_call(self, {name: buffer.clone() for name, buffer in self.named_buffers()}, (inputs,))

    def memory(self, inputs: Sequence[str], *, progress: Callable[[int, int], None] | None = None) -> Memory:
        """Each different image embedded once; nothing where batch norm looks across images."""
        return {} if looks_across(self.module) else super().memory(inputs, progress=progress)

    def keys(self, inputs: Sequence[str]) -> Sequence[str]:
        """A hash of each image, wherever it is."""
        return contents(inputs)

    @property
    def settings(self) -> tuple[object, ...]:
        """How pixels are made, their mean and deviation, and unit length."""
        return ("image", repr(self.pictures), self.mean.tolist(), self.std.tolist(), self.normalize)

    def _vectors(self, output: Any) -> torch.Tensor:
        states = output if isinstance(output, torch.Tensor) else output.last_hidden_state
        if states.ndim == 4:  # (images, channels, height, width)
            return states.mean(dim=(2, 3))
        if states.ndim == 3:  # (images, places, dim)
            return states[:, 0] if self._cls else states.mean(dim=1)
        return states

    @torch.no_grad()
    def _dimension(self) -> int:
        """What the network says, or gives for black images; in eval mode, so that no running mean moves."""
        said = getattr(self.module, "dim", None)
        if isinstance(said, int):
            return said
        modes = {part: part.training for part in self.module.modules()}
        black = torch.zeros(2, self.pictures.channels, self.pictures.size, self.pictures.size, device=self.device)
        try:
            self.module.eval()
            output = self._vectors(self.module((black - self.mean) / self.std))
        finally:
            for part, mode in modes.items():
                part.training = mode
        if output.ndim != 2:
            shape = tuple(output.shape)
            raise QuickstudyError(f"{type(self.module).__name__} gives {shape} for two images; an encoder gives (images, dim)")
        return output.shape[1]
