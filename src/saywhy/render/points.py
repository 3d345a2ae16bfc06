"""Where the points and bars of a chart over many inputs stand, whatever draws them."""

from __future__ import annotations

import numpy as np

from ..core.types import Array
from .aligned import Aligned


def strongest(found: Aligned, top: int) -> list[int]:
    """The features of largest mean |score|, so many; of equal ones by their names."""
    sizes = np.abs(found.values).mean(0)
    keys = [(-float(f"{size:.9g}"), name) for size, name in zip(sizes, found.names, strict=True)]
    return sorted(range(len(keys)), key=keys.__getitem__)[:top]


def strength(data: Array) -> Array | None:
    """[M], 0 to 1: where each value of a column of numbers lies between the lowest and the highest; None for other values."""
    if not all(isinstance(value, float) for value in data.tolist()):
        return None
    values = data.astype(float)
    low, high = float(values.min()), float(values.max())
    return (values - low) / (high - low) if high > low else np.ones(len(values))


def heights(scores: Array) -> Array:
    """[M]: how far each point lies off its line, so that points of like score stand beside each other, as bees do."""
    if len(scores) < 2 or float(np.ptp(scores)) == 0:
        step = min(0.06, 0.7 / max(1, len(scores)))
        return (np.arange(len(scores)) - (len(scores) - 1) / 2) * step
    bins = np.floor((scores - scores.min()) / np.ptp(scores) * 60).astype(int)
    out = np.zeros(len(scores))
    for b in np.unique(bins):
        inside = np.flatnonzero(bins == b)
        step = min(0.1, 0.7 / len(inside))
        k = np.arange(len(inside))
        out[inside] = np.where(k % 2, (k + 1) // 2, -(k // 2)) * step
    return out


def signs(found: Aligned, at: int) -> float:
    """The mean score of a feature over the inputs in which it stands."""
    return float(found.values[found.counts[:, at] > 0, at].mean())
