"""From demonstrations to a robot that does what it is shown: record, train, evaluate."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch

from quickstudy.cli.main import run
from quickstudy.errors import QuickstudyError
from quickstudy.models.networks import Standardized
from quickstudy.runs.build import build_learner, data_part
from quickstudy.runs.opening import open_run
from quickstudy.runs.recipe import Recipe

ARM = f"{Path(__file__).parents[1] / 'tasks' / 'robots' / 'my_arm.py'}:arm"
RECIPE = """\
learner: {name: cnp, context: 4, width: 40, outer_lr: 0.003}
model: {mlp: [7, 40, 40, 2]}
data: {demonstrations: DEMOS}
episodes: {shots: 1, queries: 1, tasks: 8}
outer: {schedule: cosine}
steps: 400
validation: {shots: 1, queries: 2, episodes: 12, every: 200}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Demonstrations in `demos`, and a run in `run`."""
    folder = tmp_path_factory.mktemp("imitation")
    how = ["--each", "3", "--steps", "12"]
    assert run(["robots", "record", ARM, "--out", str(folder / "demos"), *how]) == 0
    assert run(["robots", "record", ARM, "--out", str(folder / "demos"), "--part", "test", *how]) == 0
    (folder / "recipe.yaml").write_text(RECIPE.replace("DEMOS", str(folder / "demos")))
    assert run(["train", str(folder / "recipe.yaml"), "--out", str(folder / "run")]) == 0
    return folder


def test_it_does_what_it_is_shown_and_a_clone_does_not(folder, capsys):
    found = folder / "found.json"
    capsys.readouterr()
    page = folder / "page.html"
    asked = ["evaluate", str(folder / "run"), "--robot", ARM, "--baselines", "full", "--json", str(found)]
    assert run([*asked, "--report", str(page)]) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[-1] == f"Report: {page}"
    shown = " ".join(page.read_text(encoding="utf-8").split())
    assert shown.count('src="data:image/webp;base64,') == 3
    assert re.search(r'alt="Film of Cloning, trained alike and shown nothing: (not done in|done after) \d+ steps?"', shown)
    assert "shown once, " in shown
    assert "context: 4" in shown
    assert "10 tasks of plane that training did not see, one demonstration each; 3 episodes of at most 20 steps" in said
    assert "The expert, which knows the task: success 100.0" in said
    assert " points better than FineTunedCloning" in said or " points better than Cloning" in said
    result = json.loads(found.read_text())
    rows = {row["learner"]: row["mean"] for row in result["results"]}
    assert rows.keys() == {"CNP", "Cloning", "FineTunedCloning"}
    assert {row["metric"] for row in result["results"]} == {"success"}
    assert result["expert"]["mean"] == 1
    assert rows["CNP"] >= 0.8
    assert rows["Cloning"] <= 0.4
    assert run([*asked, "--episodes", "3", "--baselines", "none"]) == 0
    assert "3 tasks of plane" in (said := capsys.readouterr().out)
    assert "expert" not in said


def test_what_does_not_go_with_a_robot_is_refused(folder, capsys):
    assert run(["evaluate", str(folder / "run")]) == 2
    assert "the demonstrations are of 'plane'; give --robot with the file that it is in" in capsys.readouterr().err
    assert run(["evaluate", str(folder / "run"), "--robot", ARM, "--ways", "3"]) == 2
    assert "learned from demonstrations; leave --ways out" in capsys.readouterr().err
    assert run(["evaluate", str(folder / "run"), "--robot", ARM, "--episodes", "0"]) == 2
    assert "--episodes 0: give a number of at least 1" in capsys.readouterr().err


def test_demonstrations_of_another_robot(folder, capsys):
    other = folder / "other.py"
    other.write_text(
        Path(ARM.removesuffix(":arm")).read_text().replace("[*self.at, 1.0]", "[*self.at, 1.0, 2.0]").replace("(3,)", "(4,)")
    )
    assert run(["robots", "record", f"{other}:arm", "--out", str(folder / "other"), "--part", "test", "--goals", "1"]) == 0
    capsys.readouterr()
    asked = ["evaluate", str(folder / "run"), "--robot", f"{other}:arm"]
    assert run([*asked, "--data", str(folder / "other")]) == 2
    message = (
        "a demonstration of plane has 4 numbers in an observation and 2 in an action, and this policy reads 3 and gives 2; give"
    )
    assert message in capsys.readouterr().err
    assert run(asked) == 2
    assert (
        "plane has 4 numbers in an observation and 2 in an action, and the demonstrations of plane 3" in capsys.readouterr().err
    )


def test_without_pictures_the_page_says_why(folder, capsys):
    blind = folder / "blind.py"
    blind.write_text(Path(ARM.removesuffix(":arm")).read_text().replace(", render=draw)", ")"))
    page = folder / "blind.html"
    asked = ["evaluate", str(folder / "run"), "--robot", f"{blind}:arm", "--baselines", "none", "--episodes", "2"]
    assert run([*asked, "--report", str(page)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-2:] == ["No films: plane has no pictures; give Robot(render=...).", f"Report: {page}"]
    assert "There are no films: plane has no pictures" in page.read_text(encoding="utf-8")


def test_goals_of_validation_are_not_those_of_training(folder):
    recipe = Recipe.read(folder / "recipe.yaml")
    train, valid, test = (data_part(recipe, name) for name in ("train", "valid", "test"))
    assert (len(train.tasks), len(valid.tasks), len(test.tasks)) == (24, 6, 10)
    assert train.tasks.keys().isdisjoint(valid.tasks)
    assert (train.part, valid.part, test.part) == ("train", "train", "test")
    other = Recipe.read(folder / "recipe.yaml", ["seed=3"])
    assert data_part(other, "valid").tasks.keys() == valid.tasks.keys()
    assert data_part(Recipe.read(folder / "recipe.yaml", ["data.seed=3"]), "valid").tasks.keys() != valid.tasks.keys()


def test_a_run_is_opened_without_its_demonstrations(folder):
    recipe, learner = open_run(folder / "run")
    shown = data_part(recipe, "test").tasks[0][0]
    expected = learner.adapt(shown).predict(shown.inputs)
    standardized = next(layer for layer in learner.modules() if isinstance(layer, Standardized))
    torch.testing.assert_close(standardized.mean[:3], data_part(recipe, "train").spread[0])
    (folder / "demos").rename(folder / "elsewhere")
    try:
        alone = open_run(folder / "run")[1]
    finally:
        (folder / "elsewhere").rename(folder / "demos")
    torch.testing.assert_close(alone.adapt(shown).predict(shown.inputs), expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("model.mlp=[3,8,2]", "context=4: CNP needs a network of linear layers"),
        (
            "model.mlp=[8,8,2]",
            r"mlp: an observation has 3 numbers beside a context of 4 and an action 2; give widths from 7 to 2",
        ),
        ("model.mlp=[7,8,3]", r"give widths from 7 to 2"),
        ("learner={name: anil}", r"mlp: an observation has 3 numbers and an action 2; give widths from 3 to 2"),
    ],
)
def test_a_policy_that_does_not_fit_is_refused(folder, change, message):
    with pytest.raises(QuickstudyError, match=message):
        build_learner(Recipe.read(folder / "recipe.yaml", [change]))


def test_no_demonstrations(folder):
    recipe = Recipe.read(folder / "recipe.yaml", ["data.demonstrations=nowhere"])
    with pytest.raises(
        QuickstudyError, match=r"--set .*nowhere holds no train demonstrations; record some with `quickstudy robots"
    ):
        data_part(recipe, "train")
