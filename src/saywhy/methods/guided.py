"""Shapley values by regression that starts from what gradients say: `guided_shap`.

The regression is that of `gaussian_process`, with two things that guides, one or several, may tell of the features. A mean: the
linear part is a sum of b a over the guides a, and what is left; each b is as unsure as one likes (REACHES; not at all is plain
kernel_shap). And a variance of its own for each feature, (|a| + FLOOR)^p in units of the mean |a|, which a set of several
features multiplies: its covariance is an elementary symmetric polynomial, and by Newton's identities that takes one product of
matrices for each odd order. All priors, the plain one among them, are weighed by their likelihood, so that a guide that is no
help has little say.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..core.errors import MethodError, OptionError, unknown
from ..core.types import MethodGenerator, Problem, Scores, Values
from .coalitions import EVERY_COALITION, of_every_coalition
from .design import design
from .gaussian_process import (
    FAINT,
    LEVELS,
    Factors,
    Seen,
    decays,
    degrees_of_freedom,
    factorised,
    higher_orders,
    shared_factors,
    typical,
)
from .gradients import embedding_path, fixed_path
from .surrogates import LARGEST, MOST, odd_part, paired
from .walsh import every_coalition

if TYPE_CHECKING:
    from ..core.shapes import Float, Float64

GUIDES: dict[str, tuple[tuple[str | None, int], ...]] = {
    "rules_and_gradients": (("libra", 2), (None, 2)),
    "integrated_rules": (("libra", 2),),
    "libra": (("libra", 1),),
    "detach_attention": (("detach_attention", 1),),
    "attn_lrp": (("attn_lrp", 1),),
    "integrated_gradients": ((None, 3),),
}  # guide -> backward rules, and steps along the path, of each regressor; one step is half way
# variance of a regressor's factor over that of all that is left of the linear part -> the logarithm of what is expected of it:
# a guide that leaves next to nothing is seldom, and then its likelihood says so loudly
REACHES = {1.0: 0.0, 100.0: -4.0}
# of a feature's size: its variance in the linear part, and what it gives to that of a set of the higher orders
POWERS = ((0.5, 0.5), (2.0, 1.0))
FLOOR = 0.4  # of the guides' mean size: with less, a feature that they overlook is hardly moved by what is asked
TWO = (0.1, 0.5)  # decays that variances by feature are tried with
GUIDED_LEVEL = (
    -1.2,
    0.6,
)  # as TYPICAL_LEVEL, of sentences of 17 to 29 words, next to what the guides leave of the linear part
# coalitions up to which features are given variances of their own: each costs a factorisation a text
LARGEST_GUIDED = 400


def guided_shap(
    problem: Problem, *, budget: int | None = None, guide: str = "rules_and_gradients", seed: int = 0
) -> MethodGenerator:
    """Shapley values by regression from few evaluations, guided by gradients, with standard errors. `budget` evaluations.

    Like `kernel_shap`, but the prior has a mean and variances by feature from a `guide`: gradients integrated over two steps
    under the rules of `libra` and two plain ones, as two regressors ("rules_and_gradients", the default); the former alone
    ("integrated_rules"); one pass half way under the rules of "libra", "detach_attention" or "attn_lrp" (whose authors claim a
    patent); or three steps of "integrated_gradients". `budget` is 2 n + 2 by default, and at least n / 2 + 2; more than 1,000
    features are refused. Value - base is kept exactly. Where the guide is no help, the likelihood says so, and the scores are
    close to those of kernel_shap. `budget` forwards, and 1 to 4 forwards and backwards a target for the guide.
    Source: the regression of kernel_shap; gradients as means and variances are saywhy's own.
    """
    n = problem.n
    budget = min(2 * n + 2, MOST) if budget is None else budget
    if guide not in GUIDES:
        raise unknown("guide", guide, GUIDES)
    if n > LARGEST:
        raise MethodError(
            f"guided_shap fits up to {LARGEST:,} features, and here are {n:,}. Take coarser features (`by`), or 'kernel_shap', "
            "'shapley_sampling' or 'integrated_rules'."
        )
    least = 2 * ((n + 3) // 4) + 2
    exact = 2**n <= budget or n <= 2
    if not exact and not least <= budget <= MOST:
        raise OptionError(
            f"guided_shap over {n} features takes a `budget` from {least} to {MOST} evaluations, not {budget}."
        )
    embedding = embedding_path(problem)
    if exact:
        values = yield Values(every_coalition(n))
        return of_every_coalition(values, n, (EVERY_COALITION,))
    told = []
    for rules, steps in GUIDES[guide]:
        found = yield from fixed_path(embedding, steps, rules)
        told.append(found.values)
    half, place = design(n, (budget - 2) // 2, seed)
    values = yield Values(paired(half[:, place]))
    signs = torch.cat([torch.ones(1, n), half * 2.0 - 1]).double()
    scores, errors = shapley_with_guide(
        (n, len(half)), signs, odd_part(values), torch.stack(told, 1)[..., place.argsort()]
    )
    return Scores(scores[:, place], stderr=errors[:, place])


def symmetric_covariance(
    signs: Float64[Tensor, "P n"], variances: Float64[Tensor, " n"], orders: dict[int, float]
) -> Float64[Tensor, "P P"]:
    """The covariance of odd orders where a set's variance is the product of those of its features.

    Every order is scaled so that all its coefficients together have the variance that `orders` names.
    """
    powers = {j: (signs * variances**j) @ signs.T if j % 2 else (variances**j).sum() for j in range(1, 8)}
    whole = {j: (variances**j).sum() for j in range(1, 8)}
    product, total = _elementary(powers), _elementary(whole)
    return sum((v / total[k] * product[k] for k, v in orders.items()), torch.zeros(len(signs), len(signs))).double()


def _elementary(power_sums: dict[int, Tensor]) -> list[Tensor]:
    """The elementary symmetric polynomials of orders 0 to 7 from the sums of powers, by Newton's identities."""
    out = [torch.ones((), dtype=torch.float64)]
    for k in range(1, 8):
        out.append(sum(((-1) ** (j - 1) * out[k - j] * power_sums[j] for j in range(1, k + 1)), out[0] * 0) / k)
    return out


