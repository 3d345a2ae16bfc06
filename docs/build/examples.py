"""Runs the code in pages and puts what it prints under it; a page of examples becomes a notebook as well.

A page that begins with `<!-- runs -->` is run from top to bottom in one namespace, in a folder of its own. A block's output
stands in the fenced `text` block right under it. Pictures that the code saves and the page shows go to docs/images.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent.parent
MARK = "<!-- runs -->"
BLOCK = re.compile(r"^```python\n(?P<code>.*?)^```\n(?:\n```text\n(?P<out>.*?)^```\n)?", re.M | re.S)
NUMBER = re.compile(r"[-+]?(?:\d[\d,]*\.?\d*|\.\d+)(?:e[-+]?\d+)?")
VARYING = re.compile(r"[\d.]+ s\b")  # how long it took


def executed_pages() -> list[Path]:
    """The pages that are run."""
    return [page for page in sorted(DOCS.rglob("*.md")) if page.read_text(encoding="utf-8").startswith(MARK)]


def marked(page: Path) -> list[str]:
    """The single blocks of a page that are marked to run, where the page as a whole is not."""
    text = page.read_text(encoding="utf-8") if page.is_file() else ""
    return [] if text.startswith(MARK) else re.findall(rf"{MARK}\n```python\n(.*?)^```", text, re.M | re.S)


def ran(page: Path, pictures: Path = DOCS / "images") -> str:
    """The page's text with the output that its code gives now; pictures that it shows are written."""
    text, names = page.read_text(encoding="utf-8"), {"__name__": "__main__"}
    shown = set(re.findall(r"images/([\w.]+)\)", text))

    def filled(found: re.Match[str]) -> str:
        said = run(found["code"], names)
        out = "\n".join(line.rstrip() for line in said.splitlines()).strip("\n")
        return f"```python\n{found['code']}```\n" + (f"\n```text\n{out}\n```\n" if out else "")

    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            text = BLOCK.sub(filled, text)
        finally:
            os.chdir(before)
        for name in sorted(set(os.listdir(folder)) & shown):
            shutil.copy(Path(folder) / name, pictures / name)
    return text


def run(code: str, names: dict[str, Any]) -> str:
    """What the code prints, and the value of a last expression, as a notebook shows it."""
    tree, said = ast.parse(code), io.StringIO()
    last = ast.Expression(tree.body.pop().value) if isinstance(tree.body[-1], ast.Expr) else None  # type: ignore[attr-defined]
    with contextlib.redirect_stdout(said):
        exec(compile(tree, "<page>", "exec"), names)
        value = None if last is None else eval(compile(last, "<page>", "eval"), names)
        if value is not None:
            print(repr(value))
    return said.getvalue()


def alike(one: str, other: str, near: float = 0.05) -> bool:
    """Do two texts say the same, with numbers that differ a little, and times that differ at will?"""
    one, other = VARYING.sub("… s", one), VARYING.sub("… s", other)
    if NUMBER.sub("#", _plain(one)) != NUMBER.sub("#", _plain(other)):
        return False
    pairs = zip(_numbers(one), _numbers(other), strict=True)
    return all(abs(a - b) <= near * (1 + max(abs(a), abs(b))) for a, b in pairs)


def _plain(text: str) -> str:
    """Without bars and the run of white space, which follow from the numbers."""
    return " ".join(re.sub(r"[█▉▊▋▌▍▎▏▐▕│]+", " ", text).split())


def _numbers(text: str) -> list[float]:
    return [float(found.replace(",", "").rstrip(".")) for found in NUMBER.findall(text) if found.strip("+-,.")]


def notebook(page: Path) -> str:
    """The page as a notebook: its prose, its code, and the output that stands in it."""
    text, cells, at = page.read_text(encoding="utf-8").removeprefix(MARK), [], 0
    for found in BLOCK.finditer(text):
        cells += _prose(text[at : found.start()])
        cells.append(_code(found["code"], found["out"]))
        at = found.end()
    cells += _prose(text[at:])
    for i, cell in enumerate(cells):
        cell["id"] = f"cell-{i}"
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    return json.dumps({"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}, indent=1, ensure_ascii=False) + "\n"  # fmt: skip


def _prose(text: str) -> list[dict[str, Any]]:
    text = text.strip("\n")
    return [{"cell_type": "markdown", "metadata": {}, "source": text.splitlines(keepends=True)}] if text else []


def _code(code: str, out: str | None) -> dict[str, Any]:
    said = [{"name": "stdout", "output_type": "stream", "text": out.splitlines(keepends=True)}] if out else []
    source = code.rstrip("\n").splitlines(keepends=True)
    return {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": said, "source": source}


def notebooks() -> Iterator[tuple[Path, str]]:
    """Each tutorial as a notebook: its place and its text."""
    for page in executed_pages():
        if page.parent.name == "tutorials":
            yield DOCS / "notebooks" / f"{page.stem}.ipynb", notebook(page)
