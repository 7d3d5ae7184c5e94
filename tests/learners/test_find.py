"""Finding learners by file, by class and in a user's own file."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from quickstudy.errors import QuickstudyError
from quickstudy.learners.find import find_learner, settings_of
from quickstudy.learners.maml import MAML

MINE = """
from torch import nn
from quickstudy import Learner
from quickstudy.learners.maml import MAML

class Mine(MAML):
    def __init__(self, model: nn.Module, *, colour: str = "red", **settings):
        super().__init__(model, **settings)
        self.colour = colour
"""


@pytest.mark.parametrize(
    ("name", "cls"),
    [
        ("maml", "MAML"),
        ("MAML", "MAML"),
        ("prototypical", "Prototypical"),
        ("Prototypical", "Prototypical"),
        ("logistic_probe", "LogisticProbe"),
        ("logistic-probe", "LogisticProbe"),
        ("fine_tune", "FineTune"),
        ("joint", "JointTraining"),
        ("JointTraining", "JointTraining"),
    ],
)
def test_by_file_and_by_class(name, cls):
    assert find_learner(name).__name__ == cls


def test_only_the_file_asked_for_is_imported():
    code = (
        "import sys; from quickstudy.learners.find import find_learner; find_learner('siamese'); "
        "print([m for m in sys.modules if m.startswith('quickstudy.learners.') and m.endswith(('matching', 'anil', 'joint'))])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


@pytest.mark.parametrize(("wrong", "near"), [("prototipical", "prototypical"), ("Reptil", "reptile")])
def test_unknown_learner_names_the_nearest(wrong, near):
    with pytest.raises(QuickstudyError, match=f"did you mean '{near}'") as error:
        find_learner(wrong)
    assert "known: adapter_generator, anil, boil, cavia, centroid" in str(error.value)


@pytest.mark.parametrize("name", ["base", "gradient", "metric", "find", "adapted", "../errors", ""])
def test_bases_and_odd_names_are_no_learners(name):
    with pytest.raises(QuickstudyError, match="no learner"):
        find_learner(name)


def test_a_file_of_ones_own(tmp_path, monkeypatch):
    (tmp_path / "my_file.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    assert issubclass(find_learner("my_file.py:Mine"), MAML)
    assert find_learner("my_file.py").__name__ == "Mine"
    with pytest.raises(QuickstudyError, match=r"no learner 'Yours'.*defines Mine"):
        find_learner("my_file.py:Yours")
    with pytest.raises(QuickstudyError, match=r"no file missing\.py"):
        find_learner("missing.py:Mine")


@pytest.mark.parametrize(
    ("text", "said"),
    [("def (", "line 1 cannot be imported: SyntaxError"), ("import nowhere_at_all", "ModuleNotFoundError")],
)
def test_a_broken_file(tmp_path, text, said):
    (tmp_path / "broken.py").write_text(text)
    with pytest.raises(QuickstudyError, match=said):
        find_learner(f"{tmp_path}/broken.py:Mine")


def test_a_file_is_not_executed_unless_allowed(tmp_path):
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'was_here')!r}, 'w')")
    with pytest.raises(QuickstudyError, match="would execute"):
        find_learner(f"{tmp_path}/evil.py:Mine", allow_files=False)
    assert not (tmp_path / "was_here").exists()


def test_settings_follow_what_is_passed_on(tmp_path):
    assert {"inner_lr", "outer_lr", "inner_steps", "gradient", "space"} <= settings_of(MAML).keys()
    assert settings_of(MAML)["inner_steps"] is int
    reptile = settings_of(find_learner("reptile"))
    assert {"inner_batch", "inner_steps"} <= reptile.keys()
    assert reptile["inner_lr"] is not Any
    assert "model" not in reptile
    assert settings_of(find_learner("centroid")).keys() == {"scale"}
    (tmp_path / "my_file.py").write_text(MINE)
    assert {"colour", "inner_steps"} <= settings_of(find_learner(f"{tmp_path}/my_file.py:Mine")).keys()
