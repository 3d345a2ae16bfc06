"""The browser of the tests: the Chromium that is installed, driven by playwright, and the rules of axe-core."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")  # the same as in .ci/run
PATH = next(filter(None, map(shutil.which, NAMES)), None)
# root may not use the sandbox, and containers often have 64 MB of /dev/shm, too little for a page
ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage"]

needed = pytest.mark.skipif(PATH is None, reason=f"none of {', '.join(NAMES)} is on the PATH")


@contextmanager
def launched() -> Iterator[Any]:
    """A browser without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=PATH, args=ARGUMENTS)
        yield browser
        browser.close()


def violations(page: Any) -> list[Any]:
    """What axe-core finds on a page: the rule and the elements. Asked by the debugger, which no policy of the page stops."""
    page.evaluate((resources.files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8"))
    asked = "axe.run().then(r => r.violations.map(v => [v.id, v.nodes.map(n => n.html.slice(0, 90))]))"
    return list(page.evaluate(asked))
