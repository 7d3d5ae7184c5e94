"""What the door lets in, without anything behind it."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

import pytest

from quickstudy.cli.main import run
from quickstudy.playground.address import listen
from quickstudy.playground.door import Door


async def behind(scope: Any, receive: Any, send: Any) -> None:
    message = await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": message.get("body", b"")})


def ask(path: str, method: str = "GET", *, host: str = "127.0.0.1:7860", body: bytes = b"", parts: int = 1) -> tuple[int, bytes]:
    sent: list[Any] = []
    size = max(1, len(body) // parts)
    pieces = [body[at : at + size] for at in range(0, len(body), size)] or [b""]

    async def receive() -> Any:
        piece = pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "path": path, "method": method, "headers": [(b"host", host.encode())]}
    asyncio.run(Door(behind, ("127.0.0.1", "localhost"), 1000)(scope, receive, send))
    assert b"content-security-policy" in dict(sent[0]["headers"])
    return sent[0]["status"], sent[1]["body"]


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/en/",
        "/zh/config",
        "/en/theme.css",
        "/en/assets/index-a.js",
        "/zh/static/js/a.min.js",
        "/clf/a-B_9",
        "/en/gradio_api/queue/data",
    ],
)
def test_the_page_and_its_parts_are_let_in(path):
    assert ask(path)[0] == 200
    assert ask(path, "DELETE")[0] == 404
    assert ask(path, host="localhost:1")[0] == 200
    assert ask(path, host="evil.example:7860")[0] == 403
    assert ask(path, host="")[0] == 403


@pytest.mark.parametrize(
    "path",
    [
        "/en/gradio_api/file=/etc/passwd",
        "/gradio_api/file=/etc/passwd",
        "/en/file=/etc/passwd",
        "/en/gradio_api/file/etc/passwd",
        "/en/gradio_api/proxy=http://example.com",
        "/en/gradio_api/info",
        "/en/gradio_api/openapi.json",
        "/en/gradio_api/deep_link",
        "/en/gradio_api/runs",
        "/en/monitoring",
        "/en/assets/../../../etc/passwd",
        "/en/static/..",
        "/en/assets//etc/passwd\n",
        "/en/svelte/x",
        "/fr/",
        "/clf/",
        "/docs",
    ],
)
def test_what_else_gradio_has_is_not_found(path):
    assert ask(path)[0] == 404
    assert ask(path, "POST", body=b"{}")[0] == 404


@pytest.mark.parametrize("path", ["upload", "component_server", "call/learn", "run/learn", "api/predict", "process_recording"])
def test_nothing_else_is_told(path):
    assert ask(f"/en/gradio_api/{path}", "POST", body=b"{}")[0] == 404


@pytest.mark.parametrize("path", ["/en/gradio_api/queue/join", "/zh/gradio_api/run/predict"])
def test_inputs_are_text_and_numbers(path):
    def told(data: Any, **settings: Any) -> int:
        return ask(path, "POST", body=json.dumps({"data": data}).encode(), **settings)[0]

    assert told(["a", 1, None, 0.5, True]) == 200
    assert told(["a" * 700, "b"], parts=7) == 200
    assert told(["a" * 1000], parts=7) == 413
    file = {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}
    for data in ([file], [["a", file]], [[]], {"a": file}, file, "text"):
        assert told(data) == 400
    for body in (b"", b"[", b"[1]", b"\xff", b"[" * 900):
        assert ask(path, "POST", body=body)[0] == 400


def test_what_was_told_arrives_whole():
    body = json.dumps({"data": ["x" * 500]}).encode()
    assert ask("/zh/gradio_api/queue/join", "POST", body=body, parts=9) == (200, body)


def test_a_port_that_is_taken_is_one_sentence(capsys, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)  # whether Gradio is here or not, it is not asked yet
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        assert run(["playground", "--port", str(port)]) == 2
        said = capsys.readouterr().err
        assert (
            said == f"quickstudy: port {port} is taken on 127.0.0.1; give another with --port, or --port 0 for any that is free\n"
        )


@pytest.mark.parametrize(
    ("address", "said"),
    [(("127.0.0.1", 70000), "give a number from 0"), (("203.0.113.1", 0), "cannot listen at 203.0.113.1")],
)
def test_an_address_that_is_none_is_one_sentence(address, said):
    from quickstudy.errors import QuickstudyError

    with pytest.raises(QuickstudyError, match=said):
        listen(*address)


def test_without_a_port_the_next_free_one_is_taken(monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setattr("quickstudy.playground.address.PORT", free.getsockname()[1])
        free.listen()
        with listen("127.0.0.1", None) as found:
            assert found.getsockname()[1] > free.getsockname()[1]


def test_without_gradio_the_remedy_is_said(monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert run(["playground"]) == 2
    assert capsys.readouterr().err == "quickstudy: the playground needs gradio: pip install 'quickstudy[playground]'\n"
