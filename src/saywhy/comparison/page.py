"""A comparison as a page that stands alone: ranking, every metric and removal, curves, likeness, and what they cannot show."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..metrics import METRICS
from ..render import theme
from ..render.content import amount, minus, ticks
from ..render.headline import spoken, title
from ..render.page import document, safe
from . import wording
from .estimates import SHARES, mean_curve

if TYPE_CHECKING:
    from .result import Comparison

_STYLE = (
    theme.furniture(".sw-m")
    + """
.sw-m{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:74rem}
.sw-m h2{font-size:1.1em;margin:1.6em 0 .3em}.sw-m p{margin:.3em 0;max-width:52rem}
.sw-m .q{color:var(--muted)}
.sw-m table{border-collapse:collapse;margin:.5em 0;font-variant-numeric:tabular-nums}
.sw-m th,.sw-m td{border-bottom:1px solid var(--line);padding:.2em .7em;text-align:right;vertical-align:bottom}
.sw-m td{white-space:nowrap}
.sw-m th:first-child,.sw-m td:first-child,.sw-m th.l,.sw-m td.l{text-align:left}
.sw-m tr.x td{color:var(--muted);font-style:italic}
.sw-m svg{max-width:100%;height:auto;color:inherit}.sw-m .g{display:flex;flex-wrap:wrap;gap:1.5em}
.sw-m text{fill:currentColor;font:12px system-ui,sans-serif}.sw-m dt{font-weight:600;margin-top:.5em}.sw-m dd{margin:0}
"""
)
# Okabe & Ito's colours, told apart by colour-blind readers on both grounds; the dashes tell a second round apart.
_LINES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a8f98")
_DASHES = ("", "6 3", "2 3")


def page(c: Comparison) -> str:
    """A complete HTML document that needs nothing else and may load nothing else."""
    return document(wording.title(c), fragment(c))


def fragment(c: Comparison) -> str:
    """HTML to put into any page. Every string is escaped."""
    blocks = [
        _head(c),
        _ranking(c),
        _curves(c),
        _every(c),
        _likeness(c),
        _blind(c),
        f"<p class=q>{safe(wording.saved(c))}</p>",
    ]
    return f'<div class="sw-m" lang="en"><style>{_STYLE}</style>\n{chr(10).join(blocks)}\n</div>'


def _head(c: Comparison) -> str:
    """The verdict first: who is best, and whether that is better than chance; then what was compared."""
    first, rest = wording.sentences(c)
    more = f"<p>{safe(rest)}</p>" if rest else ""
    return f"{title(first, wording.badge(c))}{more}<p class=q>{safe(wording.title(c))} · {safe(wording.about(c))}</p>"


def _ranking(c: Comparison) -> str:
    metric = wording.leading(c) or c.metrics[0]
    heads = ["method", "rank", wording.heading(metric), "reversed", "inputs a text", "backward", "ms a text", "peak MB"]
    rows = []
    for rank, method in wording.ordered(c):
        reverse = c.estimate(method, metric, reverse=True)
        spent = wording.spent_cells(c.spent[c.methods.index(method)], len(c))
        cells = [
            method,
            rank,
            wording.full(c.estimate(method, metric)),
            "–" if reverse is None else f"{reverse.mean:.3g}",
        ]
        rows.append((method, [*cells, *(spent if method not in wording.CONTROLS else [""] * 4)]))
    note = "Methods share a rank where the 95 % interval of their difference, text by text, holds 0."
    return f"<h2>Ranking</h2>{_table(heads, rows)}<p class=q>{note}</p>"


def _every(c: Comparison) -> str:
    heads = [
        "method",
        *(wording.heading(col.metric) + (f" ({col.removal})" if col.removal else "") for col in c.columns),
    ]
    rows = [
        (m, [m, *(wording.full(c.estimate(m, col.metric, col.removal)) for col in c.columns)])
        for _, m in wording.ordered(c)
    ]
    note = "Means with 95 % bootstrap intervals; the removal in brackets."
    return f"<h2>Every metric</h2>{_table(heads, rows)}<p class=q>{note}</p>"


def _table(heads: list[str], rows: list[tuple[str, list[str]]]) -> str:
    top = "".join(f"<th scope=col>{safe(h)}</th>" for h in heads)
    body = "".join(
        f"<tr{' class=x' if m in wording.CONTROLS else ''}>{''.join(f'<td>{spoken(safe(cell))}</td>' for cell in cells)}</tr>"
        for m, cells in rows
    )
    box = f'<div class=t role=group aria-label="{safe(heads[0])} by {safe(heads[-1])}" tabindex=0>'
    return f"{box}<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"


def _curves(c: Comparison) -> str:
    drawn = [_curve(c, removal) for removal in sorted(c.curves)]
    if not drawn:
        return ""
    legend = "".join(
        f'<span><svg width="34" height="10" aria-hidden="true"><path d="M1 5H33" {_stroke(i)}/></svg> {safe(m)}&ensp;</span>'
        for i, m in enumerate(c.methods)
    )
    about = (
        "The target's change, in its unit, as the highest scores are taken away first; the faster it falls, the better."
    )
    return f"<h2>Removal</h2><p class=q>{about}</p><div class=g>{''.join(drawn)}</div><p>{legend}</p>"


def _curve(c: Comparison, removal: str) -> str:
    """One picture: the mean curve of each method."""
    found = [(i, mean_curve(c.curves[removal][:, i])) for i in range(len(c.methods))]
    lines = [(i, curve) for i, curve in found if curve is not None]
    low = min((float(curve.min()) for _, curve in lines), default=-1.0)
    high = max(0.0, max((float(curve.max()) for _, curve in lines), default=0.0))
    wide, tall, left, foot = 440, 240, 46, 28
    span = (high - low) or 1.0

    def at(x: float, y: float) -> str:
        return f"{left + x * (wide - left - 8):.1f} {8 + (high - y) / span * (tall - foot - 8):.1f}"

    grid = "".join(
        f'<path d="M{at(0, y)}L{at(1, y)}" stroke="currentColor" stroke-opacity=".15"/>'
        f'<text x="{left - 6}" y="{float(at(0, y).split()[1]) + 4:.1f}" text-anchor="end">{spoken(f"{y:.6g}")}</text>'
        for y in ticks(low, high, 4)
    )
    shares = "".join(
        f'<text x="{at(x, low).split()[0]}" y="{tall - 8}" text-anchor="{anchor}">{x:.0%}</text>'
        for x, anchor in ((0, "start"), (0.5, "middle"), (1, "end"))
    )
    paths = "".join(
        f'<path d="M{"L".join(at(x, y) for x, y in zip(SHARES, curve, strict=True))}" {_stroke(i)}>'
        f"<title>{safe(c.methods[i])}</title></path>"
        for i, curve in lines
    )
    name = safe(f"Change of the target as features are taken away by {removal}")
    return (
        f'<figure style="margin:0"><svg viewBox="0 0 {wide} {tall}" width="{wide}" role="img" aria-label="{name}">'
        f"{grid}{shares}{paths}</svg><figcaption class=q>taken away by {safe(removal)}</figcaption></figure>"
    )


def _stroke(i: int) -> str:
    dash = _DASHES[i // len(_LINES) % len(_DASHES)]
    return f'fill="none" stroke="{_LINES[i % len(_LINES)]}" stroke-width="2"' + (
        f' stroke-dasharray="{dash}"' if dash else ""
    )


def _likeness(c: Comparison) -> str:
    names = c.methods[: len(c.likeness)]
    top = "".join(f"<th scope=col>{safe(name)}</th>" for name in names)
    rows = "".join(
        f"<tr><th scope=row>{safe(name)}</th>{''.join(_cell(float(x)) for x in row)}</tr>"
        for name, row in zip(names, c.likeness, strict=True)
    )
    about = "The mean Spearman correlation of two methods' scores. To agree is not to be right."
    table = f"<table><thead><tr><th scope=col>method</th>{top}</tr></thead><tbody>{rows}</tbody></table>"
    box = '<div class=t role=group aria-label="How alike the methods are" tabindex=0>'
    return f"<h2>Likeness</h2><p class=q>{about}</p>{box}{table}</div>"


def _cell(x: float) -> str:
    t = theme.strength(x, 1.0)
    return f'<td class="{"up" if t >= 0 else "down"}" style="--a:{abs(t):.3f}">{minus(amount(x, ".2f"))}</td>'


def _blind(c: Comparison) -> str:
    rows = "".join(_told(m) for m in c.metrics if m in METRICS)
    return f"<h2>What the metrics say, and what they cannot</h2><dl>{rows}</dl>"


def _told(name: str) -> str:
    metric = METRICS[name]
    cannot = f"<span class=q>Cannot show: {safe(metric.blind)}.</span>"
    return f"<dt>{safe(wording.heading(name))}</dt><dd>{safe(metric.summary)} {cannot}</dd>"
