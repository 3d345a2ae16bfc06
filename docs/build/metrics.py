"""The page of metrics, from METRICS."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

from saywhy.metrics import METRICS

DOCS = Path(__file__).parent.parent
FAMILIES = {
    "removal": "What happens to the target when features go in the order of their scores. The number depends on how they are removed, "
    "so `saywhy.compare` asks in two ways.",
    "scores": "Read off the scores themselves.",
    "stability": "How far the scores move when they should not.",
    "human": "How far the scores and a person's marks agree. That is plausibility: people need not give the model's reasons.",
}


def pages() -> Iterator[tuple[Path, str]]:
    """The page's place and text."""
    lines = [
        "# Metrics",
        "",
        "How far to believe scores. No metric is the truth: each has something it cannot show, and it stands beside it. "
        "[Comparing methods](tutorials/comparing.md) uses them on texts of your own; `saywhy metrics` prints this list.",
        "",
        "| metric | better | family |",
        "| --- | --- | --- |",
        *(f"| [{m.name}](#{m.name}) | {m.better or 'neither'} | {m.family} |" for m in METRICS.values()),
        "",
    ]
    for family, about in FAMILIES.items():
        lines += [f"## Of {family}", "", about, ""]
        for m in METRICS.values():
            if m.family == family:
                doc = [" ".join(part.split()) for part in (inspect.getdoc(m.function) or "").split("\n\n")]
                lines += [f"### {m.name}", "", *"\n\n".join(doc).split("\n"), ""]
                lines += [f"Better: {m.better or 'neither'}. What it cannot show: {m.blind}.", ""]
    yield DOCS / "metrics.md", "\n".join(lines)
