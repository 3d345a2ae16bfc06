"""Pairs of features that act together, as arcs over the words: in a page as SVG, in a picture on its sheet.

What is drawn is a row of words of its own, because the text of a page breaks its lines where the reader's window ends, which
no style without a script can know.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from ..core.explanation import Explanation, Pair
from . import content
from .canvas import MARGIN, WIDTH, Sheet, clipped, width
from .page import safe
from .theme import LIGHT

_MOST = 5  # pairs that are drawn
_SHARE = 0.1  # of the scale that a pair must reach
_ROOM = 64  # cells of letters up to which all words are drawn; beyond, only those of the pairs and "…"
_LABEL = 16  # cells of one word
_CELL, _GAP, _SIZE = 8.4, 14.0, 14  # pixels: a letter of a fixed width, between words, the letters' size
_LOW, _HIGH = 16.0, 64.0  # how high an arc is at least and at most


def told(e: Explanation, limit: float, most: int = _MOST) -> list[Pair]:
    """The pairs that stand out from their standard errors and are not nothing beside the strongest score, strongest first."""
    if e.interactions is None or len(e.features) < 2:
        return []
    return [p for p in e.pairs(most) if abs(p.score) > max(_SHARE * limit, 2 * (p.stderr or 0.0))]


def phrase(p: Pair, form: str) -> str:
    """ "not + bad -1.9 ± 0.1"."""
    words = f"{content.label(p.words[0])} + {content.label(p.words[1])} {content.signed(p.score, form)}"
    return words + ("" if p.stderr is None else f" ± {format(p.stderr, form)}")


def row(e: Explanation, pairs: Sequence[Pair]) -> list[int | None]:
    """The features that are drawn, in the order of the text; None where some are left out."""
    if sum(_cells(_word(e, i)) + 2 for i in range(len(e.features))) <= _ROOM:
        return list(range(len(e.features)))
    wanted = sorted({i for p in pairs for i in p.indexes})
    out: list[int | None] = []
    for i in wanted:
        if i > (0 if not out else (out[-1] or 0) + 1):
            out.append(None)
        out.append(i)
    return out if wanted[-1] == len(e.features) - 1 else [*out, None]


def _word(e: Explanation, i: int | None) -> str:
    if i is None:
        return "…"
    label = content.label(e.features[i].label)
    return label if len(label) <= _LABEL else label[: _LABEL - 1] + "…"


def _cells(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def fragment(e: Explanation, limit: float) -> str:
    """The arcs with their numbers, as HTML; nothing where no pair stands out."""
    pairs = told(e, limit)
    if not pairs:
        return ""
    form = content.spec(max(abs(p.score) for p in pairs))
    items = "".join(f"<li><bdi>{safe(content.minus(phrase(p, form)))}</bdi></li>" for p in pairs)
    unit = safe(content.label(e.target.unit))
    said = f"Together beyond what each does alone, in {unit}: blue raises, orange and dashed lowers."
    return (
        f'<div class="saywhy-arcs"><p class="saywhy-small">{said}</p><div class="saywhy-scroll" role="group" '
        f'aria-label="Pairs of features" tabindex="0">{_svg(e, pairs)}</div><ul class="saywhy-pairs">{items}</ul></div>'
    )


def _svg(e: Explanation, pairs: Sequence[Pair]) -> str:
    """Words of a fixed width, which are squeezed to it whatever font the reader has, and arcs from middle to middle."""
    x, middles, letters = 4.0, dict[int, float](), []
    drawn = row(e, pairs)
    places = []
    for i in drawn:
        wide = _cells(_word(e, i)) * _CELL
        places.append((x, wide, i))
        if i is not None:
            middles[i] = x + wide / 2
        x += wide + _GAP
    reach = max(_height(middles, p) for p in pairs)
    base = reach + 8
    for left, wide, i in places:
        letters.append(
            f'<text x="{left:.1f}" y="{base + 16:.1f}" textLength="{wide:.1f}" lengthAdjust="spacingAndGlyphs">'
            f"{safe(_word(e, i))}</text>"
        )
    largest = max(abs(p.score) for p in pairs)
    paths = "".join(_path(middles, p, base, largest) for p in reversed(pairs))
    name = safe("; ".join(content.minus(phrase(p, ".3g")) for p in pairs))
    return (
        f'<svg role="img" aria-label="{name}" width="{x:.0f}" height="{base + 24:.0f}" font-size="{_SIZE}">'
        f"{paths}{''.join(letters)}</svg>"
    )


def _height(middles: dict[int, float], p: Pair) -> float:
    apart = abs(middles[p.indexes[1]] - middles[p.indexes[0]])
    return min(_HIGH, _LOW + apart / 6)


def _path(middles: dict[int, float], p: Pair, base: float, largest: float) -> str:
    a, b, top = middles[p.indexes[0]], middles[p.indexes[1]], base - _height(middles, p) * 4 / 3
    kind = "up" if p.score > 0 else "down"
    return (
        f'<path class="saywhy-arc-{kind}" stroke-width="{1.5 + 3 * abs(p.score) / largest:.2f}" '
        f'd="M{a:.1f} {base:.1f}C{a:.1f} {top:.1f} {b:.1f} {top:.1f} {b:.1f} {base:.1f}"/>'
    )


def draw(sheet: Sheet, e: Explanation, limit: float) -> None:
    """The same on a sheet of paper."""
    pairs = told(e, limit)
    if not pairs:
        return
    size = 9.0
    drawn = row(e, pairs)
    names = [clipped(_word(e, i), size, WIDTH - 2 * MARGIN) for i in drawn]
    whole = sum(width(name, size) for name in names) + 9 * (len(names) - 1)
    size *= min(1.0, (WIDTH - 2 * MARGIN) / whole)
    x, middles = MARGIN, dict[int, float]()
    starts = []
    for i, name in zip(drawn, names, strict=True):
        starts.append(x)
        if i is not None:
            middles[i] = x + width(name, size) / 2
        x += width(name, size) + size
    sheet.y += 8
    sheet.lines([(f"together beyond what each does alone ({content.label(e.target.unit)})", None)], 8, LIGHT.muted)
    base = sheet.y + 10 + max(_height(middles, p) for p in pairs)
    largest = max(abs(p.score) for p in pairs)
    for p in reversed(pairs):
        color = LIGHT.strong_up if p.score > 0 else LIGHT.strong_down
        ends, top = [middles[i] for i in p.indexes], base - _height(middles, p) * 4 / 3
        sheet.arc((ends[0], base), (ends[1], base), top, color, 1 + 1.5 * abs(p.score) / largest, p.score < 0)
    for start, name in zip(starts, names, strict=True):
        sheet.text((start, base + size + 2), name, size)
    sheet.y = base + size + 4
    form = content.spec(largest)
    sheet.lines([(content.minus(" · ".join(phrase(p, form) for p in pairs)), None)], 8)
