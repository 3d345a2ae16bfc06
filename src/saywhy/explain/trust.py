"""How far to believe one explanation, from a few more looks at the model: its scores against what removal really does."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from typing import Any

import torch
from torch import Tensor

from ..core.coalitions import each_absent
from ..core.errors import unknown
from ..core.explanation import Trust
from ..core.types import Problem, Question, Scores, Values
from ..metrics.removal import chain

CHECKS = ("none", "quick", "full")
RANDOM_SETS = {"quick": 6, "full": 24}
ORDERS = 20  # random orders that the full check holds the scores' own order against
SHARE = 4  # a check takes away a quarter of the features
HARDLY = {"logit": 0.1, "log-prob": 0.1, "log-odds": 0.1, "prob": 0.02}  # a smaller reaction is nothing to explain
HIGH, LOW = 0.9, 0.5  # the correlation of what the scores say and what removal does
GAP = 0.05  # of sum |scores|, where a method promises none
ROUNDING = 1e-9  # of the largest change, what is none
NEAR = 0.35  # how far from chance, in log-probability, a continuation is that the model may know nothing of
NOISE = 0.02  # of the largest |score|, how far two answers to the same texts may differ without a word
MANY = 0.8  # share of the random sets beaten (5 of 6) that is better than random, if not clearly
SURE = 0.25  # of the largest |score|, the most that a standard error may be

Checking = Generator[Question, Any, "list[Trust]"]


def checked(how: str) -> str:
    """The name of a check, or OptionError with those there are."""
    if how not in CHECKS:
        raise unknown("value of `trust`", how, CHECKS)
    return how


def trust(
    problem: Problem,
    scores: Scores,
    how: str,
    complete: bool,
    noun: str,
    confidence: Sequence[tuple[float, int, bool] | None],
    noise: Tensor | None = None,
) -> Checking:
    """How far to believe the scores of the first targets, as many as `confidence` tells of.

    "quick" asks 2 evaluations a target (the quarter of the features that score highest taken away, and the lowest) and 6 for
    random quarters, and for the two ends. "full" asks 24 random sets of several sizes, the removal curve of the scores'
    own order and of 20 random ones, and n + 1 for leave-one-out, the cheapest method to agree with. `confidence` has for each
    target the model's probability, of how many it chose, and whether it chose this one; None where it does not choose.
    """
    wanted = len(confidence)
    n = problem.n
    size = max(1, round(n / SHARE))
    shared = random_sets(n, size, how)
    tops = [_ends(scores.values[k], size) for k in range(wanted)]
    ends = torch.tensor([[True] * n, [False] * n])
    values = yield Values(torch.cat([ends, ~shared, *(~top for top in tops)]))
    found = []
    for k in range(wanted):
        own = 2 + len(shared) + 2 * k
        falls = values[0, k] - torch.cat([values[own : own + 2, k], values[2 : 2 + len(shared), k]])
        gone = torch.cat([tops[k], shared])
        figures = _figures(scores, k, gone, falls, float(values[0, k] - values[1, k]), complete)
        if (told := confidence[k]) is not None:
            figures |= dict(zip(("probability", "labels", "picked"), map(float, told), strict=True))
        if noise is not None and (largest := float(scores.values[k].abs().max())):
            figures["noise"] = float(noise[k]) / largest
        if how == "full":
            more = yield from _more(problem, scores.values[k], k)
            figures |= {**more, "rows": figures["rows"] + more["rows"]}
        found.append(_said(figures, problem.targets[k].unit, size, n, noun))
    return found


def random_sets(n: int, size: int, how: str) -> Tensor:
    """bool [sets, n]: what a check takes away at random; of one size for a quick check."""
    draw = torch.Generator().manual_seed(0)
    many = RANDOM_SETS[how]
    sizes = torch.full((many, 1), size)
    if how == "full":
        sizes[RANDOM_SETS["quick"] :] = torch.randint(1, max(2, n), (many - RANDOM_SETS["quick"], 1), generator=draw)
    return torch.rand(many, n, generator=draw).argsort(1).argsort(1) < sizes


def _ends(scores: Tensor, size: int) -> Tensor:
    """bool [2, n]: the features that score highest, and those that score lowest."""
    order = torch.argsort(scores, descending=True, stable=True)
    out = torch.zeros(2, len(order), dtype=torch.bool)
    out[0, order[:size]] = True
    out[1, order[len(order) - size :]] = True
    return out


def _figures(scores: Scores, k: int, gone: Tensor, falls: Tensor, whole: float, complete: bool) -> dict[str, float]:
    """What was measured; `gone` [2 + R, n] and `falls` [2 + R]: the highest, the lowest, and the random sets."""
    mine = scores.values[k]
    size = float(mine.abs().sum())
    said = gone.double() @ mine
    end = int(said[1].abs() > said[0].abs())  # which end the scores stand by: the highest, or the lowest
    others = [i for i in range(2, 2 + RANDOM_SETS["quick"]) if not torch.equal(gone[i], gone[end])]
    rivals = falls[others] if others else falls[1 - end : 2 - end]
    retain = (falls[end] - rivals) * (1 - 2 * end)
    figures = {
        "end": float(1 - 2 * end),
        "fall": float(falls[end]),
        "random_least": float(rivals.min()),
        "random_most": float(rivals.max()),
        "beaten": float((retain > ROUNDING * falls.abs().max()).double().mean()),
        "correlation": _correlation(said, falls),
        "reaction": float(falls.abs().max()),
        "rows": float(len(falls) + 2),
    }
    if complete and size:
        figures["gap"] = abs(whole - float(mine.sum())) / size
    if scores.stderr is not None and size:
        figures["stderr"] = float(scores.stderr[k].max() / mine.abs().max())
    return figures


def _more(problem: Problem, scores: Tensor, k: int) -> Generator[Question, Any, dict[str, float]]:
    """What the full check adds: the share of random orders beaten, and how the scores go with leave-one-out."""
    n = problem.n
    draw = torch.Generator().manual_seed(1)
    own = torch.argsort(scores, descending=True, stable=True)
    orders = [own, own.flip(0)]
    for _ in range(ORDERS):
        order = torch.randperm(n, generator=draw)
        orders += [order, order.flip(0)]
    chains = torch.cat([chain(order) for order in orders])
    asked = torch.cat([chains, each_absent(n)])
    values = (yield Values(asked))[:, k]
    areas = values[: len(chains)].reshape(1 + ORDERS, 2, -1).mean(2)
    areas = areas[:, 1] - areas[:, 0]  # the lowest first less the highest first
    drops = values[len(chains)] - values[len(chains) + 1 :]
    return {
        "orders_beaten": float((areas[0] > areas[1:]).double().mean()),
        "leave_one_out": _correlation(scores, drops),
        "rows": float(len(torch.unique(asked, dim=0))),
    }


def _correlation(a: Tensor, b: Tensor) -> float:
    """Of numbers of any size: squares of 1e-200, as probabilities of long texts are, would be nothing."""
    a, b = (each / size if (size := each.abs().max()) > 0 else each for each in (a, b))
    a, b = a - a.mean(), b - b.mean()
    length = float(a.norm() * b.norm())
    return float(a @ b) / length if length else 0.0


def _said(f: dict[str, float], unit: str, size: int, n: int, noun: str) -> Trust:
    """The level and a sentence of plain words."""
    if n < 2:
        return Trust("unknown", f"there is one {noun} only, so there is no order to check", f)
    one = noun if size == 1 else f"{size} {noun}{'es' if noun.endswith('ch') else 's'}"
    end = f"{'highest' if f['end'] > 0 else 'lowest'} {'score' if size == 1 else 'scores'}"
    own, least, most = (f"{0.0 - f[name]:+.3g}" for name in ("fall", "random_least", "random_most"))
    measured = (
        f"removing the {one} with the {end} changed the {unit} by {own}, removing as many at random by {most} to {least}; "
        f"agreement between scores and removal: {f['correlation']:.2f} of 1"
    )
    if "orders_beaten" in f:
        measured += (
            f"; {f['orders_beaten']:.0%} of {ORDERS} random orders are beaten; agreement with leave-one-out: "
            f"{f['leave_one_out']:.2f} of 1"
        )
    why = _doubts(f, unit)
    if any(doubt for doubt, low in why if low):
        return Trust("low", f"{next(doubt for doubt, low in why if low)}: {measured}", f)
    return Trust("medium" if why else "high", f"{why[0][0]}: {measured}" if why else measured, f)


def _chance(labels: float) -> float:
    """A probability that a model without any knowledge may give: that of the largest of so many logits of spread 0.15."""
    return min(math.exp(0.15 * math.sqrt(2 * math.log(labels))) / labels, 1 / labels + 0.15 * (1 - 1 / labels))


def _by_chance(f: dict[str, float]) -> tuple[str, bool] | None:
    """The doubt that the model knows nothing here: grave where it picked this, small where a caller did."""
    if "labels" not in f:
        return None
    told = f"({f['probability']:.2g}, one of {f['labels']:,.0f})"
    if f["picked"]:
        low = f["probability"] < _chance(f["labels"])
        return (f"the model is hardly surer than chance {told}", True) if low else None
    near = abs(math.log(max(f["probability"], 1e-300) * f["labels"])) < NEAR
    return (f"the model gives this the probability of chance {told}", False) if near else None


def _doubts(f: dict[str, float], unit: str) -> Sequence[tuple[str, bool]]:
    """Each reason to doubt, and whether it is reason enough not to believe the scores; the gravest first."""
    found = []
    if f["reaction"] < HARDLY.get(unit, 0.0) or f["reaction"] == 0:
        found.append((f"the model hardly reacts to a quarter taken away ({f['reaction']:.2g} at most)", True))
    if guess := _by_chance(f):
        found.append(guess)
    beats = min(f["beaten"], f.get("orders_beaten", 1.0))
    if beats < 0.9 and f["correlation"] < HIGH:  # where one word is all, random sets that hold it do as well
        better = "are not clearly better" if f["beaten"] > MANY else "do no better"
        found.append((f"the scores {better} than random removal", True))
    if f["correlation"] < LOW:
        found.append(("the scores do not say what removal does", True))
    if f["correlation"] < HIGH:
        found.append(("the scores say only roughly what removal does", False))
    if f.get("gap", 0.0) > GAP:
        found.append((f"the scores leave {f['gap']:.0%} unexplained", False))
    if f.get("stderr", 0.0) > SURE:
        found.append(("the scores are uncertain (standard errors)", False))
    if f.get("noise", 0.0) > NOISE:
        found.append(
            (f"the model answers otherwise each time, by {f['noise']:.0%} of the largest score", f["noise"] > SURE)
        )
    if f.get("leave_one_out", 1.0) < 0.3:
        found.append(("leave-one-out says otherwise", False))
    return found
