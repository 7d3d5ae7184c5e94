"""SetFit on the same encoder, beside the prior head and `default`: accuracy, and seconds from sentences to classifier.

pip install -e '.[compare]'
python benchmarks/against_setfit.py sentiment 5
python benchmarks/against_setfit.py banking77 5 [FIRST_DRAW]      (clinc150 alike; one line a draw)

SetFit as its authors publish it: 20 pairs of each kind a sentence, one epoch, batches of 16, a logistic regression with C = 1;
and the same trained body under our LogisticProbe, which chooses its C. One thread, and nothing cached on any side.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
import time

import datasets
import numpy as np
import torch
from setfit import SetFitModel, Trainer, TrainingArguments

from quickstudy import Default, Episodes, LogisticProbe, PriorHead, Table, models
from quickstudy.learners.prior_head import Prior
from quickstudy.models.hub import source_of
from quickstudy.tasks.named import select_part

STARS = re.compile(r"\b(one|two|five|1|2|5)[ -]stars?\b")
LESS = re.compile(r"\b(minus|off|only|than|over|with|to|deduct\w*|took|take|knock\w*)\W+(\w+\W+){0,1}$")


def main(name: str, draws: int, first: int = 0) -> None:
    torch.set_num_threads(1)
    pool, support, shots = _sentiment() if name == "sentiment" else (*select_part(name), 5)
    prior = Prior.shipped(without=name if name in ("banking77", "clinc150") else None)
    tasks = Episodes(pool, ways="all", shots=shots, queries="all", tasks=draws, seed=0, support=support)[0]
    for draw, task in list(enumerate(tasks))[first:]:
        row = {"set": name, "shots": shots, "draw": draw, "queries": len(task.query)}
        for kind in (PriorHead, Default):
            encoder = models.load("minilm")
            begun = time.perf_counter()
            adapted = kind(encoder, prior=prior).adapt(task.support)
            row[f"{kind.__name__} seconds"] = round(time.perf_counter() - begun, 2)
            row[kind.__name__] = round(100 * task.score(adapted)["accuracy"], 2)
        begun = time.perf_counter()
        model = _setfit(task.support)
        row["SetFit seconds"] = round(time.perf_counter() - begun, 1)
        answers = model.predict(list(task.query.inputs), use_labels=False)
        right = [str(a) == str(b) for a, b in zip(answers, task.query.targets, strict=True)]
        row["SetFit"] = round(100 * float(np.mean(right)), 2)
        with tempfile.TemporaryDirectory() as body:
            model.model_body.save(body)
            probe = LogisticProbe(models.load(body)).adapt(task.support)
        row["SetFit, C chosen"] = round(100 * task.score(probe)["accuracy"], 2)
        print(json.dumps(row), flush=True)


def _setfit(support) -> SetFitModel:
    model = SetFitModel.from_pretrained(str(source_of("minilm")))
    arguments = TrainingArguments(batch_size=16, num_epochs=1, num_iterations=20, seed=0, report_to="none", use_amp=False)
    data = datasets.Dataset.from_dict({"text": list(support.inputs), "label": [str(label) for label in support.targets]})
    Trainer(model=model, args=arguments, train_dataset=data).train()
    return model


def _sentiment() -> tuple[Table, None, int]:
    """Reviews whose writers name their stars: one or two against five; the naming is taken out, 40 words left."""
    reviews, _ = select_part("amazon_fewshot")
    texts, labels = [], []
    for text in reviews.texts:
        found = list(STARS.finditer(text))
        kinds = {{"one": "1", "two": "2", "five": "5"}.get(m[1], m[1]) for m in found}
        if len(kinds) == 1 and not any(LESS.search(text[: m.start()]) for m in found):
            texts.append(" ".join(STARS.sub("", text).split()[:40]))
            labels.append("good" if kinds == {"5"} else "bad")
    return Table(texts, labels), None, 8


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0)
