"""Exact second-order MAML beside its peers: processor seconds of one outer step, interleaved, and the error of its gradient.

python benchmarks/engine.py omniglot|banking77 [ROUNDS]     (5 rounds; `pip install higher torchopt` for these two; one thread)
python benchmarks/engine.py gpu [ROUNDS]     (omniglot on a GPU, by the clock)
python benchmarks/engine.py memory create_graph|kept|recomputing K     (the growth of the peak in MiB, 2 tasks of banking77)

omniglot: conv4-64 with strides and batch statistics, 32 tasks, 5-way 1-shot, 75 queries, K = 1 and 5.
banking77: minilm, LoRA of rank 8 on all six layers and on the top two, 4 tasks, 5-way 5-shot, 25 queries, K = 5. The
peer pads each batch to its longest sentence, as a tokenizer does, and learns one task after the other, as its users write it.
"""

from __future__ import annotations

import importlib.util
import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call

from quickstudy import MAML, Batch, Episodes, Task, models
from quickstudy.models.conv import conv4
from quickstudy.tasks.named import named
from quickstudy.tasks.pictures import Pictures
from quickstudy.tasks.targets import number

Step = Callable[[], list[torch.Tensor]]
"""One outer step: the gradient for each parameter, the mean over tasks."""


def omniglot(ways: int = 5, tasks: int = 32, dtype: torch.dtype = torch.float32) -> list[Task]:
    episodes = Episodes(named("omniglot"), ways=ways, shots=1, queries=15, tasks=tasks, seed=0, inputs=Pictures(28, 1))
    return [
        Task(*(type(b)(b.inputs.to(dtype), n.targets) for b, n in zip((t.support, t.query), numbered, strict=True)))
        for t in episodes[0]
        for numbered in [number(t.support, t.query)[0]]
    ]


def mean(found: Iterator[list[torch.Tensor]]) -> list[torch.Tensor]:
    several = list(found)
    return [torch.stack(each).mean(0) for each in zip(*several, strict=True)]


def loop(model: nn.Module, tasks: list[Task], steps: int, lr: float) -> list[torch.Tensor]:
    """The plain loop: create_graph, one task after the other."""
    own = {name: p for name, p in model.named_parameters() if p.requires_grad}

    def one(task: Task) -> list[torch.Tensor]:
        phi = dict(own)
        for _ in range(steps):
            loss = F.cross_entropy(functional_call(model, phi, (task.support.inputs,)), task.support.targets)
            gradients = torch.autograd.grad(loss, list(phi.values()), create_graph=True)
            phi = {name: p - lr * g for (name, p), g in zip(phi.items(), gradients, strict=True)}
        loss = F.cross_entropy(functional_call(model, phi, (task.query.inputs,)), task.query.targets)
        return list(torch.autograd.grad(loss, list(own.values())))

    return mean(map(one, tasks))


def higher(model: nn.Module, tasks: list[Task], steps: int, lr: float) -> list[torch.Tensor]:
    import higher as library

    def one(task: Task) -> list[torch.Tensor]:
        optimizer = torch.optim.SGD(model.parameters(), lr=lr)
        with library.innerloop_ctx(model, optimizer, copy_initial_weights=False) as (functional, inner):
            for _ in range(steps):
                inner.step(F.cross_entropy(functional(task.support.inputs), task.support.targets))
            loss = F.cross_entropy(functional(task.query.inputs), task.query.targets)
            return list(torch.autograd.grad(loss, list(model.parameters())))

    return mean(map(one, tasks))


def torchopt(model: nn.Module, tasks: list[Task], steps: int, lr: float) -> list[torch.Tensor]:
    import torchopt as library

    own = list(model.parameters())
    inner = library.MetaSGD(model, lr=lr)
    start = library.extract_state_dict(model), library.extract_state_dict(inner)

    def one(task: Task) -> list[torch.Tensor]:
        for _ in range(steps):
            inner.step(F.cross_entropy(model(task.support.inputs), task.support.targets))
        loss = F.cross_entropy(model(task.query.inputs), task.query.targets)
        gradients = list(torch.autograd.grad(loss, own))
        library.recover_state_dict(model, start[0])
        library.recover_state_dict(inner, start[1])
        return gradients

    return mean(map(one, tasks))


def vmapped(model: nn.Module, tasks: list[Task], steps: int, lr: float, chunk: int = 4) -> list[torch.Tensor]:
    """`torch.func`: the loss after learning as a function of one task, differentiated, for `chunk` tasks at once."""
    own = {name: p.detach() for name, p in model.named_parameters()}

    def loss(phi, inputs, targets):
        return F.cross_entropy(functional_call(model, phi, (inputs,)), targets)

    def learned(phi, support, support_targets, query, query_targets):
        for _ in range(steps):
            slopes = torch.func.grad(loss)(phi, support, support_targets)
            phi = {name: p - lr * slopes[name] for name, p in phi.items()}
        return loss(phi, query, query_targets)

    each = [torch.stack(part) for part in zip(*((*_pair(t.support), *_pair(t.query)) for t in tasks), strict=True)]
    several = torch.func.vmap(torch.func.grad(learned), in_dims=(None, 0, 0, 0, 0), chunk_size=chunk)(own, *each)
    return [value.mean(0) for value in several.values()]


