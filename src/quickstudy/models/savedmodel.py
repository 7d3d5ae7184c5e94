"""SavedModels, such as the modules of TensorFlow Hub, as frozen encoders of text, images or recordings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from quickstudy.errors import QuickstudyError
from quickstudy.models.device import device_of, like
from quickstudy.models.encoder import Encoder
from quickstudy.models.image_encoder import ImageEncoder
from quickstudy.models.savedmodel_audio import RecordingEncoder
from quickstudy.models.savedmodel_signature import Features
from quickstudy.models.savedmodel_source import PREFIX, Source
from quickstudy.tasks.pictures import Pictures


def is_savedmodel(name: Any) -> bool:
    """Whether a name means a SavedModel."""
    return isinstance(name, str) and name.startswith(PREFIX)


def load_savedmodel(name: str, *, lora: Any = None, dtype: str = "float32", fingerprint: str | None = None) -> Encoder:
    """A SavedModel as an encoder of what its signature takes.

    Args:
        name: `savedmodel:FOLDER?key=value#output` (`savedmodel_source.py`).
        lora, dtype: what others may have and this one may not.
        fingerprint: that of the files that something was learned on.

    Raises:
        QuickstudyError: whatever keeps it from being loaded; files that are not those of the fingerprint; adapters or a
            precision asked of it.
    """
    if lora is not None:
        raise QuickstudyError(f"lora: {name} is frozen, a graph without layers to put adapters on; leave lora out")
    if dtype != "float32":
        raise QuickstudyError(f"dtype: {name} computes in the precision that it was saved in; leave dtype out")
    source = Source.parse(name)
    found = source.fingerprint()
    if fingerprint not in (None, found):
        what = f"its files are not those that this was learned on (fingerprint {found[:8]}, and {str(fingerprint)[:8]} then)"
        raise QuickstudyError(f"{name} has changed: {what}; put the old files back, or learn again")
    features = Features(source)
    encoder = _encoder(SavedModel(features, found), source, {"name": name, "fingerprint": found})
    encoder._half_pays = False  # TensorFlow computes as the graph says
    return encoder.eval()


class SavedModel(nn.Module):
    """The network: it has no parameters, and a buffer whose name is the fingerprint of its files.

    So whatever keeps a module's state, checkpoints of a run and embeddings on disk, belongs to these files alone.

    Args:
        features: the function that computes.
        fingerprint: of the files.
    """

    def __init__(self, features: Features, fingerprint: str):
        super().__init__()
        self.features, self.dim = features, features.dim
        self.register_buffer(f"saved_model_files_{fingerprint}", torch.zeros(()))  # says where embeddings go, too

    def forward(self, inputs: Sequence[str] | torch.Tensor) -> torch.Tensor:
        """Embeddings `(inputs, dim)` of texts, of images `(images, channels, height, width)` or of `(recordings, samples)`."""
        if isinstance(inputs, torch.Tensor):
            array = inputs.detach().float().cpu().numpy()
            array = array.transpose(0, 2, 3, 1) if array.ndim == 4 else array
        else:
            array = np.array([each.encode() for each in inputs], object)
        return torch.from_numpy(self.features(array)).to(next(self.buffers()))


class TextEncoder(Encoder):
    """Texts to embeddings, `(texts, dim)`, by a network that reads strings."""

    def forward(self, sentences: Any = ()) -> torch.Tensor:
        """Embeddings of texts."""
        if isinstance(sentences, (str, torch.Tensor, Mapping)):
            raise QuickstudyError(f"{self.spec['name']} reads sentences; give a list of strings")
        parts = [list(sentences[at : at + self.chunk]) for at in range(0, len(sentences), self.chunk)]
        return torch.cat([like(self).new_empty(0, self.dim), *map(self.module, parts)])

    def length(self, each: str) -> int:
        """The number of its characters."""
        return len(each)

    @property
    def device(self) -> torch.device:
        """Where embeddings go."""
        return device_of(self)


def _encoder(module: SavedModel, source: Source, spec: dict[str, Any]) -> Encoder:
    """The encoder of what the network takes."""
    features = module.features
    if features.kind == "sentence":
        return TextEncoder(module, module.dim, spec=spec)
    if features.kind == "recording":
        return RecordingEncoder(module, samples=features.samples, rate=source.rate, spec=spec)
    std = 1 / (source.range[1] - source.range[0])
    pictures = Pictures(features.size, features.channels)
    return ImageEncoder(module, pictures, mean=-source.range[0] * std, std=std, spec=spec)
