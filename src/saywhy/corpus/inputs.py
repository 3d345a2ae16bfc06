"""What a corpus is read from: a file, a folder of files, a Hugging Face dataset, or any iterable of mappings or texts."""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from numbers import Number
from pathlib import Path
from typing import Any

from ..core.checks import plain
from ..core.errors import FileError, InputError, OptionError, unknown
from ..core.frames import column_values, missing_value, rows_of
from ..storage.paths import as_path
from ..storage.tables import ENDINGS, DamagedRow, rows, sound_row

Row = Mapping[str, Any]
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")  # differs from process to process, and a run goes on in another


@dataclass(frozen=True, eq=False)
class Input:
    """Rows one after the other, and what is known of them before they are read."""

    name: str
    rows: Iterator[Row]
    columns: tuple[str, ...]
    source_fingerprint: Mapping[str, Any]  # what tells this input from another
    types: Mapping[str, Any] = field(default_factory=dict)  # Arrow types of columns, where the input has them
    total: int | None = None
    stamp: Callable[[], object] = lambda: None  # differs once the source has been changed
    cells_are_text: bool = False  # as those of .csv and .tsv, also where they are numbers


def opened(given: object, text: Sequence[str], limit: int | None, known: Mapping[str, Any] | None = None) -> Input:
    """The input, looked through before any model call. A file is read once from end to end, for its rows are to be counted.

    `known` is what an earlier run over the same input found ("identity", "columns", "total"): then that pass is not made again.
    Raises FileError for what cannot be read, InputError for no rows, OptionError for an unknown text column.
    """
    if isinstance(given, str | Path):
        found = _files(as_path(given, "source"), limit, known)
    elif hasattr(given, "features") and hasattr(given, "column_names"):
        found = _dataset(given)
    elif (known_rows := _in_memory(given)) is not None:
        found = _iterable(known_rows)
    elif hasattr(given, "keys") and not isinstance(given, Mapping):
        raise OptionError(f"Give one split of the dataset, not all: one of {', '.join(map(repr, given.keys()))}.")
    elif isinstance(given, Iterable) and not isinstance(given, Mapping) and getattr(given, "shape", None) != ():
        found = _iterable(given)
    else:
        raise OptionError(
            f"A corpus is a file, a folder, a dataset or an iterable of mappings, not {type(given).__name__}."
        )
    for column in text:
        if column not in found.columns:
            raise unknown(f"column of {found.name}", column, found.columns)
    total = found.total if limit is None or found.total is None else min(limit, found.total)
    read = found.rows if limit is None else islice(found.rows, limit)
    return replace(found, rows=read, total=total)


def _files(path: Path, limit: int | None, known: Mapping[str, Any] | None) -> Input:
    if not path.exists():
        raise FileError(f"{path}: there is no such file or folder.")
    files = [path]
    if path.is_dir():
        inside = (p for p in path.rglob("*") if p.is_file() and p.suffix.lower() in ENDINGS)
        files = sorted(p for p in inside if not any(part.startswith(".") for part in p.relative_to(path).parts))
        if not files:
            raise FileError(f"{path} holds no file that ends in {', '.join(ENDINGS)}.")
    base = path if path.is_dir() else path.parent
    source_fingerprint = {"files": [[p.relative_to(base).as_posix(), p.stat().st_size] for p in files]}
    if known and known["identity"] == source_fingerprint:
        columns, total = tuple(known["columns"]), known["total"]
    else:
        columns, total = _surveyed(files, limit)
    read = chain.from_iterable(rows(p, lenient=True) for p in files)

    def stamp() -> object:
        return [(p.stat().st_size, p.stat().st_mtime_ns) if p.exists() else None for p in files]

    as_text = all(p.suffix.lower() in (".csv", ".tsv") for p in files)
    return Input(str(path), read, columns, source_fingerprint, _types(files), total, stamp, as_text)


