"""A comparison as a file, and the file that lets an interrupted one go on."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from ..errors import FileError, OptionError
from ..writing import write
from .result import Comparison
from .run import Found

FORMAT = "saywhy.comparison"
VERSION = 1
ENDINGS = (".html", ".csv", ".json", ".txt")


def save(comparison: Comparison, path: Path) -> Path:
    """Write .html, .csv (one row a method and column), .json (every number of every text) or .txt; returns the path."""
    from . import page, terminal

    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise OptionError(
            f"{path}: a comparison is saved as {', '.join(ENDINGS)}, not as {ending or 'a file without ending'!r}."
        )
    if not path.parent.is_dir():
        raise FileError(f"{path}: the folder {path.parent} does not exist.")
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


class Parts:
    """The texts that are done, one line of JSON each after a line that says what was asked."""

    def __init__(self, path: Path, asked: Mapping[str, Any]):
        self.path, self.asked = path, json.loads(json.dumps(asked, default=str))
        self.done: list[Found] = self._read() if path.exists() else []

    def _read(self) -> list[Found]:
        lines = self.path.read_text(encoding="utf-8").split("\n")
        try:
            head = json.loads(lines[0])
        except json.JSONDecodeError:
            head = None
        if not isinstance(head, dict) or head.get("format") != f"{FORMAT}.part":
            raise FileError(f"{self.path} is not an unfinished comparison; give another file to resume from.")
        if not isinstance(head.get("version"), int) or head["version"] > VERSION:
            raise FileError(
                f"{self.path} has format version {head.get('version')!r}; this saywhy reads up to {VERSION}. "
                "Update it: pip install -U saywhy"
            )
        theirs = head["asked"]
        if theirs != self.asked:
            other = sorted(k for k in {*theirs, *self.asked} if theirs.get(k) != self.asked.get(k))
            raise OptionError(
                f"{self.path} belongs to a comparison with other {', '.join(other)}: ask the same again, or give another file."
            )
        return [Found(**json.loads(line)) for line in lines[1:-1]]  # a line that was cut off has no end

    @contextmanager
    def open(self) -> Iterator[IO[str]]:
        """The file, ready for the next text: what was cut off is gone."""
        head = json.dumps({"format": f"{FORMAT}.part", "version": VERSION, "asked": self.asked})
        text = "".join(line + "\n" for line in [head, *(json.dumps(asdict(f)) for f in self.done)])
        fresh = self.path.with_name(self.path.name + ".new")
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(self.path)
        with self.path.open("a", encoding="utf-8") as file:
            yield file


def add(file: IO[str], found: Found) -> None:
    """One more text, written before the next begins."""
    file.write(json.dumps(asdict(found)) + "\n")
    file.flush()
