"""The features of an image: a grid over what the model sees, mapped back to the image as it was given."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np

from ...core.errors import OptionError, unknown
from ...core.features import Granularity
from ...core.types import Box, Feature, Ints

GRAINS = ("patch", "pixel", "channel")
_MOST, _ABOUT = 200, 14  # patches of an image; patches a side where the model has none


def cut(by: Granularity, shape: tuple[int, ...], patch: tuple[int, int] | None) -> tuple[tuple[int, ...], ...]:
    """The edges of the rows and of the columns in the model's input [C, H, W].

    "patch" is the model's own, several of them together where they would be more than about 200; where it has none, and for
    "pixel" and a pair (rows, columns), the input is cut evenly.
    """
    height, width = shape[1:]
    if by in ("pixel", "channel"):
        return tuple(range(height + 1)), tuple(range(width + 1))
    if by == "patch":
        if patch is not None and patch[0] < height and patch[1] < width:
            return _patches(height, width, patch)
        side = max(height, width) / _ABOUT if max(height, width) > 2 * min(height, width) else 0
        side = side or (height * width) ** 0.5 / _ABOUT
        return _even(height, max(1, round(height / side))), _even(width, max(1, round(width / side)))
    if isinstance(by, str):
        raise unknown("granularity `by` for an image", by, GRAINS)
    rows, columns = _pair(by)
    if not (1 <= rows <= height and 1 <= columns <= width):
        raise OptionError(f"by=({rows}, {columns}): the model's input has {height} rows and {width} columns of pixels.")
    return _even(height, rows), _even(width, columns)


def _pair(by: object) -> tuple[int, int]:
    numbers = list(by) if isinstance(by, Sequence) else []
    if len(numbers) != 2 or not all(isinstance(n, int) and not isinstance(n, bool) for n in numbers):
        raise OptionError(f"`by` for an image is one of {', '.join(GRAINS)}, or (rows, columns), not {by!r:.80}.")
    return numbers[0], numbers[1]


def _patches(height: int, width: int, patch: tuple[int, int]) -> tuple[tuple[int, ...], ...]:
    times = 1
    while len(range(0, height, times * patch[0])) * len(range(0, width, times * patch[1])) > _MOST:
        times += 1
    rows, columns = range(0, height, times * patch[0]), range(0, width, times * patch[1])
    return (*rows, height), (*columns, width)


def _even(length: int, pieces: int) -> tuple[int, ...]:
    pieces = min(pieces, length)
    return tuple(round(length * i / pieces) for i in range(pieces + 1))


def owners(edges: Sequence[Sequence[int]], channels: int = 1) -> Ints:
    """[channels * H * W]: the feature of each pixel, row by row; with several channels each has features of its own."""
    (rows, columns) = (np.repeat(np.arange(len(e) - 1), np.diff(e)) for e in edges)
    count = (len(edges[0]) - 1) * (len(edges[1]) - 1)
    one = (rows[:, None] * (len(edges[1]) - 1) + columns[None, :]).reshape(-1)
    return np.concatenate([one + c * count for c in range(channels)]).astype(np.int64)


@lru_cache(maxsize=8)
def features(
    edges: tuple[tuple[int, ...], ...], view: Box, size: tuple[int, int], channels: int = 1
) -> tuple[Feature, ...]:
    """A feature for each cell, row by row, with its box in the image: what of `view` it shows, cut at the image's edges."""
    ys = _mapped(edges[0], view[1], view[3], size[1])
    xs = _mapped(edges[1], view[0], view[2], size[0])
    out = []
    for channel in range(channels):
        tail = f", channel {channel + 1}" if channels > 1 else ""
        for r, (top, bottom) in enumerate(ys):
            for c, (left, right) in enumerate(xs):
                box = (left, top, right, bottom) if left < right and top < bottom else None
                out.append(Feature(f"row {r + 1}, column {c + 1}{tail}", None, "image", box))
    return tuple(out)


def _mapped(edges: Sequence[int], start: float, end: float, length: int) -> list[tuple[float, float]]:
    """Each cell's two ends along one axis of the image."""
    at = np.clip(start + (end - start) * np.asarray(edges) / edges[-1], 0, length).round(2)
    return [(float(min(a, b)), float(max(a, b))) for a, b in pairwise(at)]
