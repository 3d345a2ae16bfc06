"""Explanations as a picture for a paper: the text on its colours, and a signed bar for each feature.

Drawn by matplotlib's objects alone: no pyplot, no window, and the caller's settings stay as they are. The same
explanation gives the same bytes. Letters are outlines, so a picture looks the same everywhere. Lengths are in points.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np

from ..core import errors
from ..core.explanation import Explanation, Explanations
from . import arcs, content, headline, theme
from .canvas import MARGIN, WIDTH, Back, Sheet, clipped, width
from .picture import panels
from .theme import LIGHT

MOST = 24  # explanations in one picture
_BARS, _ROW, _CELL = 20, 15.0, 64.0
_BADGES = {"high": (LIGHT.strong_up, LIGHT.paper), "low": (LIGHT.strong_down, LIGHT.paper)}
_LOOSE = 200  # features without a place in the text that are named
_LONG = 900  # characters of a text that are still shown whole


def svg(what: Explanation | Explanations, view: str = "overlay") -> str:
    """An SVG document of the explanations, one below the other. Raises InputError for more than `MOST`."""
    out = BytesIO()
    hidden = {"Date": None, "Creator": None, "Format": None, "Type": None, "Title": _title(what)}
    _draw(what, out, view, format="svg", metadata=hidden)
    drawn = out.getvalue().decode("utf-8").partition("<svg ")[2]  # without the document type, which names an address
    return f'<?xml version="1.0" encoding="utf-8"?>\n<svg role="img" {drawn}'


def png(what: Explanation | Explanations, dpi: int = 200, view: str = "overlay") -> bytes:
    """A PNG file of the explanations, one below the other. Raises InputError for more than `MOST`."""
    out = BytesIO()
    _draw(what, out, view, format="png", dpi=dpi, metadata={"Software": None, "Title": _title(what)})
    return out.getvalue()


def _title(what: Explanation | Explanations) -> str:
    return "Why " + ", ".join(dict.fromkeys(content.label(e.target.label) for e in content.listed(what)))


def _draw(what: Explanation | Explanations, out: BytesIO, view: str, **options: Any) -> None:
    items = content.listed(what)
    if not 1 <= len(items) <= MOST:
        raise errors.InputError(
            f"A picture shows 1 to {MOST} explanations; {len(items)} were given. Try .html, or a part."
        )
    try:
        import matplotlib
    except ImportError as error:
        raise errors.missing("matplotlib", "Saving a picture", "plot") from error
    ours = ("figure.", "font.", "lines.", "patch.", "path.", "savefig.", "svg.", "text.")
    rules = {name: matplotlib.rcParamsDefault[name] for name in matplotlib.rcParamsDefault if name.startswith(ours)}
    with matplotlib.rc_context({**rules, "svg.fonttype": "path", "svg.hashsalt": "saywhy", "text.hinting": "none"}):
        sheet = Sheet()
        limits = iter(content.limits(items))
        for k, group in enumerate(content.groups(items)):
            if k:
                sheet.y += 16
                sheet.rule((MARGIN, sheet.y), (WIDTH - MARGIN, sheet.y), LIGHT.line, 0.6)
                sheet.y += 4
            ends = [next(limits) for _ in group]
            if len(group) == 1 or group[0].image is not None:
                for e, limit in zip(group, ends, strict=True):
                    _explanation(sheet, e, limit, k, view)
            else:
                _targets(sheet, group, ends)
        sheet.figure().savefig(out, **options)


def _explanation(sheet: Sheet, e: Explanation, limit: float, k: int, view: str) -> None:
    why = f"why {content.label(e.target.label)}"
    _head(sheet, headline.headline(e), headline.badge(e), [why, *content.about(e)])
    end = content.colour_end(limit, e)
    if e.image is None:
        _texts(sheet, e, end, k)
    else:
        panels(sheet, e, end, view)
    arcs.draw(sheet, e, limit)
    sheet.y += 18
    _bars(sheet, e, limit, k)
    sheet.y += 8
    sheet.lines([(content.minus(content.balance(e, content.spec(limit))), None)], 8)
    for note in filter(None, [content.believed(e), *e.notes]):
        sheet.lines([(content.shortened(headline.spoken(note)), None)], 8, LIGHT.muted)


def _head(sheet: Sheet, sentence: str, badge: headline.Badge | None, about: Sequence[str]) -> None:
    """The sentence, the badge of trust, and what is explained and how."""
    sheet.lines([(headline.spoken(sentence), None)], 12.5, bold=True)
    if badge is not None:
        fill, ink = _BADGES.get(badge.kind, (LIGHT.paper, LIGHT.ink))
        sheet.y += 6
        sheet.box(
            (MARGIN, sheet.y),
            (width(badge.text, 8, bold=True) + 12, 13),
            fill,
            "badge",
            LIGHT.muted if ink == LIGHT.ink else fill,
        )
        sheet.text((MARGIN + 6, sheet.y + 9.5), badge.text, 8, ink, bold=True)
        sheet.y += 15
    sheet.lines([(content.shortened(" · ".join(about)), None)], 8, LIGHT.muted)


def _targets(sheet: Sheet, group: Sequence[Explanation], limits: Sequence[float]) -> None:
    """The text once, and one table: a row for each feature, a column for each target, and how each target adds up."""
    common = [f"{len(group)} explanations of one input", *content.shared(group)]
    _head(sheet, headline.group_headline(group), headline.several_badges(group), common)
    first = group[0]
    _texts(sheet, first, 0.0, 0)
    sizes = np.nan_to_num(np.abs([e.scores for e in group])).max(axis=0)
    order = sorted(int(i) for i in np.argsort(-sizes, kind="stable")[:_BARS])
    labels = [clipped(content.shortened(first.features[i].label), 8.5, 120) for i in order]
    left = MARGIN + max(map(width, [*labels, "scores"], [8.5] * (len(labels) + 1))) + 10
    room = max(1, int((WIDTH - MARGIN - left) // _CELL))
    for start in range(0, len(group), room):
        part, names = group[start : start + room], content.names(group)[start : start + room]
        sheet.y += 18
        _table(sheet, part, limits[start : start + room], names, order, labels, left)
    if len(first.features) > len(order):
        sheet.lines([(f"{len(order)} of {len(first.features):,} features", None)], 8, LIGHT.muted)
    for note in dict.fromkeys(note for e in group for note in e.notes):
        sheet.lines([(content.shortened(headline.spoken(note)), None)], 8, LIGHT.muted)


def _table(
    sheet: Sheet,
    part: Sequence[Explanation],
    limits: Sequence[float],
    names: Sequence[str],
    order: Sequence[int],
    labels: Sequence[str],
    left: float,
) -> None:
    rights = [left + (c + 1) * _CELL - 8 for c in range(len(part))]
    for right, name in zip(rights, names, strict=True):
        sheet.text((right, sheet.y), clipped(name, 8, _CELL - 10), 8, LIGHT.muted, align="right")
    for row, i in enumerate(order):
        sheet.y += _ROW
        sheet.text((MARGIN, sheet.y), labels[row], 8.5)
        for c, (e, limit) in enumerate(zip(part, limits, strict=True)):
            fill = theme.shade(float(e.scores[i]), content.colour_end(limit, e), LIGHT)
            sheet.box((rights[c] + 8 - _CELL, sheet.y - 10.5), (_CELL, _ROW), fill, f"cell-{i}-{c}")
            sheet.text(
                (rights[c], sheet.y),
                content.minus(content.signed(float(e.scores[i]), content.spec(limit))),
                8,
                align="right",
            )
    sheet.rule((MARGIN, sheet.y + 6), (rights[-1] + 8, sheet.y + 6), LIGHT.muted, 0.6)
    sheet.y += 3
    for name in ("value", "base", "scores", "gap"):
        sheet.y += 12
        sheet.text((MARGIN, sheet.y), name, 8, LIGHT.muted)
        for right, e, limit in zip(rights, part, limits, strict=True):
            x = float(e.scores.sum()) if name == "scores" else float(getattr(e, name))
            sheet.text((right, sheet.y), content.minus(content.amount(x, content.spec(limit))), 8, align="right")
    sheet.y += 12
    sheet.text((MARGIN, sheet.y), "trust", 8, LIGHT.muted)
    for right, e in zip(rights, part, strict=True):
        sheet.text((right, sheet.y), headline.badge(e).level, 8, align="right", bold=True)


def _texts(sheet: Sheet, e: Explanation, limit: float, k: int) -> None:
    """The input part by part, each feature on its colour."""
    parts, backs = content.parts(e), _backs(e, limit, k)
    for part in parts:
        sheet.y += 7
        if len(parts) > 1:
            sheet.lines([(content.label(part.name), None)], 8, LIGHT.muted)
        whole = sum(len(text) for text, _ in part.pieces)
        cut = part.pieces if whole <= _LONG else content.excerpt(part.pieces, content.ranked(e)[:8], 40)
        sheet.lines([(content.visible(text), i) for text, i in cut], 10.5, backs=backs)
        if cut is not part.pieces:
            said = f"{whole:,} characters; shown is what surrounds the strongest features"
            sheet.lines([(said, None)], 8, LIGHT.muted)
        loose: list[content.Piece] = []
        for i in part.loose[:_LOOSE]:
            loose += [(content.shortened(e.features[i].label), i), ("  ", None)]
        if len(part.loose) > _LOOSE:
            loose.append((f"and {len(part.loose) - _LOOSE:,} more", None))
        sheet.lines(loose, 10.5, backs=backs)


def _backs(e: Explanation, limit: float, k: int) -> dict[int, Back]:
    """What is behind each feature in the text; nothing where the score is zero."""
    out = {}
    for i, score in enumerate(e.scores):
        t = theme.strength(float(score), limit)
        line = theme.blend(LIGHT.paper, LIGHT.strong_up if t > 0 else LIGHT.strong_down, abs(t))
        if t:
            out[i] = Back(theme.shade(float(score), limit, LIGHT), line, t > 0, f"word-{k}-{i}")
    return out


def _bars(sheet: Sheet, e: Explanation, limit: float, k: int) -> None:
    """A row for each feature in the order of the text; of many, the largest in the order of size."""
    cut = len(e.features) > _BARS
    order = content.ranked(e)[:_BARS] if cut else list(range(len(e.features)))
    if not order:
        return
    errs = np.zeros(len(e.scores)) if e.stderr is None else np.nan_to_num(np.abs(e.stderr), posinf=0.0)
    labels = [clipped(content.shortened(e.features[i].label), 8.5, 120) for i in order]
    numbers = [_number(e, i, content.spec(limit)) for i in order]
    flips = [clipped(f"{new} without it", 8, 100) if (new := content.flip(e, i)) else "" for i in order]
    ends = WIDTH - MARGIN - max(width(flip, 8) for flip in flips) - (10 if any(flips) else 0)
    left = MARGIN + max(width(label, 8.5) for label in labels) + 8
    right = ends - max(width(number, 8) for number in numbers) - 10
    reach = np.abs(e.scores[order]) + errs[order]
    end = float(reach[np.isfinite(reach)].max(initial=0.0)) or 1.0
    zero, scale = (left + right) / 2, (right - left) / 2 / (1.04 * end)
    top = sheet.y
    sheet.y += len(order) * _ROW
    _axis(sheet, top, zero, scale, end)
    for row, i in enumerate(order):
        middle = top + (row + 0.5) * _ROW
        sheet.text((left - 8, middle + 3), labels[row], 8.5, align="right")
        sheet.text((ends, middle + 3), numbers[row], 8, align="right")
        sheet.text((WIDTH - MARGIN, middle + 3), flips[row], 8, LIGHT.muted, align="right")
        score = theme.strength(float(e.scores[i]), end) * end
        fill = LIGHT.strong_up if score > 0 else LIGHT.strong_down  # as strong however short: a pale one looks hollow
        if score != 0:
            corner, size = (zero + min(score, 0) * scale, middle - 4), (abs(score) * scale, 8)
            sheet.box(corner, size, fill, f"bar-{k}-{i}")
        if errs[i] > 0:
            low, high = zero + (score - errs[i]) * scale, zero + (score + errs[i]) * scale
            sheet.rule((low, middle), (high, middle), LIGHT.ink, 0.8, f"error-{k}-{i}")
    unit = f"score ({content.label(e.target.unit)})" + (f", {_BARS} of {len(e.features):,} features" if cut else "")
    sheet.text((zero, sheet.y + 20), unit, 8, LIGHT.muted, align="center")
    sheet.y += 24


def _axis(sheet: Sheet, top: float, zero: float, scale: float, end: float) -> None:
    """Faint lines at round numbers, the line at zero, and the numbers below."""
    from matplotlib.ticker import MaxNLocator

    locator = MaxNLocator(nbins=6, symmetric=True, steps=[1, 2, 5, 10])
    for tick in (t for t in locator.tick_values(-end, end) if abs(t) <= 1.04 * end):
        x, at_zero = zero + tick * scale, abs(tick) < 1e-6 * end
        sheet.rule((x, top - 3), (x, sheet.y + 2), LIGHT.muted if at_zero else LIGHT.line, 0.6)
        sheet.text((x, sheet.y + 10), "0" if at_zero else content.minus(f"{tick:+g}"), 7, LIGHT.muted, align="center")


def _number(e: Explanation, i: int, form: str) -> str:
    error = "" if e.stderr is None else f" ± {float(e.stderr[i]):{form}}"
    return content.minus(content.signed(float(e.scores[i]), form) + error)
