"""How a run's validation scores are read back."""

from __future__ import annotations

import json

import pytest

from quickstudy import QuickstudyError
from quickstudy.runs.history import validation_curve

RECIPE = """
learner: {name: prototypical}
model: {name: minilm, lora: 2}
data: {set: helpdesk}
episodes: {tasks: 4}
validation: VALIDATION
"""


@pytest.fixture
def run(tmp_path):
    def make(validation: str, *lines: str):
        (tmp_path / "recipe.yaml").write_text(RECIPE.replace("VALIDATION", validation))
        (tmp_path / "metrics.jsonl").write_text("\n".join(lines))
        return tmp_path

    return make


def test_a_step_counts_for_all_its_tasks_and_a_cut_line_for_none(run):
    rows = [
        {"step": 0, "validation": {"accuracy": 0.5, "other": 9.0}},
        {"step": 1, "loss": 0.3, "lr": 0.1},
        {"step": 25, "validation": {"accuracy": 0.7}},
        {"step": 25, "strength": {"chosen": 1}},
    ]
    found = validation_curve(run("{episodes: 30}", *map(json.dumps, rows), '{"step": 50, "valid'))
    assert [(point["tasks"], point["mean"]) for point in found] == [(0, 0.5), (100, 0.7)]
    assert {(point["metric"], point["of"], point["ci95"]) for point in found} == {("accuracy", 30, None)}


def test_without_validation_there_is_no_curve(run):
    assert validation_curve(run("null", '{"step": 1, "loss": 0.3}')) == []


def test_a_folder_that_is_no_run_is_said_to_be_none(tmp_path):
    with pytest.raises(QuickstudyError, match=r"recipe\.yaml"):
        validation_curve(tmp_path)
