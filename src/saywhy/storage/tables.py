"""Rows of a file, one after the other, in constant memory: text, CSV, TSV, JSON Lines, Parquet. All commands read by this.

A row that cannot be read, or that could not be written down again, is a `DamagedRow` with its reason; what comes after it is
read as if nothing had been.
"""

from __future__ import annotations

import csv
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..core.errors import FileError, InputError, missing, unknown
from .manifest import parsed

if TYPE_CHECKING:
    import pyarrow

T = TypeVar("T")


class DamagedRow(dict[str, Any]):
    """A row that cannot be explained, and the reason; one that could not even be read has no columns."""

    def __init__(self, reason: str, columns: Mapping[str, Any] | None = None):
        super().__init__(columns or {})
        self.reason = reason


ENDINGS = (".txt", ".csv", ".tsv", ".jsonl", ".parquet")


def rows(path: Path, lenient: bool = False) -> Iterator[dict[str, Any]]:
    """One mapping a row: a text file's lines are its column "text".

    Parameters
    ----------
    path
        A file that ends in one of ENDINGS.
    lenient
        Gives a `DamagedRow` in the place of a row that cannot be read, and for a Parquet file that is damaged, and goes on.

    Raises
    ------
    FileError
        For a file that is not there, of another kind, not UTF-8 at its beginning, or with a heading twice; and for the first
        damaged row, unless `lenient`.
    """
    if not path.is_file():
        wrong = "is a folder: give a file" if path.is_dir() else "is no regular file, which can be read twice"
        raise FileError(f"{path} {wrong}." if path.exists() else f"{path}: there is no such file.")
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise FileError(f"{path}: a file of texts ends in {', '.join(ENDINGS)}, not in {ending or 'nothing'!r}.")
    read = {".txt": _lines, ".csv": _table, ".tsv": _table, ".jsonl": _json, ".parquet": _parquet}[ending]
    for row in read(path):
        sound = row if isinstance(row, DamagedRow) else sound_row(row)
        if isinstance(sound, DamagedRow) and not lenient:
            raise FileError(f"{path}, {sound.reason}.")
        yield sound


def column(path: Path, names: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """(number from 1, these columns) of each row. Raises OptionError for an unknown column, InputError for an empty cell."""
    for number, row in enumerate(rows(path), 1):
        for name in names:
            if name not in row:
                raise unknown(f"column of {path}", name, row)
            if not isinstance(row[name], str) or not row[name].strip():
                shown = "is empty" if row[name] in (None, "") else f"holds {row[name]!r:.60}, which is no text"
                raise InputError(f"{path}, row {number}: the column {name!r} {shown}.")
        yield number, {name: row[name] for name in names}


def texts(path: Path, name: str | None, limit: int | None = None) -> list[str]:
    """The texts of one column. Raises InputError for a row without one, with its number."""
    found: list[str] = []
    for number, row in enumerate(rows(path), 1):
        if limit is not None and len(found) == limit:
            break
        chosen = name or ("text" if "text" in row else None)
        if chosen is None:
            raise InputError(
                f"{path} has the columns {', '.join(map(repr, row))}: say which holds the text (--text COLUMN)."
            )
        if chosen not in row:
            raise unknown(f"column of {path}", chosen, row)
        if not isinstance(row[chosen], str) or not row[chosen].strip():
            raise InputError(f"{path}, row {number}: {chosen!r} holds {row[chosen]!r:.60}, which is no text.")
        found.append(row[chosen])
    if not found:
        raise InputError(f"{path} has no rows.")
    return found


def columns(path: Path, names: Sequence[str], limit: int | None = None) -> list[dict[str, Any]]:
    """These columns of each row, for a model that reads rows: a column of which every cell is a number holds numbers.

    An empty cell is None. Raises OptionError for an unknown column, InputError for no rows.
    """
    read: list[dict[str, Any]] = []
    for row in rows(path):
        if limit is not None and len(read) == limit:
            break
        for name in names:
            if name not in row:
                raise unknown(f"column of {path}", name, row)
        read.append({name: None if row[name] == "" else row[name] for name in names})
    if not read:
        raise InputError(f"{path} has no rows.")
    for name in names:
        cells = [number(row[name]) for row in read]
        if all(known is not None or row[name] is None for known, row in zip(cells, read, strict=True)):
            for row, known in zip(read, cells, strict=True):
                row[name] = known
    return read


def number(cell: object) -> object:
    """A cell of a text file as the number that it is written as; numbers as they are; None for anything else."""
    if not isinstance(cell, str):
        return cell if isinstance(cell, int | float) else None
    try:
        return float(cell)
    except ValueError:
        return None


def sound_row(row: dict[str, Any]) -> dict[str, Any]:
    """The row, if all its names and texts can be written in UTF-8; else damaged, with what cannot be written replaced."""
    for name, value in row.items():
        for text, what in ((name, "a column's name"), (value, f"column {name!r}")):
            if isinstance(text, str) and not text.isascii() and (place := _half_character(text)) is not None:
                whole = {_replaced(key): _replaced(each) for key, each in row.items()}
                return DamagedRow(
                    f"{_replaced(what)} holds half a character, or bytes that are not UTF-8, at {place}", whole
                )
    return row


def _half_character(text: str) -> int | None:
    """The place of the first lone surrogate: half of an emoji, or a byte that is not UTF-8."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        return error.start
    return None


def _replaced(value: T) -> T | str:
    return value.encode("utf-8", "replace").decode("utf-8") if isinstance(value, str) else value


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The file as text, where bytes that are not UTF-8 become lone surrogates, so that they spoil their own row alone."""
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            head = file.read(1_000)
            if (head and sum("\udc80" <= char <= "\udcff" for char in head) > len(head) / 20) or "\0" in head:
                raise FileError(f"{path} is not UTF-8 text. Convert it first, for example with iconv.")
            file.seek(0)
            yield file
    except OSError as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"{path} cannot be read: {error.strerror or error}.") from None


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with _opened(path) as file:
        yield from ({"text": line.rstrip("\r\n")} for line in file if line.strip())


