"""Half precision for encoding many sentences: where the processor has it, the numbers agree, and it is faster."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
import torch.nn.functional as F

MANY = 1000
"""Sentences from which on it is worth looking."""
AGREE = 0.999
"""The least mean cosine between the embeddings of both precisions."""


def half(device: torch.device, *, enabled: bool = True) -> AbstractContextManager[object]:
    """Inside, matrix products are taken in bfloat16."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)


def has_bf16(device: torch.device) -> bool:
    """Whether the processor multiplies bfloat16 by itself; where it does not, torch emulates it, many times slower."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def half_pays(encode: Callable[[], torch.Tensor], device: torch.device) -> bool:
    """Whether embeddings `(sentences, dim)` come faster in bfloat16 and are the same to `AGREE`; the better of two tries each."""
    if not has_bf16(device):
        return False
    (full, slow), (short, fast) = (_tried(encode, device, enabled) for enabled in (False, True))
    return fast < slow and F.cosine_similarity(full, short.to(full.dtype)).mean().item() >= AGREE


def _tried(encode: Callable[[], torch.Tensor], device: torch.device, enabled: bool) -> tuple[torch.Tensor, float]:
    seconds, found = [], torch.empty(0)
    with torch.no_grad(), half(device, enabled=enabled):
        for _ in range(3):  # the first warms up
            begun = time.perf_counter()
            found = encode()
            found.sum().item()  # waits for the device
            seconds.append(time.perf_counter() - begun)
    return found, min(seconds[1:])
