"""Bars and heatmaps of an attribution: a scale symmetric about zero, safe for colour-blind readers, never a giant figure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ...core.errors import missing
from ...render import theme

if TYPE_CHECKING:
    from types import ModuleType

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDEST = 18.0  # inches
TALLEST = 24.0
NUMBERS = 240  # cells up to which their numbers are written
NAMES = 60  # names along an axis


def _pyplot() -> ModuleType:
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise missing("matplotlib", "Plotting", "plot") from error
    return plt


def heatmap(scores: Tensor, inputs: Sequence[str], outputs: Sequence[str]) -> tuple[Figure, Axes]:
    """[T, F] -> (figure, axes): blue raises the token's probability, orange lowers it."""
    plt = _pyplot()
    from matplotlib.colors import LinearSegmentedColormap

    told = scores.detach().cpu().double().numpy()
    high, wide = told.shape
    size = (min(WIDEST, max(4.0, 0.9 * wide + 2.5)), min(TALLEST, max(2.5, 0.4 * high + 1.8)))
    figure, axes = plt.subplots(figsize=size, layout="constrained")
    limit = float(abs(told).max()) or 1.0
    light = theme.LIGHT
    shades = LinearSegmentedColormap.from_list("saywhy", [light.strong_down, light.paper, light.strong_up])
    image = axes.imshow(told, cmap=shades, vmin=-limit, vmax=limit, aspect="auto")
    figure.colorbar(image, ax=axes, label="effect on the token")
    _named(axes.set_xticks, inputs, rotation=30, ha="right", rotation_mode="anchor")
    _named(axes.set_yticks, outputs)
    if told.size <= NUMBERS:
        for (row, column), score in [((r, c), told[r, c]) for r in range(high) for c in range(wide)]:
            ink = theme.ink_on(
                theme.blend(light.paper, light.strong_up if score > 0 else light.strong_down, abs(score) / limit)
            )
            axes.text(column, row, f"{score:.3g}", ha="center", va="center", color=ink, fontsize=8)
    return figure, axes


def bars(scores: Tensor, inputs: Sequence[str]) -> tuple[Figure, Axes]:
    """[F] -> (figure, axes): up and blue raises the continuation's probability, down and orange lowers it."""
    plt = _pyplot()
    told = scores.detach().cpu().double().numpy()
    figure, axes = plt.subplots(figsize=(min(WIDEST, max(4.0, 0.9 * len(told) + 1.5)), 4.0), layout="constrained")
    paint = [theme.LIGHT.strong_up if score >= 0 else theme.LIGHT.strong_down for score in told]
    drawn = axes.bar(range(len(told)), told, color=paint)
    axes.axhline(0, color=theme.LIGHT.ink, linewidth=0.8)
    _named(axes.set_xticks, inputs, rotation=30, ha="right", rotation_mode="anchor")
    if len(told) <= NAMES:
        axes.bar_label(drawn, labels=[f"{score:.3g}" for score in told], padding=2, fontsize=8)
    axes.margins(y=0.15)
    axes.set_ylabel("effect on the continuation")
    return figure, axes


def _named(put: Callable[..., Any], names: Sequence[str], **looks: object) -> None:
    step = -(-len(names) // NAMES)
    places = list(range(0, len(names), step))
    put(places, [_short(names[i]) for i in places], fontsize=8, **looks)


def _short(name: str) -> str:
    line = "".join(c if c.isprintable() else "\\n" if c == "\n" else "?" for c in name).replace("$", r"\$")
    return line if len(line) <= 24 else line[:23] + "…"


def shown(drawn: tuple[Figure, Axes], show: bool) -> tuple[Figure, Axes] | None:
    """The figure and axes; with `show`, on the screen, where there is one, and None."""
    if not show:
        return drawn
    plt = _pyplot()
    if plt.get_backend().lower() not in ("agg", "pdf", "svg", "ps", "cairo", "template"):
        plt.show()
    plt.close(drawn[0])
    return None
