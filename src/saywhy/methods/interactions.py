"""Interactions of every two features, from the even part of a game: what its coalitions and their complements say together.

The even part, (f(S) + f(not S)) / 2, is fitted as a Gaussian process over orders 0, 2, 4 and 6, as `gaussian_process` fits the
odd one. Of one set of rows both are told, so pairs need no evaluation of their own. Three indices come out of the same fit; they
differ in what a set of four or six gives to each of its pairs (`walsh.pair_weight`).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..core.types import PairScores
from .gaussian_process import EXACT, KEPT_FACTORS, degrees_of_freedom
from .walsh import (
    PAIR_INDICES,
    coefficients,
    covariance,
    differences,
    every_coalition,
    pair_link,
    pair_variance,
    pair_weight,
)

if TYPE_CHECKING:
    from ..core.shapes import Float, Float64, Int

LEVELS = torch.logspace(-6, 0.5, 14, dtype=torch.float64)  # the variance of order 4, over that of order 2
DECAY = 0.3  # the variance of order 6 over that of order 4
FAINT = 1e-2  # of the likeliest prior's weight: one that has less is left out of the mean
CHUNK = 4_096  # pairs at a time: each needs a number for every coalition


def exact_pairs(values: Float[Tensor, "2**{n} K"], n: int) -> PairScores:
    """The interactions from the values of all coalitions (bit i is feature i): exact, without standard errors."""
    members = every_coalition(n).double()
    sizes = members.sum(1).long()
    terms = coefficients(values)
    first, second = torch.triu_indices(n, n, 1)
    found = {}
    for index in PAIR_INDICES:
        weights = torch.tensor([4 * pair_weight(index, k) if k and k % 2 == 0 else 0.0 for k in range(n + 1)])
        weighed = terms * weights.double()[sizes][:, None]
        found[index] = torch.einsum("rk,ri,rj->kij", weighed, members, members)[:, first, second]
    return PairScores(found)


def pairs_of_even_part(
    key: Hashable, signs: Float64[Tensor, "P n"], even: Float[Tensor, "P K"], place: Int[Tensor, " n"]
) -> PairScores:
    """The interactions, with standard errors, from the even part of games at the sign vectors of a design.

    Parameters
    ----------
    key : Hashable
        A name of the design; what is worked out of it is kept under that name.
    signs : Tensor
        The sign vectors.
    even : Tensor
        What each target's game says there.
    place : Tensor
        The column of the design that each feature has.
    """
    rows, n = signs.shape
    centred = even - even.mean(0)
    fits = [_Fit(key, signs, place_of) for place_of in range(len(LEVELS))]
    whitened = [fit.whitened(centred) for fit in fits]
    sizes = torch.stack(
        [(each.square().sum(0) / degrees_of_freedom(rows)).clamp(min=1e-300) for each in whitened]
    )  # [levels, K]
    likelihood = -rows / 2 * sizes.log() - torch.tensor([fit.factor.logdet for fit in fits])[:, None] / 2
    weights = (likelihood - likelihood.amax(0)).exp()
    weights = torch.where(weights < FAINT, 0.0, weights)
    weights = weights / weights.sum(0)
    told: dict[str, Tensor] = {}
    errors: dict[str, Tensor] = {}
    for index in PAIR_INDICES:
        mean = torch.zeros(even.shape[1], n * (n - 1) // 2, dtype=torch.float64)
        square = torch.zeros_like(mean)
        for fit, each, share, size in zip(fits, whitened, weights, sizes, strict=True):
            if share.any():
                reader = fit.reader(index)
                found = each.T @ reader.weights
                mean += share[:, None] * found
                square += share[:, None] * (found.square() + size[:, None] * reader.variance)
        error = (square - mean.square()).clamp(min=0).sqrt()
        told[index], errors[index] = (_placed(found, place) for found in (mean, error))
    return PairScores(told, errors)


@dataclass(frozen=True, eq=False)
class _Factor:
    root: Float[Tensor, "P P"]  # lower
    logdet: float

    @property
    def size(self) -> int:
        return self.root.nbytes


@dataclass(frozen=True, eq=False)
class _Reader:
    weights: Float64[Tensor, "P pairs"]  # what the whitened even part is multiplied by
    variance: Float64[Tensor, " pairs"]  # the posterior variance over the size of the prior

    @property
    def size(self) -> int:
        return self.weights.nbytes + self.variance.nbytes


class _Fit:
    """The even part of a design under one prior."""

    def __init__(self, key: Hashable, signs: Float64[Tensor, "P n"], level: int):
        self.key, self.signs, self.level = ("even", key, level), signs, level
        share = float(LEVELS[level])
        prior = {0: 1.0, 2: 1.0, 4: share, 6: share * DECAY}
        self.prior = {k: v for k, v in prior.items() if k <= signs.shape[1]}
        self.factor = KEPT_FACTORS.get(self.key, self._factorised, lambda made: made.size)

    def _factorised(self) -> _Factor:
        rows, n = self.signs.shape
        kind = torch.float64 if rows <= EXACT else torch.float32
        signs = self.signs.to(kind)
        gram = covariance(differences(signs, signs), n, self.prior, kind)
        gram.diagonal().add_((1e-9 if rows <= EXACT else 1e-5) * sum(self.prior.values()))
        root = torch.linalg.cholesky(gram)
        return _Factor(root, 2 * float(root.diagonal().double().log().sum()))

    def whitened(self, even: Float[Tensor, "P K"]) -> Float64[Tensor, "P K"]:
        root = self.factor.root
        found: Tensor = torch.linalg.solve_triangular(root, even.to(root), upper=False)
        return found.double()

    def reader(self, index: str) -> _Reader:
        """How every interaction follows from the whitened even part; kept for further texts."""
        found: _Reader = KEPT_FACTORS.get((*self.key, index), partial(self._reader, index), lambda made: made.size)
        return found

    def _reader(self, index: str) -> _Reader:
        root = self.factor.root
        told = [torch.linalg.solve_triangular(root, link.to(root), upper=False).double() for link in self._links(index)]
        weights = torch.cat(told, 1)
        whole = pair_variance(self.signs.shape[1], self.prior, index)
        return _Reader(weights, (whole - weights.square().sum(0)).clamp(min=0))

    def _links(self, index: str) -> Iterator[Tensor]:
        """[P, some pairs] each."""
        n = self.signs.shape[1]
        every = torch.triu_indices(n, n, 1)
        for start in range(0, every.shape[1], CHUNK):
            yield pair_link(self.signs, self.prior, index, every[:, start : start + CHUNK])


def _placed(pairs: Float[Tensor, "K pairs"], place: Int[Tensor, " n"]) -> Float[Tensor, "K pairs"]:
    """Of the columns of a design -> of the features, where feature i has the column place[i]."""
    n = len(place)
    first, second = torch.triu_indices(n, n, 1)
    square = pairs.new_zeros(len(pairs), n, n)
    square[:, first, second] = square[:, second, first] = pairs
    return square[:, place[first], place[second]]


def pairs_over_draws(pairs: PairScores, drawn: int, many: int) -> PairScores:
    """Interactions of the means over so many draws of baselines, with the standard errors that come of drawing.

    The rows of `pairs` are the `many` targets' means, then every draw's own; a draw's own are a sample of one.
    """
    errors = {}
    for index, found in pairs.values.items():
        variance = found[many:].reshape(drawn, many, -1).var(0) / drawn
        own = 0 if pairs.stderr is None else pairs.stderr[index][:many] ** 2
        errors[index] = (variance + own).sqrt()
    return PairScores({index: found[:many] for index, found in pairs.values.items()}, errors)
