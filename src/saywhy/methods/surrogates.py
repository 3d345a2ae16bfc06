"""Methods that fit a simple model to what the model says on sampled subsets: KernelSHAP and LIME."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..errors import OptionError
from ..types import Asking, Problem, Scores, Values
from .coalitions import every_coalition, shapley_of_table


def kernel_shap(problem: Problem, *, budget: int | None = None, seed: int = 0) -> Asking:
    """Shapley values by weighted least squares over sampled coalitions. `budget` evaluations (default min(2^n, 16 n + 64)).

    Every coalition comes with its complement, sizes are drawn by leverage, none is drawn twice, and value - base is kept
    exactly. With 2^n within the budget all coalitions are asked and the answer is exact, without standard errors.
    Source: Lundberg & Lee 2017; Covert & Lee 2021 (pairs, standard errors); Musco & Witter 2025 (leverage).
    """
    n = problem.n
    budget = 16 * n + 64 if budget is None else budget
    if 2**n <= budget or n <= 2:
        values = yield Values(every_coalition(n))
        return Scores(shapley_of_table(values, n), notes=("every coalition was asked: these Shapley values are exact",))
    if budget < 2 * n + 2:
        raise OptionError(
            f"kernel_shap over {n} features needs a `budget` of at least {2 * n + 2} evaluations, not {budget}."
        )
    half, chance = _drawn(n, (budget - 2) // 2, torch.Generator().manual_seed(seed))
    ends = torch.tensor([[False] * n, [True] * n])
    values = yield Values(torch.cat([ends, half, ~half]))
    return _constrained_fit(half, chance, values, n)


def _drawn(n: int, pairs: int, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """[P, n] distinct coalitions, one of each complementary pair, and the chance [P] with which each was included.

    Leverage sampling wants each size equally often: small sizes are exhausted first, the rest share what is left.
    """
    sizes = list(range(1, n // 2 + 1))
    counts = {s: math.comb(n, s) // (2 if 2 * s == n else 1) for s in sizes}
    share = _shares(counts, {s: 0.5 if 2 * s == n else 1.0 for s in sizes}, min(pairs, sum(counts.values())))
    rows, chances = [], []
    for s in sizes:
        picked = _subsets(n, s, counts[s], share[s], draw)
        rows.append(picked)
        chances.append(torch.full((len(picked),), len(picked) / counts[s], dtype=torch.float64))
    return torch.cat(rows), torch.cat(chances)


def _shares(counts: dict[int, int], wants: dict[int, float], total: int) -> dict[int, int]:
    """How many to draw of each size: in proportion to `wants`, at most `counts`, `total` in all."""
    share = dict.fromkeys(counts, 0)
    left = total
    open_sizes = list(counts)
    while left > 0 and open_sizes:
        scale = left / sum(wants[s] for s in open_sizes)
        full = [s for s in open_sizes if wants[s] * scale >= counts[s]]
        if not full:
            exact = {s: wants[s] * scale for s in open_sizes}
            share.update({s: int(exact[s]) for s in open_sizes})
            rest = left - sum(share[s] for s in open_sizes)
            for s in sorted(open_sizes, key=lambda s: int(exact[s]) - exact[s])[:rest]:
                share[s] += 1
            break
        for s in full:
            share[s], left = counts[s], left - counts[s]
            open_sizes.remove(s)
    return share


def _subsets(n: int, size: int, count: int, wanted: int, draw: torch.Generator) -> Tensor:
    """bool [wanted, n]: distinct random subsets of one size; for size n / 2 no two are complements."""
    if wanted == 0:
        return torch.zeros(0, n, dtype=torch.bool)
    if count <= 20_000:
        chosen = torch.combinations(torch.arange(n), size)[:count]
        chosen = chosen[torch.randperm(count, generator=draw)[:wanted]]
        return torch.zeros(wanted, n).scatter_(1, chosen, 1.0).bool()
    seen: dict[bytes, Tensor] = {}
    while len(seen) < wanted:
        row = torch.zeros(n, dtype=torch.bool)
        row[torch.randperm(n, generator=draw)[:size]] = True
        row = ~row if 2 * size == n and not row[0] else row
        seen.setdefault(row.numpy().tobytes(), row)
    return torch.stack(list(seen.values()))


def _constrained_fit(half: Tensor, chance: Tensor, values: Tensor, n: int) -> Scores:
    """Least squares under sum(scores) = value - base, on paired differences; the Shapley kernel over the inclusion chance.

    A coalition and its complement carry the same weight, and their difference depends on the odd part of the game alone,
    which is the part that Shapley values see.
    """
    base, full = values[0], values[1]
    pairs = len(half)
    odd = (values[2 : 2 + pairs] - values[2 + pairs :]) / 2  # [P, K]
    sign = half.double() - 0.5  # [P, n], +-1/2: odd part of a linear game with these scores
    size = half.sum(1).double()
    kernel = torch.exp(-(torch.lgamma(torch.tensor(n + 1.0)) - torch.lgamma(size + 1) - torch.lgamma(n - size + 1)))
    weight = kernel.double() / (size * (n - size)) / chance
    total = (full - base)[None]  # [1, K]
    # scores = total / n + free, with free orthogonal to ones: remove the mean from the design
    centred = sign - sign.mean(1, keepdim=True)
    wanted = odd - sign.mean(1, keepdim=True) * total
    root = weight.sqrt()[:, None]
    gram = (centred * root).T @ (centred * root)
    inverse = torch.linalg.pinv(gram, hermitian=True)
    free = inverse @ (centred * root).T @ (wanted * root)  # [n, K]
    scores = free + total / n
    return Scores(scores.T, stderr=_stderr(centred, wanted, weight, chance, free, inverse).T)


def _stderr(centred: Tensor, wanted: Tensor, weight: Tensor, chance: Tensor, free: Tensor, inverse: Tensor) -> Tensor:
    """[n, K] sandwich standard errors: residuals of the fit, scaled for its n - 1 freedoms and for what was exhausted."""
    residual = wanted - centred @ free  # [P, K]
    pairs, n = centred.shape
    freedom = pairs / max(pairs - (n - 1), 1)
    reach = inverse @ (centred * weight[:, None]).T  # [n, P]
    unseen = (1 - chance).clamp(min=0)[:, None]
    return ((reach**2) @ (residual**2 * unseen * freedom)).sqrt()


def lime(problem: Problem, *, samples: int = 256, width: float = 0.25, ridge: float = 1e-3, seed: int = 0) -> Asking:
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
