"""A disk that is full and places that are read-only: one sentence, exit 2, and what was there before is still there."""

from __future__ import annotations

import resource
from contextlib import contextmanager
from pathlib import Path

import pytest

from quickstudy.cli.main import run

ARM = f"{Path(__file__).parents[1] / 'tasks' / 'robots' / 'my_arm.py'}:arm"
TABLE = "text,label\n" + "".join(f"{word} number {i},{word}\n" for word in ("sun", "rain") for i in range(4))
EVALUATE = ["evaluate", "ngrams", "--data", "mine.csv", "--ways", "2", "--shots", "1", "--queries", "1", "--baselines", "none"]
COMMANDS = {
    "train": ["train", "recipe.yaml", "--out", "PLACE"],
    "tune": ["tune", "recipe.yaml", "--trials", "2", "--out", "PLACE"],
    "adapt": ["adapt", "ngrams", "--support", "mine.csv", "--out", "PLACE"],
    "record": ["robots", "record", ARM, "--goals", "1", "--out", "PLACE"],
    "plan": ["plan", "recipe.yaml", "--json", "PLACE"],
    "report": [*EVALUATE, "--report", "PLACE"],
    "numbers": [*EVALUATE, "--json", "PLACE"],
}
FILES = ("plan", "report", "numbers")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch, small_recipe):
    monkeypatch.chdir(tmp_path)
    Path("mine.csv").write_text(TABLE)
    Path("recipe.yaml").write_text(small_recipe)


@contextmanager
def full(size: int):
    """The system refuses to write more into a file than this, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def sentence(capsys) -> str:
    said = capsys.readouterr().err.strip().splitlines()
    assert "Traceback" not in "".join(said)
    return said[-1]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk(command, capsys):
    with full(100):
        assert run([each.replace("PLACE", "out") for each in COMMANDS[command]]) == 2
    assert "out" in (said := sentence(capsys))
    assert "File too large" in said
    assert not list(Path().rglob("*.part"))
    if command in ("adapt", *FILES):
        assert not Path("out").exists()


@pytest.mark.parametrize("command", FILES)
def test_a_full_disk_leaves_the_file_that_was_there(command):
    arguments = [each.replace("PLACE", "out") for each in COMMANDS[command]]
    assert run(arguments) == 0
    before = Path("out").read_bytes()
    with full(100):
        assert run(arguments) == 2
    assert Path("out").read_bytes() == before


@pytest.mark.skipif(not Path("/sys/kernel").is_dir(), reason="needs a place where nobody can make a file")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_read_only_place(command, capsys):
    assert run([each.replace("PLACE", "/sys/kernel/quickstudy") for each in COMMANDS[command]]) == 2
    assert "/sys/kernel" in sentence(capsys)


@pytest.mark.parametrize("command", FILES)
def test_what_is_missing_is_said_before_the_work(command, capsys):
    arguments = COMMANDS[command]
    assert run([each.replace("PLACE", "nowhere/out") for each in arguments]) == 2
    assert "the folder nowhere does not exist; make it first" in sentence(capsys)
    assert run([each.replace("PLACE", ".") for each in arguments]) == 2
    assert "is a folder; give the name of a file in it" in sentence(capsys)
