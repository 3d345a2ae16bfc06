"""The same shards by Ray Data: one explainer in each actor, each shard written by the actor that made it.

The driver reads the input once, in constant memory, and puts the rows of each shard that is not there yet into a file of its
own beside the shards, where all workers must see it. Ray restarts an actor that dies and gives its shard to another; a shard is
written whole or not at all, so one that is made twice is the same file.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..errors import InputError, missing
from .inputs import Row
from .plan import Plan, alone, noted
from .schema import arrow, digest_of, path_of, store
from .shard import Work, records
from .source import Broken
from .walk import Corpus, Tick, finished, pieces

if TYPE_CHECKING:
    from ..explain import Explainer

TODO = ".todo"


@dataclass(frozen=True, eq=False)
class Job:
    """What an actor needs to know; it is sent to each once."""

    spec: Mapping[str, Any]  # the arguments of Explainer
    work: Work  # without its explainer
    schema: Any
    folder: Path


class Actor:
    """An explainer of its own, and shards made with it."""

    def __init__(self, job: Job):
        from ..explain import Explainer

        explainer = Explainer(**job.spec)
        self.job, self.work = job, replace(job.work, explainer=explainer)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """The shards of a batch, made and written; their numbers, how many rows they have, and what a strict run stops at."""
        done: dict[str, list[Any]] = {"shard": [], "texts": [], "inputs": [], "error": []}
        for shard in batch["shard"].tolist():
            path = todo(self.job.folder, shard)
            start, digest, rows = _read(path)
            error, found = "", []
            try:
                found = records(self.work, rows, [self.work.key(row) for row in rows], start)
                store(path_of(self.job.folder, shard), found, self.job.schema, digest)
            except InputError as refused:
                error = str(refused)
            for name, value in zip(done, (shard, len(found), sum(r["rows"] for r in found), error), strict=True):
                done[name].append(value)
        return done


def spread(spec: Mapping[str, Any], plan: Plan, workers: int, gpus: float, tick: Tick) -> Corpus:
    """All shards that are not there yet, made by `workers` actors with `gpus` GPUs each; `spec`: the arguments of Explainer.

    Identical texts are computed once within a shard. Ray is started here unless it is running, and then stopped again.
    """
    ray = _ray()
    began = time.monotonic()
    with alone(plan.folder):
        noted(plan.folder, plan.manifest)
        try:
            waiting = list(_laid_out(plan, tick))
            if waiting:
                _made(ray, spec, plan, waiting, workers, gpus, tick)
        finally:
            _cleared(plan.folder)
        return finished(plan, time.monotonic() - began)


def _made(
    ray: Any, spec: Mapping[str, Any], plan: Plan, waiting: list[int], workers: int, gpus: float, tick: Tick
) -> None:
    own = not ray.is_initialized()
    work = replace(plan.work, explainer=cast("Explainer", None))  # each actor has its own
    job = Job(dict(spec), work, plan.schema, plan.folder.resolve())
    if own:
        ray.init(log_to_driver=False, include_dashboard=False)
    try:
        ray.data.DataContext.get_current().enable_progress_bars = False
        shards = ray.data.from_items([{"shard": i} for i in waiting], override_num_blocks=len(waiting))
        made = shards.map_batches(
            Actor,
            fn_constructor_args=(job,),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=min(workers, len(waiting))),
            num_gpus=gpus or None,
        )
        for row in made.iter_rows():
            if row["error"]:
                raise InputError(row["error"])
            tick(row["texts"], row["inputs"])
    finally:
        if own:
            ray.shutdown()


def todo(folder: Path, shard: int) -> Path:
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
            tick(len(piece.rows), 0)
            continue
        lines = [
            {
                "broken": row.reason if isinstance(row, Broken) else None,
                "parts": json.dumps({name: row[name] for name in plan.work.text if name in row}, default=str),
                "start": piece.start,
                "given": plan.work.given(row),
            }
            for row in piece.rows
        ]
        store(todo(plan.folder, piece.index), lines, columns, piece.digest)
        yield piece.index


def _read(path: Path) -> tuple[int, str, list[Row]]:
    lines = arrow().parquet.read_table(path).to_pylist()
    found: list[Row] = [
        {**json.loads(line["parts"]), **(line.get("given") or {})} if line["broken"] is None else Broken(line["broken"])
        for line in lines
    ]
    return lines[0]["start"], digest_of(path), found


def _cleared(folder: Path) -> None:
    for path in (folder / TODO).iterdir():
        path.unlink()
    if (folder / TODO).is_dir():
        (folder / TODO).rmdir()


def _ray() -> Any:
    try:
        import ray
        import ray.data
    except ImportError:
        raise missing("ray", "engine='ray'", "ray") from None
    return ray
