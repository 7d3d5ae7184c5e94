"""The faults that make a meta-gradient silently wrong, each found by its own small experiment and named in words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import nn

from quickstudy.errors import QuickstudyError
from quickstudy.evaluation.differences import Tensors, joint_error, slope
from quickstudy.evaluation.kinks import kinks
from quickstudy.evaluation.probe import Probe, nudged, same
from quickstudy.evaluation.second_derivative import without_second_derivative
from quickstudy.inner.diverged import REMEDY
from quickstudy.inner.in_words import in_words as known
from quickstudy.inner.losses import total
from quickstudy.learners.gradient import GradientLearner


def find_faults(probe: Probe) -> list[str]:
    """Every fault found, the ones that spoil later checks first."""
    faults = [*_frozen(probe), *_dropout(probe), *_fused_attention(probe)]
    for check in (_in_place, _non_determinism, _buffers, _not_a_number):
        try:
            faults += check(probe)
        except (RuntimeError, ValueError) as error:  # ours is a ValueError
            faults.append(in_words(error, probe.model))
        if faults:
            return list(dict.fromkeys(faults))
    if not probe.gradient:
        return faults
    for check in (_outside, _weights, without_second_derivative, kinks, _cut):
        try:
            faults += check(probe)
        except (RuntimeError, ValueError) as error:  # ours is a ValueError
            faults.append(in_words(error, probe.model))
    return list(dict.fromkeys(faults))


def in_words(error: Exception, model: nn.Module) -> str:
    """An error of autograd or of the model, as the fault behind it."""
    if isinstance(error, QuickstudyError):
        return str(error)
    return known(error, model) or f"the model or the loss fails: {' '.join(str(error).split())}"


def _frozen(probe: Probe) -> Iterator[str]:
    if not any(True for _ in probe.learner.parameters()):
        yield (
            "nothing requires a gradient: every parameter is frozen, so the outer loop has nothing to learn "
            "(requires_grad_(True), or adapters)"
        )
    elif isinstance(probe.learner, GradientLearner):
        own = dict(probe.model.named_parameters())
        frozen = [name for name in probe.learner.names if not own[name].requires_grad]
        if frozen:
            yield (
                "the adaptation space holds frozen parameters, which move in the inner loop but are never "
                f"meta-learned: {_some(frozen)}"
            )


def _dropout(probe: Probe) -> Iterator[str]:
    active = [
        f"{name or type(module).__name__} (p={module.p})"
        for name, module in probe.model.named_modules()
        if isinstance(module, nn.modules.dropout._DropoutNd) and module.training and module.p > 0
    ]
    if active:
        yield f"dropout is on: {_some(active)}; call eval() on the model, or set p=0"


def _fused_attention(probe: Probe) -> Iterator[str]:
    if getattr(probe.learner, "gradient", None) != "exact":
        return
    for module in probe.model.modules():
        kind = getattr(getattr(module, "config", None), "_attn_implementation", None)
        if kind not in (None, "eager"):
            yield f"fused attention ({kind}) has no second derivative: load with attn_implementation='eager'"
            return


def _in_place(probe: Probe) -> Iterator[str]:
    before = {name: p.detach().clone() for name, p in probe.model.named_parameters()}
    probe.output(phi := probe.phi())
    changed = [name for name, p in probe.model.named_parameters() if not torch.equal(p.detach(), before[name])]
    kept = probe.phi()
    changed += [name for name in phi if name in before and name in kept and not torch.equal(phi[name], kept[name])]
    moved = dict.fromkeys(changed)
    if moved:
        yield (
            f"the model updates a parameter in place during its forward pass: {_some(list(moved))}; compute a new tensor instead"
        )
        with torch.no_grad():
            for name, p in probe.model.named_parameters():
                p.copy_(before[name])


def _non_determinism(probe: Probe) -> Iterator[str]:
    phi = probe.phi()
    first, second = (probe.output(phi, reseed=False) for _ in range(2))
    if not same(first, second):
        yield (
            "the model is not deterministic: two calls on the same inputs differ by "
            f"{(first - second).abs().max().item():.1e}; call eval() if that is dropout, else draw the noise from "
            "a fixed generator"
        )


def _buffers(probe: Probe) -> Iterator[str]:
    phi = probe.phi()
    reference = probe.output(phi)
    kept = {name: buffer.clone() for name, buffer in probe.model.named_buffers()}
    with probe.buffers_in_place():
        probe.output(phi)
    changed = [name for name, b in probe.model.named_buffers() if not torch.equal(b, kept[name])]
    if changed and not same(reference, probe.output(phi)):
        yield (
            f"a stale buffer: {_some(changed)} is changed by one forward pass and read by the next, so results "
            "depend on earlier calls"
        )
    with torch.no_grad():
        for name, buffer in probe.model.named_buffers():
            buffer.copy_(kept[name])
    for name, buffer in kept.items():
        for other, p in probe.model.named_parameters():
            if (
                p.requires_grad
                and buffer.shape == p.shape
                and buffer.numel() > 1
                and buffer.std() > 0
                and torch.equal(buffer, p.detach())
            ):
                yield (
                    f"a stale buffer: `{name}` holds a copy of the parameter `{other}`, which stays behind when the "
                    "parameter moves"
                )


def _not_a_number(probe: Probe) -> Iterator[str]:
    if not isinstance(probe.learner, GradientLearner):
        value = probe.learner([probe.task])
        if not bool(torch.isfinite(value)):
            yield f"the loss is {value.item()}"
        return
    learner, phi = probe.learner, probe.phi()
    state = learner.rule.init(phi)
    for k, batch in enumerate(batches := learner.inner_batches(probe.support, learner.inner_steps)):
        place = f"at step {k + 1} of {len(batches)}"
        leaves = {name: value.clone().requires_grad_() for name, value in phi.items()}
        value = probe.loss(leaves, batch)
        if not bool(torch.isfinite(value)):
            yield f"the inner loss is {value.item()} {place}: look at the inputs, or {REMEDY}"
            return
        gradient = torch.autograd.grad(value, list(leaves.values()), allow_unused=True, materialize_grads=True)
        bad = [name for name, g in zip(leaves, gradient, strict=True) if not bool(torch.isfinite(g).all())]
        if bad:
            yield f"the inner gradient is not finite (NaN) {place} for {_some(bad)}"
            return
        with torch.no_grad():
            phi, state = learner.rule.update(k, phi, state, dict(zip(leaves, gradient, strict=True)))
    with torch.no_grad():
        value = probe.loss(phi, probe.query)
    if not bool(torch.isfinite(value)):
        yield f"the query loss is {value.item()} (NaN or infinite) after the inner loop"


def _outside(probe: Probe) -> Iterator[str]:
    phi, own = probe.phi(), dict(probe.model.named_parameters())
    moved = {n: v + 1e-3 * (1 + v.abs()) * torch.sign(torch.randn_like(v)) if n in own else v for n, v in phi.items()}
    # in place they end at the same values, which phi_0 need not have been (a generated adapter is none of the model's own)
    nudges = {name: moved[name] - own[name].detach() for name in phi if name in own}
    functional = probe.output(moved)
    with nudged(own, nudges):
        in_place = probe.output({name: value for name, value in phi.items() if name not in nudges})
    if same(functional, in_place):
        return  # every tensor at once, which is far fewer calls than one by one
    for name, nudge in nudges.items():
        with nudged(own, {name: nudge}):
            in_place = probe.output({other: value for other, value in moved.items() if other != name})
        if not same(functional, in_place):
            seen = "not at all" if same(functional, probe.output({**moved, name: phi[name]})) else "in part only"
            yield (
                f"the model reads a parameter outside the functional call: `{name}` (a moved value is seen {seen}); "
                "read it as an attribute of its own module at each call, and keep no second reference to it"
            )


def _weights(probe: Probe) -> Iterator[str]:
    phi = probe.phi()
    parts = [probe.support.take([i]) for i in range(len(probe.support))]
    try:
        outputs = [probe.output(phi, part) for part in parts]
    except (RuntimeError, ValueError):
        return  # the model takes no single example (batch statistics)
    whole = probe.output(phi)
    if any(o.shape[1:] != whole.shape[1:] for o in outputs) or not same(torch.cat(outputs), whole):
        return  # the model itself looks across the batch (batch statistics, padding): a loss cannot be judged by parts
    with torch.no_grad():
        if not isinstance(values := probe.learner.loss(whole, probe.support.targets), tuple) and values.ndim == 0:
            return  # reduced to one number on purpose; micro-batching refuses it
        sums = [total(probe.learner.loss, output, part.targets) for output, part in zip(outputs, parts, strict=True)]
        value, weight = total(probe.learner.loss, whole, probe.support.targets)
    if not (_near(sum(float(v) for v, _ in sums), float(value)) and _near(sum(float(w) for _, w in sums), float(weight))):
        yield (
            "the loss has a wrong weight: its values and weights for the whole batch are not the sums of those "
            "for its examples; weights "
            "must count, and must not depend on what else is in the batch"
        )


def _cut(probe: Probe) -> Iterator[str]:
    phi = {name: value.requires_grad_() for name, value in probe.phi().items()}
    found = torch.autograd.grad(probe.loss(phi), list(phi.values()), allow_unused=True, materialize_grads=True)
    gradients = dict(zip(phi, found, strict=True))
    if not any(bool(g.any()) for g in found):
        yield (
            "the inner loss has a gradient of exactly zero for every parameter that moves, so nothing is learned: it is flat "
            "(sign, round, argmax, a saturated activation); give one with a slope"
        )
        return

    @torch.no_grad()
    def loss(moved: Tensors) -> float:
        return probe.loss({**phi, **moved}).item()

    if joint_error(loss, phi, gradients, floor=1e-4, tolerance=1e-5) <= 1e-5:
        return
    for name, gradient in gradients.items():
        direction = torch.randn_like(gradient)
        direction /= direction.norm().clamp(min=1e-12)
        real = slope(lambda t, name=name, d=direction: loss({name: phi[name] + t * d}), 1e-6)
        got = (gradient * direction).sum().item()
        if abs(got - real) > 1e-4 * max(abs(got), abs(real), 1e-4):
            how = "cut (detached)" if gradient.abs().max() == 0 else "partly cut (detached)"
            yield (
                f"the path from `{name}` to the loss is {how}: autograd says {got:.3e} where the loss changes by "
                f"{real:.3e}; look for detach, no_grad, .data, .item or NumPy on the way"
            )


def _near(left: float, right: float) -> bool:
    return math.isclose(left, right, rel_tol=1e-7, abs_tol=1e-9)


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:3])
    return shown + (f" and {len(names) - 3} more" if len(names) > 3 else "")
