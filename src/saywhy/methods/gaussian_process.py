"""Shapley values from the odd part of a game, fitted as a Gaussian process over its odd orders.

A coalition and its complement together tell the odd part of the game there, (f(S) - f(not S)) / 2, which is all that Shapley
values see. It is linear in the features, with one coefficient each, plus orders 3, 5 and 7, whose prior depends on distances
alone (see walsh). So the covariance of the higher orders is factorised once for a design; after that, how large they are next
to the linear part (LEVELS) costs a few operations a feature, whatever the number of coalitions, and so does each further text
of the same number of features. Scores are the mean over all these priors, weighted by their likelihood and by what is typical.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .walsh import Prior, covariance, differences, shapley_link, shapley_variance

if TYPE_CHECKING:
    from ..core.shapes import Float, Float64

LEVELS = torch.logspace(-12, 2.25, 58, dtype=torch.float64)  # the variance of order 3, over that of order 1
TYPICAL_LEVEL = (-1.5, 1.0)  # mean and standard deviation of its logarithm to base 10, for real classifiers
ADDITIVE = -3.0  # the logarithm of what the smallest levels weigh at least: together a tenth
DECAYS = (0.03, 0.1, 0.3, 1.0)  # the variance of order 5 over that of order 3, and of 7 over 5
FINE, COARSE = 300, 600  # coalitions up to which all decays are tried, and up to which two are; beyond that one
EXACT = 1_024  # coalitions up to which covariances are factorised in double precision
KEPT = 128 * 2**20  # bytes of factorisations that are kept for further texts
FAINT = 1e-4  # of the likeliest prior's weight: one that has less is left out of the mean


def decays(rows: int) -> tuple[float, ...]:
    """The decays that are tried with so many coalitions: where there are many, features are too, and all decays alike."""
    if rows <= FINE:
        return DECAYS
    return (0.1, 0.5) if rows <= COARSE else (0.3,)


def higher_orders(n: int, decay: float) -> dict[int, float]:
    """The prior variance of orders 3, 5 and 7, where order 3 has variance 1."""
    return {k: decay ** ((k - 3) // 2) for k in (3, 5, 7) if k <= n}


def degrees_of_freedom(rows: int) -> int:
    """What a sum of squares is divided by, so that an overall variance that nothing is known of has this mean.

    Its posterior is then inverse gamma, and a score's is Student's t with `rows` degrees of freedom, which has this variance.
    """
    return max(rows - 2, 1)


@dataclass(frozen=True, eq=False)
class Factors:
    """The covariance of the higher orders at a design, factorised, and the linear part seen through it.

    With L the root, S = L^-1 Z for the signs Z and B = L^-1 C for the covariance C with the Shapley values:
    S^T S = V diag(stretch) V^T, and U = S V diag(stretch)^-1/2.
    """

    root: Float[Tensor, "P P"]  # L
    linear: Float[Tensor, "P n"]  # U
    link: Float[Tensor, "P n"]  # B
    crossed: Float64[Tensor, "n n"]  # B^T U
    direct: Float64[
        Tensor, "n n"
    ]  # how a Shapley value depends on the linear part: twice V, each row by its feature's scale
    stretch: Float64[Tensor, " n"]
    mixed: Float64[Tensor, "n n"]  # the same, less what the higher orders take back where both fit the design
    spare: Float64[Tensor, " n"]  # the variance of the higher orders' share in a Shapley value that the design leaves
    logdet: float

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(each.nbytes for each in vars(self).values() if isinstance(each, Tensor))


def factorised(
    signs: Float[Tensor, "P n"],
    higher: Float[Tensor, "P P"],
    link: Float[Tensor, "P n"],
    spare: Float64[Tensor, " n"],
    scale: Float64[Tensor, " n"] | None = None,
) -> Factors:
    """The factors of a covariance of the higher orders, which is overwritten.

    Parameters
    ----------
    signs : Tensor
        The design's sign vectors.
    higher, link : Tensor
        The covariance of the higher orders with themselves and with the Shapley values.
    spare : Tensor
        Their prior share in the variance of each Shapley value.
    scale : Tensor, optional
        The standard deviation of each feature's coefficient next to the others'; by default all alike.
    """
    n = signs.shape[1]
    diagonal = higher.diagonal()
    diagonal += (1e-8 if higher.dtype == torch.float64 else 1e-5) * diagonal.clamp(min=1.0)
    root = torch.linalg.cholesky(higher)
    scaled = signs if scale is None else signs * scale
    both = torch.cat([scaled.to(root), link.to(root)], 1)
    both = torch.linalg.solve_triangular(root, both, upper=False)
    seen, link = both[:, :n], both[:, n:].contiguous()
    stretch, basis = torch.linalg.eigh((seen.T @ seen).double())
    told = stretch > 1e-10 * stretch.max()  # fewer coalitions than features leave directions that nothing is told of
    stretch = torch.where(told, stretch, 0.0)
    linear = seen @ (basis * torch.where(told, stretch, 1.0).rsqrt() * told).to(root)
    crossed = (link.T @ linear).double()
    direct = 2 * basis if scale is None else 2 * scale[:, None] * basis
    return Factors(
        root=root,
        linear=linear,
        link=link,
        crossed=crossed,
        direct=direct,
        stretch=stretch,
        mixed=direct - crossed * stretch.sqrt(),
        spare=(spare - link.double().square().sum(0)).clamp(min=0),
        logdet=2 * float(root.diagonal().double().log().sum()),
    )


def factors(signs: Float[Tensor, "P n"], decay: float) -> Factors:
    """The factors of a design whose features are all alike."""
    rows, n = signs.shape
    signs = signs.to(torch.float64 if rows <= EXACT else torch.float32)
    prior: Prior = higher_orders(n, decay)
    higher = covariance(differences(signs, signs), n, prior, signs.dtype)
    spare = torch.full((n,), shapley_variance(n, prior), dtype=torch.float64)
    return factorised(signs, higher, shapley_link(signs, prior), spare)


class Seen:
    """A text's odd part through the factors: what of it is linear, and what is left."""

    def __init__(self, factors: Factors, odd: Float[Tensor, "P K"]):
        self.factors, self.rows = factors, len(odd)
        whitened = torch.linalg.solve_triangular(factors.root, odd.to(factors.root), upper=False)
        told = factors.linear.T @ whitened
        rest = whitened - factors.linear @ told
        self.told = told.double()  # [n, K]
        self.rest = rest.double().square().sum(0)  # [K]
        self.beyond = (factors.link.T @ rest).double()  # [n, K]

    def likelihoods(self) -> tuple[Float64[Tensor, "levels K"], Float64[Tensor, "levels K"]]:
        """The log-likelihood, and the expected overall variance of the prior."""
        n, stretch = len(self.told), self.factors.stretch
        noise = n * LEVELS[:, None] + stretch  # [levels, n]
        square = self.rest / LEVELS[:, None] + n * (1 / noise) @ self.told.square()
        size = (square / degrees_of_freedom(self.rows)).clamp(min=1e-300)
        spread = self.rows * LEVELS.log() + self.factors.logdet + (noise / (n * LEVELS[:, None])).log().sum(1)
        return -self.rows / 2 * size.log() - spread[:, None] / 2, size

    def scores(self, level: float) -> Float64[Tensor, "n K"]:
        """The Shapley values under one prior."""
        f, n = self.factors, len(self.told)
        noise = (n * level + f.stretch)[:, None]
        linear = f.direct @ (f.stretch.sqrt()[:, None] * self.told / noise)
        found: Tensor = linear + f.crossed @ (n * level * self.told / noise) + self.beyond
        return found

    def variance(self, level: float) -> Float64[Tensor, " n"]:
        """The posterior variance of each Shapley value over the size of the prior."""
        f = self.factors
        linear: Tensor = f.mixed.square() @ (1 / (len(f.spare) * level + f.stretch))
        return level * (f.spare + linear)


