"""Rows of a file, one after the other, in constant memory: text, CSV, TSV, JSON Lines, Parquet."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..core.errors import FileError, InputError, missing, unknown


class Broken(dict[str, Any]):
    """A row that cannot be explained, and the reason; one that could not even be read has no columns."""

    def __init__(self, reason: str, columns: Mapping[str, Any] | None = None):
        super().__init__(columns or {})
        self.reason = reason


ENDINGS = (".txt", ".csv", ".tsv", ".jsonl", ".parquet")


def rows(path: Path, lenient: bool = False) -> Iterator[dict[str, Any]]:
    """One mapping a row: a text file's lines are its column "text". Raises FileError for a file that cannot be read.

    `lenient` gives `Broken` in the place of a line that is not JSON or has too many cells, and goes on.
    """
    if not path.is_file():
        raise FileError(f"{path}: there is no such file.")
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise FileError(f"{path}: a file of texts ends in {', '.join(ENDINGS)}, not in {ending or 'nothing'!r}.")
    try:
        read = {".txt": _lines, ".csv": _table, ".tsv": _table, ".jsonl": _json, ".parquet": _parquet}[ending]
        for row in read(path):
            if isinstance(row, Broken) and not lenient:
                raise FileError(f"{path}, {row.reason}")
            yield row
    except UnicodeDecodeError as error:
        raise FileError(f"{path} is not UTF-8 text: {error}. Convert it first, for example with iconv.") from None


def texts(path: Path, column: str | None, limit: int | None = None) -> list[str]:
    """The texts of one column. Raises InputError for a row without one, with its number."""
    found: list[str] = []
    for i, row in enumerate(rows(path)):
        if limit is not None and len(found) == limit:
            break
        name = column or ("text" if "text" in row else None)
        if name is None:
            raise InputError(
                f"{path} has the columns {', '.join(map(repr, row))}: say which holds the text (--text COLUMN)."
            )
        if name not in row:
            raise unknown(f"column of {path}", name, row)
        if not isinstance(row[name], str) or not row[name].strip():
            raise InputError(f"{path}, row {i + 1}: {name!r} holds {row[name]!r:.60}, which is no text.")
        found.append(row[name])
    if not found:
        raise InputError(f"{path} has no rows.")
    return found


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8-sig") as file:
        yield from ({"text": line.rstrip("\n")} for line in file if line.strip())


def _table(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            for row in csv.DictReader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",", strict=True):
                spare = len(row.pop(None, ()))
                yield Broken(f"a row has {spare} cells more than the head.") if spare else row
        except csv.Error as error:
            raise FileError(f"{path} is not a well-formed table: {error}.") from None


def _json(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8-sig") as file:
        for i, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                yield Broken(f"line {i} is not JSON: {error}.")
                continue
            yield row if isinstance(row, dict) else Broken(f"line {i} is not a JSON object: {line.strip():.60}")


def _parquet(path: Path) -> Iterator[dict[str, Any]]:
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise missing("pyarrow", "Reading Parquet", "table") from error
    with parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=1_024):
            yield from batch.to_pylist()
