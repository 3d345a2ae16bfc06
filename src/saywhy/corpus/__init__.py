"""A corpus: any number of texts explained into Parquet shards, resumable; and a report of what the model looks at overall."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import OptionError, unknown
from ..progress import progress as shown_progress
from .plan import Plan, Wanted, planned
from .report import Report, report
from .walk import Corpus, Tick, load, walk

if TYPE_CHECKING:
    from ..explain import Explainer
    from ..line import MethodLike
    from ..tasks import WantedTarget

__all__ = ["Corpus", "Report", "load", "report", "run"]

ENGINES = ("local", "ray")


def run(
    model: Any,
    source: Any,
    output: str | Path,
    *,
    text: str | Sequence[str] = "text",
    keep: Sequence[str] | None = None,
    method: MethodLike | None = None,
    target: WantedTarget = None,
    against: WantedTarget = None,
    unit: str | None = None,
    by: str | None = None,
    absent: str | None = None,
    overlong: str = "refuse",
    embedding: str = "word",
    trust: str = "quick",
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
    **options: Any,
) -> Corpus:
    """Every row of the source explained, as Parquet shards in the folder `output`; started again it goes on where it was.

    `model`: an Explainer, or what one is made of. `source`: a .csv, .tsv, .jsonl, .txt or .parquet file, a folder of those, a
    Hugging Face dataset, or any iterable of mappings or texts. `text`: the column of the text; several columns are given as a
    mapping. `keep`: the other columns to keep, by default all. The arguments from `method` to `embedding` and the options are
    those of calling an explainer. `trust`: a share of the texts is checked against removal. A row that cannot be explained
    (empty, too long, no text) is recorded with its reason; with `strict` it is an InputError. `shard_rows`: rows of a shard,
    which is what a kill loses at most, and within which texts of like length are put together. `cache`: the texts used last,
    which are not computed again. `engine`: "local", or "ray" with `workers` actors of `gpus` each, which
    make their explainers of `actors`, the arguments of Explainer (by default `model` alone). Memory does not grow with the
    rows. Raises InputError, OptionError, MethodError and FileError before the first model call.
    """
    explainer = _explainer(model, engine, workers, cache, actors)
    asked = {"method": method, "target": target, "against": against, "unit": unit, "by": by, "absent": absent}
    asked |= {"overlong": overlong, "embedding": embedding}
    names, kept = (text,) if isinstance(text, str) else tuple(text), None if keep is None else tuple(keep)
    wanted = Wanted(names, kept, asked, options, trust, trust_share, strict, limit, shard_rows)
    plan = planned(explainer, source, Path(output), wanted)
    with shown_progress(plan.input.total, progress) as tick:
        if engine == "local":
            return walk(plan, cache, tick)
        return _on_ray({"model": model} if actors is None else actors, plan, workers, gpus, tick)


def _explainer(model: Any, engine: str, workers: int, cache: int, actors: Mapping[str, Any] | None) -> Explainer:
    from ..explain import Explainer

    if engine not in ENGINES:
        raise unknown("engine", engine, ENGINES)
    if workers < 1 or cache < 0:
        raise OptionError("`workers` is at least 1, `cache` at least 0.")
    if engine == "ray" and actors is None and isinstance(model, Explainer):
        raise OptionError("With engine='ray' each actor makes its own explainer: give the model, or `actors` as well.")
    return model if isinstance(model, Explainer) else Explainer(model)


def _on_ray(spec: Mapping[str, Any], plan: Plan, workers: int, gpus: float, tick: Tick) -> Corpus:
    from .on_ray import spread

    return spread(spec, plan, workers, gpus, tick)
