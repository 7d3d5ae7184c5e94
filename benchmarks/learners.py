"""Every learner on banking77's published folds, each tuned with the same number of trials on the validation classes.

python benchmarks/learners.py OUT [FOLDS]      (folds 1 to 5, all learners of a fold before the next; goes on where it stopped)

The same for all: minilm with LoRA of rank 8 on its two top layers, class names as one more example in training, the same
validation tasks, four trials, the best of two validations within a trial. Then the test classes, by benchmarks/banking77.py.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import yaml
from banking77 import main as judge

from quickstudy.runs.recipe import Recipe
from quickstudy.runs.tune import tune

TRIALS = 4
OUTER = {"optimizer": "adamw", "weight_decay": 0.01, "schedule": "linear", "warmup": 0.1}
METRIC = {"ways": 25, "shots": 1, "queries": 3, "tasks": 1, "names": True}
GRADIENT = {"ways": 5, "shots": 1, "queries": 4, "tasks": 2, "names": True}
COMMON = {
    "model": {"name": "minilm", "lora": {"r": 8, "layers": 2}},
    "data": {"set": "banking77", "fold": 1},
    "validation": {"ways": 5, "shots": 1, "queries": 5, "episodes": 60, "every": 30},
    "checkpoint_every": 60,
    "steps": 60,
    "seed": 0,
}
RATE = {"learner.outer_lr": {"low": 1e-4, "high": 3e-3, "log": True}, "episodes.shots": [1, 3]}
SCALE = {"learner.scale": {"low": 5.0, "high": 40.0, "log": True}}
LEARNERS = {
    "prototypical": ({"outer_lr": 5e-4, "scale": 10.0}, METRIC, RATE | SCALE),
    "matching": ({"outer_lr": 5e-4, "scale": 20.0}, METRIC, RATE | SCALE),
    "siamese": ({"outer_lr": 5e-4, "scale": 20.0}, METRIC, RATE | SCALE),
    "maml": (
        {"inner_lr": 5.0, "outer_lr": 5e-4, "inner_steps": 3, "rates": {"per": "layer"}},
        GRADIENT,
        RATE | {"learner.inner_lr": {"low": 0.5, "high": 20.0, "log": True}},
    ),
    "anil": (
        {"inner_lr": 20.0, "outer_lr": 5e-4, "inner_steps": 5},
        GRADIENT,
        RATE | {"learner.inner_lr": {"low": 2.0, "high": 80.0, "log": True}},
    ),
    "reptile": (
        {"inner_lr": 1.0, "outer_lr": 0.1, "inner_steps": 5, "inner_batch": 10},
        GRADIENT | {"shots": 3, "queries": 1},
        {
            "learner.outer_lr": {"low": 0.02, "high": 1.0, "log": True},
            "episodes.shots": [3, 5],
            "learner.inner_lr": {"low": 0.2, "high": 5.0, "log": True},
        },
    ),
}


def main(out: Path, folds: list[int]) -> None:
    torch.set_num_threads(1)
    for fold in folds:
        for name, (settings, episodes, tried) in LEARNERS.items():
            folder = out / f"{name}-{fold}"
            outer = {"optimizer": "sgd", "schedule": "linear"} if name == "reptile" else OUTER
            plain = {"learner": {"name": name, **settings}, **COMMON, "episodes": episodes, "outer": outer, "tune": tried}
            plain |= {"data": {"set": "banking77", "fold": fold}, "dropout": episodes is METRIC}
            out.mkdir(parents=True, exist_ok=True)
            (out / f"{name}-{fold}.yaml").write_text(yaml.safe_dump(plain, sort_keys=False))
            found = tune(Recipe.read(out / f"{name}-{fold}.yaml"), folder, trials=TRIALS, resume=True)
            assert found.best is not None
            print(f"# fold {fold} {name}: validation {found.best.score:.4f} with {found.best.settings}", flush=True)
            judge([str(folder / "trials" / f"{found.best.number:03d}")])


if __name__ == "__main__":
    main(Path(sys.argv[1]), [int(fold) for fold in sys.argv[2:]] or [1, 2, 3, 4, 5])
