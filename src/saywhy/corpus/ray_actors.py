"""Shards handed out by Ray Data to actors, each with an explainer of its own. Ray gives the shard of one that dies to another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from types import ModuleType
from typing import Any

from ..core.errors import missing
from .jobs import HandOut, Job, Made, begun, made
from .plan import CorpusRequest


class Actor:
    """A worker under Ray."""

    def __init__(self, job: Job):
        self.job, self.work = job, begun(job)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """The shards of a batch, made and written, and what is to be said of them."""
        found = [made(self.job, self.work, shard) for shard in batch["shard"].tolist()]
        return {name: [getattr(one, name) for one in found] for name in Made._fields}


def ready(spec: Mapping[str, Any], wanted: CorpusRequest, workers: int, gpus: float) -> HandOut:
    """Hands shards to so many actors of so many GPUs each. Ray is started unless it runs, and then stopped again."""
    return partial(_handed_out, ray=_ray(), workers=workers, gpus=gpus)


def _handed_out(job: Job, waiting: Sequence[int], ray: ModuleType, workers: int, gpus: float) -> Iterator[Made]:
    own = not ray.is_initialized()
    settings = ray.data.DataContext.get_current()
    shown = settings.enable_progress_bars
    if own:
        ray.init(log_to_driver=False, include_dashboard=False)
    try:
        settings.enable_progress_bars = False
        shards = ray.data.from_items([{"shard": i} for i in waiting], override_num_blocks=len(waiting))
        done = shards.map_batches(
            Actor,
            fn_constructor_args=(job,),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=min(workers, len(waiting))),
            num_gpus=gpus or None,
        )
        yield from (Made(**row) for row in done.iter_rows())
    finally:
        settings.enable_progress_bars = shown
        if own:
            ray.shutdown()


def _ray() -> ModuleType:
    try:
        import ray
        import ray.data
    except ImportError:
        raise missing("ray", "engine='ray'", "ray") from None
    package: ModuleType = ray
    return package
