"""The walk of a corpus on one machine: shard after shard, each written whole; what is there already is passed over."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.display import one_line
from ..core.errors import InputError
from ..core.progress import Tick
from ..explain.answer_fingerprint import MOST, answer_fingerprint, same_model
from ..storage.paths import as_path
from .inputs import Row, given_by
from .plan import Plan, alone, manifest, noted
from .schema import arrow, digest_of, is_whole, path_of, read_shard, store_shard
from .shards import Known, Work, records

if TYPE_CHECKING:
    from types import ModuleType

    import pyarrow


@dataclass(frozen=True, eq=False)
class Corpus:
    """A folder of explanations: one row for each row of the input, in shards. Read a shard at a time."""

    folder: Path
    manifest: Mapping[str, Any]

    @property
    def complete(self) -> bool:
        """Did the run come to its end?"""
        return "done" in self.manifest

    @property
    def shards(self) -> list[Path]:
        """The files that are there, in the order of the input."""
        return sorted(self.folder.glob("shard-*.parquet"))

    def tables(self, columns: Sequence[str] | None = None) -> Iterator[pyarrow.Table]:
        """One Arrow table a shard, with these columns or all."""
        for path in self.shards:
            yield read_shard(path, columns)

    def to_arrow(self, columns: Sequence[str] | None = None) -> pyarrow.Table:
        """All of it, in memory."""
        return arrow().concat_tables(self.tables(columns))

    def __repr__(self) -> str:
        done = self.manifest.get("done")
        said = f"{done['rows']:,} rows, {done['errors']:,} errors" if done else "unfinished"
        return f"<Corpus {one_line(self.folder)}: {said}>"


def load(folder: str | Path) -> Corpus:
    """The corpus in a folder, also an unfinished one. Raises FileError where there is none."""
    known = as_path(folder, "folder")
    return Corpus(known, manifest(known))


@dataclass(frozen=True, eq=False)
class Piece:
    """The rows of one shard."""

    index: int
    start: int
    rows: Sequence[Row]
    keys: Sequence[bytes]
    digest: str
    done: bool  # is its file there already?


def pieces(plan: Plan) -> Iterator[Piece]:
    """The input cut into shards. Refuses one whose file was made from other rows, and the first that another model made."""
    start = index = 0
    made_here = False
    while rows := list(islice(plan.input.rows, plan.wanted.shard_rows)):
        keys = [plan.work.key(row) for row in rows]
        digest = plan.work.digest(rows, keys)
        path = path_of(plan.folder, index)
        done = is_whole(path)
        if done and digest_of(path) != digest:
            raise InputError(
                f"Rows {start} to {start + len(rows) - 1} are not those that {path} was made from: the input has changed. "
                "Give another folder, or the input as it was."
            )
        if done and not made_here:
            _same_model(plan.work, path, rows)
            made_here = True
        yield Piece(index, start, rows, keys, digest, done)
        start, index = start + len(rows), index + 1
    if path_of(plan.folder, index).exists():
        raise InputError(
            f"The input ends after {start:,} rows, and {plan.folder} holds shards of more: the input has changed. "
            "Give another folder, or the input as it was."
        )


def _same_model(work: Work, path: Path, rows: Sequence[Row]) -> None:
    """Refuses a shard of which the model says something else now. Raises InputError."""
    table = read_shard(path, ["prediction", "probability", "error"]).to_pylist()
    sound = [(row, made) for row, made in zip(rows, table, strict=True) if made["error"] is None][:MOST]
    inputs = [given_by(row, work.text, work.by_column) for row, _ in sound]
    before = [(made["prediction"], made["probability"]) for _, made in sound]
    if not same_model(before, answer_fingerprint(work.explainer, inputs, work.request)):
        raise InputError(
            f"{work.explainer.model.name} answers otherwise than it did when {path} was made: it is another model. Give another "
            "folder, or the model as it was."
        )


def walk(plan: Plan, tick: Tick) -> Corpus:
    """All shards that are not there yet, one after the other. Memory: a shard, and where the texts used last lie."""
    began = time.monotonic()
    known = Known(plan.folder, plan.wanted.shard_rows, plan.wanted.cache)
    stamp = plan.input.stamp()
    with alone(plan.folder):
        noted(plan.folder, plan.manifest)
        for piece in pieces(plan):
            if piece.done:
                if tick is not None:
                    tick(len(piece.rows), 0)
            else:
                found = records(plan.work, piece.rows, piece.keys, piece.start, known, tick)
                store_shard(plan.folder, piece.index, found, plan.schema, piece.digest)
            known.passed(piece.keys, piece.start)
        return finished(plan, time.monotonic() - began, stamp)


def finished(plan: Plan, seconds: float, stamp: object) -> Corpus:
    """The corpus, with its sums in the manifest: rows, errors, copies of earlier texts, model inputs.

    Raises InputError where the input was changed while it was read: `stamp` is what told it before.
    """
    rows = errors = copies = inputs = 0
    pc = _compute()
    found = Corpus(plan.folder, plan.manifest)
    for table in found.tables(["error", "same_as", "rows"]):
        rows += table.num_rows
        errors += table.num_rows - table["error"].null_count
        copies += table.num_rows - table["same_as"].null_count
        inputs += pc.sum(table["rows"]).as_py() or 0
    total = plan.input.total
    if plan.input.stamp() != stamp or (total is not None and total != rows):
        counted = "" if total in (None, rows) else f" It had {total:,} rows when the run began, and {rows:,} were read."
        raise InputError(
            f"{plan.input.name} was changed while it was explained.{counted} What is written is of what was read: give another "
            "folder, and an input that stays as it is."
        )
    done = {"rows": rows, "errors": errors, "copies": copies, "model_inputs": inputs, "shards": len(found.shards)}
    data = {**plan.manifest, "done": {**done, "seconds_of_the_last_run": round(seconds, 3)}}
    noted(plan.folder, data)
    return Corpus(plan.folder, data)


def _compute() -> ModuleType:
    arrow()
    import pyarrow.compute

    package: ModuleType = pyarrow.compute
    return package
