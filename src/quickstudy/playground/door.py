"""What the server lets in: what the page itself asks for, and nothing else that Gradio would answer."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from quickstudy.playground.words import LANGUAGES

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

_PAGE = f"/(?:{'|'.join(LANGUAGES)})/"
ASKED = re.compile(
    rf"/|/manifest\.json|/favicon\.ico|/clf/[\w-]+|{_PAGE}(?:config|theme\.css|(?:assets|static)/[\w./-]+"
    r"|gradio_api/(?:queue/data|heartbeat/\w+))?"
)
"""What is asked for: pages, their parts, answers, downloads. No route that takes a path or a URL is among them."""
TOLD = re.compile(rf"{_PAGE}gradio_api/(?:queue/join|run/predict)")
"""What is told: that something was typed or pressed."""
HEADERS = [
    (b"content-security-policy", b"default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]
"""A browser that reads these asks no other host for anything, whatever Gradio's page would like to have."""


class Door:
    """An ASGI application before another one.

    Gradio has routes for files, uploads, proxies and plugins, and takes a path or a URL in the place of any input. Here those
    are not found, and an input is text or a number.

    Args:
        app: Gradio's.
        hosts: the names by which a browser may call this server; none: any. A foreign page that has made its own name lead
            here (DNS rebinding) is thus sent away.
        most: bytes in a request.
    """

    def __init__(self, app: App, hosts: Sequence[str], most: int):
        self.app, self.hosts, self.most = app, hosts, most

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answers a request, or passes it on."""
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        if scope["type"] != "http":
            return None
        if self.hosts and _host(scope) not in self.hosts:
            return await refuse(send, 403, "this server answers to its own address alone")
        path, method = scope["path"], scope["method"]
        told = method == "POST" and TOLD.fullmatch(path)
        if ".." in path or not (told or (method in ("GET", "HEAD") and ASKED.fullmatch(path))):
            return await refuse(send, 404, "not found")
        if told:
            body = await _body(receive, self.most)
            if body is None:
                return await refuse(send, 413, "too large")
            if not _plain(body):
                return await refuse(send, 400, "inputs are text and numbers")
            receive = _again(body, receive)

        async def answered(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *HEADERS]
            await send(message)

        await self.app(scope, receive, answered)


async def refuse(send: Send, status: int, words: str) -> None:
    """Says no."""
    headers = [(b"content-type", b"text/plain; charset=utf-8"), *HEADERS]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": words.encode()})


def _host(scope: MutableMapping[str, Any]) -> str:
    named = next((value for key, value in scope["headers"] if key == b"host"), b"").decode("latin-1")
    return re.sub(r":\d+$", "", named).lower()


async def _body(receive: Receive, most: int) -> bytes | None:
    """The whole body; None where there is more of it."""
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False) and message["type"] == "http.request"
        if len(body) > most:
            return None
    return body


def _plain(body: bytes) -> bool:
    """Whether every input is text, a number or nothing."""
    try:
        told = json.loads(body)
        data = told.get("data") or []
    except (ValueError, AttributeError, RecursionError):
        return False
    return isinstance(data, list) and all(value is None or isinstance(value, (str, int, float)) for value in data)


def _again(body: bytes, receive: Receive) -> Receive:
    """The body that was read, and then whatever comes."""
    whole = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Message:
        return whole.pop() if whole else await receive()

    return next_message
