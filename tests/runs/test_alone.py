"""Two runs never write into one folder at a time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from quickstudy.errors import QuickstudyError
from quickstudy.folder import alone, new_folder
from quickstudy.runs.recipe import Recipe
from quickstudy.runs.recordings import Recording, record
from quickstudy.runs.train import train
from quickstudy.runs.tune import tune
from quickstudy.tasks.robots.find import find_robot

ARM = f"{Path(__file__).parents[1] / 'tasks' / 'robots' / 'my_arm.py'}:arm"
HOLDER = """\
import sys, time
from pathlib import Path
from quickstudy.folder import alone, new_folder
with alone(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def recipe(tmp_path, small_recipe):
    (tmp_path / "recipe.yaml").write_text(small_recipe)
    return Recipe.read(tmp_path / "recipe.yaml")


def test_a_second_training_is_sent_away_and_the_first_ends_as_it_would_have(recipe, tmp_path):
    def second(step, steps, numbers):
        for resume in (False, True):
            with pytest.raises(QuickstudyError, match="run: another run is writing into it; wait until it has ended"):
                train(recipe, tmp_path / "run", resume=resume)

    train(recipe, tmp_path / "run", progress=second)
    train(recipe, tmp_path / "whole")
    for name in ("metrics.jsonl", "learner/learner.safetensors", "checkpoint/state.safetensors"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == sorted(p.name for p in (tmp_path / "whole").iterdir())


def test_a_second_search_and_a_second_recording(recipe, tmp_path):
    with alone(tmp_path / "search"), pytest.raises(QuickstudyError, match="another run is writing into it"):
        tune(recipe, tmp_path / "search")
    robot = find_robot(ARM)
    with alone(tmp_path / "demos" / "train"), pytest.raises(QuickstudyError, match="another run is writing into it"):
        record(robot, "train", tmp_path / "demos", Recording(), tasks=1)


def test_a_kill_lets_the_folder_go(tmp_path):
    folder = tmp_path / "held"
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(folder)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(QuickstudyError, match="another run"), alone(folder):
            pass
        holder.kill()
    with alone(folder):
        (folder / "mine").touch()
    assert [p.name for p in folder.iterdir()] == ["mine"]


def test_nothing_is_left_of_a_folder_that_was_made_in_vain(tmp_path):
    with pytest.raises(KeyError), alone(tmp_path / "new"):
        raise KeyError
    assert not (tmp_path / "new").exists()
    (tmp_path / "empty").mkdir()
    with alone(tmp_path / "empty"):
        pass
    assert (tmp_path / "empty").is_dir()


def test_what_a_kill_left_of_a_new_folder_goes_with_the_next_try(tmp_path):
    (tmp_path / ".clf.part" / "deep").mkdir(parents=True)
    (tmp_path / ".clf.part" / "half").touch()
    with pytest.raises(QuickstudyError, match="clf: No space left on device; nothing was left"), new_folder(tmp_path / "clf"):
        raise OSError(28, "No space left on device")
    assert not list(tmp_path.iterdir())
    (tmp_path / ".clf.part").mkdir()
    (tmp_path / ".clf.part" / "half").touch()
    with new_folder(tmp_path / "clf") as new:
        (new / "whole").touch()
        with pytest.raises(QuickstudyError, match="/clf: another run is writing into it"), new_folder(tmp_path / "clf"):
            pass
    assert [str(p.relative_to(tmp_path)) for p in sorted(tmp_path.rglob("*"))] == ["clf", "clf/whole"]


def test_a_place_that_cannot_be_written_to(recipe, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(QuickstudyError, match="file is a file; give the name of a new folder"):
        train(recipe, tmp_path / "file")
    with pytest.raises(QuickstudyError, match=r"cannot be written to \(Not a directory\); give another --out"):
        train(recipe, tmp_path / "file" / "run")


@pytest.mark.parametrize("lockless", ["no module", "no such locks here"])
def test_where_nothing_can_be_held_two_writers_do_not_mix(tmp_path, monkeypatch, lockless):
    def refused(*_):
        raise OSError(95, "Operation not supported")

    if lockless == "no module":
        monkeypatch.setattr("quickstudy.folder.fcntl", None)
    else:
        monkeypatch.setattr("quickstudy.folder.fcntl.flock", refused)
    for first in (0, 1):
        folder = tmp_path / f"{first} is quicker"
        writers = [new_folder(folder), new_folder(folder)]
        places = [writer.__enter__() for writer in writers]
        for place in places:
            assert not list(place.iterdir())
            (place / place.name).touch()
        writers[first].__exit__(None, None, None)
        with pytest.raises(QuickstudyError, match="is quicker is not empty; give another name, or remove it first"):
            writers[1 - first].__exit__(None, None, None)
        assert [path.name for path in folder.iterdir()] == [places[first].name]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0 is quicker", "1 is quicker"]
