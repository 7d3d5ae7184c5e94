"""`quickstudy playground` without what it needs."""

import importlib.util

from quickstudy.cli.main import run


def test_without_gradio_it_says_what_to_install(monkeypatch, capsys):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "gradio" else found(name, *rest))
    assert run(["playground"]) == 2
    assert capsys.readouterr().err == "quickstudy: the playground needs gradio: pip install 'quickstudy[playground]'\n"
