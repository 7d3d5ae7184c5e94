"""Shells share their tensors with the module they are around, and are gone when nobody uses them."""

from __future__ import annotations

import gc
import weakref

from torch import nn

from quickstudy.models.shell import shell


def test_a_shell_is_gone_at_once():
    model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 2)))
    gc.disable()
    try:
        made = shell(model)
        assert made[0].weight is model[0].weight
        inside = weakref.ref(made[1][0])
        del made
        assert inside() is None, "without waiting for the garbage collector, with whatever graph was put into it"
    finally:
        gc.enable()
