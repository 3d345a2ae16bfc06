"""A view of an explained image on matplotlib's axes, for those who want to go on drawing.

Drawn by matplotlib's objects alone: no pyplot, no window.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import missing, unknown
from ..explanation import Explanation
from . import pieces
from .colors import LIGHT
from .picture import MAGNITUDE, ONE_SIDED, VIEWS, end, ground

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def figure(
    e: Explanation,
    view: str = "overlay",
    *,
    sign: str | None = None,
    outlier: float = pieces.OUTLIER,
    on: str = "original",
    side_by_side: bool = False,
    title: str | None = None,
) -> tuple[Figure, Any]:
    """(Figure, Axes) of one view with a key to its colours; with `side_by_side` the image comes first, and Axes is a list.

    Raises OptionError for an unknown view, sign or ground.
    """
    if view not in VIEWS:
        raise unknown("view", view, VIEWS)
    sign = sign or ("positive" if view in ONE_SIDED else "all")
    image = VIEWS[view](e, sign=sign, outlier=outlier, on=on)
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise missing("matplotlib", "Drawing a figure", "plot") from None
    shown = Figure(figsize=(10.5 if side_by_side else 6, 5.2), layout="constrained")
    axes = list(shown.subplots(1, 2 if side_by_side else 1, squeeze=False)[0])
    if side_by_side:
        axes[0].imshow(np.asarray(ground(e, on)))
        axes[0].set_title("the image" if on == "original" else "the model's input", fontsize=11)
    axes[-1].imshow(np.asarray(image))
    axes[-1].set_title(title or f"{e.target.label}: {view}", fontsize=11, parse_math=False)
    for each in axes:
        each.set_axis_off()
    if view not in ONE_SIDED:
        _key(shown, axes[-1], sign, end(e, sign, outlier), e.target.unit)
    return shown, axes if side_by_side else axes[0]


def _key(shown: Figure, axes: Axes, sign: str, limit: float, unit: str) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    low, high = {"positive": (0, 1), "negative": (-1, 0), "absolute": (0, 1)}.get(sign, (-1, 1))
    down, up = ([LIGHT.strong_down], [LIGHT.strong_up if sign != "absolute" else MAGNITUDE])
    steps = (down if low else []) + [LIGHT.paper] + (up if high else [])
    scale = limit or 1.0
    colours = ScalarMappable(Normalize(low * scale, high * scale), LinearSegmentedColormap.from_list("why", steps))
    shown.colorbar(colours, ax=axes, orientation="horizontal", shrink=0.7, label=unit)
