"""The pages of methods: one for each row of METHODS, and their table."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from saywhy.methods import METHODS, Method

from .formulas import LEGEND, TOLD

DOCS = Path(__file__).parent.parent
MEASURED = DOCS / "benchmarks" / "faithfulness.json"
MODELS = {"teacher": "MiniLM, fine-tuned", "package": "the package's model", "decoder": "a small decoder"}
LABELS = {"integrated_gradients": "integrated_gradients, 50 steps", "integrated_rules": "integrated_rules, libra, 2",
          "shapley_sampling": "shapley_sampling, 16 orders"}  # fmt: skip


def measured() -> dict[str, Any]:
    """model -> the faithfulness of each recipe on it."""
    found = json.loads(MEASURED.read_text(encoding="utf-8"))
    return {name: found[name]["recipes"] for name in MODELS if name in found}


def pages() -> Iterator[tuple[Path, str]]:
    """Each page's place and text."""
    yield DOCS / "methods" / "index.md", index()
    for method in METHODS.values():
        yield DOCS / "methods" / f"{method.name}.md", page(method)


def index() -> str:
    lines = [
        "# Methods",
        "",
        "Every method answers the same question of the same two numbers, the value with everything present and the base with "
        "everything absent, and asks the model in its own way. [Choosing one](../choosing.md) rests on measurements. "
        "`saywhy methods` prints this table.",
        "",
        "| method | what comes out | cost a text | adds up |",
        "| --- | --- | --- | --- |",
    ]
    for m in METHODS.values():
        lines.append(f"| [{m.name}]({m.name}.md) | {m.summary} | {m.cost} | {'yes' if m.complete else ''} |")
    lines += ["", "F is a forward, B a backward pass over one row, n the number of features.", ""]
    return "\n".join(lines)


def page(method: Method) -> str:
    """What a reader must know of one method."""
    told, options = TOLD[method.name], method.options
    doc = (inspect.getdoc(method.function) or "").split("\n\n", 1)
    ways = dict.fromkeys(("gradient", "guided"), "a model with gradients")
    needs = {**ways, "attention": f"a model with {method.needs}"}.get(
        method.family, "nothing of the model: any callable will do" if method.family == "coalition" else "nothing"
    )
    lines = [f"# {method.name}", "", doc[0].replace("\n", " "), ""]
    lines += ["| | |", "| --- | --- |", f"| Cost a text | {method.cost} |"]
    lines += [f"| Scores add up to value - base | {'yes' if method.complete else 'no'} |", f"| Needs | {needs} |"]
    lines += [f"| Source | {method.source} |", f"| Take it | {told.take} |", ""]
    lines += [
        "## Formula",
        "",
        "```text",
        told.formula,
        "```",
        "",
        *_detail(doc),
        "## When it misleads",
        "",
        told.misleads,
        "",
    ]
    lines += ["## Options", ""]
    if options:
        shown = {name: json.dumps(value) if isinstance(value, str) else str(value) for name, value in options.items()}
        given = ", ".join(f"{name}={value}" for name, value in shown.items())
        lines += ["The defaults:", "", "```python", f'explainer(text, method="{method.name}", {given})', "```", ""]
    else:
        lines += ["None of its own.", "", "```python", f'explainer(text, method="{method.name}")', "```", ""]
    lines += _figures(method.name)
    lines += ["## The letters", "", "```text", LEGEND, "```", ""]
    return "\n".join(lines)


def _detail(doc: list[str]) -> list[str]:
    return [" ".join(doc[1].split()), ""] if len(doc) > 1 else []


def _figures(name: str) -> list[str]:
    """Its place in the benchmark of faithfulness, where it was in it."""
    label, rows = LABELS.get(name, name), []
    for key, recipes in measured().items():
        if label in recipes:
            one, order = recipes[label], sorted(recipes, key=lambda r: -recipes[r]["area"])
            low, high = one["interval"]
            rows.append(f"| {MODELS[key]} | {one['area']:.2f} ({low:.2f} to {high:.2f}) | {order.index(label) + 1} of {len(order)} "
                        f"| {one['forwards']:.0f} F, {one['backwards']:.0f} B | {one['seconds']:.3f} |")  # fmt: skip
    if not rows:
        return ["## Measured", "", "Not in the [benchmark of faithfulness](../benchmarks/faithfulness.md): measure it on your own texts with "
                f"`saywhy compare texts.csv --text COLUMN --methods {name}`.", ""]  # fmt: skip
    head = [
        "| model | removal area, 95 % | place | rows a sentence | s a sentence |",
        "| --- | --- | --- | --- | --- |",
    ]
    return ["## Measured", "", f"As `{label}` in the [benchmark of faithfulness](../benchmarks/faithfulness.md); a higher area is better.", "", *head, *rows, ""]  # fmt: skip
