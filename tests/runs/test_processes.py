"""Several processes on one training agree with one, to float rounding."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest
import torch

from quickstudy.runs import checkpoint
from quickstudy.runs.opening import open_run
from quickstudy.runs.processes import Processes
from quickstudy.runs.recipe import Recipe
from quickstudy.runs.train import train

TEXT = """\
learner: {name: maml, inner_lr: 0.05, outer_lr: 0.01, inner_steps: 2}
model: {mlp: [1, 6, 1]}
data: {source: sinusoids}
episodes: {shots: 4, queries: 4, tasks: 5}
outer: {optimizer: sgd, clip: 2.0}
steps: 4
validation: {shots: 4, queries: 4, episodes: 3, every: 2}
checkpoint_every: 2
"""
SCRIPT = """\
import os
import sys
from quickstudy.errors import QuickstudyError
from quickstudy.runs.processes import Processes
from quickstudy.runs.recipe import Recipe
from quickstudy.runs.train import train

recipe, out, *more = sys.argv[1:]
with Processes.join() as processes:
    train(Recipe.read(recipe), out, processes=processes)
    train(Recipe.read(recipe, ["episodes.tasks=1"]), out + "-few", processes=processes)  # fewer tasks than processes
    train(Recipe.read(recipe, more), out + "-flaky", processes=processes)
    try:
        train(Recipe.read(recipe), out, processes=processes)
    except QuickstudyError as error:
        print(f"{processes.rank} {error}\\n", end="", flush=True)
threads = os.listdir("/proc/self/task") if os.path.isdir("/proc/self/task") else [0]
print(f"threads left: {len(threads)}\\n", end="", flush=True)  # one write, which another process cannot cut
"""
FLAKY = """\
from quickstudy.learners.maml import MAML


class Flaky(MAML):
    def inner_objective(self, phi, batch, whole):
        value, weight = super().inner_objective(phi, batch, whole)
        odd = self.training and int(abs(float(batch.inputs[0, 0])) * 1e4) % 8 == 0
        return (value * float("nan") if odd else value), weight
"""
"""One task in eight diverges, so that in some steps one process alone has one."""


def tensors_of(run):
    state, facts = checkpoint.read(run / "checkpoint" / "state.safetensors", remedy="")
    best, _ = checkpoint.read(run / "learner" / "learner.safetensors", remedy="")
    return {**state, **checkpoint.prefixed("best", best)}, facts


@pytest.mark.parametrize("count", [2, 3])
def test_two_and_three_agree_with_one(tmp_path, count):
    path = tmp_path / "recipe.yaml"
    path.write_text(TEXT)
    (tmp_path / "script.py").write_text(SCRIPT)
    train(Recipe.read(path), tmp_path / "one")
    train(Recipe.read(path, ["episodes.tasks=1"]), tmp_path / "one-few")
    (tmp_path / "flaky.py").write_text(FLAKY)
    flaky = [f"learner.name={tmp_path}/flaky.py:Flaky", "dropout=true"]
    train(Recipe.read(path, flaky), tmp_path / "one-flaky")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    answer = subprocess.run(
        [*command, str(tmp_path / "script.py"), str(path), str(tmp_path / "many"), *flaky],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.count("threads left: 1\n") == count, "a worker of the group outlives it, and can abort the process"
    assert answer.stdout.count("not empty") == count  # every process hears of what process 0 found
    for name in ("", "-few", "-flaky"):
        one, facts = tensors_of(tmp_path / f"one{name}")
        many, theirs = tensors_of(tmp_path / f"many{name}")
        assert facts["step"] == theirs["step"] == 4
        assert one.keys() == many.keys()
        for key, value in one.items():
            if value.is_floating_point():
                torch.testing.assert_close(many[key], value, rtol=1e-5, atol=1e-6, msg=key)
        lines = [(tmp_path / f"{run}{name}" / "metrics.jsonl").read_text().splitlines() for run in ("one", "many")]
        for ours, others in zip(*(map(json.loads, each) for each in lines), strict=True):
            if ours.get("loss") is None:  # of a validation; of a skipped step
                assert ours.keys() == others.keys()
                assert ours["step"] == others["step"]
            else:
                assert ours == pytest.approx(others, rel=1e-5)
    logs = [(tmp_path / f"{run}-flaky" / "log.txt").read_text() for run in ("one", "many")]
    skipped, theirs = (re.findall(r"step \d+: skipped .*", log) for log in logs)
    assert skipped == theirs, "one process's is everyone's, whichever has the task"
    assert 0 < len(skipped) < 4
    assert any("task 1 " not in line for line in skipped)
    open_run(tmp_path / "many")


def test_alone_nothing_changes():
    processes = Processes()
    parameter = torch.nn.Parameter(torch.zeros(2))
    processes.sum_gradients([parameter])
    assert parameter.grad is None
    assert processes.share([1, 2, 3]) == [1, 2, 3]
    assert processes.total(3) == 3
    assert processes.first(lambda: 5) == 5


def test_every_task_has_one_owner():
    for world in (1, 2, 3):
        shares = [Processes(rank, world).share(list(range(7))) for rank in range(world)]
        assert sorted(task for share in shares for task in share) == list(range(7))
        assert max(map(len, shares)) - min(map(len, shares)) <= 1
