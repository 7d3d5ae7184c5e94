"""Whether more than an adapter helps with one's own earlier labels: plain and adapted embeddings together, another prior head.

quickstudy train own-labels --data banking77 --set data.fold=4 --out runs/own-4
python benchmarks/own_labels_tried.py runs/own-4 [valid | test] [DRAWS]      (all its classes at once, 1 and 5 shots, seed 0)

The adapter is that of the last checkpoint, at full strength, whatever the run kept of it.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from quickstudy import Batch, Episodes, models
from quickstudy.learners.prior_head import Prior, PriorHead
from quickstudy.runs import checkpoint
from quickstudy.runs.build import build_learner, data_part
from quickstudy.runs.recipe import Recipe
from quickstudy.tasks.names import are_names
from quickstudy.tasks.targets import number


def main(run: Path, part: str = "valid", draws: str = "20") -> None:
    torch.set_num_threads(1)
    recipe = Recipe.read(run / "recipe.yaml")
    path = run / "checkpoint" / "state.safetensors"
    learner, (tensors, facts) = build_learner(recipe), checkpoint.read(path, remedy="train it again")
    checkpoint.put_learner(learner, checkpoint.part("learner", tensors), facts, path, remedy="train it again")
    plain, adapted, prior = models.load(str(recipe.model.name)), learner.model.eval(), Prior.shipped(without=recipe.data.set)
    for shots in (1, 5):
        table = data_part(recipe, part)
        tasks = Episodes(table, ways="all", shots=shots, queries="all", tasks=int(draws), seed=0, names=True)[0]
        texts = list(dict.fromkeys(text for task in tasks for batch in (task.support, task.query) for text in batch.inputs))
        places, one, other = {text: i for i, text in enumerate(texts)}, *(unit(each, texts) for each in (plain, adapted))
        head = PriorHead(plain, prior=prior)
        mixed = {
            "plain": one,
            "adapted": other,
            "mean": F.normalize(one + other, dim=1),
            "side by side": torch.cat([one, other], dim=1) / 2**0.5,
            "side by side, 3 to 7": torch.cat([one * 0.3**0.5, other * 0.7**0.5], dim=1),
        }
        found = {name: score(head, vectors, places, tasks) for name, vectors in mixed.items()}
        print(json.dumps({"run": run.name, "part": part, "shots": shots, **found}), flush=True)
        heads = {name: score(PriorHead(plain, prior=it), other, places, tasks) for name, it in others(prior).items()}
        best = max(heads, key=lambda name: heads[name])
        print(
            json.dumps({"shots": shots, "other heads": len(heads), "the best of them": best, "it has": heads[best]}), flush=True
        )


def others(prior: Prior) -> dict[str, Prior]:
    """The prior with other weights, one or two at a time."""

    def moved(**by: float) -> Prior:
        return replace(prior, **{name: (getattr(prior, name)[0] + add, *getattr(prior, name)[1:]) for name, add in by.items()})

    found = {
        f"scale {s:+}, pull {p:+}": moved(scale=s, pull=p) for s in (-0.5, -0.25, 0.0, 0.25, 0.5) for p in (-1, -0.5, 0, 0.5, 1)
    }
    found |= {f"name {by:+}": moved(name=by) for by in (-1, -0.5, 0.5)}
    return found | {f"common x {by}": replace(prior, common=prior.common * by) for by in (0, 0.5, 1.5)}


def unit(model: models.Encoder, texts: list[str]) -> torch.Tensor:
    """Embeddings of unit length."""
    return F.normalize(model.embed(texts), dim=1)


def score(head: PriorHead, vectors: torch.Tensor, places: dict[str, int], tasks: list) -> float:
    """Accuracy in percent."""
    shares = []
    for task in tasks:
        (support, query), _ = number(task.support, task.query)
        rows, asked = ([places[text] for text in batch.inputs] for batch in (support, query))
        names = torch.tensor(are_names(Batch(task.support.inputs, task.support.targets)))
        with torch.no_grad():
            answers = head.fitted(vectors[rows], support.targets, names)(vectors[asked]).argmax(dim=1)
        shares.append((answers == query.targets).float().mean().item())
    return round(100 * float(np.mean(shares)), 2)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
