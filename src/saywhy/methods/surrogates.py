"""Methods that fit a simple model to what the model says on chosen subsets: KernelSHAP and LIME.

The regression behind `kernel_shap`. Write presence as signs z = +-1. Any game is a sum of Walsh functions, the products of
z over a set A, and Shapley values see those of odd size only: each member of A gets 2 / |A| of its coefficient. A coalition
and its complement together tell the odd part of the game there, (f(S) - f(not S)) / 2. So the odd part is fitted as a
Gaussian process whose prior gives every set of one size the same variance, less the larger the set; its covariance is a
Krawtchouk polynomial of how far two coalitions differ, and the Shapley values of the fit have a closed form, with an error.
With size 1 alone this is the least squares of Lundberg & Lee; sizes 3, 5 and 7 take up what that leaves as noise.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import combinations, islice

import torch
from torch import Tensor

from ..core.errors import OptionError
from ..core.types import MethodGenerator, Problem, Scores, Values
from .coalitions import every_coalition, shapley_of_table

MOST = 8_192  # evaluations: the fit costs the cube of half of it
CHOSEN = 512  # coalitions chosen with care; what a larger budget adds is drawn at random
SPREADS = tuple((r3, r5) for r3 in (1e-5, 1e-3, 0.01, 0.03, 0.1, 0.3, 1.0) for r5 in (0.03, 0.3, 1.0))
TYPICAL = (0.05, 0.2)  # of real classifiers: each odd order's share of variance next to that of the order before


def kernel_shap(problem: Problem, *, budget: int | None = None, seed: int = 0) -> MethodGenerator:
    """Shapley values by regression over chosen coalitions, with standard errors. `budget` evaluations, by default 16 n + 64.

    Every coalition comes with its complement, none is asked twice, value - base is kept exactly, and with 2^n within the
    budget all coalitions are asked and the answer is exact. Coalitions are chosen one after the other, from random ones, as
    those that tell most about the scores; the fit goes beyond KernelSHAP's linear one to interactions (see the module).
    Raises OptionError for a budget below 2 n + 2 or above 8,192.
    Source: Lundberg & Lee 2017; the pairs from Covert & Lee 2021; the sizes from Musco & Witter 2025.
    """
    n = problem.n
    budget = min(16 * n + 64, MOST) if budget is None else budget
    if 2**n <= budget or n <= 2:
        values = yield Values(every_coalition(n))
        return Scores(shapley_of_table(values, n), notes=("every coalition was asked: these Shapley values are exact",))
    if not 2 * n + 2 <= budget <= MOST:
        raise OptionError(
            f"kernel_shap over {n} features takes a `budget` from {2 * n + 2} to {MOST} evaluations, not {budget}."
        )
    half = design(n, (budget - 2) // 2, seed)
    full = torch.ones(1, n, dtype=torch.bool)
    values = yield Values(torch.cat([full, half, ~full, ~half]))
    odd = (values[: len(half) + 1] - values[len(half) + 1 :]) / 2  # [P + 1, K]
    signs = torch.cat([full, half]).double() * 2 - 1
    return shapley_of_fit(signs, odd)


def variances(n: int, spread: tuple[float, float]) -> dict[int, float]:
    """The prior variance of all the coefficients of each odd size together."""
    r3, r5 = spread
    return {k: v for k, v in {1: 1.0, 3: r3, 5: r3 * r5, 7: r3 * r5**2}.items() if k <= n}


def krawtchouk(n: int, most: int) -> Tensor:
    """[most + 1, n + 1]: the mean of the Walsh products of size k over two sign vectors that differ in d places."""
    d = torch.arange(n + 1, dtype=torch.float64)
    rows = [torch.ones(n + 1, dtype=torch.float64), (n - 2 * d) / max(n, 1)]
    for k in range(1, most):
        rows.append(((n - 2 * d) * rows[k] - k * rows[k - 1]) / max(n - k, 1))
    return torch.stack(rows[: most + 1])


def covariance(signs: Tensor, others: Tensor, prior: dict[int, float]) -> Tensor:
    """[P, Q]: of the odd part of the game at two sets of sign vectors [P, n], [Q, n]."""
    n = signs.shape[1]
    table = krawtchouk(n, max(prior))
    differ = ((n - signs @ others.T) / 2).round().long()
    return sum((v * table[k] for k, v in prior.items()), torch.zeros(n + 1, dtype=torch.float64))[differ]


def link(signs: Tensor, prior: dict[int, float]) -> Tensor:
    """[P, n]: covariance of the odd part at each sign vector with each feature's Shapley value."""
    n = signs.shape[1]
    table = krawtchouk(n - 1, max(prior) - 1)
    absent = (signs < 0).double()
    elsewhere = (absent.sum(1, keepdim=True) - absent).long()  # absent among the other features
    weighed = sum((v * table[k - 1] for k, v in prior.items()), torch.zeros(n, dtype=torch.float64))
    return 2 / n * signs * weighed[elsewhere]


