"""Methods that ask what the model says when features are absent: occlusion, Shapley values, and the random control."""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..core.coalitions import each_absent, ends
from ..core.errors import MethodError, OptionError
from ..core.types import MethodGenerator, Problem, Question, Scores, Values
from .interactions import exact_pairs
from .walsh import every_coalition

if TYPE_CHECKING:
    from ..core.shapes import Float, Float64

EVERY_COALITION = "every coalition was asked: these Shapley values are exact"  # a note, where that is so
ADDITIVE = "this model is additive in what is removed, so the effect of each feature alone is its exact Shapley value"
EXACTLY = 1e-7  # of the sum of |scores|: a larger gap tells that a problem is not additive


def occlusion(problem: Problem) -> MethodGenerator:
    """How far each target falls when each feature alone is absent. n + 1 evaluations.

    Source: Zeiler & Fergus 2014; as leave-one-out in Li, Monroe & Jurafsky 2016.
    """
    values = yield Values(each_absent(problem.n))  # [n + 1, K]
    return Scores((values[0] - values[1:]).T, without=values[1:].T)


def shapley_values(problem: Problem, *, max_features: int = 12) -> MethodGenerator:
    """Exact Shapley values: the mean marginal over all n! orders, from 2^n evaluations.

    Refuses more than `max_features` features and says what they would cost. Source: Shapley 1953.
    """
    n = problem.n
    if problem.additive and (known := (yield from of_single_features(problem))) is not None:
        return known
    if n > max_features:
        raise MethodError(
            f"Exact Shapley values of {n} features need 2^{n} = {2**n:,} evaluations; the limit is {max_features} features. "
            f"Use method='kernel_shap' or 'shapley_sampling', coarser features (by='sentence' or spans), or max_features={n}."
        )
    values = yield Values(every_coalition(n))  # [2^n, K], row = the coalition's bits
    return of_every_coalition(values, n)


def of_single_features(problem: Problem) -> Generator[Question, Any, Scores | None]:
    """Exact Shapley values of a problem that is known to be additive: what each feature does alone. n + 2 evaluations.

    None where they do not add up after all: where probabilities are so near 0 or 1 that their logarithms are cut.
    """
    n = problem.n
    alone = torch.cat([ends(n), torch.eye(n, dtype=torch.bool)])
    values = yield Values(alone)  # [n + 2, K]
    scores = (values[2:] - values[1]).T
    gap = values[0] - values[1] - scores.sum(1)
    if bool((gap.abs() > EXACTLY * (1 + scores.abs().sum(1))).any()):
        return None
    return Scores(scores, notes=(ADDITIVE,))


def of_every_coalition(values: Float[Tensor, "2**{n} K"], n: int, notes: tuple[str, ...] = ()) -> Scores:
    """Exact Shapley values and interactions of pairs from the values of all coalitions."""
    return Scores(shapley_of_table(values, n), notes=notes, pairs=exact_pairs(values, n) if n > 1 else None)


def shapley_of_table(values: Float[Tensor, "2**{n} K"], n: int) -> Float64[Tensor, "K {n}"]:
    """Values by coalition -> exact Shapley values."""
    rows = torch.arange(2**n)
    sizes = every_coalition(n).sum(1)
    weights = torch.tensor([1.0 / (n * math.comb(n - 1, s)) for s in range(n)], dtype=torch.float64)
    out = torch.empty(values.shape[1], n, dtype=torch.float64)
    for i in range(n):
        absent = rows[(rows >> i) & 1 == 0]
        out[:, i] = weights[sizes[absent]] @ (values[absent | (1 << i)] - values[absent])
    return out


def shapley_sampling(problem: Problem, *, permutations: int = 16, seed: int = 0) -> MethodGenerator:
    """Shapley values from random orders, each with its reverse; standard errors over the pairs. permutations * n evaluations.

    The scores add up to value - base exactly, for any number of permutations. Source: Castro, Gómez & Tejada 2009; the
    reversed pairs from Mitchell et al. 2022.
    """
    if permutations < 2 or permutations % 2:
        raise OptionError(
            f"`permutations` must be an even number of at least 2 (each order comes with its reverse), not {permutations}."
        )
    if problem.additive and (known := (yield from of_single_features(problem))) is not None:
        return known
    n, pairs = problem.n, permutations // 2
    draw = torch.Generator().manual_seed(seed)
    orders = torch.stack([torch.randperm(n, generator=draw) for _ in range(pairs)])
    orders = torch.cat([orders, orders.flip(1)])  # [P, n]
    place = orders.argsort(1)  # when each feature arrives
    chains = place[:, None, :] < torch.arange(n + 1)[None, :, None]  # [P, n + 1, n]
    values = yield Values(chains.reshape(-1, n))
    steps = values.reshape(permutations, n + 1, -1).diff(dim=1)  # [P, n, K], in order of arrival
    marginals = steps.gather(1, place[:, :, None].expand_as(steps))  # [P, n, K], by feature
    paired = (marginals[:pairs] + marginals[pairs:]) / 2
    error = paired.std(0) / math.sqrt(pairs) if pairs > 1 else None
    return Scores(paired.mean(0).T, stderr=None if error is None else error.T)


def random(problem: Problem, *, seed: int = 0) -> MethodGenerator:
    """Scores without any meaning, the control that every other method must beat. No evaluation."""
    draw = torch.Generator().manual_seed(seed)
    return Scores(torch.randn(len(problem.targets), problem.n, generator=draw, dtype=torch.float64))
    yield  # a method is a generator, also one that asks nothing
