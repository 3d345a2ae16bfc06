"""The scale: blue raises, orange lowers, zero is the paper. Symmetric about zero and safe for colour-blind readers.

A colour is "#rrggbb". A palette belongs to one background; the ink stays readable (WCAG AA, 4.5 to 1) on every shade.
"""

from __future__ import annotations

import math
from typing import NamedTuple


class Palette(NamedTuple):
    """The colours of one scheme. `up` and `down` lie behind text at full strength, the strong ones draw bars."""

    paper: str
    ink: str
    muted: str  # small print
    line: str  # rules and tracks
    up: str
    down: str
    strong_up: str
    strong_down: str


LIGHT = Palette("#ffffff", "#1c2024", "#5b636d", "#e1e4e8", "#6baffa", "#f5a15e", "#186bc5", "#c4530f")
DARK = Palette("#16191d", "#eceff2", "#9aa4af", "#31373e", "#2063b0", "#9b4817", "#53a3f2", "#f28e42")
# A terminal may be dark or light and does not say, so there is no paper to start from: weak scores colour the letters,
# in hues that show on both; the others colour what is behind them, from these to those, all dark enough for white ink.
LETTERS_UP, LETTERS_DOWN = "#2b7bd0", "#c2611f"
BEHIND_UP, BEHIND_DOWN = ("#4575a8", "#1668c4"), ("#9c5f42", "#b34a0c")


def channels(color: str) -> tuple[int, int, int]:
    """Red, green and blue of "#rrggbb", 0 to 255."""
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def blend(start: str, end: str, t: float) -> str:
    """The colour `t` of the way from `start` to `end`, which is `end` laid over `start` with opacity `t`."""
    mixed = (round(a + (b - a) * t) for a, b in zip(channels(start), channels(end), strict=True))
    return "#" + "".join(f"{c:02x}" for c in mixed)


def strength(score: float, limit: float) -> float:
    """Where a score lies on the scale, -1 to 1; 0 where the scale is empty or the score is not a number."""
    if math.isnan(score) or limit <= 0:
        return 0.0
    return max(-1.0, min(1.0, score / limit))


def shade(score: float, limit: float, palette: Palette) -> str:
    """The background of a score on a scale that ends at ±`limit`."""
    t = strength(score, limit)
    return blend(palette.paper, palette.up if t > 0 else palette.down, abs(t))


def luminance(color: str) -> float:
    """The relative luminance of a colour, 0 to 1 (WCAG 2.2)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (x / 255 for x in channels(color))]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    """The contrast of two colours, 1 to 21 (WCAG 2.2)."""
    dark, light = sorted((luminance(first), luminance(second)))
    return (light + 0.05) / (dark + 0.05)


def ink_on(background: str) -> str:
    """Black or white, whichever is easier to read on this background."""
    return max("#ffffff", "#000000", key=lambda ink: contrast(ink, background))
