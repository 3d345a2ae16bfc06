"""Methods that fit a simple model to what the model says on chosen subsets: KernelSHAP and LIME."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..core.errors import OptionError
from ..core.types import MethodGenerator, Problem, Scores, Values
from .coalitions import EVERY_COALITION, of_every_coalition, of_single_features, shapley_sampling
from .design import design
from .gaussian_process import EXACT, shapley_of_odd_part
from .interactions import pairs_of_even_part
from .walsh import every_coalition

if TYPE_CHECKING:
    from ..core.shapes import Bool, Float

MOST = 8_192  # evaluations: the fit costs the cube of half of it
PAIRED, MOST_PAIRED = 40, 128  # features up to which pairs are told of without being asked for, and at all
LARGEST = 1_000  # features that a regression is fitted to: it costs the cube of their number


def kernel_shap(
    problem: Problem, *, budget: int | None = None, pairs: bool | None = None, frugal: bool | None = None, seed: int = 0
) -> MethodGenerator:
    """Shapley values by regression over chosen coalitions, with standard errors. `budget` evaluations, by default 16 n + 64.

    Every coalition comes with its complement, none is asked twice, value - base is kept exactly, and with 2^n within the
    budget all coalitions are asked and the answer is exact. Coalitions are chosen as those that tell most about the scores,
    and the fit goes beyond KernelSHAP's linear one to interactions: see docs/design/gaussian_process.md. More than 1,000
    features are asked in random orders instead, as `shapley_sampling` asks, and a note says so; by default 8,192 evaluations,
    or 2 n where that is more. `frugal`: 4 n + 16 evaluations by default, for models whose every answer costs time or money.
    `pairs`: tell of the interaction of every two features too, from the same evaluations; by default
    with up to 40 features and 2,048 evaluations, at most with 128 features. Raises OptionError for a budget below 2 n + 2, or
    above 8,192 where 2 n + 2 is less.
    Source: Lundberg & Lee 2017; the pairs from Covert & Lee 2021; the sizes from Musco & Witter 2025.
    """
    n = problem.n
    if problem.additive and not pairs and (known := (yield from of_single_features(problem))) is not None:
        return known
    most = max(MOST, 2 * n + 2)
    if budget is None:
        budget = min(4 * n + 16 if frugal else 16 * n + 64, most)
    if 2**n <= budget or n <= 2:
        values = yield Values(every_coalition(n))
        return of_every_coalition(values, n, (EVERY_COALITION,))
    if not 2 * n + 2 <= budget <= most:
        raise OptionError(
            f"kernel_shap over {n} features takes a `budget` from {2 * n + 2} to {most} evaluations, not {budget}."
        )
    if pairs and n > MOST_PAIRED:
        raise OptionError(
            f"kernel_shap tells of pairs of up to {MOST_PAIRED} features, and here are {n}. Take coarser features (`by`), or "
            "leave `pairs` out."
        )
    if n > LARGEST:
        return (yield from _in_random_orders(problem, budget, seed))
    half, place = design(n, (budget - 2) // 2, seed)
    values = yield Values(paired(half[:, place]))
    signs = torch.cat([torch.ones(1, n), half * 2.0 - 1]).double()
    scores, errors = shapley_of_odd_part((n, len(half)), signs, odd_part(values))
    wanted = n <= PAIRED and len(half) < EXACT if pairs is None else pairs
    told = pairs_of_even_part((n, len(half)), signs, even_part(values), place) if wanted else None
    return Scores(scores[:, place], stderr=errors[:, place], pairs=told)


def paired(half: Bool[Tensor, "P n"]) -> Bool[Tensor, "2*P+2 n"]:
    """The whole and the coalitions, then all their complements in the same order."""
    rows = torch.cat([torch.ones(1, half.shape[1], dtype=torch.bool), half])
    return torch.cat([rows, ~rows])


def odd_part(values: Float[Tensor, "both K"]) -> Float[Tensor, "both//2 K"]:
    """Half of each difference of the values of `paired` coalitions."""
    first, second = values.chunk(2)
    return (first - second) / 2


def even_part(values: Float[Tensor, "both K"]) -> Float[Tensor, "both//2 K"]:
    """Half of each sum of the values of `paired` coalitions."""
    first, second = values.chunk(2)
    return (first + second) / 2


def _in_random_orders(problem: Problem, budget: int, seed: int) -> MethodGenerator:
    """Shapley values of so many features that a regression costs more than it gains."""
    permutations = max(2, budget // problem.n // 2 * 2)
    scores = yield from shapley_sampling(problem, permutations=permutations, seed=seed)
    note = (
        f"{problem.n:,} features are more than kernel_shap fits ({LARGEST:,}): these are Shapley values from {permutations} "
        "random orders, as shapley_sampling gives them"
    )
    return replace(scores, notes=(*scores.notes, note))


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
    gram = design.T @ (weight * design)
    # where all samples are far, as those of one feature, their weights are minute, and the ridge must be small beside them
    gram = gram + ridge * gram.diagonal().mean().clamp(1e-150, 1.0) ** 2 * torch.eye(n, dtype=torch.float64)
    return Scores(torch.linalg.solve(gram, design.T @ (weight * centred)).T)
