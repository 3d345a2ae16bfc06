"""What a shard holds: one row for each row of the input, as Parquet. docs/corpus.md describes every column."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import FileError, missing
from ..core.explanation import Explanation
from ..storage.atomic import write

if TYPE_CHECKING:
    from types import ModuleType

    import pyarrow

FORMAT = "saywhy.corpus"
VERSION = 1
MOST_PAIRS = 16  # of a text, the strongest
LATER = ("pairs", "parts")  # columns that shards of earlier releases lack
DIGEST = b"saywhy.input"  # metadata of a shard: which rows of the input it was made from


def arrow() -> ModuleType:
    """pyarrow, or MissingError with how to install it."""
    try:
        import pyarrow.parquet
    except ImportError:
        raise missing("pyarrow", "A corpus", "corpus") from None
    package: ModuleType = pyarrow
    return package


def schema(kept: Mapping[str, Any], about: Mapping[str, str]) -> pyarrow.Schema:
    """The columns of a shard. `kept` are the columns of the input with their Arrow types, None for text."""
    pa = arrow()
    text, real, whole = pa.string(), pa.float64(), pa.int64()
    feature = pa.struct(
        [
            *(("label", text), ("start", pa.int32()), ("end", pa.int32())),
            *(("score", pa.float32()), ("stderr", pa.float32()), ("without", text)),
        ]
    )
    pair = pa.struct([("first", pa.int32()), ("second", pa.int32()), ("score", pa.float32()), ("stderr", pa.float32())])
    fields = [
        *(("row", whole), ("text", text), ("prediction", text), ("probability", real)),
        *(("target", text), ("unit", text), ("value", real), ("base", real), ("gap", real)),
        ("features", pa.list_(feature)),
        *(("trust", text), ("trust_said", text), ("notes", pa.list_(text)), ("error", text)),
        *(("same_as", whole), ("rows", whole), ("backward_rows", whole)),
        ("pairs", pa.list_(pair)),
        ("parts", pa.list_(pa.struct([("part", text), ("column", pa.bool_())]))),
    ]
    if kept:
        fields.append(("given", pa.struct([(name, kind or text) for name, kind in kept.items()])))
    return pa.schema(fields, metadata={"saywhy.format": FORMAT, "saywhy.version": str(VERSION), **about})


def record(e: Explanation) -> dict[str, Any]:
    """An explanation as the columns of a shard. Spans index `text`, which joins several parts by a newline."""
    offset, offsets = 0, {}
    for part, text in e.texts.items():
        offsets[part] = offset
        offset += len(text) + 1
    without = e.without or (None,) * len(e.features)
    stderr = (None,) * len(e.features) if e.stderr is None else e.stderr.tolist()
    return {
        "text": e.text,
        "prediction": e.prediction,
        "probability": e.probability,
        "target": e.target.label,
        "unit": e.target.unit,
        "value": e.value,
        "base": e.base,
        "gap": e.gap,
        "features": [
            {
                "label": f.label,
                "start": None if f.span is None else f.span[0] + offsets.get(f.part, 0),
                "end": None if f.span is None else f.span[1] + offsets.get(f.part, 0),
                "score": score,
                "stderr": spread,
                "without": label,
            }
            for f, score, spread, label in zip(e.features, e.scores.tolist(), stderr, without, strict=True)
        ],
        "trust": None if e.trust is None else e.trust.level,
        "trust_said": None if e.trust is None else e.trust.said,
        "notes": list(e.notes),
        "error": None,
        "rows": e.cost.rows,
        "backward_rows": e.cost.backward_rows,
        "pairs": _pairs(e),
        "parts": _parts(e),
    }


def _pairs(e: Explanation) -> list[dict[str, Any]] | None:
    """The strongest interactions of two features that stand out from their standard errors; None where the method told none."""
    if e.interactions is None:
        return None
    return [
        {"first": p.indexes[0], "second": p.indexes[1], "score": p.score, "stderr": p.stderr}
        for p in e.pairs(MOST_PAIRS)
        if abs(p.score) > 2 * (p.stderr or 0.0)
    ]


def _parts(e: Explanation) -> list[dict[str, Any]] | None:
    """The part of the input that each feature is of, and whether it is a whole column; None where the input is one text."""
    if set(e.texts) <= {"text"}:
        return None
    return [{"part": f.part, "column": f.column} for f in e.features]


def refused(given: object, reason: str) -> dict[str, Any]:
    """A row that could not be explained, with the reason."""
    text = given if isinstance(given, str) else None
    return {"text": text, "error": reason, "rows": 0, "backward_rows": 0}


def path_of(folder: Path, shard: int) -> Path:
    """The file of a shard."""
    return folder / f"shard-{shard:06d}.parquet"


def store(path: Path, records: Sequence[Mapping[str, Any]], columns: pyarrow.Schema, digest: str) -> None:
    """Write rows as a file that is there whole, or not at all."""
    pa = arrow()
    columns = columns.with_metadata({**(columns.metadata or {}), DIGEST: digest.encode()})
    sink = pa.BufferOutputStream()
    pa.parquet.write_table(_table(records, columns), sink, compression="zstd")
    write(path, sink.getvalue().to_pybytes())


def store_shard(
    folder: Path, shard: int, records: Sequence[Mapping[str, Any]], columns: pyarrow.Schema, digest: str
) -> None:
    """Write a shard, and a checksum by which damage is noticed later."""
    path = path_of(folder, shard)
    _checksum_path(path).unlink(missing_ok=True)
    store(path, records, columns, digest)
    _checksum_path(path).parent.mkdir(exist_ok=True)
    write(_checksum_path(path), hashlib.sha256(path.read_bytes()).hexdigest().encode())


def _table(records: Sequence[Mapping[str, Any]], columns: pyarrow.Schema) -> pyarrow.Table:
    """The records as a table; one that cannot be written down becomes a row with the reason."""
    pa = arrow()
    unwritable = (pa.ArrowException, ValueError, OverflowError, TypeError)
    try:
        return pa.Table.from_pylist(list(records), schema=columns)
    except unwritable:
        sound = []
        for record in records:
            try:
                pa.Table.from_pylist([record], schema=columns)
                sound.append(record)
            except unwritable as error:
                if "error" not in columns.names:
                    raise
                reason = f"the row cannot be written down: {' '.join(str(error).split())[:300]}"
                sound.append({**refused(None, reason), "row": record.get("row"), "same_as": None})
        return pa.Table.from_pylist(sound, schema=columns)


def _checksum_path(path: Path) -> Path:
    return path.parent / ".checksums" / f"{path.stem}.sha256"


def is_whole(path: Path) -> bool:
    """Is the shard there, as it was written? One without a checksum (of version 0.1) is taken at its word."""
    if not path.exists():
        return False
    beside = _checksum_path(path)
    return not beside.exists() or hashlib.sha256(path.read_bytes()).hexdigest() == beside.read_text("utf-8")


def read_shard(path: Path, columns: Sequence[str] | None = None) -> pyarrow.Table:
    """A shard as a table, with these columns or all. Raises FileError for one that is damaged, or no shard of a corpus."""
    pa = arrow()
    again = "Remove it, and the same `saywhy corpus` makes it again."
    digest_of(path)
    if not is_whole(path):
        raise FileError(f"{path} is damaged: it is not as it was written. {again}")
    try:
        there = pa.parquet.read_schema(path).names
        wanted = None if columns is None else [name for name in columns if name in there or name not in LATER]
        table = pa.parquet.read_table(path, columns=wanted)
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise FileError(f"{path} is damaged: {error}. {again}") from None
    expected = schema({}, {})
    for name in LATER:
        if name not in there and (columns is None or name in columns):
            at = table.column_names.index("given") if "given" in table.column_names else table.num_columns
            table = table.add_column(at, expected.field(name), pa.nulls(table.num_rows, expected.field(name).type))
    for name in expected.names if columns is None else columns:
        if name not in table.column_names:
            raise FileError(f"{path} is damaged: it lacks the column {name!r}. {again}")
        if name in expected.names and table.schema.field(name).type != expected.field(name).type:
            raise FileError(f"{path} is damaged: the column {name!r} is of another type. {again}")
    return table


def digest_of(path: Path) -> str:
    """Which rows of the input a finished shard was made from."""
    pa = arrow()
    try:
        about = pa.parquet.read_schema(path).metadata or {}
    except (pa.ArrowException, OSError, ValueError) as error:
        raise FileError(f"{path} is damaged: {error}. Remove it, and its rows are explained again.") from None
    if DIGEST not in about:
        raise FileError(f"{path} is not a shard of a corpus; give a folder of its own.")
    return bytes(about[DIGEST]).decode("utf-8", "backslashreplace")  # a damaged one is like no other
