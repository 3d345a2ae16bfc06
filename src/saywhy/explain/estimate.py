"""What a call will ask of a model, counted before the first answer."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import torch

from ..core.types import Encoding, Estimate
from ..engine.batching import parts
from ..engine.dry_run import first_coalitions
from ..models.protocol import Model
from .request import Request
from .trust import SHARE, random_sets


def estimate(model: Model[Any], request: Request, encodings: Sequence[Encoding]) -> Estimate:
    """The distinct requests that the method makes, and those that check its scores and whether answers differ.

    Of a continuation that the model is still to write, the request is counted and its tokens are not. Methods that follow
    gradients, or decide by answers what to ask next, ask more.
    """
    rows: dict[Hashable, tuple[int, int]] = {}
    checks: dict[Hashable, tuple[int, int]] = {}
    again = [0, 0]  # requests and positions of what is asked twice, or can be told only when the scores are there
    for encoding in encodings:
        n = len(encoding.features)
        both = torch.tensor([[True] * n, [False] * n])
        asked = both
        if request.method.coalitions:
            own = first_coalitions(request.method.function, encoding.features, request.options)
            asked = torch.cat([both, own])
        rows.update(_taken(model, encoding, asked))
        if request.trust != "none":
            checks.update(_taken(model, encoding, ~random_sets(n, max(1, round(n / SHARE)), request.trust)))
            ends = list(_taken(model, encoding, both).values())
            times = 1 if model.deterministic else 2  # the highest and the lowest scores removed; both ends again
            again = [before + times * sum(end[i] for end in ends) for i, before in enumerate(again)]
    checks = {key: taken for key, taken in checks.items() if key not in rows}
    sums = [sum(t[i] for t in rows.values()) + sum(t[i] for t in checks.values()) + again[i] for i in (0, 1)]
    unwritten = sum(not any(encoding.labels) for encoding in encodings) if model.head == "next" else 0
    return Estimate(sums[0] + unwritten, sums[1], sum(t[0] for t in checks.values()) + again[0] + unwritten)


def _taken(model: Model[Any], encoding: Encoding, asked: torch.Tensor) -> dict[Hashable, tuple[int, int]]:
    """key -> (requests, positions) of each distinct row."""
    made = [part for row in encoding.at(asked.numpy()) for part in parts(row)]
    sizes = zip(model.keys(made), model.sizes(made), made, strict=True)
    return {key: (model.requests([part]), size * model.requests([part])) for key, size, part in sizes}
