"""What a comparison will cost, before it starts: methods and metrics are asked what they would ask."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch

from ..core.types import (
    EmbeddingPath,
    Encoding,
    Problem,
    Target,
)
from ..engine.batching import parts
from ..engine.dry_run import dry_run
from ..metrics import Candidate
from ..metrics.removal import best_known
from ..models.protocol import Model
from ..tasks.protocol import Task
from .entries import RANDOM
from .plan import Plan
from .resources import Tally, counted

SAMPLE = 3  # texts that are looked at


class CostEstimate(NamedTuple):
    """A guess from a few texts. Methods that look again where they are not sure ask for more."""

    texts: int
    rows: int
    seconds: float

    def __str__(self) -> str:
        minutes, seconds = divmod(round(self.seconds), 60)
        lasting = f"{minutes} min" if minutes > 9 else f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
        return f"{self.texts:,} texts, about {self.rows:,} model inputs: some {lasting} here"


def estimate_cost(model: Model[Any], task: Task, plan: Plan, done: int) -> CostEstimate:
    """What the texts that are not done yet will cost. A few forwards, to see how fast the model is."""
    left = len(plan.inputs) - done
    at = sorted({int(i) for i in np.linspace(done, len(plan.inputs) - 1, min(SAMPLE, left))}) if left else []
    encodings = [task.encode(model, plan.inputs[i], plan.request.encoding) for i in at]
    rows = [_asked_for(plan, encoding) for encoding in encodings]
    if not rows:
        return CostEstimate(0, 0, 0.0)
    mean = sum(rows) / len(rows)
    return CostEstimate(left, round(mean * left), mean * left * _price(model, encodings))


def _price(model: Model[Any], encodings: list[Encoding]) -> float:
    """Seconds for one row, in a batch as large as the model takes."""
    rows = [parts(encoding.whole)[0] for encoding in encodings]
    sizes = model.sizes(rows)
    row, size = max(zip(rows, sizes, strict=True), key=lambda pair: pair[1])
    many = max(1, min(model.most_rows or 32, model.batch_tokens // max(1, size), 32))
    with model.frozen(), torch.no_grad():
        model.forward([row])
        started = time.perf_counter()
        model.forward([row] * many)
    return (time.perf_counter() - started) / many


def _asked_for(plan: Plan, encoding: Encoding) -> int:
    """The distinct evaluations that one text needs; a backward pass counts as two more."""
    n = len(encoding.features)
    owner = np.arange(n)
    embedding = EmbeddingPath(torch.zeros(n, 1), torch.zeros(n, 1), owner, n)
    problem = Problem(encoding.features, (Target("", (0,)), Target("", (1,))), embedding)
    total, own = 0, Tally()
    draw = torch.Generator().manual_seed(0)
    claims = {e.label: Candidate(torch.randn(2, n, generator=draw, dtype=torch.float64)) for e in plan.entries}
    for entry in plan.entries:
        if entry.method is not None:
            tally = own if entry.absent is None else Tally()
            before, points = tally.rows, tally.points
            dry_run(counted(entry.asking(problem, 0), tally), problem)
            total += tally.rows - before + 2 * (entry.method.gradients and tally.points - points)
    for removal in plan.removals:
        tally = own if removal == plan.request.encoding.absent else Tally()
        before = len(tally.coalitions)
        others = [candidate.scores[0] for candidate in claims.values()]
        for candidate in claims.values():
            for metric in plan.metrics:
                if metric.family == "removal":
                    dry_run(counted(metric.function(problem, replace(candidate, others=others)), tally), problem)
        dry_run(counted(best_known(problem, replace(claims[RANDOM], others=others)), tally), problem)
        total += len(tally.coalitions) - before
    return total
