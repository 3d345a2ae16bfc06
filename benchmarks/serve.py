"""The page of `saywhy serve`: seconds to its first explanation, from a word's switch to the redrawn page, and ten users at once.

    python -m benchmarks.serve

Needs playwright and an installed Chromium. The server is a process of its own with one thread for the model.
"""

from __future__ import annotations

import json
import re
import shutil
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.common import arguments, write
from benchmarks.startup import BARE
from saywhy.serve.app import CLIENT

SHORT = "I love you, I like you, I also kinda dislike you"
LONG = " ".join(["The plot is thin and the jokes are old, but the cast is warm and I would see it again."] * 5)
WORDS = ("good", "bad", "dull", "great", "fine", "poor", "sharp", "slow", "warm", "flat")
# from the click to the frame after the number has changed
FLIP = """i => new Promise(done => {
    const words = document.querySelectorAll(".word"), started = performance.now();
    new MutationObserver((_, observer) => {
        observer.disconnect();
        requestAnimationFrame(() => setTimeout(() => done(performance.now() - started)));
    }).observe(document.querySelector(".toggle"), { childList: true, subtree: true });
    words[i].click();
})"""


@contextmanager
def server() -> Iterator[tuple[str, float]]:
    """Its address, and when it was started."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "saywhy", "serve", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as run:
        assert run.stderr is not None
        found = re.search(r"http://\S+", run.stderr.readline())
        assert found is not None
        try:
            yield found[0], started
        finally:
            run.terminate()


def first(browser: Any, rounds: int) -> list[tuple[float, float, float]]:
    """Seconds from the start of the command to its address, and to the first coloured words; of the bare work, in turn."""
    out = []
    for _ in range(rounds):
        with server() as (address, started):
            told = time.perf_counter() - started
            page = browser.new_page()
            page.goto(address)
            page.wait_for_selector(".word", timeout=60_000)
            seen = time.perf_counter() - started
            page.close()
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", BARE], check=True, capture_output=True)
        out.append((told, seen, time.perf_counter() - started))
    return out


def flips(browser: Any, address: str, text: str, many: int) -> list[float]:
    """Milliseconds from a click on a word to the page redrawn, each time with one more word off: a set that is new."""
    page = browser.new_page()
    page.goto(address)
    page.wait_for_selector(".word", timeout=60_000)
    page.fill("textarea", text)
    page.wait_for_timeout(1500)
    count = page.locator(".word").count()
    times = []
    for i in range(many):
        if i % count == 0 and i:
            page.click("text=All on")
        times.append(float(page.evaluate(FLIP, i % count)))
        page.wait_for_timeout(50)
    page.close()
    return times


def post(address: str, body: dict[str, Any]) -> Any:
    data, headers = json.dumps(body).encode(), {"Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(f"{address}api/explain", data, headers)) as answer:
        return json.load(answer)["explanations"][0]


def users(address: str, many: int, rounds: int) -> tuple[list[float], int]:
    """Seconds of each of so many users' requests, sent at once, and how many answers were not that text's own."""
    texts = [f"a {word} film, and I {verb} all of it" for word in WORDS for verb in ("love", "hate")][:many]
    alone = [post(address, {"input": text})["scores"] for text in texts]
    times: list[float] = []
    wrong = 0

    def ask(i: int) -> None:
        nonlocal wrong
        started = time.perf_counter()
        scores = post(address, {"input": texts[i]})["scores"]
        times.append(time.perf_counter() - started)
        wrong += any(abs(a - b) > 1e-5 for a, b in zip(scores, alone[i], strict=True))

    for _ in range(rounds):
        threads = [threading.Thread(target=ask, args=(i,)) for i in range(many)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return times, wrong


def p95(times: list[float]) -> float:
    return sorted(times)[min(len(times) - 1, int(0.95 * len(times)))]


def main() -> None:
    options = arguments(__doc__ or "")
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    rounds, many = (1, 5) if options.quick else (7, 200)
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        begun = first(browser, rounds)
        with server() as (address, _):
            switched = {name: flips(browser, address, text, many) for name, text in (("13 words", SHORT), ("105 words and signs", LONG))}  # fmt: skip
            waited, wrong = users(address, 10, 1 if options.quick else 10)
        browser.close()
    size = sum(file.stat().st_size for file in CLIENT.iterdir())
    rows: list[list[Any]] = [
        ["the command to its address", "s", f"{statistics.median(a for a, _, _ in begun):.2f}", f"{max(a for a, _, _ in begun):.2f}", ""],
        ["the command to the first explanation in the browser", "s", f"{statistics.median(b for _, b, _ in begun):.2f}", f"{max(b for _, b, _ in begun):.2f}", "5"],
        ["without saywhy: import torch and transformers, load the model, one call", "s", f"{statistics.median(c for _, _, c in begun):.2f}", f"{max(c for _, _, c in begun):.2f}", ""],
        *([f"a word switched to the page redrawn, {name}", "ms", f"{statistics.median(t):.0f}", f"{p95(t):.0f}", "300"] for name, t in switched.items()),
        ["an explanation with ten users at once", "s", f"{statistics.median(waited):.2f}", f"{p95(waited):.2f}", ""],
    ]  # fmt: skip
    counts = [
        ["answers with ten users at once", len(waited)],
        ["of them wrong", wrong],
        ["bytes of the client", f"{size:,}"],
    ]
    print(rows, counts)
    if not options.quick:
        write(
            "serve",
            "The page of saywhy serve",
            f"The package's model. The command is a process of its own, started {rounds} times with files already in memory; the browser, "
            f"Chromium without a window, is open already. {many} switches of each text, each to a set of words that was not asked for before; "
            "they include a model input and end with the frame after the number has changed. Users are threads that ask at once, ten times. "
            "The seconds of the start are those of a machine of two cores that other work was using too; the line without saywhy ran in turn with it.",
            {"first": begun, "switched": switched, "users": waited, "wrong": wrong, "bytes": size},
            [
                ("How long does a person wait?", ["what", "unit", "median", "95 % (of the start: the longest)", "aim"], rows),
                ("Is everybody answered rightly?", ["what", "count"], counts),
            ],
        )  # fmt: skip


if __name__ == "__main__":
    main()
