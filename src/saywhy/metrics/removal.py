"""Metrics that remove features in the order of their scores and watch the target fall."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..core.types import Problem, Values
from .candidate import Candidate, Judgement, Judging

if TYPE_CHECKING:
    from ..core.shapes import Bool, Float, Int

LEVELS = 10  # a longer input is removed in so many steps, not feature by feature
SEARCH = 128  # how many evaluations the search for the best and the worst order may ask for


def levels(n: int) -> Int[Tensor, " levels"]:
    """How many features are gone at each step: 0, 1, 2 … n, or 10 even steps where there are more than 10."""
    return torch.linspace(0, n, min(n, LEVELS) + 1).round().long()


def chain(order: Int[Tensor, " n"]) -> Bool[Tensor, "levels n"]:
    """What is left when features go in this order, level by level: everything first, nothing last."""
    return order.argsort()[None, :] >= levels(len(order))[:, None]


def _curves(
    candidate: Candidate,
) -> Generator[Any, Any, tuple[Float[Tensor, " levels"], Float[Tensor, " levels"]]]:
    """The first target while the features go, the highest score first; and the lowest first."""
    order = candidate.order
    rows = torch.cat([chain(order), chain(order.flip(0))])
    values = yield Values(rows)
    down, up = values[:, 0].chunk(2)
    return down, up


def _fall(curve: Float[Tensor, " levels"]) -> float:
    """How far the target falls, in the mean over the levels at which something is gone: AOPC."""
    return float(curve[0] - curve[1:].mean())


def _area(curve: Float[Tensor, " levels"]) -> float:
    """The mean height of the curve over the share removed, by trapezoids."""
    return float((curve[1:] + curve[:-1]).mean() / 2)


def comprehensiveness(problem: Problem, candidate: Candidate) -> Judging:
    """How far the target falls when the highest scores are removed, in the mean over all levels. 2 (L - 1) + 2 evaluations.

    Source: DeYoung et al. 2020 (AOPC), on the target's own unit and at every level, not at five.
    """
    down, up = yield from _curves(candidate)
    return Judgement(_fall(down), _fall(up), down.tolist())


def sufficiency(problem: Problem, candidate: Candidate) -> Judging:
    """How far the target falls when only the highest scores are kept, in the mean over all levels. 2 (L - 1) + 2 evaluations.

    Source: DeYoung et al. 2020. What is kept at a level is what is left when the lowest scores go first.
    """
    down, up = yield from _curves(candidate)
    kept, other = up.flip(0), down.flip(0)  # nothing, then more and more
    return Judgement(float(up[0] - kept[1:].mean()), float(up[0] - other[1:].mean()), kept.tolist())


def deletion(problem: Problem, candidate: Candidate) -> Judging:
    """The area under the target while the highest scores go first. 2 (L - 1) + 2 evaluations. Source: Petsiuk et al. 2018."""
    down, up = yield from _curves(candidate)
    return Judgement(_area(down), _area(up), down.tolist())


def insertion(problem: Problem, candidate: Candidate) -> Judging:
    """The area under the target while the highest scores come first. 2 (L - 1) + 2 evaluations. Source: Petsiuk et al. 2018."""
    down, up = yield from _curves(candidate)
    return Judgement(_area(up), _area(down), up.flip(0).tolist())


def removal_area(problem: Problem, candidate: Candidate) -> Judging:
    """The area between removing the lowest and the highest scores first; 0 for a random order. 2 (L - 1) + 2 evaluations.

    Source: Blücher et al. 2024, as in Achtibat et al. 2024.
    """
    down, up = yield from _curves(candidate)
    return Judgement(_area(up) - _area(down), _area(down) - _area(up), down.tolist())


def monotonicity(problem: Problem, candidate: Candidate) -> Judging:
    """The share of steps in which the target moves with the sign of what comes, the smallest |score| first. L + 1 evaluations.

    1.0 is what Arya et al. 2019 call monotonic, where all scores are positive; theirs is a yes or no.
    """
    scores = candidate.scores[0]
    order = torch.argsort(scores.abs(), descending=True, stable=True)  # removed in this order, so added in the other
    values = yield Values(chain(order))
    at = levels(problem.n)
    added = torch.stack([scores[order[a:b]].sum() for a, b in pairwise(at.tolist())])
    moves = values[:-1, 0] - values[1:, 0]
    agree = torch.sign(moves) * torch.sign(added) >= 0
    return Judgement(float(agree.double().mean()))


def normalised_comprehensiveness(problem: Problem, candidate: Candidate, *, budget: int = SEARCH) -> Judging:
    """Comprehensiveness between the worst (0) and the best (1) order that is known. 2 (L - 1) + 2 and `budget` evaluations.

    The orders known are those of every method compared, each reversed too, and what a beam search finds within the
    budget. Source: Edin et al. 2024 (NAOPC).
    """
    down, up = yield from _curves(candidate)
    least, most = yield from extremes(problem, candidate, budget)
    return Judgement(_between(_fall(down), least, most), _between(_fall(up), least, most), down.tolist())


def normalised_sufficiency(problem: Problem, candidate: Candidate, *, budget: int = SEARCH) -> Judging:
    """Sufficiency between the best (0) and the worst (1) order that is known. 2 (L - 1) + 2 and `budget` evaluations.

    To keep what scores highest is to remove what scores lowest first, so the orders are those of
    `normalised_comprehensiveness`. Source: Edin et al. 2024.
    """
    down, up = yield from _curves(candidate)
    least, most = yield from extremes(problem, candidate, budget)
    value, reverse = (_between(_fall(curve), least, most) for curve in (up, down))
    return Judgement(value, reverse, up.flip(0).tolist())


def _between(fall: float, least: float, most: float) -> float | None:
    return (fall - least) / (most - least) if most > least else None


def extremes(problem: Problem, candidate: Candidate, budget: int) -> Generator[Any, Any, tuple[float, float]]:
    """The least and the greatest fall (AOPC) of any order that is known."""
    known = yield from _known(problem, candidate, budget)
    return min(fall for fall, _ in known), max(fall for fall, _ in known)


def best_known(problem: Problem, candidate: Candidate, budget: int = SEARCH) -> Generator[Any, Any, Int[Tensor, " n"]]:
    """The order that makes the target fall most, of all that are known."""
    known = yield from _known(problem, candidate, budget)
    return max(known, key=lambda pair: pair[0])[1]


def _known(
    problem: Problem, candidate: Candidate, budget: int
) -> Generator[Any, Any, list[tuple[float, Int[Tensor, " n"]]]]:
    """(fall, order) of each method's order and of both that a search finds, and of each reversed."""
    found = [candidate.order, *(torch.argsort(o, descending=True, stable=True) for o in candidate.others)]
    for sign in (1, -1):
        found.append((yield from searched(problem, budget, sign)))
    orders = [order for each in found for order in (each, each.flip(0))]
    values = yield Values(torch.cat([chain(order) for order in orders]))
    curves = values[:, 0].reshape(len(orders), -1)
    return [(_fall(curve), order) for curve, order in zip(curves, orders, strict=True)]


