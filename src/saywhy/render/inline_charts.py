"""Charts within a page, as SVG without a script: a bar for each feature, a point for each input, the way from base to value.

Their colours are variables of the page, so they follow its light and dark. They are as wide as a phone's screen, and stand beside
each other where there is room.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence

import numpy as np

from ..core.explanation import Explanation
from . import content
from .aligned import Aligned, aligned
from .page import safe
from .points import heights, signs, strength, strongest

_WIDE, _NAMES, _ROW = 390, 136, 22  # units of a drawing; a unit is about a pixel
_LETTERS = 20  # of a name
_SHADES = (0.4, 0.6, 0.8, 1.0)  # of a point, by the value of a column


def style(selector: str, colours: Mapping[str, str]) -> str:
    """The rules of charts in an element; `colours` are what the page calls up, down, ink, muted and line."""
    rules = {
        ".charts": "display:flex;flex-wrap:wrap;align-items:flex-end;gap:1em 2.2em;margin:.8em 0",
        ".chart": "flex:1 1 19em;max-width:28em;margin:0",
        ".chart svg": "display:block;width:100%;height:auto;overflow:visible",
        ".chart text": f"font:12px system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;fill:{colours['ink']}",
        ".chart .small": f"font-size:11px;fill:{colours['muted']}",
        ".chart figcaption": f"color:{colours['muted']};font-size:.9em;line-height:1.35;margin:0 0 .4em",
        ".chart .up": f"fill:{colours['up']}",
        ".chart .down": f"fill:{colours['down']}",
        ".chart .rest": f"fill:{colours['muted']}",
        ".chart .axis": f"fill:none;stroke:{colours['muted']};stroke-width:1",
        ".chart .rule": f"fill:none;stroke:{colours['line']};stroke-width:1",
        ".chart .dots": "fill:none;stroke-width:5;stroke-linecap:round",
        ".chart .dots.up": f"fill:none;stroke:{colours['up']}",
        ".chart .dots.down": f"fill:none;stroke:{colours['down']}",
        ".chart .dots.rest": f"fill:none;stroke:{colours['muted']}",
    }
    named = {rule.replace(".", ".saywhy-"): body for rule, body in rules.items()}
    return "\n".join(f"{selector} {rule} {{ {body}; }}" for rule, body in named.items()) + "\n"


def over_inputs(items: Sequence[Explanation], top: int = 12, by: str = "feature") -> str:
    """A bar for each of the strongest words or columns, and beside it a point for each input, in one element."""
    found = aligned(items, by)
    order = strongest(found, top)
    return f'<div class="saywhy-charts">{bars(found, order)}{beeswarm(found, order)}</div>'


def bars(found: Aligned, order: Sequence[int]) -> str:
    """Mean |score| over all inputs, in the colour of the sign that the mean has where the feature stands, and marked by it."""
    sizes = np.abs(found.values).mean(0)
    more = len(sizes) - len(order)
    rest = float(sizes.sum() - sizes[list(order)].sum())
    largest, form = float(sizes.max(initial=0.0)), content.spec(float(sizes.max(initial=0.0)))
    room = _WIDE - _NAMES - 78  # what is right of it is for the numbers
    wide = room / (max(largest, rest if more else 0.0) or 1.0)
    rows, heard = [], []
    for place, at in enumerate(order):
        mean = signs(found, at)
        sign = "" if not sizes[at] or not mean else " (−)" if mean < 0 else " (+)"
        said = format(float(sizes[at]), form) + sign
        rows.append(_bar(place, found.names[at], 0.0, float(sizes[at]) * wide, "down" if mean < 0 else "up", said))
        heard.append(f"{content.label(found.names[at])} {said}")
    if more:
        rows.append(_bar(len(order), f"{more:,} more together", 0.0, rest * wide, "rest", format(rest, form)))
    caption = f"Mean |score|{_unit(found.unit)}: (+) raises, (−) lowers"
    return _figure(caption, "; ".join(heard), "".join(rows), len(order) + 1, 0)  # as high as the points


def beeswarm(found: Aligned, order: Sequence[int]) -> str:
    """A point for each input in which the feature stands; strong is a high value of a column, pale a low one."""
    shown = found.values[:, list(order)]
    low, high = min(0.0, float(shown.min(initial=0.0))), max(0.0, float(shown.max(initial=0.0)))
    room = _WIDE - _NAMES - 16
    wide = room / ((high - low) or 1.0)
    rows, heard, graded = [], [], False
    for place, at in enumerate(order):
        there = found.counts[:, at] > 0
        scores, strong = found.values[there, at], strength(found.data[there, at])
        graded |= strong is not None
        middle = _ROW * (place + 0.5)
        rows.append(_name(place, f"{found.names[at]} ({int(there.sum()):,})"))
        rows.append(f'<path class="saywhy-rule" d="M{_NAMES} {middle:g}H{_WIDE - 8}"/>')
        x, y = _NAMES + 4 + (scores - low) * wide, middle + heights(scores) * _ROW
        rows.append(_dots(x, y, np.sign(scores), strong))
        heard.append(f"{content.label(found.names[at])} {content.minus(f'{scores.min():.3g} to {scores.max():.3g}')}")
    rows.append(_axis(low, high, wide, len(order)))
    pale = "; strong: a high value of the column, pale: a low one" if graded else ""
    caption = f"Score{_unit(found.unit)} in each input where it stands{pale}"
    return _figure(caption, "; ".join(heard), "".join(rows), len(order) + 1, 0)


def waterfall(e: Explanation, top: int = 10) -> str:
    """From the base, one feature after the other, the strongest first, to the value."""
    order = content.ranked(e)
    steps = [(e.features[i].label, float(e.scores[i])) for i in order[:top]]
    steps += [(f"{len(order) - top:,} more together", float(e.scores[order[top:]].sum()))] if len(order) > top else []
    gap = e.value - e.base - float(e.scores.sum())
    steps += [("gap: not explained", gap)] if abs(gap) > 1e-6 * (1 + abs(e.value)) else []
    ends = np.cumsum([e.base, *(score for _, score in steps)])
    low, high = float(min(ends.min(), e.value)), float(max(ends.max(), e.value))
    wide = (_WIDE - _NAMES - 72) / ((high - low) or 1.0)
    form = content.spec(max((abs(score) for _, score in steps), default=0.0))
    rows, line = [], []
    for place, (name, score) in enumerate(steps):
        start = (min(ends[place], ends[place + 1]) - low) * wide
        kind = "rest" if name.startswith("gap: not") else "up" if score > 0 else "down"
        rows.append(
            _bar(place, name, float(start), abs(score) * wide, kind, content.minus(content.signed(score, form)))
        )
        line.append(f"M{_NAMES + 4 + (ends[place + 1] - low) * wide:.1f} {_ROW * place + 4}v{_ROW + 6}")
    rows.append(f'<path class="saywhy-axis" d="{"".join(line)}"/>')
    at = _NAMES + 4 + (e.value - low) * wide
    rows.append(_name(len(steps), "value"))
    rows.append(f'<circle class="saywhy-rest" cx="{at:.1f}" cy="{_ROW * (len(steps) + 0.5):g}" r="4.5"/>')
    rows.append(_number(at + 8, len(steps), content.minus(content.amount(e.value, form))))
    said = f"{content.amount(e.base, form)} to value {content.amount(e.value, form)}"
    caption = f"{content.label(e.target.label)}{_unit(e.target.unit)}: from base {content.minus(said)}"
    heard = "; ".join(f"{content.label(name)} {content.minus(content.signed(score, form))}" for name, score in steps)
    return _figure(caption, heard, "".join(rows), len(steps) + 1, 0)


def _unit(unit: str) -> str:
    return "" if unit == "score" else f", {content.label(unit)}"


def _figure(caption: str, heard: str, drawn: str, rows: int, below: int) -> str:
    return (
        f'<figure class="saywhy-chart"><figcaption>{safe(caption)}</figcaption>'
        f'<svg viewBox="0 0 {_WIDE} {_ROW * rows + below}" role="img" aria-label="{safe(caption)}: {safe(heard)}">{drawn}</svg>'
        "</figure>"
    )


def _bar(place: int, name: str, start: float, wide: float, kind: str, said: str) -> str:
    x = _NAMES + 4 + start
    drawn = f'<rect class="saywhy-{kind}" x="{x:.1f}" y="{_ROW * place + 4}" width="{max(wide, 0.5):.1f}" height="{_ROW - 8}"/>'
    return _name(place, name) + drawn + _number(x + wide + 5, place, said)


def _name(place: int, name: str) -> str:
    whole = content.label(name)
    shown = _cut(whole)
    title = "" if shown == whole else f"<title>{safe(whole)}</title>"
    return f'<text x="{_NAMES - 4}" y="{_ROW * place + 15}" text-anchor="end">{title}{safe(shown)}</text>'


def _cut(name: str) -> str:
    """The name as far as there is room for; wide letters count twice. What a count in brackets says at its end stays."""
    sizes = [2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in name]
    if sum(sizes) <= _LETTERS:
        return name
    head, bracket, count = name.rpartition(" (")
    end = f" ({count}" if bracket and count.endswith(")") and len(count) <= 8 else ""
    kept, room = "", _LETTERS - 1 - len(end)
    for c in head if end else name:
        room -= 2 if unicodedata.east_asian_width(c) in "WF" else 1
        if room < 0:
            break
        kept += c
    return f"{kept}…{end}"


def _number(x: float, place: int, said: str) -> str:
    return f'<text class="saywhy-small" x="{x:.1f}" y="{_ROW * place + 15}">{safe(said)}</text>'


def _dots(x: np.ndarray, y: np.ndarray, sign: np.ndarray, strong: np.ndarray | None) -> str:
    """A path for each colour and shade: a point is a line of no length with round ends, so that 1,000 of them stay small."""
    last = len(_SHADES) - 1
    level = np.full(len(x), last) if strong is None else np.minimum((strong * len(_SHADES)).astype(int), last)
    out = []
    for of, kind in ((1, "up"), (-1, "down"), (0, "rest")):
        for shade, opacity in enumerate(_SHADES):
            mine = np.flatnonzero((sign == of) & (level == shade))
            if len(mine):
                path = "".join(f"M{x[i]:.1f} {y[i]:.1f}h0" for i in mine)
                clear = "" if shade == last else f' stroke-opacity="{opacity:g}"'
                out.append(f'<path class="saywhy-dots saywhy-{kind}"{clear} d="{path}"/>')
    return "".join(out)


def _axis(low: float, high: float, wide: float, rows: int) -> str:
    """The line at 0 through all rows, and round numbers under them."""
    zero = _NAMES + 4 - low * wide
    out = [f'<path class="saywhy-axis" d="M{zero:.1f} 0V{_ROW * rows}"/>']
    for tick in content.ticks(low, high, 4):
        x = _NAMES + 4 + (tick - low) * wide
        said = content.minus(f"{tick:g}")
        out.append(f'<text class="saywhy-small" x="{x:.1f}" y="{_ROW * rows + 14}" text-anchor="middle">{said}</text>')
    return "".join(out)
