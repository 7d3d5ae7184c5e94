"""How long the playground takes: to learn 50 sentences and answer one, to be usable in a browser; how right its forecast is;
and whether everything is answered.

OMP_NUM_THREADS=2 python benchmarks/playground.py [learn | page | forecast | answers]     (two free cores; five rounds, medians)

learn: 10 labels of 5 sentences of helpdesk, drawn by the round's number, and one new sentence, as the page does it; nothing is in
the cache on disk. page: Chromium with an empty cache, from asking for the address of a server that has said it is ready to the
moment at which the box and the button are there. Both print the processor's seconds too, which other work on the machine
changes less. forecast: what the page says one more sentence a label would bring, beside what one more did bring, on 40 tasks of
10 labels of banking77 with 5 sentences each. answers: a file is dropped, learned and asked about, 100 times, each as soon as the
page shows the answer before; how often nothing comes within 20 seconds.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROUNDS, TASKS, CLICKS = 5, 40, 100
LABELS, SHOTS = 10, 5
CHROMIUM = "/usr/bin/chromium"


def learn() -> None:
    """Wall-clock and processor seconds until the answer is there, and until the accuracy is."""
    os.environ["QUICKSTUDY_CACHE"] = "off"
    from quickstudy import Episodes, Table
    from quickstudy.playground.learning import Workshop
    from quickstudy.playground.sentences import typed
    from quickstudy.playground.words import Say

    workshop, say = Workshop(), Say("en")
    workshop.learn(typed(say("example"), say), "minilm")  # as the server does before it says that it is ready
    rounds = []
    for seed in range(ROUNDS):
        (task,) = Episodes(Table.read("helpdesk"), ways=LABELS, shots=SHOTS, queries=1, seed=seed)[0]
        table = Table(task.support.inputs, task.support.targets)
        begun, busy = time.perf_counter(), time.process_time()
        learned = workshop.learn(table, "minilm")
        workshop.answer(learned, task.query.inputs[0])
        answered = time.perf_counter() - begun, time.process_time() - busy
        workshop.measured(learned)
        rounds.append((*answered, time.perf_counter() - begun, time.process_time() - busy))
    names = ("answered", "answered, processor", "measured", "measured, processor")
    print(
        json.dumps({name: round(statistics.median(each), 2) for name, each in zip(names, zip(*rounds, strict=True), strict=True)})
    )


@contextmanager
def opened() -> Iterator[tuple[Any, str, int]]:
    """A browser, and the address and the process of a server that has said it is ready."""
    from playwright.sync_api import sync_playwright  # pyright: ignore[reportMissingImports]

    command = [sys.executable, "-m", "quickstudy", "playground", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server, sync_playwright() as playwright:
        assert server.stdout is not None
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        browser.new_page().goto("about:blank")
        try:
            yield browser, server.stdout.readline().split()[0], server.pid
        finally:
            browser.close()
            server.terminate()


def page() -> None:
    """Seconds until the page can be used, and the processor's in the server and in the browser."""
    rounds = []
    with opened() as (browser, address, server):
        for _ in range(ROUNDS):
            tab = browser.new_context().new_page()
            begun, busy = time.perf_counter(), _busy(server)
            tab.goto(address, wait_until="commit")
            tab.locator("#box textarea").wait_for()
            tab.locator("#learn").click(trial=True)
            rounds.append((time.perf_counter() - begun, _busy(server) - busy))
            tab.context.close()
    usable, busy = (round(statistics.median(each), 2) for each in zip(*rounds, strict=True))
    print(json.dumps({"usable": usable, "first": round(rounds[0][0], 2), "processor, server": busy}))


def answers() -> None:
    """How often something that is dropped, pressed or typed stays without an answer."""
    from playwright.sync_api import TimeoutError as NoAnswer  # pyright: ignore[reportMissingImports]

    missing, asked, tab = 0, 0, None
    with opened() as (browser, address, _):
        for number in range(CLICKS):
            if tab is None:
                tab = browser.new_context().new_page()
                tab.set_default_timeout(20_000)
                tab.goto(address)
                tab.locator("#box textarea").wait_for()
            count = 3 + number % 2
            rows = "".join(f"rain {i},wet {number}\n" for i in range(count - 1))
            file = f"text,label\nsun,dry {number}\n{rows}".encode()
            try:
                asked += 1
                tab.set_input_files("#drop input", {"name": "a.csv", "mimeType": "text/plain", "buffer": file})
                tab.wait_for_selector(f"#status >> text=a.csv: {count} sentences")
                asked += 1
                tab.click("#learn")
                tab.wait_for_selector(f"#status >> text=Learned 2 labels from {count} sentences")
                asked += 1
                tab.fill("#sentence input, #sentence textarea", f"sun {number}")
                tab.wait_for_selector(f"#answer >> text=dry {number}")
            except NoAnswer:
                missing += 1
                tab.context.close()
                tab = None
    print(json.dumps({"asked": asked, "without an answer": missing}))


def forecast() -> None:
    """What is forecast and what comes, in points of accuracy."""
    import numpy as np

    from quickstudy import Batch, Episodes, Table
    from quickstudy.playground.learning import Workshop

    banking, workshop, forecasts, gains = Table.read("banking77"), Workshop(), [], []
    for task in Episodes(banking, ways=LABELS, shots=SHOTS + 1, queries=60, tasks=TASKS)[0]:
        table = Table(task.support.inputs, task.support.targets)
        rows = [row for label in table.classes for row in table.rows_of(label)[:SHOTS]]
        fewer = Table([table.texts[i] for i in rows], [table.labels[i] for i in rows])
        learned = workshop.learn(fewer, "minilm")
        curve = workshop.curve(learned)
        assert curve is not None
        more = learned.learner.adapt(Batch(table.texts, table.labels))
        now, then = (task.score(adapted)["accuracy"] for adapted in (learned.adapted, more))
        forecasts.append(100 * curve.gain)
        gains.append(100 * (then - now))
    off = np.abs(np.subtract(forecasts, gains))
    numbers = {
        "forecast": np.mean(forecasts),
        "came": np.mean(gains),
        "off": off.mean(),
        "off by as much as that came": np.std(gains),
    }
    print(json.dumps({name: round(float(number), 2) for name, number in numbers.items()}))


def _busy(pid: int) -> float:
    """Seconds that a process has computed."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    for each in sys.argv[1:] or ["learn", "page", "forecast", "answers"]:
        {"learn": learn, "page": page, "forecast": forecast, "answers": answers}[each]()