def searched(problem: Problem, budget: int, sign: int) -> Generator[Any, Any, Int[Tensor, " n"]]:
    """An order whose fall is as great (sign 1) or as small (sign -1) as a beam search finds.

    At every level each beam tries each feature that is left; the width, 5 at most, is what half of the budget allows. Where
    even one beam is too much, features are ranked once in a while and go in larger steps.
    """
    n = problem.n
    width = max(1, min(5, budget // max(1, n * (n + 1))))
    beams: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
    for step in _steps(n, budget // 2):
        tried = [(total, gone, i) for total, gone in beams for i in range(n) if i not in gone]
        left = torch.ones(len(tried), n, dtype=torch.bool)
        for row, (_, gone, i) in enumerate(tried):
            left[row, [*gone, i]] = False
        values = yield Values(left)
        beams = _kept(tried, values[:, 0], sign, width, step)
    return torch.tensor(beams[0][1])


def _kept(
    tried: list[tuple[float, tuple[int, ...], int]], values: Float[Tensor, " tried"], sign: int, width: int, step: int
) -> list[tuple[float, tuple[int, ...]]]:
    """The best beams: each with its best feature more, or in a larger step with its `step` best at once."""
    if step > 1:  # one beam
        ranked = [tried[int(row)][2] for row in torch.argsort(sign * values)[:step]]
        return [(tried[0][0], (*tried[0][1], *ranked))]
    found: dict[frozenset[int], tuple[float, tuple[int, ...]]] = {}
    for row in torch.argsort(torch.tensor([total for total, _, _ in tried]) - sign * values, descending=True).tolist():
        total, gone, i = tried[row]
        found.setdefault(frozenset((*gone, i)), (total - sign * float(values[row]), (*gone, i)))
        if len(found) == width:
            break
    return list(found.values())


def _steps(n: int, budget: int) -> Iterator[int]:
    """How many features go at a time: one, or as many as keep the search within its budget."""
    rounds = n if n * (n + 1) // 2 <= budget else max(1, min(n, 2 * budget // n - 1))
    at = torch.linspace(0, n, rounds + 1).round().long()
    yield from at.diff().tolist()
