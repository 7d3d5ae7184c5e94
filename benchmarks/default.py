"""What `quickstudy adapt` does by default, on all classes of four data sets, by a prior that never saw the set.

python benchmarks/default.py [banking77 clinc150 reuters_fewshot amazon_fewshot]      (five draws of shots, seed 0)
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from quickstudy import Centroid, Episodes, LogisticProbe, models
from quickstudy.evaluation.report.calibration import reliability
from quickstudy.evaluation.statistics import mean_interval
from quickstudy.learners.baselines.nearest_neighbours import NearestNeighbours
from quickstudy.learners.baselines.ridge import Ridge
from quickstudy.learners.default import Default
from quickstudy.learners.prior_head import Prior, PriorHead
from quickstudy.tasks.named import select_part
from quickstudy.tasks.names import readable
from quickstudy.tasks.reading import records

DRAWS, UNLABELLED = 5, 2500
WORDS = ("banking77", "clinc150")
"""Sets whose labels are words."""


def main(sets: list[str]) -> None:
    torch.set_num_threads(1)
    encoder = models.load("minilm")
    for name in sets:
        pool, support = select_part(name)
        strange = _out_of_scope() if name == "clinc150" else []
        sentences = [*pool.texts, *support.texts, *map(readable, pool.classes), *strange]
        prior = Prior.shipped(without=name)
        rng = np.random.default_rng(0)
        unlabelled = [support.texts[i] for i in rng.permutation(len(support.texts))[:UNLABELLED]]
        with encoder.remember(encoder.memory(sentences)):
            for shots in (1, 5, 10):
                learners = {
                    ("Default", True): Default(encoder, prior=prior),
                    ("PriorHead", True): PriorHead(encoder, prior=prior),
                    ("PriorHead", False): PriorHead(encoder, prior=prior),
                } | {
                    (kind.__name__, names): kind(encoder)
                    for kind in (Centroid, LogisticProbe, Ridge, NearestNeighbours)
                    for names in ((False, True) if name in WORDS else (False,))
                }
                if name not in WORDS:
                    learners = {key: value for key, value in learners.items() if key != ("PriorHead", True)}
                if name in WORDS and shots < 10:
                    learners["Default, 2500 unlabelled", True] = Default(encoder, prior=prior, unlabelled=unlabelled)
                _judge(name, shots, learners, pool, support, strange)


def _judge(name, shots, learners, pool, support, strange) -> None:
    tasks = Episodes(pool, ways="all", shots=shots, queries="all", tasks=DRAWS, seed=0, support=support)[0]
    named = Episodes(pool, ways="all", shots=shots, queries="all", tasks=DRAWS, seed=0, support=support, names=True)[0]
    found, first = {}, None
    for (title, names), learner in learners.items():
        accuracy, seconds, errors, areas = [], 0.0, [], []
        for plain, with_its_name in zip(tasks, named, strict=True):
            # Default looks itself whether the labels are words
            task = with_its_name if names and not isinstance(learner, Default) else plain
            begun = time.perf_counter()
            adapted = learner.adapt(task.support)
            seconds += time.perf_counter() - begun
            accuracy.append(plain.score(adapted)["accuracy"])
            if isinstance(learner, Default):
                probabilities = adapted.predict_proba(plain.query.inputs)
                truth = torch.tensor([adapted.classes.index(label) for label in plain.query.targets])
                right = probabilities.argmax(dim=1) == truth
                errors.append(reliability(probabilities.amax(dim=1).numpy(), right.double().numpy()).error)
                if strange:
                    known, other = (adapted.examples.familiarity(learner.model.embed(x)) for x in (plain.query.inputs, strange))
                    answers = [1] * len(known) + [0] * len(other)
                    areas.append(roc_auc_score(answers, [*known.tolist(), *other.tolist()]))
        mean, interval = mean_interval(accuracy)
        row = {"set": name, "shots": shots, "learner": title, "names": names, "accuracy": round(100 * mean, 2)}
        row |= {"ci95": [round(100 * end, 2) for end in interval], "seconds": round(seconds / DRAWS, 3)}
        if first is None:
            first = np.array(accuracy)
        else:
            gain, ends = mean_interval(first - np.array(accuracy))
            row["Default minus it"] = [round(100 * value, 2) for value in (gain, *ends)]
        if errors:
            row["calibration error"] = round(float(np.mean(errors)), 4)
        if areas:
            row["AUROC of none"] = round(100 * float(np.mean(areas)), 2)
        found[title, names] = row
        print(json.dumps(row), flush=True)


def _out_of_scope() -> list[str]:
    from quickstudy.tasks.named import _folder

    folder = _folder()
    assert folder is not None
    return [record["text"] for _, record in records(folder / "clinc150" / "oos.jsonl", ("text",))]


if __name__ == "__main__":
    main(sys.argv[1:] or ["banking77", "clinc150", "reuters_fewshot", "amazon_fewshot"])
