"""Draws docs/corpus.md's pictures, parts of the report of a corpus with a planted shortcut, in a browser.

    python -m docs.corpus_pictures --cache .cache

The model is the one of `benchmarks/planted.py`, which is trained where it is not in the cache. Needs playwright and Chromium.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from benchmarks.planted import trained
from playwright.sync_api import sync_playwright

import saywhy
from saywhy import corpus

HERE = Path(__file__).parent / "images"
PARTS = {  # picture -> the heading of its part, and how many pixels of the part it shows
    "corpus_report": (None, 780),
    "corpus_errors": ("Errors", 420),
    "corpus_slices": ("Slices", 560),
}
WIDE = 1320  # pixels


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cache", type=Path, default=Path(".cache"))
    model, sentences = trained(parser.parse_args().cache)
    with tempfile.TemporaryDirectory() as folder:
        explainer = saywhy.Explainer(str(model))
        explainer.model.name = model.name  # the page shall not say where it lies
        done = corpus.run(explainer, sentences, Path(folder) / "reviews-why", text="text", method="libra")
        found = corpus.report(done, label="label", by_columns=["source"])
        print(found)
        page = found.save(Path(folder) / "report.html")
        with sync_playwright() as started:
            browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            tab = browser.new_page(viewport={"width": WIDE, "height": 900})
            tab.goto(page.as_uri())
            tab.locator("section summary:has-text('texts')").first.click()  # the texts of the first suspect
            for name, (heading, most) in PARTS.items():
                top = 0.0
                if heading is not None:
                    top = tab.locator(f"section:has(> h2:text-is('{heading}'))").bounding_box()["y"] - 8
                clip = {"x": 0, "y": top, "width": WIDE, "height": most}
                tab.screenshot(path=HERE / f"{name}.png", full_page=True, clip=clip)
            browser.close()


if __name__ == "__main__":
    main()
