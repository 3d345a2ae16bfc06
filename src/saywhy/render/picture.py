"""An explained image as a picture: heat map, overlay, mask or transparency, on the image as given or on the model's input.

Needs Pillow. Blue raises, orange lowers; where only the size counts, violet. What the model does not see is washed out.
"""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import InputError, OptionError, missing, unknown
from ..core.explanation import Explanation
from ..core.types import Box, Floats
from . import content, theme
from .canvas import MARGIN, WIDTH, Sheet
from .theme import LIGHT, blend

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL.Image import Image


SIGNS = ("all", "positive", "negative", "absolute")
ONE_SIDED = ("masked_image", "alpha_scaling")  # they show how much, so they need one sign
GROUNDS = ("original", "input")
MAGNITUDE = "#7a3fc4"  # the hue of sizes without a sign
_LEAST, _MOST = 320, 512  # pixels of a drawing's long side
_VEIL = 0.78  # how far the strongest colour hides the image under it


def heatmap(
    e: Explanation,
    sign: str = "all",
    outlier: float = content.OUTLIER,
    on: str = "original",
    limit: float | None = None,
) -> Image:
    """The scores alone, as colours. RGB. `limit`, where it is known, is the end of the scale."""
    strengths, seen = _strengths(e, sign, outlier, on, limit)
    plain = _colours(strengths, sign)
    return _image(np.where(seen[..., None], plain, _rgb(LIGHT.line)))


def overlay(
    e: Explanation,
    sign: str = "all",
    outlier: float = content.OUTLIER,
    on: str = "original",
    limit: float | None = None,
) -> Image:
    """The scores as colours over the image in grey. RGB. `limit`, where it is known, is the end of the scale."""
    strengths, seen = _strengths(e, sign, outlier, on, limit)
    grey = np.asarray(ground(e, on).convert("L"), dtype=np.float64)[..., None]
    paper = 0.62 * grey + 0.38 * 255
    paper = np.where(seen[..., None], paper, 0.4 * paper + 0.6 * _rgb(LIGHT.line))
    veil = _VEIL * np.abs(strengths)[..., None]
    return _image(paper * (1 - veil) + _hues(strengths, sign) * veil)


def masked_image(
    e: Explanation, sign: str = "positive", outlier: float = content.OUTLIER, on: str = "original"
) -> Image:
    """The image, the darker the smaller the scores of that sign are. RGB."""
    strengths, _ = _strengths(e, _one_sided(sign, "masked_image"), outlier, on)
    return _image(np.asarray(ground(e, on), dtype=np.float64) * np.abs(strengths)[..., None])


def alpha_scaling(
    e: Explanation, sign: str = "positive", outlier: float = content.OUTLIER, on: str = "original"
) -> Image:
    """The image, the more transparent the smaller the scores of that sign are. RGBA."""
    strengths, _ = _strengths(e, _one_sided(sign, "alpha_scaling"), outlier, on)
    alpha = 255 * np.abs(strengths)[..., None]
    return _image(np.concatenate([np.asarray(ground(e, on), dtype=np.float64), alpha], axis=-1))


VIEWS: Mapping[str, Any] = {f.__name__: f for f in (overlay, heatmap, masked_image, alpha_scaling)}


def drawn(e: Explanation, view: str, limit: float) -> Image:
    """The view of that name, on a scale that ends at `limit` where it tells both signs. Refuses an unknown name."""
    if view not in VIEWS:
        raise unknown("view", view, VIEWS)
    image: Image = VIEWS[view](e) if view in ONE_SIDED else VIEWS[view](e, limit=limit)
    return image


