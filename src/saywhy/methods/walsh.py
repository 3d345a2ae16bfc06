"""Walsh functions of coalitions: their prior, its covariance between coalitions, and what it tells of Shapley values and pairs.

Write presence as signs z = +-1. Every game is a sum of Walsh functions, the products of z over a set A; the size of A is its
order. Give all coefficients of one order the same prior variance: then the covariance of the game at two coalitions depends
only on how many places they differ in, by a Krawtchouk polynomial of each order. A feature's Shapley value is the sum of
2 / |A| times the coefficients of the sets of odd size that hold it. The interaction of a pair is 4 times a weighted sum of the
coefficients of the sets of even size that hold both, and the indices differ in the weight of each size.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from ..core.shapes import Bool, Float, Float64, Int

Prior = Mapping[int, float]  # order -> the variance of all coefficients of that order together

PAIR_INDICES = ("SII", "FSII", "Banzhaf")


def every_coalition(n: int) -> Bool[Tensor, "2**{n} {n}"]:
    """Row r holds feature i if bit i of r is set."""
    return (torch.arange(2**n)[:, None] >> torch.arange(n)) & 1 == 1


def pair_weight(index: str, size: int) -> float:
    """What a set of an even size gives to the interaction of each of its pairs, over 4.

    With |A| - 2 other members, each present with probability p: the mean of (2 p - 1)^(|A| - 2) over the distribution of p
    that the index averages with: uniform for the Shapley interaction index (Grabisch & Roubens 1999), Beta(2, 2) for the
    faithful one (Tsai, Yeh & Ravikumar 2023), one half for Banzhaf's.
    """
    if index == "SII":
        return 1 / (size - 1)
    if index == "FSII":
        return 3 / ((size - 1) * (size + 1))
    return float(size == 2)


def krawtchouk(n: int, most: int) -> Float64[Tensor, "order {n}+1"]:
    """The mean of the Walsh functions of one order over coalitions that differ in d places.

    Parameters
    ----------
    n : int
        Features.
    most : int
        The largest order.

    Returns
    -------
    Tensor
        The row of each order from 0 to the largest, the column of each number of places; orders above n are left out.
    """
    d = torch.arange(n + 1, dtype=torch.float64)
    rows = [torch.ones(n + 1, dtype=torch.float64), (n - 2 * d) / max(n, 1)]
    for k in range(1, most):
        rows.append(((n - 2 * d) * rows[k] - k * rows[k - 1]) / max(n - k, 1))
    return torch.stack(rows[: most + 1])


def differences(signs: Float[Tensor, "P n"], others: Float[Tensor, "Q n"]) -> Int[Tensor, "P Q"]:
    """In how many places two sets of sign vectors differ."""
    shared = signs @ others.T  # whole numbers, and so are the sums of signs, in any float
    return shared.neg_().add_(signs.shape[1]).div_(2).long()  # in place: there may be millions


def covariance(
    differ: Int[Tensor, "*any"], n: int, prior: Prior, kind: torch.dtype = torch.float64
) -> Float[Tensor, "*any"]:
    """The covariance of the game at coalitions that differ in so many places."""
    return _weighed(prior, krawtchouk(n, max(prior, default=0))).to(kind).take(differ)


def shapley_link(signs: Float[Tensor, "P n"], prior: Prior) -> Float64[Tensor, "P n"]:
    """The covariance of the game at each sign vector with each feature's Shapley value."""
    n = signs.shape[1]
    table = krawtchouk(n - 1, max(prior, default=1) - 1)
    absent = (signs < 0).double()
    elsewhere = (absent.sum(1, keepdim=True) - absent).long()  # how many of the other features are absent
    return 2 / n * signs.double() * _weighed({k - 1: v for k, v in prior.items()}, table)[elsewhere]


def shapley_variance(n: int, prior: Prior) -> float:
    """The prior variance of one Shapley value."""
    return sum(4 / (k * n) * v for k, v in prior.items())


def pair_link(
    signs: Float[Tensor, "P n"], prior: Prior, index: str, pairs: Int[Tensor, "2 M"]
) -> Float64[Tensor, "P M"]:
    """The covariance of the game at each sign vector with the interaction of each pair."""
    n = signs.shape[1]
    first, second = pairs
    table = krawtchouk(n - 2, max(prior) - 2)
    shares = {
        k - 2: 4 * pair_weight(index, k) * v * k * (k - 1) / (n * (n - 1)) for k, v in prior.items() if 2 <= k <= n
    }
    absent = signs < 0
    elsewhere = absent.sum(1, keepdim=True) - absent[:, first].long() - absent[:, second].long()
    together = (signs[:, first] * signs[:, second]).double()
    return together * _weighed(shares, table)[elsewhere]


def pair_variance(n: int, prior: Prior, index: str) -> float:
    """The prior variance of one pair's interaction."""
    return sum(
        16 * pair_weight(index, k) ** 2 * v * k * (k - 1) / (n * (n - 1)) for k, v in prior.items() if 2 <= k <= n
    )


def coefficients(values: Float[Tensor, "all K"]) -> Float64[Tensor, "all K"]:
    """The values of all 2^n coalitions (bit i is feature i) -> coefficients of the Walsh functions of the same sets."""
    n = round(math.log2(len(values)))
    out = values.double()
    for i in range(n):
        halves = out.reshape(-1, 2, 2**i, values.shape[1])
        out = torch.stack([halves[:, 0] + halves[:, 1], halves[:, 1] - halves[:, 0]], 1).reshape(values.shape) / 2
    return out


def _weighed(shares: Prior, table: Tensor) -> Tensor:
    return sum((v * table[k] for k, v in shares.items()), torch.zeros(table.shape[1], dtype=torch.float64))
