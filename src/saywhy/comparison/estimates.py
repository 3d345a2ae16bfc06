"""Means over texts with their intervals, and the other small numbers that a comparison is made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..core.types import Floats

RESAMPLES = 2_000
SHARES = np.linspace(0, 1, 21)  # how much of a text is gone, where curves of texts of all lengths are averaged


class Column(NamedTuple):
    """A metric, and how features are removed where its number depends on that."""

    metric: str
    removal: str | None
    better: str  # "higher", "lower" or ""


class Estimate(NamedTuple):
    """A mean over texts and its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float
    texts: int  # to how many it applied


class Spent(NamedTuple):
    """What a method took for all texts: evaluations as if it ran alone; time and memory as measured here."""

    rows: int = 0  # model inputs, those with a backward pass included
    backward_rows: int = 0
    seconds: float = 0.0  # with the time of shared rows added at their mean price
    peak_mb: float | None = None


class Place(NamedTuple):
    """A method's place: methods whose difference to the best of their group may be chance share a rank."""

    rank: int
    method: str
    estimate: Estimate


def estimated(numbers: Floats) -> Estimate | None:
    """The mean of what is a number, and its 95 % interval over RESAMPLES bootstrap draws with a fixed seed."""
    kept = numbers[np.isfinite(numbers)]
    if not len(kept):
        return None
    draws = np.random.default_rng(0).integers(0, len(kept), (RESAMPLES, len(kept)))
    low, high = np.percentile(kept[draws].mean(1), [2.5, 97.5])
    return Estimate(float(kept.mean()), float(low), float(high), len(kept))


def mean_curve(curves: Floats) -> Floats | None:
    """[T, 21] -> [21], over the texts that have one."""
    kept = curves[np.isfinite(curves).all(1)]
    return None if not len(kept) else kept.mean(0)


def likeness_of(found: Sequence[Floats]) -> Floats:
    """[M, M] each, of the texts -> their mean, without what is no number."""
    every = np.stack(list(found)) if found else np.zeros((0, 0, 0))
    known = np.isfinite(every)
    total: Floats = np.where(known, every, 0).sum(0) / np.maximum(known.sum(0), 1)
    return total