def ground(e: Explanation, on: str = "original") -> Image:
    """The image as it was given, or the model's input, without scores, 320 to 512 pixels on its long side. RGB."""
    if on not in GROUNDS:
        raise unknown("value of `on`", on, GROUNDS)
    if e.image is None:
        raise InputError("This explanation is not of an image: it cannot be drawn over one.")
    try:
        from PIL import Image
    except ImportError:
        raise missing("pillow", "Drawing an image", "image") from None
    image = Image.open(BytesIO(e.image.png if on == "original" else e.image.seen)).convert("RGB")
    long = max(image.size)
    if long < _LEAST:  # pixels of a small image stay pixels
        times = -(-_LEAST // long)
        return image.resize((image.size[0] * times, image.size[1] * times), Image.Resampling.NEAREST)
    if long > _MOST:
        image.thumbnail((_MOST, _MOST))
    return image


def data(image: Image) -> bytes:
    """The picture as a PNG file."""
    out = BytesIO()
    image.save(out, format="PNG", optimize=True)
    return out.getvalue()


def places(e: Explanation, on: str = "original") -> dict[Box, list[int]]:
    """Each box, as shares of the width and height of the ground, and the features there (several for channels)."""
    if e.image is None:
        return {}
    left, top, right, bottom = (0.0, 0.0, *map(float, e.image.size)) if on == "original" else e.image.view
    found: dict[Box, list[int]] = {}
    for i, f in enumerate(e.features):
        if f.box is not None:
            xs = ((f.box[0] - left) / (right - left), (f.box[2] - left) / (right - left))
            ys = ((f.box[1] - top) / (bottom - top), (f.box[3] - top) / (bottom - top))
            found.setdefault((xs[0], ys[0], xs[1], ys[1]), []).append(i)
    return found


def _one_sided(sign: str, view: str) -> str:
    if sign == "all":
        raise OptionError(f"{view} shows how much, not which way: take sign='positive', 'negative' or 'absolute'.")
    return sign


def _strengths(
    e: Explanation, sign: str, outlier: float, on: str, limit: float | None = None
) -> tuple[Floats, np.ndarray[Any, Any]]:
    """[H, W] of -1 to 1 on the pixels of the ground, and bool [H, W]: what the model sees.

    `outlier` is the share of sum |scores| that may lie beyond the end of the scale.
    """
    if sign not in SIGNS:
        raise unknown("sign", sign, SIGNS)
    if not 0 <= outlier < 1:
        raise OptionError(f"`outlier` is a share of the scores, 0 <= outlier < 1, not {outlier}.")
    width, height = ground(e, on).size
    cells, kept = places(e, on), _kept(e, sign)
    limit = end(e, sign, outlier) if limit is None else limit
    strengths, seen = np.zeros((height, width)), np.zeros((height, width), dtype=bool)
    for box, score in zip(cells, kept, strict=True):
        across, down = _span(box[0], box[2], width), _span(box[1], box[3], height)
        strengths[down, across] = theme.strength(float(score), limit)
        seen[down, across] = True
    return strengths, seen


def _kept(e: Explanation, sign: str) -> Floats:
    """The score at each place, as far as it has that sign."""
    sums = np.array(list(content.by_place(e).values()))
    signed: dict[str, Floats] = {"positive": sums.clip(min=0), "negative": sums.clip(max=0), "absolute": np.abs(sums)}
    return signed.get(sign, sums)


def end(e: Explanation, sign: str = "all", outlier: float = content.OUTLIER) -> float:
    """Where the scale of a view ends: at most the share `outlier` of the scores of that sign lies beyond."""
    return content.end_of_scale(_kept(e, sign), outlier)


def _span(start: float, end: float, length: int) -> slice:
    first = min(max(round(start * length), 0), length - 1)
    return slice(first, max(round(end * length), first + 1))


def _rgb(color: str) -> Floats:
    return np.array(theme.channels(color), dtype=np.float64)


def _hues(strengths: Floats, sign: str) -> Floats:
    """[H, W, 3]: the full colour of each sign."""
    if sign == "absolute":
        return np.broadcast_to(_rgb(MAGNITUDE), (*strengths.shape, 3))
    return np.where(strengths[..., None] > 0, _rgb(LIGHT.strong_up), _rgb(LIGHT.strong_down))


def _colours(strengths: Floats, sign: str) -> Floats:
    """[H, W, 3]: from paper at zero to the full colour."""
    size = np.abs(strengths)[..., None]
    mixed: Floats = _rgb(LIGHT.paper) * (1 - size) + _hues(strengths, sign) * size
    return mixed


def _image(levels: Floats) -> Image:
    from PIL import Image

    return Image.fromarray(np.rint(levels.clip(0, 255)).astype(np.uint8))


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
    form, wide = content.spec(limit), 150.0
    left = (WIDTH - wide) / 2
    for j in range(_STEPS):
        t = 2 * (j + 0.5) / _STEPS - 1
        fill = blend(LIGHT.paper, LIGHT.strong_up if t > 0 else LIGHT.strong_down, abs(t))
        sheet.box((left + j * wide / _STEPS, sheet.y), (wide / _STEPS + 0.3, 7), fill, f"key-{j}")
    low, high = (content.minus(content.signed(x, form)) for x in (-limit, limit))
    sheet.text((left - 6, sheet.y + 7), f"lowers {low}", 8, LIGHT.muted, align="right")
    sheet.text((left + wide + 6, sheet.y + 7), f"{high} raises", 8, LIGHT.muted)
    sheet.y += 10


def figure(
    e: Explanation,
    view: str = "overlay",
    *,
    sign: str | None = None,
    outlier: float = content.OUTLIER,
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
        _colour_key(shown, axes[-1], sign, end(e, sign, outlier), e.target.unit)
    return shown, axes if side_by_side else axes[0]


def _colour_key(shown: Figure, axes: Axes, sign: str, limit: float, unit: str) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    low, high = {"positive": (0, 1), "negative": (-1, 0), "absolute": (0, 1)}.get(sign, (-1, 1))
    down, up = ([LIGHT.strong_down], [LIGHT.strong_up if sign != "absolute" else MAGNITUDE])
    steps = (down if low else []) + [LIGHT.paper] + (up if high else [])
    scale = limit or 1.0
    colours = ScalarMappable(Normalize(low * scale, high * scale), LinearSegmentedColormap.from_list("why", steps))
    shown.colorbar(colours, ax=axes, orientation="horizontal", shrink=0.7, label=unit)