def symmetric_link(
    signs: Float64[Tensor, "P n"], variances: Float64[Tensor, " n"], orders: dict[int, float]
) -> tuple[Float64[Tensor, "P n"], Float64[Tensor, " n"]]:
    """The covariance of these orders with each feature's Shapley value, and their share in its variance."""
    each = signs * variances
    whole = _elementary({j: (variances**j).sum() for j in range(1, 8)})
    present = _elementary({j: (each**j).sum(1, keepdim=True) for j in range(1, 8)})
    others, rest = [torch.ones_like(each)], [torch.ones_like(variances)]  # without the feature itself
    for k in range(1, 7):
        others.append(present[k] - each * others[k - 1])
        rest.append(whole[k] - variances * rest[k - 1])
    link = sum((2 / k * v / whole[k] * each * others[k - 1] for k, v in orders.items()), torch.zeros_like(each))
    share = sum(
        (4 / k**2 * v / whole[k] * variances * rest[k - 1] for k, v in orders.items()), torch.zeros_like(variances)
    )
    return link, share


def factors_by_feature(
    signs: Float64[Tensor, "P n"], linear: Float64[Tensor, " n"], higher: Float64[Tensor, " n"], decay: float
) -> Factors:
    """The factors of a design whose features have variances of their own, of mean 1, for the linear part and for the rest."""
    orders = higher_orders(signs.shape[1], decay)
    link, spare = symmetric_link(signs, higher, orders)
    return factorised(signs, symmetric_covariance(signs, higher, orders), link, spare, linear.sqrt())


