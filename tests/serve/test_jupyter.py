"""The widget in JupyterLab, in a real browser: it shows, colours, and switches words off and on.

Skipped where JupyterLab or the browser is missing: neither is in the extra `test`, `pip install jupyterlab anywidget` brings it.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time

import pytest

pytest.importorskip("jupyterlab")
pytest.importorskip("anywidget")
pytest.importorskip("ipykernel")
pytest.importorskip("playwright.sync_api")

import chromium
import saywhy

pytestmark = chromium.needed
TEXT = "I love you, I like you, I also kinda dislike you"
CELL = f"import saywhy\nexplainer = saywhy.Explainer()\nexplainer.widget({TEXT!r})"


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The address of a notebook with the widget's cell, in a JupyterLab of its own."""
    folder = tmp_path_factory.mktemp("lab")
    cell = {"cell_type": "code", "id": "one", "execution_count": None, "metadata": {}, "outputs": [], "source": CELL}
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    notebook = {"cells": [cell], "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}
    (folder / "why.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", "--port=0"]
    own = {f"JUPYTER_{name}_DIR": str(folder / name) for name in ("CONFIG", "RUNTIME")}
    environment = {**os.environ, **own, "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings")}
    log = folder / "log"
    with (
        log.open("w") as written,
        subprocess.Popen(
            [*command, f"--ServerApp.root_dir={folder}", "--IdentityProvider.token=letmein"],
            stderr=written, stdout=written, env=environment,
        ) as run,
    ):  # fmt: skip
        try:
            while run.poll() is None and not (found := re.search(r"http://127\.0\.0\.1:\d+/", log.read_text())):
                time.sleep(0.05)
            assert run.poll() is None, log.read_text()
            yield f"{found[0]}lab/tree/why.ipynb?token=letmein"
        finally:
            run.terminate()


def test_the_widget_in_a_notebook(lab, tmp_path):
    expected = saywhy.Explainer()(TEXT)
    with chromium.launched() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        wrong = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(lab)
        page.locator(".jp-Notebook .cm-content").first.click(timeout=60_000)
        page.locator("text=/Idle/").first.wait_for(state="attached", timeout=60_000)  # the kernel is there
        page.keyboard.press("Shift+Enter")
        shown = page.locator(".jp-OutputArea .saywhy")
        shown.locator(".word").first.wait_for(timeout=120_000)
        words = shown.locator(".word")
        assert words.all_inner_texts() == list(expected.words)
        strongest = words.nth(int(abs(expected.scores).argmax()))
        assert strongest.evaluate("e => e.style.getPropertyValue('--a')") == "1.000"
        assert strongest.evaluate("e => getComputedStyle(e).backgroundColor") not in (
            "rgba(0, 0, 0, 0)",
            "rgb(255, 255, 255)",
        )
        before = shown.locator("h2").inner_text()
        words.nth(1).click()
        shown.locator(".toggle b").wait_for()
        whole = saywhy.Explainer()(TEXT, method="occlusion", target="POSITIVE", trust="none")
        now = float(shown.locator(".toggle b").inner_text().split()[0].replace("−", "-").replace("+", ""))
        assert now == pytest.approx(whole.value - whole.scores[1], rel=0.01)
        assert words.nth(1).get_attribute("aria-pressed") == "false"
        words.nth(1).focus()
        page.keyboard.press("Space")  # the notebook's own keys leave the widget's alone
        shown.locator("text=All words are on").wait_for()
        assert words.nth(1).get_attribute("aria-pressed") == "true"
        assert shown.locator("h2").inner_text() == before
        shown.locator("textarea").first.fill("A dull, predictable mess")
        shown.locator("h2:has-text('NEGATIVE')").wait_for()
        with page.expect_download() as waiting:
            shown.locator("button:text-is('JSON')").click()
        waiting.value.save_as(tmp_path / "why.json")
        assert saywhy.load(tmp_path / "why.json").words == ("A", "dull", ",", "predictable", "mess")
        assert not wrong
