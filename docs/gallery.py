"""Draws docs/pages.md's pictures: every kind of page, at 1280 and at 400 pixels, light and dark, by a real browser.

    python docs/gallery.py

Needs Chromium and the extra `browser`. What axe-core finds is printed, and it is expected to find nothing.
The models are the package's own and, for prompts and citations, the one of the tests that answers by a rule.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from collections.abc import Callable
from importlib import resources
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import saywhy
from saywhy import corpus
from saywhy.llm import Template, in_context, probe

ROOT = Path(__file__).parents[1]
HERE = Path(__file__).parent / "images"
TEXTS = [
    "A dull, predictable mess",
    "One of the best films of this year",
    "not bad at all",
    "A wonderful, inspiring end",
    "Great acting, but a weak story",
]
WIDE, PHONE, TALL = 1280, 400, 860  # pixels


def pages() -> dict[str, Callable[[Path], Any]]:
    """Name of a page -> what writes it."""
    explainer, language = saywhy.Explainer(), by_rule()
    text = "I love you, I like you, I also kinda dislike you"
    slots = {"city": ["Bora", "Calby", "Dunden"], "other": ["Eskham", "Calby"]}
    values = {"city": "Bora", "other": "Calby"}
    prompt, goal = "Ban: {city}. Filo: {other}. Ban:", " Bora."
    template = Template(prompt, values, {"city": ["Calby", "Dunden"], "other": ["Eskham"]})
    answer = "Filo: Dunden. Ban: Bora. Gomis: Calby."
    documents = ["Filo: Dunden. Ban: Bora. Gomis: Eskham.", "Dera: Calby. Ban: Bora."]
    methods = ["kernel_shap", "libra", "occlusion", "saliency", "random"]
    tokens, asked = {"prompt": template, "continuation": goal}, "{documents}\nWhere is {question}?"
    return {
        "explanation": lambda path: explainer(text, method="kernel_shap").save(path),
        "targets": lambda path: explainer.each_target("A dull, predictable mess, but not the worst").save(path),
        "inputs": lambda path: explainer(TEXTS[:3], method="occlusion").save(path),
        "image": lambda path: spotted().save(path),
        "comparison": lambda path: saywhy.compare(explainer, TEXTS, methods, progress=False).save(path),
        "report": report,
        "slots": lambda path: language(template, target=goal).save(path),
        "tokens": lambda path: in_context(language.each_target(tokens, method="shapley_values")).save(path),
        "probe": lambda path: probe(language, prompt, slots, goal, progress=False).save(path),
        "citations": lambda path: saywhy.cite(language, "Ban", documents, answer, prompt=asked).save(path),
    }


def by_rule() -> Any:
    """A language model that says what an earlier sentence names."""
    sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "llm")]
    from lookup import lookup

    return saywhy.Explainer(*lookup(), task="text-generation")


def spotted() -> Any:
    """A small vision model with random weights: what a page says of scores that are not to be believed."""
    from pictures import photo, tiny

    model, processor = tiny("vit")
    return saywhy.Explainer((model, processor))(np.asarray(photo()), method="occlusion")


def report(path: Path) -> None:
    """A corpus of made-up reviews, every fifth of which ends in the word "zorp"."""
    draw = random.Random(0)
    words = [
        "good",
        "great",
        "dull",
        "bad",
        "film",
        "story",
        "acting",
        "end",
        "start",
        "mess",
        "wonderful",
        "with",
        "of",
    ]
    with tempfile.TemporaryDirectory() as folder:
        table, output = Path(folder) / "reviews.csv", Path(folder) / "reviews"
        rows = [
            f"{' '.join(draw.sample(words, 6))}{' zorp' if i % 5 == 0 else ''},{draw.choice(['POSITIVE', 'NEGATIVE'])}"
            for i in range(200)
        ]
        table.write_text("\n".join(["text,label", *rows]), encoding="utf-8")
        corpus.run(saywhy.Explainer(), table, output, method="libra", trust_share=0.3, progress=False)
        corpus.report(output, label="label").save(path)


def drawn(browser: Any, file: Path, axe: str) -> Image.Image:
    """The page four times beside each other: wide and on a phone, light and dark."""
    shots = []
    for width in (WIDE, PHONE):
        for scheme in ("light", "dark"):
            page = browser.new_page(viewport={"width": width, "height": TALL}, color_scheme=scheme, bypass_csp=True)
            page.goto(file.as_uri())
            wide = page.evaluate("document.documentElement.scrollWidth")
            found = page.evaluate(f"async () => {{ {axe}; return (await axe.run()).violations.map(v => v.id) }}")
            print(f"{file.stem} {width} {scheme}: {wide} wide, axe {found}")
            shots.append(Image.open(BytesIO(page.screenshot())).convert("RGB"))
            page.close()
    scale = 0.5
    whole = Image.new("RGB", (int(2 * (WIDE + PHONE) * scale) + 30, int(TALL * scale)), "#888888")
    x = 0
    for shot in (shots[0], shots[2], shots[1], shots[3]):
        small = shot.resize((int(shot.width * scale), int(shot.height * scale)), Image.Resampling.LANCZOS)
        whole.paste(small, (x, 0))
        x += small.width + 10
    return whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only")
    options = parser.parse_args()
    from playwright.sync_api import sync_playwright

    axe = (resources.files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as started:
        browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name, make in pages().items():
            if options.only in (None, name):
                file = Path(folder) / f"{name}.html"
                make(file)
                drawn(browser, file, axe).save(HERE / f"page_{name}.webp", quality=72, method=6)
        browser.close()


if __name__ == "__main__":
    main()