def typical(mean: float = TYPICAL_LEVEL[0], deviation: float = TYPICAL_LEVEL[1]) -> Float64[Tensor, " levels"]:
    """The logarithm of what is expected of each level before anything is seen. A game may well be additive."""
    away: Tensor = (LEVELS.log10() - mean) / deviation
    expected = -away.square() / 2
    return torch.where(away < 0, expected.clamp(min=ADDITIVE), expected)


def averaged(
    seen: Sequence[Seen], expected: Sequence[float] | None = None
) -> tuple[Float64[Tensor, "K n"], Float64[Tensor, "K n"]]:
    """Scores and standard errors: the mean over all priors, by likelihood and what is typical.

    `expected` holds the logarithm of what is expected of each of the factors beforehand, if they differ.
    """
    each = [one.likelihoods() for one in seen]
    likelihood = torch.stack([found for found, _ in each]) + typical()[:, None]  # [factors, levels, K]
    if expected is not None:
        likelihood = likelihood + torch.tensor(expected, dtype=torch.float64)[:, None, None]
    weights = (likelihood - likelihood.amax((0, 1))).exp()
    weights = torch.where(weights < FAINT, 0.0, weights)
    weights = weights / weights.sum((0, 1))
    mean = torch.zeros_like(seen[0].told)
    square = torch.zeros_like(mean)
    for one, (_, sizes), shares in zip(seen, each, weights, strict=True):
        for level, size, share in zip(LEVELS.tolist(), sizes, shares, strict=True):
            if not share.any():
                continue
            scores = one.scores(level)
            mean += share * scores
            square += share * (scores.square() + size * one.variance(level)[:, None])
    return mean.T, (square - mean.square()).clamp(min=0).sqrt().T


class Kept:
    """What was worked out, by key; what was used longest ago goes when more bytes are held than allowed. For all threads."""

    def __init__(self, most: int):
        self.most, self.held = most, 0
        self.items: OrderedDict[Hashable, tuple[int, Any]] = OrderedDict()
        self.lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], Any], size: Callable[[Any], int]) -> Any:
        """The item of that key, made now where it is not there."""
        with self.lock:
            if key in self.items:
                self.items.move_to_end(key)
                return self.items[key][1]
        made = make()
        with self.lock:
            if key not in self.items and size(made) <= self.most:
                self.items[key] = size(made), made
                self.held += size(made)
            while self.held > self.most:
                _, (gone, _) = self.items.popitem(last=False)
                self.held -= gone
        return made


KEPT_FACTORS = Kept(KEPT)


def shared_factors(key: Hashable, signs: Float[Tensor, "P n"], decay: float) -> Factors:
    """The factors of a design, shared by all texts of one number of features; `key` names the design."""
    found: Factors = KEPT_FACTORS.get(("odd", key, decay), lambda: factors(signs, decay), lambda made: made.size)
    return found


def shapley_of_odd_part(
    key: Hashable, signs: Float[Tensor, "P n"], odd: Float[Tensor, "P K"]
) -> tuple[Float64[Tensor, "K n"], Float64[Tensor, "K n"]]:
    """Shapley values and standard errors from the odd part of games at the sign vectors of a design.

    The first sign vector is the whole: what it tells, value - base, the scores keep exactly.
    """
    seen = [Seen(shared_factors(key, signs, decay), odd) for decay in decays(len(signs))]
    scores, errors = averaged(seen)
    left = (2 * odd[0] - scores.sum(1))[:, None] / signs.shape[1]  # of value - base: rounding
    return scores + left, errors