def _surveyed(files: Sequence[Path], limit: int | None) -> tuple[tuple[str, ...], int]:
    """Every column, and the number of rows, up to the limit."""
    columns: dict[str, None] = {}
    total, broken = 0, ""
    for row in islice(chain.from_iterable(rows(p, lenient=True) for p in files), limit):
        total += 1
        broken = broken or (row.reason if isinstance(row, DamagedRow) else "")
        if len(row) != len(columns) or not columns.keys() >= row.keys():
            columns.update(dict.fromkeys(row))
        if len(columns) > 1_000:
            raise InputError(f"{files[0]} has more than 1,000 different columns: it is no table.")
    if not total:
        raise InputError(f"{files[0]} has no rows.")
    if not columns:
        raise FileError(f"{files[0]} has no row that can be read: {broken}.")
    return tuple(columns), total


def _types(files: Sequence[Path]) -> dict[str, Any]:
    """The Arrow types of columns, where all files are Parquet and agree."""
    if any(p.suffix.lower() != ".parquet" for p in files):
        return {}
    import pyarrow
    from pyarrow import parquet

    try:
        schemas = [parquet.read_schema(p) for p in files]
    except (pyarrow.ArrowException, OSError):  # a damaged file: its rows are recorded as such, and values kept as text
        return {}
    return {
        f.name: f.type
        for f in schemas[0]
        if all(f.name in other.names and other.field(f.name).type == f.type for other in schemas)
    }


def _dataset(given: Any) -> Input:
    features = given.features
    if features is None:
        return _iterable(given)
    total = len(given) if hasattr(given, "__len__") else None
    schema = features.arrow_schema
    source_fingerprint = {"dataset": type(given).__name__, "rows": total}
    return Input(
        "the dataset", iter(given), tuple(features), source_fingerprint, {f.name: f.type for f in schema}, total
    )


def _in_memory(given: object) -> list[Any] | None:
    """The rows of a frame or a table, or the values of a column; None for anything else."""
    if isinstance(given, list):
        return None
    rows = rows_of(given)
    return column_values(given) if rows is None else rows


def _iterable(given: Iterable[Any]) -> Input:
    read = (_whole(row) for row in given)
    first = list(islice(read, 1))
    if not first:
        raise InputError("The corpus has no rows.")
    total = len(given) if isinstance(given, Sequence) else None
    source_fingerprint = {"iterable": type(given).__name__, "rows": total}
    return Input("the corpus", chain(first, read), tuple(map(str, first[0])), source_fingerprint, {}, total)


def _whole(row: object) -> Row:
    """A row of the caller's own as a mapping; one that cannot be written in UTF-8 is damaged, as in a file."""
    if not isinstance(row, Mapping):
        return sound_row({"text": row})
    return sound_row({str(name): value for name, value in row.items()})


def given_by(row: Row, text: Sequence[str], by_column: bool = False) -> object:
    """What the explainer is given of a row: the text, or a mapping of the columns where there are several."""
    return row.get(text[0]) if len(text) == 1 and not by_column else {name: row.get(name) for name in text}


def refusal(row: Row, text: Sequence[str], by_column: bool = False) -> str | None:
    """Why a row cannot be explained, as far as can be told without the model; None where it may be.

    `by_column` is of a model that reads rows, whose columns may hold anything, or nothing.
    """
    if isinstance(row, DamagedRow):
        return row.reason
    if by_column:
        return None
    for name in text:
        value = row.get(name)
        if missing_value(value):
            return f"column {name!r} holds nothing"
        if not isinstance(value, str) and (len(text) == 1 or not isinstance(value, Number)):
            return f"column {name!r} holds {value!r:.60}, which is no text"
        if isinstance(value, str) and not value.strip():
            return f"column {name!r} is empty or blank"
    return None


def written(value: object) -> str | None:
    """A kept value as text, where its column has no type of its own: lists and mappings as JSON, a missing value as None."""
    known = plain(value)
    if isinstance(known, str):
        return known
    if missing_value(known):
        return None
    if not isinstance(known, Mapping | list | tuple | int | float):
        return _ADDRESS.sub("", str(known))
    try:
        return json.dumps(known, ensure_ascii=False, default=_inside)
    except (
        TypeError,
        ValueError,
        RecursionError,
    ):  # names that are no texts, a list in itself, a thousand lists in lists
        return _ADDRESS.sub("", reprlib.repr(known))


def _inside(value: object) -> object:
    known = plain(value)
    return _ADDRESS.sub("", str(value)) if known is value else known
