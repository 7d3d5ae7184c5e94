"""Puts the best state of a run of recipes/language/joint.yaml where `quickstudy adapt --text` begins, rounded to bfloat16.

quickstudy train joint --out start
python recipes/language/ship.py start
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import torch

from quickstudy.cli.resolve import DEFAULT_TEXT_MODEL
from quickstudy.runs import checkpoint
from quickstudy.runs.record import RunFolder
from quickstudy.runs.shipped import PRIORS

if __name__ == "__main__":
    run, shipped = RunFolder(Path(sys.argv[1])), RunFolder(PRIORS / DEFAULT_TEXT_MODEL)
    tensors, facts = checkpoint.read(run.learner, remedy="name a run")
    checkpoint.write(shipped.learner, {name: value.to(torch.bfloat16) for name, value in tensors.items()}, facts)
    shutil.copy(run.recipe, shipped.recipe)
