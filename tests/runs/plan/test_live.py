"""Bytes in use are those of tensors that were made inside and are still held."""

from __future__ import annotations

import torch

from quickstudy.runs.plan.live import LiveBytes

KB = 1024


def test_counts_what_is_made_and_what_is_gone():
    before = torch.ones(KB)
    with LiveBytes() as live:
        a = before + 1
        assert live.now == 4 * KB
        b = a.view(2, -1)  # the same storage
        del a
        assert live.now == 4 * KB
        c = b * b + b
        assert (live.now, live.peak) == (8 * KB, 12 * KB)
        del b, c
        assert live.now == 0
        before.mul_(2).view(-1)
    assert (live.now, live.peak) == (0, 12 * KB)


def test_counts_what_a_graph_holds_until_the_way_back():
    weight = torch.ones(KB, requires_grad=True)
    with LiveBytes() as live:
        value = (weight * 2).exp().exp().sum()
        assert live.now == 8 * KB + 4  # both results of exp, and the sum
        value.backward()
        del value
        assert live.now == 4 * KB  # the gradient
    assert live.peak >= 12 * KB


def test_counts_shapes_without_values():
    with LiveBytes() as live:
        held = torch.ones(KB, KB, device="meta") @ torch.ones(KB, KB, device="meta")
    assert held.shape == (KB, KB)
    assert live.peak == 3 * 4 * KB * KB
