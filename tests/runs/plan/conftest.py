"""What the tests of plans share."""

from __future__ import annotations

import pytest

from quickstudy.runs.recipe import Recipe

CURVES = """\
learner: {name: maml, inner_lr: 0.01, inner_steps: 3}
model: {mlp: [1, 40, 40, 1]}
data: {source: sinusoids}
episodes: {shots: 5, queries: 5, tasks: 4}
validation: {shots: 5, queries: 5, episodes: 3, every: 10}
steps: 25
"""


@pytest.fixture
def curves(tmp_path):
    """`curves(*changes)`: a recipe of sinusoids."""

    def read(*changes: str) -> Recipe:
        file = tmp_path / "curves.yaml"
        file.write_text(CURVES)
        return Recipe.read(file, changes)

    return read


@pytest.fixture
def words(tmp_path, tiny_bert, sentences):
    """`words(*changes)`: a recipe of sentences on a small random BERT with adapters."""
    file, table = tmp_path / "words.yaml", tmp_path / "words.csv"
    rows = [f"{text} {more},{label}{more}" for more in ("now", "it", "my") for text, label in zip(*sentences, strict=True)]
    table.write_text("\n".join(["text,label", *rows]))
    file.write_text(
        "learner: {name: maml, inner_lr: 0.1, inner_steps: 2}\n"
        f"model: {{name: {tiny_bert}, lora: {{r: 2}}}}\n"
        f"data: {{table: {table}}}\n"
        "episodes: {ways: 2, shots: 2, queries: 2, tasks: 3}\n"
        "validation: null\n"
        "steps: 5\n"
    )
    return lambda *changes: Recipe.read(file, changes)
