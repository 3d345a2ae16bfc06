"""Exact main effects and interactions of a full table: the functional analysis of variance over equally likely cells."""

from __future__ import annotations

from ..core.types import Floats


def main_effect(values: Floats, axis: int) -> Floats:
    """[levels]: the mean with each level less the mean over all."""
    others = tuple(a for a in range(values.ndim) if a != axis)
    out: Floats = values.mean(axis=others) - values.mean()
    return out


def interaction_of(values: Floats, first: int, second: int) -> Floats:
    """[levels of first, levels of second]: the mean of each pair less both main effects and the mean over all."""
    others = tuple(a for a in range(values.ndim) if a not in (first, second))
    pairs = values.mean(axis=others)
    pairs = pairs if first < second else pairs.T
    out: Floats = pairs - main_effect(values, first)[:, None] - main_effect(values, second)[None] - values.mean()
    return out


def shares(values: Floats) -> list[tuple[float, float]]:
    """For each axis: its share of the variance by itself, and together with other axes; from 0 to 1."""
    whole = float(values.var())
    out = []
    for axis in range(values.ndim):
        alone = float((main_effect(values, axis) ** 2).mean())
        within = float(values.var(axis=axis).mean())  # all that this axis has a part in
        out.append((alone / whole, max(0.0, within - alone) / whole) if whole > 0 else (0.0, 0.0))
    return out
