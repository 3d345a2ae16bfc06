"""What was asked of a corpus, checked before the first model call, and the manifest that a folder keeps of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.checks import one_of, real_number, several, whole_number, yes_or_no
from ..core.errors import FileError, InputError, OptionError
from ..core.features import GRANULARITIES
from ..models.table import TableModel
from ..storage.atomic import write
from ..storage.fingerprint import fingerprint, model_fingerprint
from ..storage.manifest import Kind, list_of, object_of, of_type, read_json
from ..storage.paths import as_path
from .inputs import Input, opened
from .schema import FORMAT, VERSION, arrow, schema
from .shards import Work
from .tabular import explained_columns, with_background

if TYPE_CHECKING:
    import pyarrow

    from ..explain.explainer import Explainer
    from ..explain.request import Request

MANIFEST = "_manifest.json"  # readers of a folder of Parquet files pass over names that begin so
TODO = ".todo"  # a folder of the rows that wait for a worker, while there are any


@dataclass(frozen=True)
class CorpusRequest:
    """What the caller said, as in `run`."""

    text: Sequence[str] | None
    keep: Sequence[str] | None
    settings: Mapping[str, Any]  # of each explanation, and options of the method: those of calling an explainer
    trust_share: float
    strict: bool
    limit: int | None
    shard_rows: int
    cache: int

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "text", None if self.text is None else tuple(self.text))
        put(self, "keep", None if self.keep is None else tuple(several("keep", self.keep, "columns")))
        put(self, "trust_share", real_number("trust_share", self.trust_share, 0, 1))
        put(self, "strict", yes_or_no("strict", self.strict))
        put(self, "limit", None if self.limit is None else whole_number("limit", self.limit, least=1))
        put(self, "shard_rows", whole_number("shard_rows", self.shard_rows, least=1))
        put(self, "cache", whole_number("cache", self.cache, least=0))


@dataclass(frozen=True, eq=False)
class Plan:
    """A corpus ready to be explained into its folder."""

    folder: Path
    input: Input
    wanted: CorpusRequest
    work: Work
    schema: pyarrow.Schema
    manifest: dict[str, Any]


def planned(explainer: Explainer, source: object, folder: Path, wanted: CorpusRequest) -> Plan:
    """The plan, and the folder with its manifest. Refuses what cannot be explained, and a folder of another run."""
    arrow()
    _sound(wanted)
    if isinstance(source, str | Path) and as_path(source, "source").resolve() in folder.resolve().parents:
        raise OptionError(
            f"{folder} lies inside {source}: the next run would read its shards. Give a folder elsewhere."
        )
    if folder.exists() and not folder.is_dir():
        raise FileError(f"{folder} is a file: give an empty or a new folder for the shards.")
    before = manifest(folder) if manifest_path(folder).exists() else None
    text = explained_columns(explainer.model, wanted.text)
    found = opened(source, text, wanted.limit, before and before["input"])
    asked = dict(wanted.settings)
    if isinstance(explainer.model, TableModel):
        found, asked = with_background(explainer.model, source, found, asked, text)
    wanted = replace(wanted, text=text, settings=asked)
    kept = _kept(explainer, found, wanted, text)
    settings = _settings(explainer, wanted, kept)
    about = {"identity": found.source_fingerprint, "columns": list(found.columns), "total": found.total}
    mine = json.loads(
        json.dumps({"format": FORMAT, "version": VERSION, "settings": settings, "input": about}, default=str)
    )
    if before is not None:
        _same(folder, before, mine)
    elif folder.exists() and any(not each.name.startswith(".") for each in folder.iterdir()):
        raise FileError(f"{folder} holds other files and no {MANIFEST}: give an empty or a new folder.")
    mine["fingerprint"] = hashlib.sha256(json.dumps(mine["settings"], sort_keys=True).encode()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    types = {name: found.types.get(name) for name in kept}
    typed = frozenset(name for name, kind in types.items() if kind is not None)
    columns = schema(types, {"saywhy.fingerprint": mine["fingerprint"]})
    return Plan(folder, found, wanted, work_of(explainer, wanted, kept, typed), columns, mine)


def _kept(explainer: Explainer, found: Input, wanted: CorpusRequest, text: Sequence[str]) -> tuple[str, ...]:
    """The columns kept. Raises OptionError for one that is not there, and for the text, which stands in the shards as it is."""
    kept = tuple(c for c in found.columns if c not in text) if wanted.keep is None else tuple(wanted.keep)
    for column in kept:
        if column in text and not explainer.model.row_columns:  # a report may slice rows by what the model reads
            raise OptionError(
                f"Column {column!r} is what is explained, and stands in `text` as it is: leave it out of `keep`."
            )
        if column not in found.columns:
            raise OptionError(f"There is no column {column!r} to keep; {found.name} has {', '.join(found.columns)}.")
    return kept


def work_of(explainer: Explainer, wanted: CorpusRequest, kept: Sequence[str], typed: frozenset[str]) -> Work:
    """What is done to every row; `typed` are the kept columns that have a type of their own."""
    request = explainer.request(**wanted.settings)
    text = explained_columns(explainer.model, wanted.text)
    return Work(explainer, request, wanted.trust_share, text, tuple(kept), typed, wanted.strict)


def _sound(wanted: CorpusRequest) -> None:
    if wanted.text is not None and not wanted.text:
        raise OptionError("`text` names at least one column.")
    by = wanted.settings.get("by")
    words = list(by.values()) if isinstance(by, Mapping) else [] if by is None else [by]  # a mapping is of columns
    if not all(isinstance(word, str) for word in words):
        raise OptionError(
            "The features of a corpus are named by a word, for example by='sentence': spans differ by text."
        )
    for word in words:
        one_of("granularity `by`", word, (*GRANULARITIES, "column"))


def _settings(explainer: Explainer, wanted: CorpusRequest, kept: Sequence[str]) -> dict[str, Any]:
    """Everything that a result depends on, in words."""
    request = explainer.request(**wanted.settings)
    return {
        "model": explainer.model.name,
        "weights": model_fingerprint(explainer.model),
        "labels": list(explainer.model.labels),
        "task": explainer.task.name,
        "method": request.method.name,
        "options": {**request.method.options, **request.options},
        "adds_up": request.method.complete,
        "target": request.target,
        "against": request.against,
        "unit": request.unit,
        "by": request.encoding.by,
        "absent": request.encoding.absent,
        "overlong": request.encoding.overlong,
        "embedding": request.encoding.embedding,
        "trust": request.trust,
        "trust_share": wanted.trust_share,
        **_background(request),
        "text": list(explained_columns(explainer.model, wanted.text)),
        "keep": list(kept),
        "limit": wanted.limit,
        "shard_rows": wanted.shard_rows,
    }


def _background(request: Request) -> dict[str, Any]:
    """What stands in for absent columns, as far as the model reads rows."""
    known = request.encoding.background
    if known is None:
        return {}
    return {"background": fingerprint([dict(row) for row in known.rows]), "absent_columns": known.said}


def _same(folder: Path, theirs: Mapping[str, Any], mine: Mapping[str, Any]) -> None:
    """Refuses to go on with other settings, and says which."""
    a, b = ({**m["settings"], "input": m["input"]["identity"]} for m in (theirs, mine))
    other = [f"{k} ({a.get(k)!r:.60} there, {b.get(k)!r:.60} now)" for k in {**a, **b} if a.get(k) != b.get(k)]
    if other:
        raise OptionError(
            f"{folder} holds a corpus with other {'; '.join(other)}. Ask the same again to go on, or give another folder."
        )


_SETTINGS: dict[str, Kind] = {  # those that a report reads
    **dict.fromkeys(("model", "task", "method", "trust"), str),
    **dict.fromkeys(("labels", "keep", "text"), list),
    "adds_up": bool,
    "unit": (str, type(None)),
    "by": (str, dict),
    "target": (str, int, float, list, type(None)),
    "against": (str, int, float, list, type(None)),
}


def manifest(folder: Path) -> dict[str, Any]:
    """What a folder says of itself. Raises FileError for one that is no corpus, or of a newer version."""
    path = manifest_path(folder)
    if not path.exists():
        raise FileError(f"{folder} holds no corpus: there is no {MANIFEST}. `saywhy corpus` makes one.")
    data = read_json(path, FORMAT, VERSION, {"settings": dict, "input": dict})
    for field in ("identity", "columns", "total"):
        if field not in data["input"]:
            raise FileError(f"{str(path)!r} is damaged: it lacks the field input.{field}.")
    list_of(data["input"]["columns"], str, str(path), "input.columns")
    object_of(data["settings"], _SETTINGS, str(path), "settings")
    for field in ("labels", "keep", "text"):
        list_of(data["settings"][field], str, str(path), f"settings.{field}")
    of_type(data["input"]["total"], (int, type(None)), str(path), "input.total")
    if "done" in data:
        object_of(data["done"], dict.fromkeys(("rows", "errors", "copies", "shards"), int), str(path), "done")
    return data


def manifest_path(folder: Path) -> Path:
    """The manifest of a folder: the file that this version writes, or the one that version 0.1 wrote."""
    old = folder / "manifest.json"
    return old if old.exists() and not (folder / MANIFEST).exists() else folder / MANIFEST


def noted(folder: Path, data: Mapping[str, Any]) -> None:
    """Write the manifest."""
    (folder / "manifest.json").unlink(missing_ok=True)  # of version 0.1
    write(folder / MANIFEST, (json.dumps(data, ensure_ascii=False, indent=1) + "\n").encode("utf-8"))


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """While inside, no other run writes into the folder; what a killed one left half written is removed."""
    with (folder / ".lock").open("a") as lock:
        try:
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:  # not on this system: two runs at once waste work, and write the same
            pass
        except BlockingIOError:
            raise InputError(f"Another run is at work on {folder}; wait for it, or give another folder.") from None
        _swept(folder)
        try:
            yield
        finally:
            _swept(folder)


def _swept(folder: Path) -> None:
    """Remove what is half written, and the rows that wait for nobody."""
    for left in (*folder.glob(".*.half"), *folder.glob(f"{TODO}/*")):
        left.unlink(missing_ok=True)
    if (folder / TODO).is_dir():
        (folder / TODO).rmdir()
