"""A comparison as a file."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..storage.atomic import write
from ..storage.paths import output_file
from . import page, terminal

if TYPE_CHECKING:
    from .result import Comparison

FORMAT = "saywhy.comparison"
VERSION = 1
ENDINGS = (".html", ".csv", ".json", ".txt")


def save(comparison: Comparison, path: Path) -> Path:
    """Write .html, .csv (one row a method and column), .json (every number of every text) or .txt; returns the path."""
    ending = output_file(path, ENDINGS).suffix.lower()
    drawn = {".html": page.page, ".csv": as_csv, ".json": as_json, ".txt": terminal.plain}[ending](comparison)
    write(path, drawn.encode("utf-8"))
    return path


def as_csv(comparison: Comparison) -> str:
    out = io.StringIO()
    records = comparison.records()
    names = ["method", "metric", "removal", "mean", "low", "high", "texts", "reversed"]
    writer = csv.DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return out.getvalue()


def as_json(comparison: Comparison) -> str:
    return json.dumps(to_dict(comparison), indent=1, allow_nan=False) + "\n"


def to_dict(c: Comparison) -> dict[str, Any]:
    """Plain data: the summary, what each method took, and every number of every text."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "settings": dict(c.settings),
        "summary": c.records(),
        "spent": {m: s._asdict() for m, s in zip(c.methods, c.spent, strict=True)},
        "rows": c.rows,
        "rows_alone": c.rows_alone,
        "columns": [col._asdict() for col in c.columns],
        "texts": [
            {m: [_number(v) for v in row] for m, row in zip(c.methods, text.tolist(), strict=True)} for text in c.values
        ],
    }


def _number(value: float) -> float | None:
    return None if value != value else value
