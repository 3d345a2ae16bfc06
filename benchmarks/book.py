"""The book of benchmarks: docs/benchmarks.md, put together from the pages that the scripts wrote, with no measurement."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs"
NOT_MEASURING = (
    "__init__",
    "__main__",
    "book",
    "common",
    "planted",
    "applicants",
    "threads",
    "attack",
    "retrieval",
    "games",
    "estimators",
)
ABOUT = """# The benchmark book

Every figure in this documentation and in the README comes from one of these pages. `python -m benchmarks` runs the scripts one
after the other, each in a process of its own, beside the peers on the same machine, and writes this book; `--only NAME` runs one,
`--quick` tries that all of them work, `--book` writes the book again from what was measured.

Peers run at their defaults and at the best settings known to us, and each page says which. Times are ratios of runs in turn, with
their spread, because a machine that others use too gives no steady seconds. Losses stand beside wins.

"""


def scripts() -> dict[str, str]:
    """name -> what it asks: every script here, by the first line of its docstring."""
    out = {}
    for path in sorted(HERE.glob("*.py")):
        if path.stem not in NOT_MEASURING:
            doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or path.stem
            out[path.stem] = doc.split("\n")[0].rstrip(".")
    return out


def pages() -> Iterator[tuple[Path, str]]:
    """The book's place and text."""
    written = {path.stem: path.read_text(encoding="utf-8") for path in sorted((DOCS / "benchmarks").glob("*.md"))}
    lines = [ABOUT + "| chapter | it asks | measured | on | with |", "| --- | --- | --- | --- | --- |"]
    asks = scripts()
    for name, text in written.items():
        machine = _machine(name)
        with_ = ", ".join(f"{key} {machine[key]}" for key in machine if key not in ("date", "processor"))
        title = f"[{_title(text)}](benchmarks/{name}.md)"
        row = [title, asks.get(name, ""), machine.get("date", "?"), machine.get("processor", "?"), with_]
        lines.append("| " + " | ".join(row) + " |")
    missing = [name for name in asks if name not in written]
    if missing:
        lines += ["", f"Not measured yet: {', '.join(missing)}."]
    for text in written.values():
        lines += ["", _chapter(text)]
    yield DOCS / "benchmarks.md", "\n".join(lines).rstrip("\n") + "\n"


def _machine(name: str) -> dict[str, Any]:
    path = DOCS / "benchmarks" / f"{name}.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")).get("machine", {}) if path.is_file() else {}
    return found


def _title(text: str) -> str:
    return text.split("\n", 1)[0].lstrip("# ").strip()


def _chapter(text: str) -> str:
    """A page as a chapter: headings one level down, links from where the book stands."""
    body = re.sub(r"^(#+ )", r"#\1", text.rstrip("\n"), flags=re.M)
    body = re.sub(r"\]\((\w+\.md)", r"](benchmarks/\1", body)
    return re.sub(r"\]\(\.\./([^)]+)\)", r"](\1)", body)
