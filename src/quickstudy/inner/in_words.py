"""What torch raises in a model or a loss that cannot be differentiated as asked, as the fault behind it and its remedy."""

from __future__ import annotations

from torch import nn

FIRST_ORDER = "or give gradient='first_order'"


def in_words(error: Exception, model: nn.Module) -> str | None:
    """One sentence: what, where, remedy; None where the fault behind the error is not known."""
    text = " ".join(str(error).split())
    low = text.lower()
    if "cudnn" in low and "rnn" in low:
        what = "no backward pass in eval mode" if "training mode" in low else "no second derivative"
        instead = "" if "training mode" in low else f", {FIRST_ORDER}"
        return (
            f"{_named(model, nn.RNNBase, 'a recurrent layer')}: cuDNN's recurrent layers have {what}; compute the loss inside "
            f"`with torch.backends.cudnn.flags(enabled=False):`{instead}"
        )
    if "is not implemented" in text or ("attention" in low and "backward" in low):
        return (
            "fused attention (or another fused operation) has no second derivative: load with "
            f"attn_implementation='eager', {FIRST_ORDER} ({text})"
        )
    if "leaf Variable that requires grad is being used in an in-place" in text:
        return f"the model updates a parameter in place during its forward pass: compute a new tensor instead ({text})"
    if "modified by an inplace operation" in text:
        return f"the model changes a tensor in place that autograd still needs: write x = x + y in the place of x += y ({text})"
    if "Expected more than 1 value per channel when training" in text:
        return (
            f"{_named(model, nn.modules.batchnorm._BatchNorm, 'batch norm')} normalises with the statistics of its batch, and a "
            "batch of one example has none: give more examples (shots, queries, micro_batch), or call eval() on it"
        )
    if "Can't call numpy() on Tensor that requires grad" in text or "does not require grad and does not have a grad_fn" in text:
        return (
            "the loss has no gradient: on the way from the parameters to it is a step without one (argmax, detach, NumPy); use "
            f"torch operations that can be differentiated ({text})"
        )
    return None


def _named(model: nn.Module, kind: type, otherwise: str) -> str:
    """The modules of this kind that are in training mode, or any."""
    every = [(name, module) for name, module in model.named_modules() if isinstance(module, kind)]
    found = [each for each in every if each[1].training] or every
    if not found:
        return otherwise
    name, module = found[0]
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    return (f"`{name}` ({type(module).__name__})" if name else type(module).__name__) + more
