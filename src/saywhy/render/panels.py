"""An explained image side by side with the image itself, and the key to its colours, on a sheet."""

from __future__ import annotations

import numpy as np

from ..explanation import Explanation
from . import pieces
from .colors import LIGHT, blend
from .picture import ONE_SIDED, drawn, ground
from .sheet import MARGIN, WIDTH, Sheet

_TALLEST, _BETWEEN, _STEPS = 300.0, 12.0, 48


def panels(sheet: Sheet, e: Explanation, limit: float, view: str = "overlay") -> None:
    """Draws the image and the view of it next to each other, with captions and a key."""
    shown = drawn(e, view, limit)
    room = (WIDTH - 2 * MARGIN - _BETWEEN) / 2
    across = min(room, _TALLEST * shown.size[0] / shown.size[1])
    down = across * shown.size[1] / shown.size[0]
    sheet.y += 10
    for x, image, name in ((MARGIN, ground(e), "the image"), (MARGIN + across + _BETWEEN, shown, caption(e, view))):
        sheet.image((x, sheet.y), (across, down), np.asarray(image))
        sheet.text((x, sheet.y + down + 11), name, 8, LIGHT.muted)
    sheet.y += down + 26
    _key(sheet, limit, view)


def caption(e: Explanation, view: str) -> str:
    """What a view shows, in a few words."""
    said = {"overlay": "the scores over the image", "heatmap": "the scores"}.get(view, "what raises the target")
    if e.image is None or view in ONE_SIDED:
        return said
    left, top, right, bottom = e.image.view
    whole = left <= 0 and top <= 0 and right >= e.image.size[0] and bottom >= e.image.size[1]
    return said if whole else f"{said}; washed out: what the model does not see"


def _key(sheet: Sheet, limit: float, view: str) -> None:
    """A ramp from what lowers to what raises, with the numbers at its ends."""
    if view in ONE_SIDED:
        return
    form, wide = pieces.spec(limit), 150.0
    left = (WIDTH - wide) / 2
    for j in range(_STEPS):
        t = 2 * (j + 0.5) / _STEPS - 1
        fill = blend(LIGHT.paper, LIGHT.strong_up if t > 0 else LIGHT.strong_down, abs(t))
        sheet.box((left + j * wide / _STEPS, sheet.y), (wide / _STEPS + 0.3, 7), fill, f"key-{j}")
    low, high = (pieces.minus(pieces.signed(x, form)) for x in (-limit, limit))
    sheet.text((left - 6, sheet.y + 7), f"lowers {low}", 8, LIGHT.muted, align="right")
    sheet.text((left + wide + 6, sheet.y + 7), f"{high} raises", 8, LIGHT.muted)
    sheet.y += 10
