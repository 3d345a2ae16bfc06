"""Shards made elsewhere: what a worker must know, the rows that wait for it, and what it says of a shard it has made.

The driver reads the input once, in constant memory, and puts the rows of each shard that is not there yet into a file of its
own beside the shards, where all workers must see it. A shard is written whole or not at all, so one that is made twice, because
a worker died over it, is the same file.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from ..core.errors import InputError, OptionError
from ..core.progress import Tick
from ..storage.tables import DamagedRow
from .inputs import Row, refusal
from .plan import TODO, CorpusRequest, Plan, alone, noted, work_of
from .schema import arrow, digest_of, store, store_shard
from .serialization import dumped, loaded
from .shards import Work, records
from .walk import Corpus, finished, pieces

if TYPE_CHECKING:
    import pyarrow


@dataclass(frozen=True, eq=False)
class Job:
    """What a worker needs to know; it is sent to each once."""

    spec: Mapping[str, Any]  # the arguments of Explainer
    wanted: CorpusRequest
    kept: tuple[str, ...]
    typed: frozenset[str]
    schema: pyarrow.Schema
    folder: Path


class Made(NamedTuple):
    """A shard that is there, or why a strict run stops at it."""

    shard: int
    texts: int
    inputs: int  # model inputs
    error: str = ""


HandOut: TypeAlias = "Callable[[Job, Sequence[int]], Iterator[Made]]"


def begun(job: Job) -> Work:
    """The work of a worker, with an explainer of its own."""
    from ..explain.explainer import Explainer

    return work_of(Explainer(**job.spec), job.wanted, job.kept, job.typed)


def made(job: Job, work: Work, shard: int) -> Made:
    """Makes a shard of the rows that wait, and writes it."""
    start, digest, rows = _read(_todo(job.folder, shard))
    try:
        found = records(work, rows, [work.key(row) for row in rows], start)
    except InputError as refused:
        return Made(shard, 0, 0, str(refused))
    store_shard(job.folder, shard, found, job.schema, digest)
    return Made(shard, len(found), sum(record["rows"] for record in found))


def spread(plan: Plan, spec: Mapping[str, Any], tick: Tick, hand_out: HandOut) -> Corpus:
    """All shards that are not there yet, made by workers to whom `hand_out` gives them; `spec`: the arguments of Explainer.

    Identical texts are computed once within a shard.
    """
    began = time.monotonic()
    job = Job(dict(spec), plan.wanted, plan.work.kept, plan.work.typed, plan.schema, plan.folder.resolve())
    stamp = plan.input.stamp()
    with alone(plan.folder):
        noted(plan.folder, plan.manifest)
        waiting = list(_laid_out(plan, tick))
        for one in hand_out(job, waiting) if waiting else ():
            if one.error:
                raise InputError(one.error)
            if tick is not None:
                tick(one.texts, one.inputs)
        return finished(plan, time.monotonic() - began, stamp)


def _todo(folder: Path, shard: int) -> Path:
    """The rows of a shard that is still to be made."""
    return folder / TODO / f"{shard:06d}.parquet"


def _laid_out(plan: Plan, tick: Tick) -> Iterator[int]:
    """Write down the rows of every shard that is not there yet; gives their numbers."""
    pa = arrow()
    (plan.folder / TODO).mkdir(exist_ok=True)
    kept = [plan.schema.field("given")] if plan.work.kept else []
    columns = pa.schema([("broken", pa.string()), ("parts", pa.string()), ("start", pa.int64()), *kept])
    for piece in pieces(plan):
        if piece.done:
            if tick is not None:
                tick(len(piece.rows), 0)
            continue
        lines = [
            {
                "broken": (reason := refusal(row, plan.work.text, plan.work.by_column)),
                "parts": _plain(row, plan.work.text, piece.start + i, broken=reason is not None),
                "start": piece.start,
                "given": plan.work.given(row),
            }
            for i, row in enumerate(piece.rows)
        ]
        store(_todo(plan.folder, piece.index), lines, columns, piece.digest)
        yield piece.index


def _plain(row: Row, text: Sequence[str], number: int, broken: bool) -> str:
    """What is explained of a row, as JSON; of one that cannot be explained only its texts, which are recorded."""
    parts = {name: row[name] for name in text if name in row and (isinstance(row[name], str) or not broken)}
    try:
        return dumped(parts)
    except (TypeError, RecursionError) as error:
        raise OptionError(
            f"Workers are told rows in plain text, and row {number} holds what cannot be told so: {error}. Take one worker."
        ) from None


def _read(path: Path) -> tuple[int, str, list[Row]]:
    lines = arrow().parquet.read_table(path).to_pylist()
    found: list[Row] = []
    for line in lines:
        columns = {**(line.get("given") or {}), **loaded(line["parts"])}
        found.append(columns if line["broken"] is None else DamagedRow(line["broken"], columns))
    return lines[0]["start"], digest_of(path), found
