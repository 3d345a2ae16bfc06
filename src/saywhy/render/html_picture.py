"""An explained image in HTML: the image, and the view of it with a cell for each feature to point at."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence

from ..explanation import Explanation
from . import pieces
from .panels import caption
from .picture import data, drawn, ground, places

_CELLS = 400  # features that can be pointed at; of more, no single one can be hit


def pictures(e: Explanation, limit: float, stops: set[int], view: str) -> str:
    """The image, and with scores the view beside it; both are in the page itself."""
    if e.image is None:
        return ""
    wide, high = e.image.size
    size = f"{wide:,} × {high:,} pixels"
    out = [_figure(data(ground(e)), f"The image, {size}", f"the image, {size}")]
    if e.features:
        label = pieces.label(e.target.label)
        said = caption(e, view)
        out.append(_figure(data(drawn(e, view, limit)), f"Why {label}: {said}", said, _cells(e, stops)))
    return f'<div class="saywhy-pictures">{"".join(out)}</div>'


def several(group: Sequence[tuple[Explanation, float]], view: str) -> str:
    """The image once, and the view of each target next to it."""
    items = [e for e, _ in group]
    out = [_figure(data(ground(items[0])), "The image", "the image")]
    for (e, limit), name in zip(group, pieces.names(items), strict=True):
        out.append(_figure(data(drawn(e, view, limit)), f"Why {name}: {caption(e, view)}", name))
    return f'<div class="saywhy-pictures saywhy-many">{"".join(out)}</div>'


def _figure(png: bytes, alt: str, said: str, over: str = "") -> str:
    source = "data:image/png;base64," + base64.b64encode(png).decode("ascii")
    image = f'<img src="{source}" alt="{html.escape(pieces.visible(alt))}">'
    return (
        f'<figure class="saywhy-picture"><div class="saywhy-stage">{image}{over}</div>'
        f"<figcaption>{html.escape(said)}</figcaption></figure>"
    )


def _cells(e: Explanation, stops: set[int]) -> str:
    """Where to point to be told a feature's score."""
    cells = places(e)
    if len(cells) > _CELLS:
        return ""
    out = []
    for (left, top, right, bottom), mine in cells.items():
        said = "; ".join(f"{pieces.label(e.features[i].label)}: {pieces.exact(e, i)}" for i in mine)
        focus = ' tabindex="0"' if stops & set(mine) else ""
        side = f"right:{1 - right:.2%}" if left + right > 1 else f"left:{left:.2%}"
        tip = " saywhy-leftward" if left + right > 1 else ""
        place = f"{side};top:{top:.2%};width:{right - left:.2%};height:{bottom - top:.2%}"
        out.append(
            f'<span class="saywhy-patch{tip}" style="{place}" data-saywhy="{html.escape(said)}"{focus}>'
            f'<span class="saywhy-hidden">{html.escape(said)}</span></span>'
        )
    return "".join(out)
