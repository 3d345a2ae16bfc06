"""The work on shards: rows cut into shards, each distinct text explained once, each shard written whole or not at all."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import InputError, SaywhyError
from ..core.progress import Tick
from ..models.columns import hashable
from ..storage.tables import DamagedRow
from .inputs import Row, given_by, refusal, written
from .schema import arrow, path_of, record, refused

if TYPE_CHECKING:
    from ..core.explanation import Explanation
    from ..explain.explainer import Explainer
    from ..explain.request import Request


@dataclass(frozen=True, eq=False)
class Work:
    """What is done to every row. Plain data and an explainer."""

    explainer: Explainer
    request: Request
    trust_share: float
    text: tuple[str, ...]
    kept: tuple[str, ...]
    typed: frozenset[str]  # the kept columns that have a type of their own; others are written as text
    strict: bool = False

    @property
    def by_column(self) -> bool:
        """Does the model read rows, so that their columns may hold anything?"""
        return bool(self.explainer.model.row_columns)

    def key(self, row: Row) -> bytes:
        """What two rows share when the explainer is given the same."""
        given = given_by(row, self.text, self.by_column)
        if isinstance(row, DamagedRow):  # what tells these apart is what is wrong with them
            given = [row.reason, given]
        # no text holds half a character, so none is taken for what is no text
        plain = given if isinstance(given, str) else f"\ud800{hashable(given)!r}"
        return hashlib.sha256(plain.encode("utf-8", "surrogatepass")).digest()[:16]

    def given(self, row: Row) -> dict[str, Any] | None:
        """The columns kept."""
        if not self.kept:
            return None
        return {n: row.get(n) if n in self.typed else written(row.get(n)) for n in self.kept}

    def digest(self, rows: Sequence[Row], keys: Sequence[bytes]) -> str:
        """What tells these rows from others."""
        found = hashlib.sha256(b"".join(keys))
        for row in rows:
            found.update(repr(self.given(row)).encode("utf-8", "surrogatepass"))
        return found.hexdigest()[:32]


def records(
    work: Work,
    rows: Sequence[Row],
    keys: Sequence[bytes],
    start: int,
    known: Known | None = None,
    tick: Tick = None,
) -> list[dict[str, Any]]:
    """One record a row, in the order of the rows, which begin at row `start` of the input.

    With `strict` a row that cannot be explained is an InputError with its number.
    """
    first: dict[bytes, int] = {}
    found: dict[bytes, dict[str, Any]] = {} if known is None else known.recall(keys)
    origin = {key: each["row"] for key, each in found.items()}
    todo: dict[bytes, Any] = {}
    for i, (row, key) in enumerate(zip(rows, keys, strict=True)):
        if key in found or key in first:
            continue
        first[key] = origin[key] = start + i
        reason = refusal(row, work.text, work.by_column)
        if reason is None:
            todo[key] = given_by(row, work.text, work.by_column)
            continue
        if work.strict:
            raise InputError(f"Row {start + i}: {reason}. Without `strict` it would be recorded, and the run go on.")
        found[key] = refused(given_by(row, work.text, work.by_column), reason)
    if tick is not None:
        tick(len(rows) - len(todo), 0)
    for key, result in _explained(work, todo, tick):
        if isinstance(result, str) and work.strict:
            raise InputError(f"Row {first[key]}: {result} Without `strict` it would be recorded, and the run go on.")
        found[key] = refused(todo[key], result) if isinstance(result, str) else record(result)
    return [
        _row(work, row, found[key], start + i, origin[key]) for i, (row, key) in enumerate(zip(rows, keys, strict=True))
    ]


def _row(work: Work, row: Row, result: Mapping[str, Any], number: int, origin: int) -> dict[str, Any]:
    """A copy of an earlier row says of which, and has cost nothing."""
    own = {"row": number, "same_as": None, "given": work.given(row)}
    if origin != number:
        own |= {"same_as": origin, "rows": 0, "backward_rows": 0}
    return {**result, **own}


def _explained(work: Work, todo: Mapping[bytes, Any], tick: Tick) -> list[tuple[bytes, Explanation | str]]:
    """Each text's explanation, or why there is none. A share of the texts, picked by their own digest, is checked as well."""
    chosen: dict[str, list[bytes]] = {"none": [], work.request.trust: []}
    for key in sorted(todo, key=lambda key: (-_length(todo[key]), key)):
        sampled = int.from_bytes(key[:8], "big") < work.trust_share * 2**64
        chosen[work.request.trust if sampled else "none"].append(key)
    out: list[tuple[bytes, Explanation | str]] = []
    pipeline = work.explainer.pipeline(
        work.request
    )  # of this shard alone: the same shard is then made from the same batches
    for trust, keys in chosen.items():
        mine = replace(pipeline, request=replace(pipeline.request, trust=trust))
        step = mine.window  # which may shrink on the way, where memory is short
        for start in range(0, len(keys), step):
            window = keys[start : start + step]
            found = mine.attempt([todo[key] for key in window])
            out += [(key, str(e) if isinstance(e, SaywhyError) else e) for key, e in zip(window, found, strict=True)]
            if tick is not None:
                tick(len(window), sum(0 if isinstance(e, SaywhyError) else e.cost.rows for e in found))
    return out


def _length(given: str | Mapping[str, object]) -> int:
    return len(given) if isinstance(given, str) else sum(len(str(value)) for value in given.values())


class Known:
    """The `most` texts used last. After the same rows it holds the same, whether they were computed or were there already."""

    def __init__(self, folder: Path, shard_rows: int, most: int):
        self.folder, self.shard_rows, self.most = folder, shard_rows, most
        self.found: OrderedDict[bytes, int] = OrderedDict()  # key -> the row that was computed

    def passed(self, keys: Sequence[bytes], start: int) -> None:
        """The rows of these keys are written, the first of them as row `start`."""
        for i, key in enumerate(keys):
            self.found.setdefault(key, start + i)
            self.found.move_to_end(key)
        while len(self.found) > self.most:
            self.found.popitem(last=False)

    def recall(self, keys: Sequence[bytes]) -> dict[bytes, dict[str, Any]]:
        """The records of those texts that are known, read back from their shards; their `row` is the one that was computed."""
        away: dict[int, list[bytes]] = {}
        for key in dict.fromkeys(keys):
            if key in self.found:
                away.setdefault(self.found[key] // self.shard_rows, []).append(key)
        out: dict[bytes, dict[str, Any]] = {}
        for shard, wanted in sorted(away.items()):
            table = arrow().parquet.read_table(path_of(self.folder, shard))
            out |= {key: table.slice(self.found[key] % self.shard_rows, 1).to_pylist()[0] for key in wanted}
        return out