@contextmanager
def _cells_of_any_size() -> Iterator[None]:
    """While inside, a cell may be of any size: one row does not end a file. The limit is the process's, and put back."""
    before = csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _table(path: Path) -> Iterator[dict[str, Any]]:
    with _opened(path) as file:
        reader = csv.reader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",", strict=True)
        head: list[str] | None = None
        while True:
            try:
                with _cells_of_any_size():
                    cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                if head is None:
                    raise FileError(f"{path} is not a well-formed table: {error}.") from None
                yield DamagedRow(f"line {reader.line_num}: {error}")
                continue
            if head is None:
                if cells:
                    head = _headings(path, cells)
            elif len(cells) > len(head):
                row = dict(zip(head, map(_replaced, cells), strict=False))
                yield DamagedRow(f"line {reader.line_num} has {len(cells)} cells, and the head {len(head)}", row)
            elif cells:
                yield dict(zip(head, [*cells, *[None] * (len(head) - len(cells))], strict=True))


def _headings(path: Path, cells: list[str]) -> list[str]:
    twice = [name for name, count in Counter(cells).items() if count > 1]
    if twice:
        places = [str(i) for i, name in enumerate(cells, 1) if name == twice[0]]
        raise FileError(
            f"{path}: the heading {twice[0]!r:.60} stands over the columns {', '.join(places)}; rename one."
        )
    if any(_half_character(name) is not None for name in cells):
        raise FileError(f"{path}: its first line is not UTF-8 text. Convert the file first, for example with iconv.")
    return cells


def _json(path: Path) -> Iterator[dict[str, Any]]:
    with _opened(path) as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = parsed(line)
            except ValueError as error:
                yield DamagedRow(f"line {number} is no sound JSON: {error}")
                continue
            yield (
                row
                if isinstance(row, dict)
                else DamagedRow(f"line {number} is not a JSON object: {_replaced(line.strip()):.60}")
            )


def _parquet(path: Path) -> Iterator[dict[str, Any]]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise missing("pyarrow", "Reading Parquet", "table") from error
    try:
        with parquet.ParquetFile(path) as file:
            _headings(path, file.schema_arrow.names)
            for batch in file.iter_batches(batch_size=1_024):
                yield from _plain_rows(batch)
    except FileError:
        raise
    except (pyarrow.ArrowException, OSError) as error:
        yield DamagedRow(f"the file {path.name} is no sound Parquet file, and what of it is left was not read: {error}")


def _plain_rows(batch: pyarrow.RecordBatch) -> Iterator[dict[str, Any]]:
    """The rows of a batch as mappings; one that holds what Python has no value for (a year beyond 9999) is damaged alone."""
    try:
        yield from batch.to_pylist()
        return
    except (ValueError, OverflowError, ArithmeticError, UnicodeDecodeError):
        pass
    for i in range(batch.num_rows):
        try:
            yield batch.slice(i, 1).to_pylist()[0]
        except (ValueError, OverflowError, ArithmeticError, UnicodeDecodeError) as error:
            yield DamagedRow(f"a row holds a value that cannot be read: {error}")
