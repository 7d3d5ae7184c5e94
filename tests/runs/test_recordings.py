"""Demonstrations as files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from quickstudy.cli.main import run
from quickstudy.errors import QuickstudyError
from quickstudy.runs.recordings import Recording, read_demonstrations, record
from quickstudy.tasks.robots.find import find_robot

ARM = f"{Path(__file__).parents[1] / 'tasks' / 'robots' / 'my_arm.py'}:arm"
HOW = Recording(each=2, steps=12, noise=0.1)


@pytest.fixture
def arm():
    return find_robot(ARM)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_what_was_recorded_is_read(arm, tmp_path):
    found = record(arm, "train", tmp_path, HOW, tasks=4)
    assert found == {"demonstrations": 8, "failed": 0, "not finite": 0}
    shown = read_demonstrations(tmp_path, "train")
    assert list(shown.tasks) == [0, 1, 2, 3]
    assert (shown.robot, shown.part, shown.numbers, len(shown)) == ("plane", "train", (3, 2), 8)
    for task, (first, second) in shown.tasks.items():
        assert len(first) == 12
        assert not torch.equal(first.inputs[0], second.inputs[0])
        goal = torch.tensor(arm.tasks["train"][task], dtype=torch.float32)
        torch.testing.assert_close(first.targets, (3 * (goal - first.inputs[:, :2])).clamp(-1, 1))


def test_broken_off_it_ends_with_the_same_bytes(arm, tmp_path):
    record(arm, "train", tmp_path / "whole", HOW, tasks=4)

    def stop(what, done, of):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        record(arm, "train", tmp_path / "parts", HOW, tasks=4, progress=stop)
    kept = contents(tmp_path / "parts")
    assert len(kept) == 2
    again, begun = find_robot(ARM), []
    begin = again.begin
    again.begin = lambda part, task, seed: begun.append(task) or begin(part, task, seed)
    told: list[tuple[int, int]] = []
    found = record(again, "train", tmp_path / "parts", HOW, tasks=4, progress=lambda what, done, of: told.append((done, of)))
    assert set(begun) == {2, 3}
    assert found["demonstrations"] == 8
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")


def test_spoilt_tries_are_counted_and_left_out(arm, tmp_path):
    own, tries = arm.expert, iter(range(1000))

    def clumsy(env, seen):
        number = env.steps == 0 and next(tries)
        if env.steps == 0:
            env.mood = number % 3
        return [np.zeros(2), np.full(2, np.nan), own(env, seen)][env.mood]

    arm.expert = clumsy
    arm.tasks = {"train": [np.ones(2)] * 2}
    found = record(arm, "train", tmp_path, HOW)
    assert found == {"demonstrations": 4, "failed": 4, "not finite": 4}
    assert all(
        torch.isfinite(each.targets).all()
        for several in read_demonstrations(tmp_path, "train").tasks.values()
        for each in several
    )
    again = record(arm, "train", tmp_path, HOW)
    assert again == found


def test_what_does_not_fit_is_refused(arm, tmp_path):
    record(arm, "train", tmp_path, HOW, tasks=2)
    with pytest.raises(QuickstudyError, match=r"0000\.safetensors was recorded with noise 0.1, not 0.3; give another --out"):
        record(arm, "train", tmp_path, Recording(each=2, steps=12, noise=0.3), tasks=2)
    with pytest.raises(QuickstudyError, match="31 train tasks: plane has 30; give a number from 1 to 30"):
        record(arm, "train", tmp_path, HOW, tasks=31)
    with pytest.raises(QuickstudyError, match=r"plane has no tasks of a part .valid.; it has train and test"):
        record(arm, "valid", tmp_path, HOW)
    with pytest.raises(QuickstudyError, match="each=0: give at least 1"):
        Recording(each=0)
    with pytest.raises(QuickstudyError, match="no test demonstrations; record some with `quickstudy robots record"):
        read_demonstrations(tmp_path, "test")
    path = tmp_path / "train" / "0001.safetensors"
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(QuickstudyError, match=r"0001\.safetensors is truncated or damaged .*; remove it, and `quickstudy robots"):
        read_demonstrations(tmp_path, "train")


def test_the_command(tmp_path, capsys):
    wanted = ["robots", "record", ARM, "--out", str(tmp_path), "--goals", "3", "--each", "1", "--steps", "2", "--noise", "0"]
    assert run(wanted) == 0  # two steps are enough for goals that are near
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"{tmp_path / 'train'}: {len(read_demonstrations(tmp_path, 'train'))} demonstrations of the 3 asked for."
    assert "tries that failed, and 0 that were not finite; mend the expert or the simulator, or give more --steps" in said[1]
    assert said[2] == f"Next: quickstudy robots record {ARM} --out {tmp_path} --part test"
    assert run(["robots", "record", ARM, "--out", str(tmp_path), "--part", "no"]) == 2
    assert "plane has no tasks of a part 'no'" in capsys.readouterr().err


def test_where_every_try_fails(tmp_path, capsys):
    wanted = ["robots", "record", ARM, "--out", str(tmp_path), "--goals", "2", "--each", "2", "--steps", "2", "--noise", "50"]
    for _ in range(2):  # the second time nothing is tried
        assert run(wanted) == 2
        said = capsys.readouterr().err
        assert "train: no demonstration was kept, of 12 tries that failed, and 0 that were not finite; mend the expert" in said
    with pytest.raises(QuickstudyError, match="every try of plane to show train tasks has failed; mend"):
        read_demonstrations(tmp_path, "train")
    with pytest.raises(
        QuickstudyError, match=r"holds no test demonstrations; .* record ROBOT --out .* --part test`, where ROBOT is"
    ):
        read_demonstrations(tmp_path, "test")
