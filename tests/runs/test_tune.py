"""Searches: the same trials whatever happens to them, and one exact sentence for what cannot be tried."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from quickstudy.cli.main import run
from quickstudy.errors import QuickstudyError
from quickstudy.runs.opening import open_run
from quickstudy.runs.recipe import Recipe
from quickstudy.runs.suggestions import space_of, suggest
from quickstudy.runs.train import train
from quickstudy.runs.trials import seconds_in
from quickstudy.runs.tune import tune

pytest.importorskip("optuna", reason="needs Optuna: pip install 'quickstudy[tune]'")

TEXT = """\
learner: {name: maml, inner_lr: 0.01, outer_lr: 0.01, inner_steps: 1}
model: {mlp: [1, 4, 1]}
data: {source: sinusoids}
episodes: {shots: 4, queries: 3, tasks: 2}
outer: {optimizer: sgd}
steps: 4
validation: {shots: 4, queries: 3, episodes: 2, every: 2}
checkpoint_every: 1
tune:
  learner.outer_lr: {low: 1.0e-4, high: 0.1, log: true}
  learner.inner_steps: {low: 1, high: 3}
  outer.optimizer: [sgd, adam]
"""


class Killed(Exception):
    """Stands for a kill."""


@pytest.fixture
def recipe(tmp_path):
    (tmp_path / "recipe.yaml").write_text(TEXT)
    return lambda *overrides: Recipe.read(tmp_path / "recipe.yaml", overrides)


def lines(folder: Path, *, times: bool = False) -> list[dict]:
    rows = [json.loads(line) for line in (folder / "trials.jsonl").read_text().splitlines()]
    return rows if times else [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def everything(folder: Path) -> dict[str, bytes]:
    """What must not depend on kills: all but times."""
    names = {"log.txt", "trials.jsonl"}
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name not in names}


def test_what_a_search_leaves(recipe, tmp_path):
    told = []
    found = tune(recipe(), tmp_path / "tuned", trials=6, tell=lambda trial, so_far: told.append((trial, so_far.best)))
    rows = lines(tmp_path / "tuned", times=True)
    assert [row["number"] for row in rows] == list(range(6))
    assert all(set(row) == {"number", "settings", "score", "metric", "seconds", "state"} for row in rows)
    assert rows[0]["settings"] == {"learner.outer_lr": 0.01, "learner.inner_steps": 1, "outer.optimizer": "sgd"}
    for row in rows:
        assert 1e-4 <= row["settings"]["learner.outer_lr"] <= 0.1
        assert row["settings"]["learner.inner_steps"] in (1, 2, 3)
        assert (row["state"], row["metric"]) == ("done", "squared_error")
    assert len({json.dumps(row["settings"]) for row in rows}) == 6
    assert found.best.score == min(row["score"] for row in rows)
    assert [trial.number for trial, _ in told] == list(range(6))
    assert told[-1][1] is found.best
    assert found.seconds == pytest.approx(sum(row["seconds"] for row in rows))

    best = Recipe.read(tmp_path / "tuned" / "best.yaml")
    assert "tune" not in yaml.safe_load((tmp_path / "tuned" / "best.yaml").read_text())
    assert best.learner_settings(best.learner_class())["outer_lr"] == found.best.settings["learner.outer_lr"]
    kept = tmp_path / "tuned" / "trials" / f"{found.best.number:03d}"
    assert open_run(kept)[0] == best
    for row in rows:
        folder = tmp_path / "tuned" / "trials" / f"{row['number']:03d}"
        assert (folder / "metrics.jsonl").is_file()
        assert (folder / "learner").exists() == (folder / "checkpoint").exists() == (folder == kept)
    assert train(best, tmp_path / "again")["best"] == found.best.score
    assert train(recipe("tune="), tmp_path / "plain")["best"] == rows[0]["score"]


def test_training_ignores_what_is_tuned(recipe, tmp_path):
    train(recipe(), tmp_path / "run")
    assert "tune" not in (tmp_path / "run" / "recipe.yaml").read_text()
    assert train(recipe("tune={steps: [4, 5]}"), tmp_path / "run", resume=True)["steps"] == 4


@pytest.mark.parametrize("at", [(0, 1), (2, 3), (3, 4)])
def test_a_kill_changes_no_trial(recipe, tmp_path, at):
    trial, step = at
    count = 0

    def killing(what, done, of):
        nonlocal count
        count += what == "trials"
        if what != "trials" and (count - 1, done) == (trial, step):
            raise Killed

    with pytest.raises(Killed):
        tune(recipe(), tmp_path / "killed", trials=5, progress=killing)
    assert len(lines(tmp_path / "killed")) == trial if trial else not (tmp_path / "killed" / "trials.jsonl").exists()
    tune(recipe(), tmp_path / "killed", trials=5, resume=True)
    tune(recipe(), tmp_path / "whole", trials=5)
    assert lines(tmp_path / "killed") == lines(tmp_path / "whole")
    assert everything(tmp_path / "killed") == everything(tmp_path / "whole")


def test_kill_minus_nine(recipe, tmp_path):
    code = (
        "import sys; from quickstudy.runs.tune import tune; from quickstudy.runs.recipe import Recipe; "
        "tune(Recipe.read(sys.argv[1]), sys.argv[2], trials=40, resume=True)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(recipe() and tmp_path / "recipe.yaml"), str(tmp_path / "killed")])
    log = tmp_path / "killed" / "trials.jsonl"
    while not log.exists() or len(log.read_text().splitlines()) < 2:
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    done = len(lines(tmp_path / "killed"))
    assert 2 <= done < 40
    tune(recipe(), tmp_path / "killed", trials=done + 2, resume=True)
    tune(recipe(), tmp_path / "whole", trials=done + 2)
    assert lines(tmp_path / "killed") == lines(tmp_path / "whole")
    assert everything(tmp_path / "killed") == everything(tmp_path / "whole")


def test_a_finished_search_is_left_alone_and_a_longer_one_goes_on(recipe, tmp_path):
    found = tune(recipe(), tmp_path / "tuned", trials=3)
    files = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in (tmp_path / "tuned").rglob("*") if path.is_file()}
    assert tune(recipe(), tmp_path / "tuned", trials=3, resume=True) == found
    assert tune(recipe(), tmp_path / "tuned", trials=2, resume=True) == found
    assert files == {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in (tmp_path / "tuned").rglob("*") if p.is_file()}
    tune(recipe(), tmp_path / "tuned", trials=5, resume=True)
    tune(recipe(), tmp_path / "whole", trials=5)
    assert lines(tmp_path / "tuned") == lines(tmp_path / "whole")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_the_trial(recipe, tmp_path, number):
    count = 0

    def stopping(what, done, of):
        nonlocal count
        count += what == "trials"
        if count == 2 and what != "trials" and done == 2:
            os.kill(os.getpid(), number)

    with pytest.raises(QuickstudyError, match="tuned: stopped in trial 1, which is saved; go on with --resume"):
        tune(recipe(), tmp_path / "tuned", trials=3, progress=stopping)
    assert len(lines(tmp_path / "tuned")) == 1
    tune(recipe(), tmp_path / "tuned", trials=3, resume=True)
    tune(recipe(), tmp_path / "whole", trials=3)
    assert lines(tmp_path / "tuned") == lines(tmp_path / "whole")


def test_a_trial_that_fails_is_logged_and_the_search_goes_on(recipe, tmp_path):
    found = tune(recipe("tune={learner.outer_lr: [0.01, 1.0e+20, 0.02]}"), tmp_path / "tuned", trials=9)
    rows = {row["settings"]["learner.outer_lr"]: row for row in lines(tmp_path / "tuned")}
    assert sorted(rows) == [0.01, 0.02, 1e20]  # and no fourth: there is nothing else to try
    assert found.exhausted
    failed = rows[1e20]
    assert (failed["state"], failed["score"], failed["metric"]) == ("failed", None, None)
    assert re.match(r"\d outer steps in a row were skipped, the last at step \d of \d: .*(loss|gradient)", failed["error"])
    assert found.best.settings["learner.outer_lr"] != 1e20
    with pytest.raises(QuickstudyError, match=r"none of 2 trials has a score; the first: \d outer steps in a row"):
        tune(recipe("learner.outer_lr=1e20", "tune={learner.outer_lr: [1.0e+20, 1.0e+21]}"), tmp_path / "bad", trials=9)
    assert not (tmp_path / "bad" / "best.yaml").exists()


def test_a_score_that_is_no_number(recipe, tmp_path, monkeypatch):
    from quickstudy.runs import tune as module

    def scored(recipe, folder, **options):
        summary = train(recipe, folder, **options)
        return {**summary, "best": float("nan")} if folder.name == "001" else summary

    monkeypatch.setattr(module, "train", scored)
    found = tune(recipe(), tmp_path / "tuned", trials=3)
    assert [row["state"] for row in lines(tmp_path / "tuned")] == ["done", "failed", "done"]
    assert lines(tmp_path / "tuned")[1]["score"] is None
    assert found.best.number != 1


def test_a_full_disk_is_no_failed_trial(recipe, tmp_path, monkeypatch):
    from quickstudy.runs import checkpoint

    def full(path, payload):
        raise OSError(28, "No space left on device")

    tune(recipe(), tmp_path / "tuned", trials=1)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "write_atomically", full)
        with pytest.raises(QuickstudyError, match="could not be written"):
            tune(recipe(), tmp_path / "tuned", trials=2, resume=True)
    assert len(lines(tmp_path / "tuned")) == 1
    tune(recipe(), tmp_path / "tuned", trials=2, resume=True)
    assert lines(tmp_path / "tuned")[1]["state"] == "done"


def test_a_recipe_that_cannot_run_writes_nothing(recipe, tmp_path):
    for change in ("model.mlp=[1, 4, 2]", "data={table: nowhere.csv}", "learner.space=nothing", "validation=null"):
        with pytest.raises(QuickstudyError):
            tune(recipe(change), tmp_path / "deep" / "tuned", trials=2)
        assert not (tmp_path / "deep").exists()


def test_suggestions_depend_on_what_was_tried_and_on_the_seed():
    space = {
        "a": {"low": 0.001, "high": 1.0, "log": True},
        "b": [True, 1, [1, 2], None],
        "c": {"low": -3, "high": 3, "log": False},
    }
    history: list = []
    for _ in range(25):
        settings = suggest(space, history, seed=1, larger=True)
        assert settings == suggest(space, history, seed=1, larger=True)
        assert 0.001 <= settings["a"] <= 1
        assert any(settings["b"] is each for each in space["b"])
        assert isinstance(settings["c"], int)
        history.append((settings, None if settings["c"] > 2 else -abs(settings["c"] - 1) + settings["a"]))
    assert suggest(space, history, seed=2, larger=True) != suggest(space, history, seed=1, larger=True)
    assert suggest(space, history[:5], seed=1, larger=True) == history[5][0]
    late = [settings for settings, _ in history[15:]]  # it has learned where the good values are
    assert sum(abs(settings["c"] - 1) <= 1 for settings in late) >= 7
    assert len({json.dumps(settings) for settings, _ in history}) == 25


def test_it_finds_what_is_better(recipe, tmp_path):
    changes = ["outer.optimizer=adam", "learner.outer_lr=1e-6", "steps=20", "validation.episodes=10", "validation.every=20"]
    found = tune(recipe(*changes, "tune={learner.outer_lr: [1.0e-6, 1.0e-5, 0.05]}"), tmp_path / "tuned", trials=9)
    assert len(found.trials) == 3
    assert found.best.settings == {"learner.outer_lr": 0.05}
    assert found.best.score < found.trials[0].score


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("learner.outer_lr:", "learner.outer_rl:", "@10:3: unknown key 'learner.outer_rl'; did you mean 'learner.outer_lr'?"),
        ("learner.outer_lr:", "outer_lr:", "@10:3: unknown key 'outer_lr'; did you mean 'learner.outer_lr'?"),
        ("learner.outer_lr:", "leaner.outer_lr:", "@10:3: unknown key 'leaner.outer_lr'; did you mean 'learner.outer_lr'?"),
        ("learner.outer_lr:", "outer.clp:", "@10:3: unknown key 'outer.clp'; did you mean 'outer.clip'?"),
        ("learner.outer_lr:", "zzzzz:", "@10:3: unknown key 'zzzzz'; known are learner.inner_lr"),
        ("learner.outer_lr:", "steps.x:", "@10:12: steps.x cannot be 0.0001: steps has no keys below it"),
        ("learner.outer_lr:", "validation.shots:", "@10:3: validation.shots cannot be tuned, since"),
        ("learner.outer_lr:", "seed:", "@10:3: seed cannot be tuned"),
        ("[sgd, adam]", "[sgd, adamax]", '@12:20: outer.optimizer cannot be "adamax": outer.optimizer should be'),
        ("[sgd, adam]", "[sgd]", "@12:20: tune.outer.optimizer needs two or more values, all different, not ['sgd']"),
        ("[sgd, adam]", "[sgd, sgd]", "@12:20: tune.outer.optimizer needs two or more values, all different"),
        ("[sgd, adam]", "sgd", "@12:20: tune.outer.optimizer needs a list of values such as [5, 10, 20], or a range"),
        ("learner.outer_lr: {low: 1.0e-4", "episodes.tasks: {low: 1.0e-4", "@10:19: episodes.tasks cannot be 0.0001: "),
        ("learner.inner_steps: {low: 1", "episodes.tasks: {low: 0", "@11:19: episodes.tasks cannot be 0: "),
        ("{low: 1, high: 3}", "{low: 1.0, high: 3}", "@11:24: learner.inner_steps cannot be 1.736: "),
        ("{low: 1, high: 3}", "{low: 3, high: 1}", "@11:24: tune.learner.inner_steps needs a low below its high, not 3 and 1"),
        ("{low: 1, high: 3}", "{low: 1, hihg: 3}", "it has low, hihg (a key inside a part is written with a dot"),
        ("{low: 1, high: 3}", "{low: 1, high: many}", "needs numbers for low and high, not 'many'"),
        ("{low: 1, high: 3}", "{low: 1, high: .inf}", "needs numbers for low and high, not inf"),
        ("{low: 1, high: 3}", "{low: 0, high: 3, log: true}", "has log: true, which needs a low above 0, not 0"),
        ("{low: 1, high: 3}", "{low: 1, high: 3, log: 2}", "needs true or false for log, not 2"),
        (TEXT[TEXT.index("tune:") :], "", "@1:1: the recipe does not say what to try; add a part such as `tune: {"),
        (TEXT[TEXT.index("tune:") :], "tune: {}", "@9:7: the recipe does not say what to try"),
        (TEXT[TEXT.index("tune:") :], "tune: 5", "@9:7: tune should be a group of keys, not 5"),
        (TEXT[TEXT.index("tune:") :], "tune: {learner.rates.per: [layer, lair]}", 'learner.rates.per cannot be "lair": '),
        (TEXT[TEXT.index("tune:") :], "tune: {learner: [{name: maml, inner_lt: 1}, anil]}", "unknown key 'inner_lt'"),
        (TEXT[TEXT.index("tune:") :], "tune: {learner.name: [maml, anill]}", "cannot be \"anill\": no learner 'anill'"),
    ],
)  # fmt: skip
def test_what_cannot_be_tried(recipe, tmp_path, old, new, said):
    assert old in TEXT
    recipe()
    (tmp_path / "recipe.yaml").write_text(TEXT.replace(old, new, 1))
    with pytest.raises(QuickstudyError) as error:
        tune(recipe(), tmp_path / "tuned")
    assert "\n" not in str(error.value)
    assert said.replace("@", "recipe.yaml:") in str(error.value)
    assert not (tmp_path / "tuned").exists()


def test_whole_parts_and_what_is_in_them(recipe, tmp_path):
    asked = recipe("tune={learner.outer_lr: [0.01, 0.02], learner: [{name: maml}, {name: reptile}]}")
    assert len(space_of(asked)) == 2
    tune(asked, tmp_path / "tuned", trials=3)
    for row in lines(tmp_path / "tuned")[1:]:
        learner = Recipe.read(tmp_path / "tuned" / "trials" / f"{row['number']:03d}" / "recipe.yaml").learner
        assert (learner.name, learner.model_extra) == (
            row["settings"]["learner"]["name"],
            {"outer_lr": row["settings"]["learner.outer_lr"]},
        )


def test_folders_in_the_way(recipe, tmp_path):
    tune(recipe(), tmp_path / "tuned", trials=1)
    with pytest.raises(QuickstudyError, match=r"tuned is not empty; .*--resume.*another name"):
        tune(recipe(), tmp_path / "tuned", trials=1)
    for change, said in [
        ("steps=5", "--set steps=5: steps is 5, but 4 in"),
        ("learner.inner_lr=0.02", "learner.inner_lr is 0.02, but 0.01 in"),
        ("tune={steps: [4, 5]}", "is not set, but"),
    ]:
        with pytest.raises(QuickstudyError, match="a search goes on with its own recipe") as error:
            tune(recipe(change), tmp_path / "tuned", trials=2, resume=True)
        assert said in str(error.value)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("dear")
    with pytest.raises(QuickstudyError, match="not empty and no search"):
        tune(recipe(), tmp_path / "full", resume=True)
    with pytest.raises(QuickstudyError, match="is a file"):
        tune(recipe(), tmp_path / "full" / "letter.txt")
    log = tmp_path / "tuned" / "trials.jsonl"
    good = log.read_text()
    for bad in (good[:-9], good.replace('"number": 0', '"number": 1'), good + "7\n", good.replace("outer_lr", "outer")):
        log.write_text(bad)
        with pytest.raises(QuickstudyError, match=r"trials.jsonl:[12]: not the line of trial [01]; remove this line"):
            tune(recipe(), tmp_path / "tuned", trials=2, resume=True)


def test_without_optuna_and_under_torchrun(recipe, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "optuna", None)
        with pytest.raises(QuickstudyError, match=r"pip install 'quickstudy\[tune\]'"):
            tune(recipe(), tmp_path / "tuned")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(QuickstudyError, match="one process"):
        tune(recipe(), tmp_path / "tuned")
    assert not (tmp_path / "tuned").exists()


def test_the_command(recipe, tmp_path, capsys, monkeypatch):
    recipe()
    monkeypatch.chdir(tmp_path)
    assert run(["tune", "recipe.yaml", "--trials", "4", "--out", "tuned"]) == 0
    captured = capsys.readouterr()
    best = min(lines(tmp_path / "tuned"), key=lambda row: row["score"])
    assert "tuned: 4 trials in " in captured.out
    assert f"squared_error {best['score']:.4f} on the validation tasks" in captured.out
    assert "best of 4 on the same validation tasks, so it is optimistic" in captured.out
    assert "Next: quickstudy train tuned/best.yaml --out tuned-run" in captured.out
    assert len(captured.err.splitlines()) == 4
    assert re.search(r"\(1 of 4, about \d+ s left\)", captured.err)
    assert run(["tune", "recipe.yaml", "--trials", "4", "--out", "tuned", "--resume"]) == 0
    again = capsys.readouterr()
    assert again.out == captured.out
    assert again.err == ""
    assert run(["train", "tuned/best.yaml", "--out", "tuned-run"]) == 0
    for arguments, said in [
        (["--trials", "4", "--out", "tuned"], "tuned is not empty"),
        (["--trials", "0", "--out", "new"], "--trials 0: give a number of at least 1"),
        (["--trials", "4", "--out", "new", "--set", "tune="], "the recipe does not say what to try"),
        (["--trials", "many", "--out", "new"], "'--trials'"),
        (["--trials", "4"], "--out"),
    ]:
        capsys.readouterr()
        assert run(["tune", "recipe.yaml", *arguments]) == 2
        error = capsys.readouterr().err.splitlines()
        assert len(error) == 1
        assert said in error[0]
    assert not (tmp_path / "new").exists()


def test_the_example_of_the_docs(recipe, tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "tuning.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(.*?)```", page, flags=re.S)
    text = (Path(__file__).parents[2] / "recipes" / "text" / "helpdesk.yaml").read_text(encoding="utf-8")
    (tmp_path / "recipe.yaml").write_text(text + example)
    assert len(space_of(Recipe.read(tmp_path / "recipe.yaml"))) == 3


def test_a_clock_that_was_put_back_takes_no_seconds_away(tmp_path):
    times = (
        "12:00:00 from step 0, on cpu",
        "12:00:07 step 5",
        "11:00:00 step 6",
        "11:00:02 step 7",
        "13:00:00 from step 7, on cpu",
    )
    (tmp_path / "log.txt").write_text("".join(f"2026-01-01T{time}\n" for time in times))
    assert seconds_in(tmp_path / "log.txt") == 9