class Led(Seen):
    """One target's odd part through the factors, with means along guides for its linear part."""

    def __init__(
        self,
        factors: Factors,
        odd: Float[Tensor, "P 1"],
        guides: Float64[Tensor, "m n"],
        variances: Float64[Tensor, " n"],
    ):
        super().__init__(factors, odd)
        n = guides.shape[1]
        self.guides = guides / (guides.square() / variances).sum(1, keepdim=True).sqrt()
        self.ways = factors.stretch.sqrt()[:, None] * (factors.direct.T @ (self.guides / variances).T) / 2  # [n, m]
        certain = n / (n * LEVELS[:, None] + factors.stretch)  # [levels, n]
        self.strength = torch.einsum("ln,nm,nk->lmk", certain, self.ways, self.ways)
        self.pull = torch.einsum("ln,nm->lm", certain, self.ways * self.told)

    def with_mean(self, reach: float) -> tuple[Float64[Tensor, " levels"], Float64[Tensor, " levels"]]:
        """The log-likelihood, and the expected overall variance, with means of so much variance."""
        likelihood, size = (each[:, 0] for each in self.likelihoods())
        own = torch.eye(len(self.guides), dtype=torch.float64)
        factor = torch.linalg.solve(own / reach + self.strength, self.pull[..., None])[..., 0]  # [levels, m]
        smaller = (size - (self.pull * factor).sum(1) / degrees_of_freedom(self.rows)).clamp(min=1e-300)
        change = -self.rows / 2 * (smaller.log() - size.log()) - torch.logdet(own + reach * self.strength) / 2
        return likelihood + change, smaller

    def led(self, place: int, reach: float) -> tuple[Float64[Tensor, " n"], Float64[Tensor, " n"]]:
        """The Shapley values under the prior at that place of LEVELS, and their variance over its size."""
        level = float(LEVELS[place])
        certainty = torch.eye(len(self.guides), dtype=torch.float64) / reach + self.strength[place]  # [m, m]
        slope = 2 * self.guides.T - self._linear(level, self.ways)  # [n, m]
        moved = torch.linalg.solve(certainty, torch.cat([self.pull[place, :, None], slope.T], 1))
        return (
            self.scores(level)[:, 0] + slope @ moved[:, 0],
            self.variance(level) + (slope * moved[:, 1:].T).sum(1),
        )

    def _linear(self, level: float, told: Tensor) -> Tensor:
        f, n = self.factors, len(told)
        noise = (n * level + f.stretch)[:, None]
        found: Tensor = f.direct @ (f.stretch.sqrt()[:, None] * told / noise) + f.crossed @ (n * level * told / noise)
        return found


def shapley_with_guide(
    key: tuple[int, int],
    signs: Float64[Tensor, "P n"],
    odd: Float64[Tensor, "P K"],
    guides: Float[Tensor, "K m n"],
) -> tuple[Float64[Tensor, "K n"], Float64[Tensor, "K n"]]:
    """Shapley values and standard errors from the odd part, and the guides of each target."""
    n = signs.shape[1]
    found = [_of_one_target(key, signs, odd[:, k : k + 1], guides[k]) for k in range(odd.shape[1])]
    scores, errors = (torch.stack(each) for each in zip(*found, strict=True))
    left = (2 * odd[0] - scores.sum(1))[:, None] / n
    return scores + left, errors


def _of_one_target(key: tuple[int, int], signs: Tensor, odd: Tensor, guides: Tensor) -> tuple[Tensor, Tensor]:
    even = torch.ones(signs.shape[1], dtype=torch.float64)
    shared = [(shared_factors(key, signs, decay), even) for decay in decays(len(signs))]
    guides = guides[guides.isfinite().all(1) & guides.any(1)].double()
    if not len(guides):
        return _mean([Seen(factors, odd) for factors, _ in shared], [])
    if len(signs) <= LARGEST_GUIDED:
        size = (guides.abs() / guides.norm(dim=1, keepdim=True)).sum(0)
        for powers in POWERS:
            linear, higher = (_of_mean_one((size / size.mean() + FLOOR) ** power) for power in powers)
            shared += [(factors_by_feature(signs, linear, higher, decay), linear) for decay in TWO]
    led = [Led(factors, odd, guides, variances) for factors, variances in shared]
    return _mean(led, led)


def _of_mean_one(each: Tensor) -> Tensor:
    return each / each.mean()


def _mean(plain: Sequence[Seen], led: Sequence[Led]) -> tuple[Tensor, Tensor]:
    """[n] each: scores and standard errors over all priors, with and without means."""
    expected = typical(*GUIDED_LEVEL)
    trials: list[tuple[Seen, float, Tensor, Tensor]] = []
    for one in plain:
        likelihood, size = one.likelihoods()
        trials.append((one, 0.0, likelihood[:, 0] + expected, size[:, 0]))
    for reach, chance in REACHES.items():
        for other in led:
            likelihood, size = other.with_mean(reach)
            trials.append((other, reach, likelihood + expected + chance, size))
    likelihoods = torch.stack([likelihood for _, _, likelihood, _ in trials])
    weights = (likelihoods - likelihoods.max()).exp()
    weights = torch.where(weights < FAINT, 0.0, weights)
    weights = weights / weights.sum()
    mean = torch.zeros_like(plain[0].told[:, 0])
    square = torch.zeros_like(mean)
    for t, place in weights.nonzero().tolist():
        one, reach, _, size = trials[t]
        if reach and isinstance(one, Led):
            scores, variance = one.led(place, reach)
        else:
            level = float(LEVELS[place])
            scores, variance = one.scores(level)[:, 0], one.variance(level)
        mean += weights[t, place] * scores
        square += weights[t, place] * (scores.square() + size[place] * variance)
    return mean, (square - mean.square()).clamp(min=0).sqrt()
