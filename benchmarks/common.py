"""What the benchmarks share: the real classifier and sentences, paired timing, and the report as JSON and Markdown."""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from benchmarks.demo_model import make

DOCS = Path(__file__).parent.parent / "docs" / "benchmarks"


def arguments(description: str, shapiq: bool = False) -> argparse.Namespace:
    """`--cache` (downloads and the fine-tuned model, outside git) and `--quick`; `--shapiq` where that peer is measured."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--cache", type=Path, default=Path(".cache"), help="where downloads and the fine-tuned model are kept"
    )
    parser.add_argument("--quick", action="store_true", help="a small run to see that it works; nothing is written")
    if shapiq:
        parser.add_argument(
            "--shapiq", metavar="PYTHON", help="an interpreter that has shapiq; without it it is left out"
        )
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    return options


def real(cache: Path) -> tuple[Any, Any, list[str]]:
    """The fine-tuned MiniLM, its tokenizer, and the held-out movie sentences."""
    model, tokenizer = make.teacher(cache)
    _, held_out = make.movies(cache)
    return model.eval(), tokenizer, list(held_out.texts)


def kept(file: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What was measured before, from its file, or now: a run that was stopped goes on. For what does not depend on the hour."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(make()), encoding="utf-8")
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def seconds(work: Callable[[], Any], clock: Callable[[], float] = time.perf_counter) -> float:
    started = clock()
    work()
    return clock() - started


def paired(
    a: Callable[[int], Any], b: Callable[[int], Any], rounds: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, Any]:
    """Times a(i) and b(i) in turn, i = 0 .. rounds - 1, after one warm-up each; seconds and the ratio a / b pair by pair.

    `clock=time.process_time` with one thread measures the work alone, on a machine that others use too.
    """
    a(0)
    b(0)
    pairs = []
    for i in range(rounds):
        first, second = (a, b) if i % 2 == 0 else (b, a)
        times = {
            id(first): seconds(lambda work=first, i=i: work(i), clock),
            id(second): seconds(lambda work=second, i=i: work(i), clock),
        }
        pairs.append((times[id(a)], times[id(b)]))
    ratios = [x / y for x, y in pairs]
    return {
        "a": statistics.median(x for x, _ in pairs),
        "b": statistics.median(y for _, y in pairs),
        "ratio": statistics.median(ratios),
        "least": min(ratios),
        "most": max(ratios),
        "rounds": rounds,
    }


def machine() -> dict[str, Any]:
    packages = ("saywhy", "torch", "transformers", "captum", "shap")
    return {
        "date": date.today().isoformat(),
        "processor": f"{platform.machine()}, {torch.get_num_threads()} threads, no GPU used",
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }


def write(
    name: str, title: str, about: str, results: dict[str, Any], tables: Sequence[tuple[str, list[str], list[list[Any]]]]
) -> None:
    """`docs/benchmarks/NAME.json` and `.md`: the tables, each with its question, and the machine they were measured on."""
    DOCS.mkdir(parents=True, exist_ok=True)
    about_machine = machine()
    (DOCS / f"{name}.json").write_text(
        json.dumps({"machine": about_machine, **results}, indent=1) + "\n", encoding="utf-8"
    )
    lines = [f"# {title}", "", about, ""]
    for question, head, rows in tables:
        lines += [f"## {question}", "", "| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
        lines += ["| " + " | ".join(_shown(cell) for cell in row) + " |" for row in rows] + [""]
    lines += [
        f"Measured by `python -m benchmarks.{name}`: " + "; ".join(f"{k} {v}" for k, v in about_machine.items()) + ".",
        "",
    ]
    text = "\n".join(lines)
    (DOCS / f"{name}.md").write_text(text, encoding="utf-8")
    print(text)


def _shown(cell: Any) -> str:
    return f"{cell:.3g}" if isinstance(cell, float) else str(cell)
