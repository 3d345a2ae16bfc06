"""How alike two rankings are, and how well scores find what is marked; float64 vectors in, a float out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from ..core.shapes import Bool, Float, Shaped


def places(scores: Float[Tensor, "*any n"]) -> Float[Tensor, "*any n"]:
    """The rank of each score, the least first; equal scores share the mean of their places."""
    below = (scores[..., None, :] < scores[..., :, None]).sum(-1)
    equal = (scores[..., None, :] == scores[..., :, None]).sum(-1)
    return below + (equal - 1) / 2


def spearman(a: Shaped[Tensor, " n"], b: Shaped[Tensor, " n"]) -> float:
    """The correlation of the ranks, -1 to 1; 0 where one of them ranks nothing. Source: Spearman 1904."""
    x, y = places(a.double()), places(b.double())
    x, y = x - x.mean(), y - y.mean()
    length = float(x.norm() * y.norm())
    return float(x @ y) / length if length else 0.0


def kendall(a: Shaped[Tensor, " n"], b: Shaped[Tensor, " n"]) -> float:
    """Pairs in the same order less pairs in the other, over all that are not tied: tau-b, -1 to 1. Source: Kendall 1945."""
    x = torch.sign(a.double()[:, None] - a.double()[None, :])
    y = torch.sign(b.double()[:, None] - b.double()[None, :])
    length = float(x.norm() * y.norm())
    return float((x * y).sum()) / length if length else 0.0


def average_precision(scores: Float[Tensor, " n"], marked: Bool[Tensor, " n"]) -> float:
    """The area under precision over recall, as scores are lowered one distinct value at a time."""
    order = torch.argsort(scores, descending=True, stable=True)
    hits, found = marked[order].double().cumsum(0), torch.arange(1, len(scores) + 1)
    last = torch.cat([scores[order].diff() != 0, torch.tensor([True])])  # of a run of equal scores
    recall, precision = (hits / hits[-1])[last], (hits / found)[last]
    return float((torch.cat([recall[:1], recall.diff()]) * precision).sum())
