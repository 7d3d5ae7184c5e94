"""Recordings for a SavedModel that hears: WAV files, or tensors of samples, to embeddings."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch

from quickstudy.errors import QuickstudyError
from quickstudy.models.device import device_of
from quickstudy.models.encoder import Encoder


class RecordingEncoder(Encoder):
    """Recordings to embeddings, `(recordings, dim)`. An input is the path of a WAV file.

    Channels become one by their mean; another rate than the model's is resampled. A model that takes a fixed number of
    samples hears a longer recording window by window, the last one filled up with silence, and its embedding is the mean.

    Args:
        module: the network, from `(recordings, samples)` to `(recordings, dim)`.
        samples: what the network takes; None: any number.
        rate: samples a second. None: unknown, so that tensors alone are taken.
        spec: what `models.load` needs to make this encoder again.
    """

    reads = "recording"

    def __init__(self, module: Any, *, samples: int | None = None, rate: int | None = None, spec: dict[str, Any]):
        super().__init__(module, module.dim, spec=spec)
        self.samples, self.rate = samples, rate

    def forward(self, recordings: Sequence[str] | torch.Tensor = ()) -> torch.Tensor:
        """Embeddings of WAV files, or of samples `(recordings, samples)` from -1 to 1."""
        if not len(recordings):
            return torch.empty(0, self.dim, device=self.device)
        if isinstance(recordings, torch.Tensor):
            windows = self._windows(recordings)
            return self.module(windows.flatten(0, 1)).unflatten(0, windows.shape[:2]).mean(dim=1)
        return torch.cat([self(torch.from_numpy(self._read(Path(each)))[None]) for each in recordings])

    @property
    def device(self) -> torch.device:
        """Where embeddings go."""
        return device_of(self)

    @property
    def settings(self) -> tuple[object, ...]:
        """The rate."""
        return ("recording", self.rate)

    def keys(self, inputs: Sequence[str]) -> Sequence[str]:
        """A hash of each file, wherever it is."""
        return [f"recording {hashlib.blake2b(_bytes(Path(each)), digest_size=16).hexdigest()}" for each in inputs]

    def _windows(self, recordings: torch.Tensor) -> torch.Tensor:
        """`(recordings, windows, samples)`."""
        if recordings.ndim != 2:
            shape = tuple(recordings.shape)
            raise QuickstudyError(f"recordings are (recordings, samples), and these are {shape}; give one channel")
        size = self.samples or recordings.shape[1]
        count = max(1, math.ceil(recordings.shape[1] / size))
        return torch.nn.functional.pad(recordings, (0, count * size - recordings.shape[1])).unflatten(1, (count, size))

    def _read(self, path: Path) -> np.ndarray:
        """`(samples,)`, float32 from -1 to 1, at the model's rate."""
        from scipy.io import wavfile
        from scipy.signal import resample_poly

        if self.rate is None:
            name = self.spec["name"]
            raise QuickstudyError(f"{name} does not say at which rate it hears; add it to the name, such as ?rate=16000")
        data = BytesIO(_bytes(path))
        try:
            rate, samples = wavfile.read(data)
        except Exception as error:  # it fails in many ways on what is broken
            raise QuickstudyError(f"{path} cannot be read as a recording ({error}); save it as WAV") from None
        if samples.dtype.kind in "iu":
            middle = 128 if samples.dtype == np.uint8 else 0
            samples = (samples.astype(np.float64) - middle) / (128 if middle else np.iinfo(samples.dtype).max + 1)
        if samples.ndim == 2:
            samples = samples.mean(axis=1)
        if rate != self.rate:
            shared = math.gcd(rate, self.rate)
            samples = resample_poly(samples, self.rate // shared, rate // shared)
        return samples.astype(np.float32)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise QuickstudyError(f"{path} is no recording: {error.strerror}; give the path of a WAV file") from None
