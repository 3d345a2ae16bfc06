"""An explanation as HTML: probabilities and weights as bars, and the text with its words marked. No script, nothing loaded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ...render import theme
from ...render.page import document, safe

_STYLE = theme.variables(".saywhy-lime") + (
    ".saywhy-lime{background:var(--paper);color:var(--ink);font:15px/1.6 system-ui,sans-serif;padding:1em;"
    "display:flex;flex-wrap:wrap;gap:1.5em 3em}"
    ".saywhy-lime h3{margin:0 0 .4em;font-size:1em}.saywhy-lime table{border-collapse:collapse}"
    ".saywhy-lime td{padding:.15em .6em .15em 0;vertical-align:middle;overflow-wrap:anywhere;max-width:18em}"
    ".saywhy-lime td.n{text-align:right;font-variant-numeric:tabular-nums}"
    ".saywhy-lime .b{display:block;height:.9em;border-radius:.15em;min-width:1px}"
    ".saywhy-lime .d{width:10em;display:flex}.saywhy-lime .d>span{width:50%;display:flex}"
    ".saywhy-lime .d>span:first-child{justify-content:flex-end;border-right:1px solid var(--muted)}"
    ".saywhy-lime .t{flex-basis:100%;white-space:pre-wrap;overflow-wrap:anywhere;max-width:60em}"
    ".saywhy-lime mark{border-radius:.2em;padding:.05em .1em;color:inherit}"
)


class Shown(NamedTuple):
    """What a page shows."""

    probabilities: list[tuple[str, float]]  # of each class
    value: float | None  # predicted, of a regression
    tables: list[tuple[str, list[tuple[object, float]]]]  # of each label: its name, and its words with their weights
    text: str | None
    marks: list[tuple[int, int, float]]  # (start, end, weight) in the text, in its order
    opacity: bool  # are heavier marks stronger?


def page(shown: Shown) -> str:
    """A document that stands alone."""
    return document("Local explanation", fragment(shown))


def fragment(shown: Shown) -> str:
    """The same for a notebook's cell."""
    parts = [_probabilities(shown.probabilities)] if shown.probabilities else []
    if shown.value is not None:
        parts.append(f"<section><h3>Predicted value</h3>{shown.value:.4g}</section>")
    parts += [_weights(name, rows) for name, rows in shown.tables]
    if shown.text is not None:
        parts.append(
            f'<div class="t"><h3>Text with marked words</h3>{_marked(shown.text, shown.marks, shown.opacity)}</div>'
        )
    return f'<div class="saywhy-lime"><style>{_STYLE}</style>{"".join(parts)}</div>'


def _probabilities(rows: Sequence[tuple[str, float]]) -> str:
    lines = [
        f'<tr><td>{safe(name)}</td><td class="n">{p:.2f}</td>'
        f'<td><span style="width:10em;display:block">{_bar(max(0.0, min(1.0, p)), theme.LIGHT.strong_up)}</span></td></tr>'
        for name, p in rows
    ]
    return f"<section><h3>Prediction probabilities</h3><table>{''.join(lines)}</table></section>"


def _weights(name: str, rows: Sequence[tuple[object, float]]) -> str:
    """A label's words, the bars of those that speak against it to the left."""
    limit = max((abs(weight) for _, weight in rows), default=0.0) or 1.0
    lines = []
    for word, weight in rows:
        bar = _bar(abs(weight) / limit, theme.LIGHT.strong_up if weight > 0 else theme.LIGHT.strong_down)
        sides = ("", bar) if weight > 0 else (bar, "")
        drawn = "".join(f"<span>{side}</span>" for side in sides)
        lines.append(
            f'<tr><td>{safe(word)}</td><td class="n">{weight:+.3f}</td><td><span class="d">{drawn}</span></td></tr>'
        )
    title = f"NOT {safe(name)} ← → {safe(name)}" if name else "negative ← → positive"
    return f"<section><h3>{title}</h3><table>{''.join(lines)}</table></section>"


def _bar(share: float, shade: str) -> str:
    return f'<span class="b" style="width:{100 * share:.1f}%;background:{shade}"></span>'


def _marked(text: str, marks: Sequence[tuple[int, int, float]], opacity: bool) -> str:
    """The text, each marked word on blue that speaks for the first label or orange that speaks against it."""
    limit = max((abs(weight) for _, _, weight in marks), default=0.0) or 1.0
    out, at = [], 0
    for start, end, weight in marks:
        strength = abs(weight) / limit if opacity else 1.0
        red, green, blue = theme.channels(theme.LIGHT.strong_up if weight > 0 else theme.LIGHT.strong_down)
        shade = f"background:rgba({red},{green},{blue},{0.6 * strength:.2f})"
        out += [safe(text[at:start]), f'<mark style="{shade}" title="{weight:+.3f}">{safe(text[start:end])}</mark>']
        at = end
    return "".join([*out, safe(text[at:])])
