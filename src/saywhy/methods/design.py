"""Which coalitions a regression asks: one of each complementary pair, in the order of what they tell.

Up to 32 features each is the one, out of some thousand, that takes most off the variance of the Shapley values under a typical
prior. Beyond that a rule does as well or better, in no time: first rows of a Hadamard matrix, in which every feature is present
half of the time and every two agree half of the time; then each feature alone absent; then more such blocks, with a few small
coalitions between them. Seeds give every feature another place in one and the same design, so all seeds share what is worked
out about it.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import combinations, islice
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .walsh import covariance, differences, shapley_link

if TYPE_CHECKING:
    from ..core.shapes import Bool, Int

CHOSEN_BY_GAIN = 32  # features up to which coalitions are chosen one by one
POOL = 2_000  # coalitions that each of them is chosen from
CHOSEN = 512  # coalitions that are chosen so; what a larger budget adds is drawn at random
DRAWS, FEW = 6, 48  # of so few coalitions, the best of several designs: they differ by a tenth in what they tell
TYPICAL = {1: 1.0, 3: 0.05, 5: 0.01, 7: 0.002}  # the variance of each odd order, of real classifiers
SMALL = 0.15  # of a block's rows beyond the first, that many small coalitions: for games that depend on how many are present


def design(n: int, pairs: int, seed: int) -> tuple[Bool[Tensor, "{pairs} {n}"], Int[Tensor, " {n}"]]:
    """Distinct coalitions, one of each complementary pair and never the whole.

    Parameters
    ----------
    n : int
        Features.
    pairs : int
        How many coalitions, fewer than 2^(n - 1).
    seed : int
        Which place of the design each feature has.

    Returns
    -------
    coalitions : Tensor
        The same tensor for every seed: the design. Do not write into it.
    place : Tensor
        The column of the design that each feature has.
    """
    place = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    return _design(n, pairs), place


@lru_cache(maxsize=64)
def _design(n: int, pairs: int) -> Tensor:
    draw = torch.Generator().manual_seed(n)
    if n > CHOSEN_BY_GAIN:
        return _by_rule(n, pairs, draw)
    found = [_by_gain(n, pairs, draw) for _ in range(DRAWS if pairs <= FEW else 1)]
    return max(found, key=lambda each: each[1])[0]


def _by_gain(n: int, pairs: int, draw: torch.Generator) -> tuple[Tensor, float]:
    """bool [pairs, n]: each takes most off the summed variance of the Shapley values; and how much they do in all."""
    pool = _candidates(n, max(POOL, 2 * pairs), draw)
    if len(pool) <= pairs:
        return pool, 0.0
    prior = {k: v for k, v in TYPICAL.items() if k <= n}
    signs = torch.cat([torch.ones(1, n), pool * 2.0 - 1]).double()  # the whole is always asked, and first
    telling, left = shapley_link(signs, prior), torch.full((len(signs),), sum(prior.values()), dtype=torch.float64)
    steps = min(pairs, CHOSEN)
    known = torch.zeros(len(signs), steps, dtype=torch.float64)  # the chosen columns of the root of the covariance
    chosen, total = [0], 0.0
    for step in range(steps):
        last = chosen[-1]
        shared = covariance(differences(signs, signs[last : last + 1]), n, prior)[:, 0]
        column = shared - known[:, :step] @ known[last, :step]
        known[:, step] = column / left[last].clamp(min=1e-12).sqrt()
        told = telling[last] / left[last].clamp(min=1e-12).sqrt()
        left = left - known[:, step] ** 2
        telling = telling - known[:, step, None] * told
        gain = telling.square().sum(1) / left.clamp(min=1e-9)
        gain[left < 1e-7] = 0.0
        gain[chosen] = -1.0
        chosen.append(int(gain.argmax()))
        total += float(gain[chosen[-1]])
    places = torch.tensor(chosen[1:]) - 1
    spare = torch.ones(len(pool), dtype=torch.bool)
    spare[places] = False
    return torch.cat([pool[places], pool[spare][: pairs - steps]]), total


def _by_rule(n: int, pairs: int, draw: torch.Generator) -> Tensor:
    """bool [pairs, n]: rows of Hadamard matrices, each feature alone, then blocks of such rows with small coalitions."""
    first = _hadamard_rows(n, draw)
    found = [first[:n], torch.eye(n, dtype=torch.bool), first[n:]]
    rows = _distinct(torch.cat(found))
    while len(rows) < pairs:
        block = _hadamard_rows(n, draw) ^ (torch.rand(n, generator=draw) < 0.5)
        many = math.ceil(SMALL * n)
        sizes = torch.randint(2, n // 4 + 1, (many, 1), generator=draw)
        small = torch.rand(many, n, generator=draw).argsort(1).argsort(1) < sizes
        rows = _distinct(torch.cat([rows, block, small]))
    return rows[:pairs]


def _distinct(rows: Tensor) -> Tensor:
    """The first of each complementary pair, by the half that is smaller; never nothing and the whole."""
    rows = torch.where(2 * rows.sum(1, keepdim=True) > rows.shape[1], ~rows, rows)
    half = 2 * rows.sum(1) == rows.shape[1]
    rows = torch.where((half & ~rows[:, 0])[:, None], ~rows, rows)
    seen: dict[bytes, int] = {}
    for i, row in enumerate(rows.numpy()):
        seen.setdefault(row.tobytes(), i)
    kept = rows[torch.tensor(list(seen.values()))]
    return kept[kept.any(1)]


def _hadamard_rows(n: int, draw: torch.Generator) -> Tensor:
    """bool [q, n], q >= n: random columns and order of a Hadamard matrix's rows below its row of ones (Paley 1933)."""
    q = _prime(n)
    square = torch.zeros(q, dtype=torch.bool)
    square[torch.arange(1, q) ** 2 % q] = True
    place = torch.arange(q)
    core = square[(place[:, None] - place[None]) % q]  # +1 at squares; at 0 and elsewhere -1
    matrix = torch.cat([torch.ones(q, 1, dtype=torch.bool), core], 1)
    columns, order = torch.randperm(q + 1, generator=draw)[:n], torch.randperm(q, generator=draw)
    return matrix[order][:, columns]


