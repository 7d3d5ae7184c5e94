"""Sinusoid regression (Finn et al. 2017, section 5.1)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from quickstudy.tasks.batch import Batch


@dataclass(frozen=True)
class Sinusoids:
    """y = a sin(x + b): amplitude a in [0.1, 5], phase b in [0, pi], x in [-5, 5], all uniform."""

    amplitude: tuple[float, float] = (0.1, 5.0)
    phase: tuple[float, float] = (0.0, float(np.pi))
    domain: tuple[float, float] = (-5.0, 5.0)

    def draw(self, generator: np.random.Generator, shots: int, queries: int) -> tuple[Batch, Batch]:
        """Points of one curve, `(points, 1)` each."""
        amplitude, phase = generator.uniform(*self.amplitude), generator.uniform(*self.phase)

        def points(count: int) -> Batch:
            x = generator.uniform(*self.domain, size=(count, 1))
            y = amplitude * np.sin(x + phase)
            return Batch(torch.tensor(x, dtype=torch.float32), torch.tensor(y, dtype=torch.float32))

        return points(shots), points(queries)
