"""Exact second-order MAML through LoRA on a language model of 135 million parameters: memory and seconds over K.

python benchmarks/smollm2.py HOW K       (one process; recomputing|kept|create_graph|higher; peak memory of the process)
python benchmarks/smollm2.py gpu         (all but higher, K = 1 to 64 on a GPU, until a graph does not fit)

SmolLM2-135M's shapes with random weights, float32, LoRA of rank 8 on all linear layers, one task of 4 + 4 sequences of 256
tokens. Ours takes one sequence at a time (micro_batch=1) on a processor, all four on a GPU. The peers are the plain
`create_graph` loop and `higher` (pip install higher).
"""

from __future__ import annotations

import json
import resource
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call

from quickstudy import MAML, Batch, Task

TOKENS, SEQUENCES, RATE = 256, 4, 0.01
SHAPES = {
    "vocab_size": 49152,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "tie_word_embeddings": True,
}


class Logits(nn.Module):
    """Token ids `(sequences, tokens)` to logits `(sequences, tokens, words)`."""

    def __init__(self, inner: nn.Module):
        super().__init__()
        self.inner = inner

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.inner(input_ids=tokens, use_cache=False).logits


def model(device: str) -> nn.Module:
    import peft
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    with torch.device(device):
        plain = LlamaForCausalLM(LlamaConfig(**SHAPES, attn_implementation="eager"))
    adapters = peft.LoraConfig(r=8, target_modules="all-linear")
    return Logits(peft.get_peft_model(plain, adapters).get_base_model()).to(device).eval()


def task(device: str) -> Task:
    tokens = torch.randint(SHAPES["vocab_size"], (2, SEQUENCES, TOKENS + 1), generator=torch.Generator().manual_seed(0)).to(
        device
    )
    return Task(*(Batch(part[:, :-1], part[:, 1:]) for part in tokens))


def loss_of(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def create_graph(net: nn.Module, task: Task, steps: int) -> None:
    own = {name: p for name, p in net.named_parameters() if p.requires_grad}
    phi = dict(own)
    for _ in range(steps):
        loss = loss_of(functional_call(net, phi, (task.support.inputs,)), task.support.targets)
        gradients = torch.autograd.grad(loss, list(phi.values()), create_graph=True)
        phi = {name: p - RATE * g for (name, p), g in zip(phi.items(), gradients, strict=True)}
    torch.autograd.grad(loss_of(functional_call(net, phi, (task.query.inputs,)), task.query.targets), list(own.values()))


def higher(net: nn.Module, task: Task, steps: int) -> None:
    import higher as library

    adapters = [p for p in net.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(adapters, lr=RATE)
    with library.innerloop_ctx(net, optimizer, copy_initial_weights=False) as (functional, inner):
        for _ in range(steps):
            inner.step(loss_of(functional(task.support.inputs), task.support.targets))
        torch.autograd.grad(loss_of(functional(task.query.inputs), task.query.targets), adapters)


def ours(net: nn.Module, task: Task, steps: int, *, keep_graph: bool, micro_batch: int | None) -> None:
    learner = MAML(net, RATE, inner_steps=steps, keep_graph=keep_graph, micro_batch=micro_batch)
    torch.autograd.grad(learner([task]), list(learner.parameters()))


def step(how: str, net: nn.Module, each: Task, steps: int, device: str) -> None:
    if how in ("recomputing", "kept"):
        ours(net, each, steps, keep_graph=how == "kept", micro_batch=None if device == "cuda" else 1)
    else:
        {"create_graph": create_graph, "higher": higher}[how](net, each, steps)


def on_cpu(how: str, steps: int) -> None:
    net, each = model("cpu"), task("cpu")
    begun, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    step(how, net, each, steps, "cpu")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    row = {"how": how, "K": steps, "MiB in all": round(peak / 1024), "MiB grown": round((peak - before) / 1024)}
    print(json.dumps(row | {"processor seconds": round(time.process_time() - begun, 1)}), flush=True)


def on_gpu() -> None:
    net, each = model("cuda"), task("cuda")
    print(json.dumps({"gpu": torch.cuda.get_device_name(), "torch": torch.__version__}), flush=True)
    for how in ("recomputing", "kept", "create_graph"):
        step(how, net, each, 1, "cuda")
        for steps in (1, 2, 4, 8, 16, 32, 64):
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            begun = time.perf_counter()
            try:
                step(how, net, each, steps, "cuda")
                torch.cuda.synchronize()
            except torch.cuda.OutOfMemoryError:
                print(json.dumps({"how": how, "K": steps, "GiB": "does not fit"}), flush=True)
                break
            seconds = round(time.perf_counter() - begun, 3)
            peak = round(torch.cuda.max_memory_allocated() / 2**30, 2)
            print(json.dumps({"how": how, "K": steps, "GiB": peak, "seconds": seconds}), flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[1] == "gpu":
        on_gpu()
    else:
        on_cpu(sys.argv[1], int(sys.argv[2]))
