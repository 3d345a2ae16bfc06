"""A corpus: any number of texts explained into Parquet shards, resumable; and a report of what the model looks at overall."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.checks import mapping, one_of, real_number, several, whole_number
from ..core.errors import OptionError
from ..core.progress import progress as shown_progress
from ..storage.paths import as_path
from . import processes, ray_actors
from .jobs import HandOut, spread
from .plan import CorpusRequest, planned
from .report import Report, report
from .walk import Corpus, load, walk

if TYPE_CHECKING:
    from ..explain.explainer import Explainer

__all__ = ["Corpus", "Report", "load", "report", "run"]

ENGINES = ("local", "ray")


def run(
    model: object,
    source: object,
    output: str | Path,
    *,
    text: str | Sequence[str] | None = None,
    keep: Sequence[str] | None = None,
    trust_share: float = 0.01,
    strict: bool = False,
    limit: int | None = None,
    shard_rows: int = 1_024,
    cache: int = 4_096,
    engine: str = "local",
    workers: int = 1,
    gpus: float = 0,
    actors: Mapping[str, Any] | None = None,
    progress: bool | None = None,
    **settings: object,
) -> Corpus:
    """Every row of the source explained, as Parquet shards in the folder `output`; started again it goes on where it was.

    Memory does not grow with the rows. A row that cannot be read or explained (empty, too long, no text, a model that
    fails on it) is recorded with its reason, and the run goes on.

    Parameters
    ----------
    model
        An Explainer, or what one is made of.
    source
        A .csv, .tsv, .jsonl, .txt or .parquet file, a folder of those, a Hugging Face dataset, or any iterable of mappings
        or texts.
    output
        The folder of the shards.
    text
        The column of the text, by default "text"; several columns are given as a mapping. Of a model of rows all columns that
        it reads, by default those.
    keep
        The other columns to keep, by default all; of a model of rows also columns that it reads.
    trust_share
        The share of the texts that is checked against removal, as `trust` says.
    strict
        Whether a row that cannot be explained is an InputError.
    limit
        Only the first so many rows.
    shard_rows
        Rows of a shard, which is what a kill loses at most, and within which texts of like length are put together.
    cache
        How many of the texts used last are remembered, and not computed again.
    engine
        "local", this machine, or "ray".
    workers, gpus
        How many processes here, or actors of Ray, each with so many GPUs; each makes an explainer of its own.
    actors
        The arguments of Explainer that they make it of; by default `model` alone.
    progress
        Whether a progress line is shown; by default for long work on a terminal.
    **settings
        Those of calling an explainer: `method`, `target`, `by`, `background`, …, and the method's options. Where nothing says
        what stands in for an absent column of a row, it is the mean of the first 1,000 rows, which every result states.

    Returns
    -------
    Corpus
        The folder, whose tables are read shard by shard.

    Raises
    ------
    InputError, OptionError, MethodError, FileError
        Before the first model call; InputError at the end where the source was changed meanwhile.
    """
    names = (text,) if isinstance(text, str) else None if text is None else several("text", text, "columns")
    wanted = CorpusRequest(names, keep, settings, trust_share, strict, limit, shard_rows, cache)
    folder, actors = (
        as_path(output, "output"),
        None if actors is None else mapping("actors", actors, "arguments of Explainer"),
    )
    workers, gpus = whole_number("workers", workers, least=1), real_number("gpus", gpus, 0)
    spec = {"model": model} if actors is None else actors
    plain = {
        name: value for name, value in settings.items() if name != "background"
    }  # it becomes plain rows in the plan
    hand_out = _hand_out(engine, spec, replace(wanted, settings=plain), workers, gpus)
    here = spec if engine == "ray" or not gpus else {**spec, "device": "cpu"}  # the GPUs are the workers'
    plan = planned(_explainer(model, here), source, folder, wanted)
    with shown_progress(plan.input.total, progress) as tick:
        if hand_out is None:
            return walk(plan, tick)
        return spread(plan, spec, tick, hand_out)


def _hand_out(engine: str, spec: Mapping[str, Any], wanted: CorpusRequest, workers: int, gpus: float) -> HandOut | None:
    """Who makes the shards; None where it is this process."""
    one_of("engine", engine, ENGINES)
    if engine == "local" and workers == 1 and not gpus:
        return None
    from ..explain.explainer import Explainer

    if isinstance(spec.get("model"), Explainer):
        raise OptionError("Each worker makes its own explainer: give the model in its place, or `actors` as well.")
    ready = ray_actors.ready if engine == "ray" else processes.ready
    return ready(spec, wanted, workers, gpus)


def _explainer(model: object, spec: Mapping[str, Any]) -> Explainer:
    from ..explain.explainer import Explainer

    return model if isinstance(model, Explainer) else Explainer(**spec)
