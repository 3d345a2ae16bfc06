"""Charts of scores: a bar for each feature, every input as a point, or the way from base to value. Drawn without pyplot."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import cast

import numpy as np

from ..core.checks import one_of, whole_number, yes_or_no
from ..core.errors import InputError, missing
from ..core.explanation import Explanation
from ..core.types import Array
from . import content, headline
from .aligned import Aligned, aligned, summarised
from .points import heights, signs, strength, strongest
from .theme import DARK, LIGHT, Palette, blend

try:
    import matplotlib
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
except ImportError as error:  # this file is imported where a chart is drawn
    raise missing("matplotlib", "Drawing a chart", "plot") from error

KINDS = ("bar", "beeswarm", "waterfall")
_ROW, _HEAD, _WIDTH = 0.3, 1.25, 7.0  # inches
_POINTS = 20_000  # that a picture of points draws as shapes; more are drawn into it as an image
_LONGEST = 34  # characters of a name
_LINE, _TEXT = 88, 0.2  # characters of a line of the sentence, and inches that a line takes


def chart(
    items: Sequence[Explanation],
    kind: str,
    made: type[Axes] = Axes,
    *,
    top: int = 15,
    by: str = "feature",
    dark: bool = False,
) -> Axes:
    """A chart of these explanations, as `Explanations.plot` says, on axes of the class `made`."""
    one_of("kind of plot", kind, KINDS)
    top, palette = whole_number("top", top, least=1), DARK if yes_or_no("dark", dark) else LIGHT
    if kind == "waterfall":
        if len(items) != 1:
            raise InputError(
                f"A waterfall is of one explanation, and here are {len(items)}: found[0].plot('waterfall')."
            )
        return _waterfall(items[0], top, palette, made)
    found = aligned(items, by)
    sizes, order = np.abs(found.values).mean(0), strongest(found, top)
    axes = _axes(len(order) + (len(sizes) > top and kind == "bar"), palette, made)
    if kind == "bar":
        _bars(axes, found, sizes, order, palette)
    else:
        _points(axes, found, order, palette)
    over = summarised(items, by)
    _opened(axes, over.sentence, headline.counted_badge(over.trust), f"{over.inputs:,} inputs: {_what(found)}", palette)
    return axes


def _axes(rows: int, palette: Palette, made: type[Axes]) -> Axes:
    rules = {name: matplotlib.rcParamsDefault[name] for name in matplotlib.rcParamsDefault if name.startswith(_OURS)}
    with matplotlib.rc_context(rules):
        figure = Figure(figsize=(_WIDTH, _HEAD + _ROW * max(rows, 2)), layout="constrained", facecolor=palette.paper)
        axes = figure.add_subplot(axes_class=made)
    axes.set_facecolor(palette.paper)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(palette.muted)
    axes.tick_params(axis="both", length=0, colors=palette.ink, labelsize=9)
    axes.set_ylim(max(rows, 2) - 0.4, -0.6)
    return axes


_OURS = ("figure.", "axes.", "font.", "xtick.", "ytick.", "lines.", "patch.", "text.")


def _named(axes: Axes, names: Sequence[str]) -> None:
    shown = [name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…" for name in map(content.label, names)]
    axes.set_yticks(range(len(shown)), [name.replace("$", r"\$") for name in shown])


def _opened(axes: Axes, sentence: str, badge: headline.Badge, about: str, palette: Palette) -> None:
    """The sentence over the chart; under it the badge of trust, and what the chart is of."""
    lines = textwrap.wrap(headline.spoken(sentence), _LINE) or [""]
    figure = cast("Figure", axes.figure)
    figure.set_size_inches(_WIDTH, figure.get_size_inches()[1] + _TEXT * len(lines))
    axes.set_title(
        f"{badge.text} · {headline.spoken(about)}".replace("$", r"\$"),
        color=palette.muted,
        fontsize=9,
        loc="left",
        pad=4,
    )
    figure.suptitle(
        "\n".join(lines).replace("$", r"\$"), color=palette.ink, fontsize=10.5, weight="bold", x=0.01, ha="left"
    )


def _in(unit: str) -> str:
    return "" if unit == "score" else f", {content.label(unit)}"


def _what(found: Aligned) -> str:
    targets = list(dict.fromkeys(found.targets))
    return content.label(targets[0]) if len(targets) == 1 else "each input's own prediction"


def _bars(axes: Axes, found: Aligned, sizes: Array, order: Sequence[int], palette: Palette) -> None:
    """Mean |score|; in the colour of the sign that the mean has where the feature stands, and marked by it."""
    form = content.spec(float(sizes.max(initial=0.0)))
    rest = float(sizes.sum() - sizes[order].sum())
    more = len(sizes) - len(order)
    for place, at in enumerate(order):
        mean = signs(found, at)
        sign = content.minus(content.signed(mean, form)[:1].strip("0123456789.")) if sizes[at] else ""
        axes.barh(place, sizes[at], height=0.62, color=palette.strong_down if mean < 0 else palette.strong_up)
        said = f" {format(sizes[at], form)}" + (f" ({sign})" if sign else "")
        axes.text(sizes[at], place, said, va="center", fontsize=8, color=palette.ink)
    if more:
        axes.barh(len(order), rest, height=0.62, color=palette.muted)
        axes.text(rest, len(order), f" {format(rest, form)}", va="center", fontsize=8, color=palette.ink)
    _named(axes, [*(found.names[at] for at in order), *([f"{more:,} more together"] if more else [])])
    axes.set_xlim(0, 1.18 * max(float(sizes.max(initial=0.0)), rest if more else 0.0) or 1.0)
    axes.set_xlabel(f"mean |score|{_in(found.unit)}; (+) raises, (−) lowers", color=palette.muted, fontsize=9)


def _points(axes: Axes, found: Aligned, order: Sequence[int], palette: Palette) -> None:
    """A point an input where the feature stands; light is a low value of a column, strong a high one."""
    axes.axvline(0, color=palette.muted, linewidth=0.8, zorder=1)
    raster = int((found.counts[:, order] > 0).sum()) > _POINTS
    graded = False
    for place, at in enumerate(order):
        there = found.counts[:, at] > 0
        scores = found.values[there, at]
        high = strength(found.data[there, at])
        graded |= high is not None
        colors = [_color(s, 1.0 if high is None else high[i], palette) for i, s in enumerate(scores)]
        size = 16 if len(scores) <= 200 else 7
        axes.scatter(scores, place + heights(scores), s=size, c=colors, linewidths=0, zorder=2, rasterized=raster)
    _named(axes, [f"{found.names[at]} ({int((found.counts[:, at] > 0).sum()):,})" for at in order])
    graded_by = "; strong: a high value of the column, pale: a low one" if graded else ""
    axes.set_xlabel(f"score{_in(found.unit)}{graded_by}", color=palette.muted, fontsize=9)


def _color(score: float, strong: float, palette: Palette) -> str:
    if score == 0:
        return palette.muted
    return blend(palette.line, palette.strong_up if score > 0 else palette.strong_down, 0.25 + 0.75 * strong)


def _waterfall(e: Explanation, top: int, palette: Palette, made: type[Axes]) -> Axes:
    """From the base, one feature after the other, the strongest first, to the value."""
    order = content.ranked(e)
    shown, rest = order[:top], order[top:]
    steps = [(_label(e, i), float(e.scores[i])) for i in shown]
    steps += [(f"{len(rest):,} more together", float(e.scores[rest].sum()))] if rest else []
    gap = e.value - e.base - float(e.scores.sum())
    if abs(gap) > 1e-6 * (1 + abs(e.value)):
        steps.append(("gap: not explained", gap))
    axes = _axes(len(steps) + 1, palette, made)
    form, at = content.spec(max((abs(score) for _, score in steps), default=0.0)), e.base
    for place, (name, score) in enumerate(steps):
        up = palette.muted if name.startswith("gap:") else palette.strong_up if score > 0 else palette.strong_down
        axes.barh(place, score, left=at, height=0.62, color=up)
        axes.plot([at + score] * 2, [place - 0.31, place + 1.31], color=palette.muted, linewidth=0.7)
        beside = max(at, at + score)
        axes.text(
            beside, place, " " + content.minus(content.signed(score, form)), va="center", fontsize=8, color=palette.ink
        )
        at += score
    axes.axvline(e.base, color=palette.line, linewidth=0.8, zorder=0)
    axes.plot([e.value], [len(steps)], marker="D", markersize=5, color=palette.ink)
    axes.text(e.value, len(steps), f"  {content.amount(e.value, form)}", va="center", fontsize=8, color=palette.ink)
    _named(axes, [*(name for name, _ in steps), "value"])
    axes.use_sticky_edges = False
    axes.margins(x=0.14)
    title = (
        f"{content.label(e.target.label)}: from base {content.amount(e.base, form)} to {content.amount(e.value, form)}"
    )
    axes.set_xlabel(content.label(e.target.unit), color=palette.muted, fontsize=9)
    _opened(axes, headline.headline(e), headline.badge(e), title, palette)
    return axes


def _label(e: Explanation, i: int) -> str:
    return content.label(e.features[i].label)
