"""Makes docs/images/serve.png, the page of `saywhy serve` in a browser: `python docs/screenshot.py`. Needs playwright and Chromium."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright


def main() -> None:
    command = [sys.executable, "-m", "saywhy", "serve", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server, sync_playwright() as started:
        assert server.stderr is not None
        address = re.search(r"http://\S+", server.stderr.readline())
        assert address is not None
        browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1000, "height": 1000})
        page.goto(address[0])
        page.wait_for_selector("option[value=kernel_shap]", state="attached", timeout=60_000)
        page.locator("label:has-text('Method') select").first.select_option("kernel_shap")
        page.wait_for_selector("path.arc", state="attached")
        page.locator(".word").nth(1).click()
        page.wait_for_selector(".toggle b")
        page.mouse.move(5, 5)
        page.screenshot(path=Path(__file__).parent / "images" / "serve.png")
        server.terminate()


if __name__ == "__main__":
    main()
