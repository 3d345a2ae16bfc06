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
    """The distinct rows that the method asks about, and those that check its scores. Of a continuation that the model is still
    to write, its tokens are not counted. Methods that follow gradients, or decide by answers what to ask next, ask more."""
    rows: dict[Hashable, int] = {}
    checks: dict[Hashable, int] = {}
    for encoding in encodings:
        n = len(encoding.features)
        asked = torch.tensor([[True] * n, [False] * n])
        if request.method.coalitions:
            own = first_coalitions(request.method.function, encoding.features, request.options)
            asked = torch.cat([asked, own])
        _count(model, encoding, asked, rows)
        if request.trust != "none":
            sets = random_sets(n, max(1, round(n / SHARE)), request.trust)
            _count(model, encoding, ~sets, checks)
    checks = {key: size for key, size in checks.items() if key not in rows}
    width = max((len(parts(encoding.whole)) for encoding in encodings), default=1)
    ends = 0 if request.trust == "none" else (2 + 2 * (not model.deterministic)) * width * len(encodings)
    mean = sum(rows.values()) / max(1, len(rows))
    many = len(rows) + len(checks) + ends
    return Estimate(many, round(sum(rows.values()) + sum(checks.values()) + ends * mean), len(checks) + ends)


def _count(model: Model[Any], encoding: Encoding, asked: torch.Tensor, into: dict[Hashable, int]) -> None:
    made = [part for row in encoding.at(asked.numpy()) for part in parts(row)]
    into.update(zip(model.keys(made), model.sizes(made), strict=True))
