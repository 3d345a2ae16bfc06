"""Rows that begin alike: which of them to send together, and where to cut them so that a beginning is computed once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from ..types import Ints

WORTH = 0.8  # rows are ordered by their beginnings where that leaves at most this much of their positions to compute
_CUTS = 64  # how many places to cut at are weighed against each other


def ordered(codes: Sequence[Ints]) -> tuple[list[int], Ints]:
    """The rows in an order in which equal beginnings meet, and how many positions each shares with the one before it."""
    order = sorted(range(len(codes)), key=lambda i: codes[i].tobytes())
    pairs = pairwise(order)
    return order, np.array([0, *(_common(codes[a], codes[b]) for a, b in pairs)], dtype=np.int64)


def bundles(codes: Sequence[Ints], budget: int) -> list[list[int]] | None:
    """Batches of rows that begin alike, each with up to `budget` positions to compute; None where little is shared."""
    order, shared = ordered(codes)
    sizes = np.array([len(codes[i]) for i in order])
    if len(order) < 2 or (sizes - shared).sum() > WORTH * sizes.sum():
        return None
    out: list[list[int]] = []
    fresh = longest = 0
    for i, size, same in zip(order, sizes.tolist(), shared.tolist(), strict=True):
        longest = max(longest, size)
        if out and fresh + size - same <= budget and longest * (len(out[-1]) + 1) <= 4 * budget:
            out[-1].append(i)
            fresh += size - same
        else:
            out.append([i])
            fresh = longest = size
    return out


def cuts(shared: Ints, longest: int, most: int, fixed: int) -> tuple[list[int], int]:
    """The depths at which to cut ordered rows so that the least is computed, and how many positions that saves.

    Between two depths every distinct beginning is computed once. `most` is the deepest allowed, `fixed` what a call of the
    model costs besides its positions, counted in positions, and paid for out of what is saved. No depths where nothing is.
    """
    depths = np.unique(shared[1:].clip(max=most))
    depths = depths[depths > 0]
    if len(depths) > _CUTS:
        depths = depths[np.linspace(0, len(depths) - 1, _CUTS).astype(int)]
    best, back = [0.0], [-1]
    places = [0, *depths.tolist()]
    for j in range(1, len(places)):
        distinct = int((shared[1:] < places[j]).sum()) + 1
        costs = [best[i] + (places[j] - places[i]) * distinct + fixed for i in range(j)]
        best.append(min(costs))
        back.append(int(np.argmin(costs)))
    whole = [cost + (longest - place) * len(shared) for cost, place in zip(best, places, strict=True)]
    at, out = int(np.argmin(whole)), []
    while at > 0:
        out.append(places[at])
        at = back[at]
    return out[::-1], int(whole[0] - min(whole))


def beginnings(shared: Ints, depth: int) -> Ints:
    """[N]: for each of the ordered rows, which of the distinct beginnings of this depth it has."""
    new = shared < depth
    new[0] = True
    return np.cumsum(new) - 1


def _common(a: Ints, b: Ints) -> int:
    n = min(len(a), len(b))
    other = a[:n] != b[:n]
    return int(other.argmax()) if other.any() else n