def shapley_of_fit(signs: Tensor, odd: Tensor) -> Scores:
    """Shapley values [K, n] and standard errors of the process fitted to odd [P, K]; the prior by maximum likelihood."""
    pairs, n = signs.shape
    eye = torch.eye(pairs, dtype=torch.float64)
    best = torch.full((odd.shape[1],), -math.inf, dtype=torch.float64)
    scores = torch.zeros(odd.shape[1], n, dtype=torch.float64)
    errors = torch.zeros_like(scores)
    for spread in SPREADS:
        prior = variances(n, spread)
        gram = covariance(signs, signs, prior)
        root = torch.linalg.cholesky(gram + 1e-9 * sum(prior.values()) * eye)
        solved = torch.cholesky_solve(odd, root)  # [P, K]
        size = ((odd * solved).sum(0) / pairs).clamp(min=1e-300)  # the likeliest overall scale of the prior
        likelihood = -pairs / 2 * size.log() - root.diagonal().log().sum()
        better = likelihood > best
        if bool(better.any()):
            links = link(signs, prior)
            told = torch.linalg.solve_triangular(root, links, upper=False).square().sum(0)
            unsure = (sum(4 / (k * n) * v for k, v in prior.items()) - told).clamp(min=0)
            best = torch.where(better, likelihood, best)
            scores = torch.where(better[:, None], (links.T @ solved).T, scores)
            errors = torch.where(better[:, None], (size[:, None] * unsure).sqrt(), errors)
    left = (2 * odd[0] - scores.sum(1))[:, None] / n  # of value - base: rounding
    return Scores(scores + left, stderr=errors)


@lru_cache(maxsize=64)
def design(n: int, pairs: int, seed: int) -> Tensor:
    """bool [pairs, n]: distinct coalitions, one of each complementary pair, that tell most about the Shapley values.

    Candidates are drawn evenly over sizes (all of them, where there are few); then each choice is the one that takes most
    off the summed variance of the Shapley values under the typical prior, given the choices before it.
    """
    draw = torch.Generator().manual_seed(seed)
    pool = _candidates(n, max(2_000, 2 * pairs), draw)
    if len(pool) <= pairs:
        return pool
    prior = variances(n, TYPICAL)
    signs = torch.cat([torch.ones(1, n), pool * 2.0 - 1]).double()  # "everything" is always asked, and first
    telling, left = link(signs, prior), torch.full((len(signs),), sum(prior.values()), dtype=torch.float64)
    known = torch.zeros(
        len(signs), min(pairs, CHOSEN), dtype=torch.float64
    )  # the chosen columns of the root of the covariance
    chosen = [0]
    for step in range(min(pairs, CHOSEN)):
        last = chosen[-1]
        column = covariance(signs, signs[last : last + 1], prior)[:, 0] - known[:, :step] @ known[last, :step]
        known[:, step] = column / left[last].clamp(min=1e-12).sqrt()
        told = telling[last] / left[last].clamp(min=1e-12).sqrt()
        left = left - known[:, step] ** 2
        telling = telling - known[:, step, None] * told
        gain = telling.square().sum(1) / left.clamp(min=1e-9)
        gain[left < 1e-7] = 0.0
        gain[chosen] = -1.0
        chosen.append(int(gain.argmax()))
    places = torch.tensor(chosen[1:]) - 1
    spare = torch.ones(len(pool), dtype=torch.bool)
    spare[places] = False
    return torch.cat([pool[places], pool[spare][: pairs - len(places)]])


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


def lime(
    problem: Problem, *, samples: int = 256, width: float = 0.25, ridge: float = 1e-3, seed: int = 0
) -> MethodGenerator:
    """Slopes of a local linear model, fitted to random subsets weighted by nearness. `samples` evaluations + 1.

    Subsets have a uniformly drawn number of absent features; the weight is exp(-(1 - cosine)^2 / width^2); the fit is ridge
    regression with an intercept. The scores need not add up. Source: Ribeiro, Singh & Guestrin 2016.
    """
    n = problem.n
    if samples < 2 or width <= 0 or ridge < 0:
        raise OptionError(f"lime needs samples >= 2, width > 0 and ridge >= 0, not {samples}, {width} and {ridge}.")
    draw = torch.Generator().manual_seed(seed)
    size = torch.randint(1, n + 1, (samples,), generator=draw)  # how many are absent
    order = torch.rand(samples, n, generator=draw).argsort(1).argsort(1)
    kept = torch.cat([torch.ones(1, n, dtype=torch.bool), order >= size[:, None]])
    values = yield Values(kept)  # [samples + 1, K]
    distance = 1 - (kept.double().mean(1)).sqrt()  # 1 - cosine to "all present"
    weight = torch.exp(-(distance**2) / width**2)[:, None]
    design = kept.double() - (weight * kept).sum(0) / weight.sum()
    centred = values - (weight * values).sum(0) / weight.sum()
    gram = design.T @ (weight * design) + ridge * torch.eye(n, dtype=torch.float64)
    return Scores(torch.linalg.solve(gram, design.T @ (weight * centred)).T)