def _prime(least: int) -> int:
    """The smallest prime of at least so much that leaves 3 when divided by 4."""
    q = max(least, 3)
    while q % 4 != 3 or any(q % d == 0 for d in range(3, math.isqrt(q) + 1, 2)):
        q += 1
    return q


def _candidates(n: int, most: int, draw: torch.Generator) -> Tensor:
    """bool [M, n]: distinct coalitions of 1 to n / 2 features, no two complementary, about equally many of each size."""
    counts = {s: math.comb(n, s) // (2 if 2 * s == n else 1) for s in range(1, n // 2 + 1)}
    left, rows = most, []
    for place, s in enumerate(sorted(counts, key=lambda s: counts[s])):
        share = min(counts[s], max(1, left // (len(counts) - place)))
        left -= share
        rows.append(_subsets(n, s, counts[s], share, draw))
    pool = torch.cat(rows)
    return pool[torch.randperm(len(pool), generator=draw)]


def _subsets(n: int, size: int, count: int, wanted: int, draw: torch.Generator) -> Tensor:
    """bool [wanted, n]: distinct random subsets of one size, of `count` in all; for size n / 2 no two are complements."""
    if count <= 20_000:
        chosen = torch.tensor(list(islice(combinations(range(n), size), count)))  # torch's own needs n^size numbers
        chosen = chosen[torch.randperm(count, generator=draw)[:wanted]]
        return torch.zeros(wanted, n).scatter_(1, chosen, 1.0).bool()
    seen: dict[bytes, Tensor] = {}
    while len(seen) < wanted:
        row = torch.zeros(n, dtype=torch.bool)
        row[torch.randperm(n, generator=draw)[:size]] = True
        row = ~row if 2 * size == n and not row[0] else row
        seen.setdefault(row.numpy().tobytes(), row)
    return torch.stack(list(seen.values()))
