"""The server: the page in each language, and what was learned for download."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from weakref import WeakValueDictionary

import gradio  # pyright: ignore[reportMissingImports]
import uvicorn  # pyright: ignore[reportMissingImports]
from fastapi import FastAPI, Request, Response  # pyright: ignore[reportMissingImports]
from fastapi.responses import PlainTextResponse, RedirectResponse  # pyright: ignore[reportMissingImports]
from gradio.themes import Default  # pyright: ignore[reportMissingImports]

from quickstudy.playground.address import LOCAL
from quickstudy.playground.door import Door
from quickstudy.playground.drawing import stylesheet
from quickstudy.playground.learning import FOLDER, Learned, Workshop, archive
from quickstudy.playground.page import FIRST, Page
from quickstudy.playground.sentences import LARGEST, typed
from quickstudy.playground.sinusoid import Curves
from quickstudy.playground.words import LANGUAGES, TAGS, Say, preferred

MOST = 2 * LARGEST * 1_000_000
"""Bytes in a request: a file in base64, or sentences with their marks escaped."""
USERS = 100
"""Whose learning is kept; beyond them that of whoever came first goes."""
FONTS = (
    "system-ui",
    "-apple-system",
    "Segoe UI",
    "Noto Sans",
    "PingFang SC",
    "Microsoft YaHei",
    "Noto Sans CJK SC",
    "sans-serif",
)
CODE_FONTS = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "DejaVu Sans Mono", "monospace")


def serve(listening: socket.socket, folder: Path | None, ready: Callable[[str], None]) -> None:
    """Serves the page until it is interrupted.

    Args:
        listening: where.
        folder: a classifier to open.
        ready: told the page's address, once it is there.

    Raises:
        QuickstudyError: the folder is no classifier of sentences, or the encoder is not here.
    """
    host, port = listening.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    with TemporaryDirectory() as place:
        os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_TEMP_DIR": place}
        door = Door(application(folder), LOCAL if host in LOCAL else (), MOST)
        config = uvicorn.Config(door, log_level="warning", lifespan="on", timeout_graceful_shutdown=1)
        _Server(config, lambda: ready(f"http://{shown}:{port}")).run(sockets=[listening])


class _Server(uvicorn.Server):
    """One that says when it is there."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]):
        super().__init__(config)
        self.ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.ready()


def application(folder: Path | None) -> FastAPI:
    """The page at /en/ and /zh/, the browser's language from /, and downloads at /clf/; everything loaded and tried once.

    Args:
        folder: a classifier to open.
    """
    workshop, curves, shelf = Workshop(), Curves(), WeakValueDictionary[str, Learned]()
    opened = (folder, workshop.open(folder)) if folder else None
    for language, model in FIRST.items():  # so that nobody's first sentence waits for what is loaded on first use
        say = Say(language)
        workshop.learn(typed(say("example"), say), model)
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/")
    def begin(request: Request) -> Response:
        language = preferred(request.headers.get("accept-language", ""))
        return RedirectResponse(f"{language}/")

    @app.get("/manifest.json")
    def manifest() -> dict[str, str]:
        return {"name": Say("en")("title")}

    @app.get("/favicon.ico")
    def icon() -> Response:
        return Response(status_code=204)

    @app.get("/clf/{token}")
    def download(token: str, request: Request) -> Response:
        learned = shelf.get(token)
        if learned is None:
            say = Say(preferred(request.headers.get("accept-language", "")))
            return PlainTextResponse(say("gone"), status_code=404)
        named = {"content-disposition": f'attachment; filename="{FOLDER}.zip"'}
        return Response(archive(learned), media_type="application/zip", headers=named)

    for language in LANGUAGES:
        blocks = Page(Say(language), workshop, shelf, curves, opened).blocks()
        blocks.has_launched = True  # else Gradio, when it is mounted, does not check the paths that clients name
        blocks.state_session_capacity = USERS
        app = gradio.mount_gradio_app(
            app,
            blocks,
            path=f"/{language}",
            footer_links=[],
            run_history=False,
            show_error=False,
            ssr_mode=False,
            pwa=False,
            enable_monitoring=False,
            mcp_server=False,
            theme=Default(primary_hue="blue", font=FONTS, font_mono=CODE_FONTS),
            css=stylesheet(),
            head=f'<script>document.documentElement.lang = "{TAGS[language]}"</script>',
            js=LIVE,
        )
    return app


LIVE = """() => {
  for (const id of ["status", "answer", "accuracy", "more"])
    document.getElementById(id)?.setAttribute("aria-live", "polite");
}"""
"""What changes by itself is read out by screen readers."""