def _pair(batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    return batch.inputs, batch.targets


def ours(model: nn.Module, tasks: list[Task], steps: int, lr: float, **settings) -> list[torch.Tensor]:
    learner = MAML(model, lr, inner_steps=steps, **settings)
    parameters = [p for p in model.parameters() if p.requires_grad]
    return list(torch.autograd.grad(learner(tasks), parameters))


def timed(steps: dict[str, Step], rounds: int) -> dict[str, float]:
    """The median processor seconds of each, in turn within a round, after one round that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds + 1):
        for name, step in steps.items():
            begun = time.process_time()
            step()
            seconds[name].append(time.process_time() - begun)
    return {name: round(float(np.median(each[1:])), 3) for name, each in seconds.items()}


def on_omniglot(rounds: int) -> None:
    wide = omniglot(tasks=4, dtype=torch.float64)
    for inner in (1, 5):
        model = conv4(64, ways=5).double()
        exact = loop(model, wide, inner, 0.4)
        largest = max(e.abs().max() for e in exact)
        both = (ours(model, wide, inner, 0.4, keep_graph=kept) for kept in (False, True))
        error = max(((g - e).abs().max() / largest).item() for got in both for g, e in zip(got, exact, strict=True))
        print(json.dumps({"omniglot": "float64, 4 tasks", "K": inner, "largest difference, relative": float(f"{error:.1e}")}))
    tasks = omniglot()
    for inner in (1, 5):
        # torchopt moves the module's own parameters, so that each has a module of its own
        made: dict[str, Callable] = {"create_graph": loop, "vmap": vmapped, "quickstudy": ours}
        made["quickstudy, graph kept"] = partial(ours, keep_graph=True)
        made |= {each.__name__: each for each in (higher, torchopt) if importlib.util.find_spec(each.__name__)}
        steps = {name: partial(each, conv4(64, ways=5), tasks, inner, 0.4) for name, each in made.items()}
        found = timed(steps, rounds)
        fastest = min(value for name, value in found.items() if "quickstudy" not in name)
        ratios = {f"{name} / fastest peer": round(found[name] / fastest, 2) for name in steps if "quickstudy" in name}
        print(json.dumps({"omniglot": "float32, 32 tasks", "K": inner, **found, **ratios}), flush=True)


def on_gpu(rounds: int) -> None:
    """Seconds by the clock and GiB at the peak; convolutions in full single precision."""
    torch.backends.cudnn.allow_tf32 = False
    print(json.dumps({"gpu": torch.cuda.get_device_name(), "torch": torch.__version__}), flush=True)
    tasks = [task.to("cuda") for task in omniglot()]
    made = {"create_graph": loop, "vmap": partial(vmapped, chunk=32), "quickstudy": ours}
    for inner in (1, 5, 20):
        row: dict[str, object] = {"omniglot": "float32, 32 tasks", "K": inner}
        for name, each in made.items():
            model, seconds = conv4(64, ways=5).cuda(), []
            torch.cuda.reset_peak_memory_stats()
            for _ in range(rounds + 1):
                begun = time.perf_counter()
                each(model, tasks, inner, 0.4)
                torch.cuda.synchronize()
                seconds.append(time.perf_counter() - begun)
            row |= {name: round(float(np.median(seconds[1:])), 4)}
            row |= {f"{name}, GiB": round(torch.cuda.max_memory_allocated() / 2**30, 2)}
        print(json.dumps(row), flush=True)


class Padded(nn.Module):
    """The encoder and a head, called with one padded batch: what a user of a peer writes."""

    def __init__(self, encoder, ways: int):
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.dim, ways)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, sentences: list[str]) -> torch.Tensor:
        return self.head(self.encoder.pooled(*self.encoder.called(sentences)))


def on_banking77(rounds: int, inner: int = 5, lr: float = 5.0) -> None:
    episodes = Episodes(named("banking77").select(split="train"), ways=5, shots=5, queries=5, tasks=4, seed=0)
    tasks = episodes[0]
    plain = [Task(*(type(b)(b.inputs, b.targets) for b in number(task.support, task.query)[0])) for task in tasks]
    for layers in (6, 2):

        def make(layers: int = layers):
            return models.load("minilm", lora={"r": 8, "layers": layers})

        peer, recomputing, kept = Padded(make(), 5), make(), make()
        steps: dict[str, Step] = {
            "create_graph": partial(loop, peer, plain, inner, lr),
            "quickstudy, graph kept": partial(ours, kept, tasks, inner, lr, keep_graph=True),
            "quickstudy": partial(ours, recomputing, tasks, inner, lr),
        }
        expected, got = steps["create_graph"](), steps["quickstudy"]()
        expected = expected[: len(got)]
        error = (torch.cat([(g - e).flatten() for g, e in zip(got, expected, strict=True)])).norm()
        error = (error / torch.cat([e.flatten() for e in expected]).norm()).item()
        found = timed(steps, rounds)
        ratios = {f"{name} / create_graph": round(found[name] / found["create_graph"], 2) for name in steps if "quick" in name}
        row = {"banking77": f"minilm, LoRA on {layers} layers, 4 tasks", "K": inner, **found, **ratios}
        print(json.dumps(row | {"difference, relative": float(f"{error:.1e}")}), flush=True)


def memory(how: str, inner: int) -> None:
    episodes = Episodes(named("banking77").select(split="train"), ways=5, shots=5, queries=5, tasks=2, seed=0)
    tasks = [Task(*number(task.support, task.query)[0]) for task in episodes[0]]
    encoder = models.load("minilm", lora=8)
    encoder.embed([sentence for task in tasks for sentence in task.support.inputs])  # what every call allocates
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if how == "create_graph":
        loop(Padded(encoder, 5), tasks, inner, 5.0)
    else:
        ours(encoder, tasks, inner, 5.0, keep_graph=how == "kept")
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(json.dumps({"memory": how, "K": inner, "MiB": round(grown)}), flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[1] == "memory":
        memory(sys.argv[2], int(sys.argv[3]))
        sys.exit()
    {"omniglot": on_omniglot, "banking77": on_banking77, "gpu": on_gpu}[sys.argv[1]](int(sys.argv[2]) if len(sys.argv) > 2 else 5)
