"""Shapley values by regression that starts from what a gradient says: `guided_shap`.

The regression is that of `gaussian_process`, with two things that a guide `a` may tell of the features. A mean: the linear part
is b a plus what is left, with b as unsure as one likes (REACHES; not at all is plain kernel_shap). And a variance of its own for
each feature, t_i = (|a_i| / mean + FLOOR)^p, which a set of several features multiplies: its covariance is an elementary
symmetric polynomial of t_i z_i z'_i, and by Newton's identities that takes one product of matrices for each odd order. All
priors, the plain one among them, are weighed by their likelihood, so that a guide that does not help has no say.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..core.errors import MethodError, OptionError, unknown
from ..core.types import MethodGenerator, Problem, Scores, Values
from .coalitions import EVERY_COALITION, of_every_coalition
from .design import design
from .gaussian_process import FAINT, LEVELS, Factors, Seen, decays, factorised, higher_orders, shared_factors, typical
from .gradients import embedding_path, fixed_path
from .surrogates import LARGEST, MOST, odd_part, paired
from .walsh import every_coalition

GUIDES = {
    "integrated_rules": ("libra", 2),
    "libra": ("libra", 1),
    "detach_attention": ("detach_attention", 1),
    "attn_lrp": ("attn_lrp", 1),
    "integrated_gradients": (None, 3),
}  # guide -> backward rules, and steps along the path; one step is half way
REACHES = (1.0, 10.0, 100.0)  # the variance of the guide's factor over that of all that is left of the linear part
POWERS = (0.5, 1.0)
FLOOR = 0.4  # of the guide's mean size: with less, a feature that the guide overlooks is hardly moved by what is asked
TWO = (0.1, 0.5)  # decays that variances by feature are tried with
LARGEST_GUIDED = (
    400  # coalitions up to which features are given variances of their own: each costs a factorisation a text
)


def guided_shap(
    problem: Problem, *, budget: int | None = None, guide: str = "integrated_rules", seed: int = 0
) -> MethodGenerator:
    """Shapley values by regression from few evaluations, guided by gradients, with standard errors. `budget` evaluations.

    Like `kernel_shap`, but the prior has a mean and variances by feature from a `guide`: gradients integrated over two steps
    under the rules of `libra` ("integrated_rules", the default), one pass half way under those of "libra", "detach_attention"
    or "attn_lrp" (whose authors claim a patent), or three steps of "integrated_gradients". `budget` is 2 n + 2 by default, and
    at least n / 2 + 2; more than 1,000 features are refused. Value - base is kept exactly. Where the guide is no help, the
    likelihood says so and the scores are those of kernel_shap. `budget` forwards, and 1 to 3 forwards and backwards a target
    for the guide.
    Source: the regression of kernel_shap; the gradient as a mean and a variance is saywhy's own.
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
    rules, steps = GUIDES[guide]
    guided = yield from fixed_path(embedding, steps, rules)
    half, place = design(n, (budget - 2) // 2, seed)
    values = yield Values(paired(half[:, place]))
    signs = torch.cat([torch.ones(1, n), half * 2.0 - 1]).double()
    scores, errors = shapley_with_guide((n, len(half)), signs, odd_part(values), guided.values[:, place.argsort()])
    return Scores(scores[:, place], stderr=errors[:, place])


def symmetric_covariance(signs: Tensor, variances: Tensor, orders: dict[int, float]) -> Tensor:
    """[P, P]: the covariance of odd orders where a set's variance is the product of those of its features [n].

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


def symmetric_link(signs: Tensor, variances: Tensor, orders: dict[int, float]) -> tuple[Tensor, Tensor]:
    """[P, n] and [n]: the covariance of these orders with each feature's Shapley value, and their share in its variance."""
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


def factors_by_feature(signs: Tensor, variances: Tensor, decay: float) -> Factors:
    """The factors of a design whose features have variances [n] of their own, with mean 1."""
    orders = higher_orders(signs.shape[1], decay)
    link, spare = symmetric_link(signs, variances, orders)
    return factorised(signs, symmetric_covariance(signs, variances, orders), link, spare, variances.sqrt())


class Led(Seen):
    """One target's odd part [P, 1] through the factors, with a mean along the guide [n] for its linear part."""

    def __init__(self, factors: Factors, odd: Tensor, guide: Tensor, variances: Tensor):
        super().__init__(factors, odd)
        self.guide = guide / (guide.square() / variances).sum().sqrt()
        self.direction = factors.stretch.sqrt() * (factors.direct.T @ (self.guide / variances)) / 2
        noise = len(guide) * LEVELS[:, None] + factors.stretch  # [levels, n]
        self.strength = (len(guide) * self.direction.square() / noise).sum(1)  # [levels]
        self.pull = (len(guide) * self.direction * self.told[:, 0] / noise).sum(1)

    def with_mean(self, reach: float) -> tuple[Tensor, Tensor]:
        """[levels] each: the log-likelihood, and the likeliest overall variance, with a mean of so much variance."""
        likelihood, size = (each[:, 0] for each in self.likelihoods())
        fewer = self.pull.square() / (1 / reach + self.strength)
        smaller = (size - fewer / self.rows).clamp(min=1e-300)
        change = -self.rows / 2 * (smaller.log() - size.log()) - (1 + reach * self.strength).log() / 2
        return likelihood + change, smaller

    def led(self, place: int, reach: float) -> tuple[Tensor, Tensor]:
        """[n] each: the Shapley values under the prior at that place of LEVELS, and their variance over its size."""
        level = float(LEVELS[place])
        certainty = 1 / reach + self.strength[place]
        factor = self.pull[place] / certainty
        plain, moved = self.scores(level)[:, 0], self._linear(level, self.direction)
        slope = 2 * self.guide - moved
        return plain + factor * slope, self.variance(level) + slope.square() / certainty

    def _linear(self, level: float, told: Tensor) -> Tensor:
        f, n = self.factors, len(told)
        noise = n * level + f.stretch
        found: Tensor = f.direct @ (f.stretch.sqrt() * told / noise) + f.crossed @ (n * level * told / noise)
        return found


def shapley_with_guide(key: tuple[int, int], signs: Tensor, odd: Tensor, guides: Tensor) -> tuple[Tensor, Tensor]:
    """Shapley values and standard errors, [K, n] each, from the odd part [P, K] and a guide for each target [K, n]."""
    n = signs.shape[1]
    found = [_of_one_target(key, signs, odd[:, k : k + 1], guides[k]) for k in range(odd.shape[1])]
    scores, errors = (torch.stack(each) for each in zip(*found, strict=True))
    left = (2 * odd[0] - scores.sum(1))[:, None] / n
    return scores + left, errors


def _of_one_target(key: tuple[int, int], signs: Tensor, odd: Tensor, guide: Tensor) -> tuple[Tensor, Tensor]:
    even = torch.ones(signs.shape[1], dtype=torch.float64)
    shared = [(shared_factors(key, signs, decay), even) for decay in decays(len(signs))]
    size = guide.abs().mean()
    if not bool(torch.isfinite(guide).all()) or size == 0:
        return _mean([Seen(factors, odd) for factors, _ in shared], [])
    if len(signs) <= LARGEST_GUIDED:
        for power in POWERS:
            variances = (guide.abs() / size + FLOOR) ** power
            variances = variances / variances.mean()
            shared += [(factors_by_feature(signs, variances, decay), variances) for decay in TWO]
    led = [Led(factors, odd, guide, variances) for factors, variances in shared]
    return _mean(led, led)


def _mean(plain: Sequence[Seen], led: Sequence[Led]) -> tuple[Tensor, Tensor]:
    """[n] each: scores and standard errors over all priors, with and without a mean."""
    trials: list[tuple[Seen, float | None, Tensor, Tensor]] = []
    for one in plain:
        likelihood, size = one.likelihoods()
        trials.append((one, None, likelihood[:, 0], size[:, 0]))
    trials += [(one, reach, *one.with_mean(reach)) for one in led for reach in REACHES]
    likelihoods = torch.stack([likelihood for _, _, likelihood, _ in trials]) + typical()
    weights = (likelihoods - likelihoods.max()).exp()
    weights = torch.where(weights < FAINT, 0.0, weights)
    weights = weights / weights.sum()
    mean = torch.zeros_like(plain[0].told[:, 0])
    square = torch.zeros_like(mean)
    for t, place in weights.nonzero().tolist():
        one, reach, _, size = trials[t]
        if reach is None or not isinstance(one, Led):
            level = float(LEVELS[place])
            scores, variance = one.scores(level)[:, 0], one.variance(level)
        else:
            scores, variance = one.led(place, reach)
        mean += weights[t, place] * scores
        square += weights[t, place] * (scores.square() + size[place] * variance)
    return mean, (square - mean.square()).clamp(min=0).sqrt()
