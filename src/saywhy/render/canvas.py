"""A sheet of paper to draw on with matplotlib: letters, boxes and rules, from the top down, in points."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from ..core.types import Array
from .content import Piece
from .theme import LIGHT

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties

Point: TypeAlias = "tuple[float, float]"  # to the right of the left edge, below the top edge
Align: TypeAlias = 'Literal["left", "center", "right"]'
Run: TypeAlias = "tuple[str, int | None, float]"  # letters, the index of their feature, their width

WIDTH, MARGIN = 468.0, 18.0  # 6.5 inches, the text width of a letter page
_OWN = "DejaVu Sans"  # comes with matplotlib, so it is there and the same everywhere
# Families with letters that it has not; used for those letters where they are installed.
_OTHERS = re.compile("Noto Sans|CJK|Arial Unicode|PingFang|Hiragino|YaHei|Gothic|SimHei|WenQuanYi|Nirmala|Symbol")
_NO_GLYPH = "□"
_MEASURED = 400  # letters that are measured as a whole: no line holds more


class Back(NamedTuple):
    """What is behind a word: a colour, and a line above or below it."""

    fill: str
    line: str
    above: bool
    name: str


@dataclass
class Sheet:
    """What has been drawn so far, and how far down it reaches."""

    y: float = MARGIN - 4
    marks: list[Callable[[float], Artist]] = field(default_factory=list)
    lacking: bool = False  # a letter that no font here has was met

    def text(
        self, at: Point, text: str, size: float, color: str = LIGHT.ink, align: Align = "left", bold: bool = False
    ) -> None:
        """Draws one line of letters on a baseline; a dollar is a dollar."""
        from matplotlib.text import Text

        shown, font = _set(text, size, bold)
        self.lacking |= _NO_GLYPH in shown and _NO_GLYPH not in text

        def mark(whole: float) -> Artist:
            x, y = at[0], whole - at[1]
            return Text(x, y, shown, color=color, ha=align, fontproperties=font, parse_math=False, usetex=False)

        self.marks.append(mark)

    def box(self, corner: Point, size: Point, fill: str, name: str, edge: str | None = None) -> None:
        """Draws a filled rectangle of this width and height below and to the right of its corner."""
        from matplotlib.patches import Rectangle

        (x, y), (across, down), line = corner, size, 0.7 if edge else 0.0

        def mark(whole: float) -> Artist:
            return Rectangle((x, whole - y - down), across, down, fc=fill, ec=edge or "none", lw=line, gid=name)

        self.marks.append(mark)

    def rule(self, start: Point, end: Point, color: str, width: float, name: str | None = None) -> None:
        """Draws a straight line."""
        from matplotlib.lines import Line2D

        def mark(whole: float) -> Artist:
            xs, ys = [start[0], end[0]], [whole - start[1], whole - end[1]]
            return Line2D(xs, ys, color=color, lw=width, solid_capstyle="butt", gid=name)

        self.marks.append(mark)

    def arc(self, start: Point, end: Point, top: float, color: str, width: float, dashed: bool) -> None:
        """Draws a curve between two points whose handles are at the height `top`."""
        from matplotlib.patches import PathPatch
        from matplotlib.path import Path

        def mark(whole: float) -> Artist:
            points = [(x, whole - y) for x, y in (start, (start[0], top), (end[0], top), end)]
            curve = Path(points, [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4])
            return PathPatch(curve, fc="none", ec=color, lw=width, ls=(0, (3, 1.5)) if dashed else "-", gid="arc")

        self.marks.append(mark)

    def image(self, corner: Point, size: Point, pixels: Array) -> None:
        """Draws pixels [H, W, 3 or 4] into a rectangle of this width and height below and to the right of its corner."""
        from matplotlib.image import BboxImage
        from matplotlib.transforms import Bbox

        (x, y), (across, down) = corner, size

        def mark(whole: float) -> Artist:
            def at(renderer: Any) -> Bbox:
                unit = renderer.points_to_pixels(1.0)
                return Bbox.from_bounds(x * unit, (whole - y - down) * unit, across * unit, down * unit)

            drawn = BboxImage(at, interpolation="nearest", resample=False)
            drawn.set_data(pixels)
            return drawn

        self.marks.append(mark)

    def lines(
        self,
        text: Sequence[Piece],
        size: float,
        color: str = LIGHT.ink,
        bold: bool = False,
        backs: Mapping[int, Back] | None = None,
    ) -> None:
        """Draws pieces of text in their own spacing, wrapped at the margins; right to left if they begin so."""
        step, room = size * (1.5 if backs is None else 1.85), WIDTH - 2 * MARGIN
        backward = _backward("".join(part for part, _ in text))
        for line in _wrapped(text, size, bold, room):
            self.y += step
            x = 0.0
            for i, same in groupby(line, key=lambda run: run[1]):
                runs = list(same)
                width = sum(run[2] for run in runs)
                if backs is not None and i in backs:
                    self._back(backs[i], (MARGIN + room - x - width) if backward else MARGIN + x, width, size)
                for letters, _, wide in runs:
                    if letters.strip():
                        at = room - x - wide if backward else x
                        self.text((MARGIN + at, self.y), letters, size, color, bold=bold)
                    x += wide

    def _back(self, back: Back, x: float, width: float, size: float) -> None:
        top, height = self.y - 1.1 * size, 1.5 * size
        self.box((x, top), (width, height), back.fill, back.name)
        edge = top if back.above else top + height
        self.rule((x, edge), (x + width, edge), back.line, 1.0)

    def figure(self) -> Figure:
        """What has been drawn, as a figure as tall as it needs to be."""
        from matplotlib.figure import Figure
        from matplotlib.transforms import Affine2D

        if self.lacking:
            self.lines([(f"{_NO_GLYPH} stands for a letter that no font here has.", None)], 8, LIGHT.muted)
        height = self.y + MARGIN
        out = Figure(figsize=(WIDTH / 72, height / 72), facecolor=LIGHT.paper)
        for order, make in enumerate(self.marks):
            artist = make(height)
            artist.set_transform(Affine2D().scale(1 / 72) + out.dpi_scale_trans)
            artist.set_zorder(order)
            out.add_artist(artist)
        return out


def width(text: str, size: float, bold: bool = False) -> float:
    """How far a line of letters reaches, its outer spaces included."""
    return _advance(text, bold) * size


def clipped(text: str, size: float, room: float) -> str:
    """The text, cut and ended with "…" where it is wider than the room."""
    if len(text) <= _MEASURED and width(text, size) <= room:
        return text
    fits, no = 0, min(len(text), _MEASURED) + 1  # a longer beginning is wider, so halving finds the longest that fits
    while no - fits > 1:
        middle = (fits + no) // 2
        fits, no = (middle, no) if width(text[:middle] + "…", size) <= room else (fits, middle)
    return text[:fits].rstrip() + "…"


@lru_cache(maxsize=10_000)
def _advance(text: str, bold: bool) -> float:
    from matplotlib.textpath import text_to_path

    shown, font = _set(text, 100.0, bold)
    with_text, without = (text_to_path.get_text_width_height_descent(s, font, False)[0] for s in (f"|{shown}|", "||"))
    return float(with_text - without) / 100.0


def _wrapped(text: Sequence[Piece], size: float, bold: bool, room: float) -> Iterator[list[Run]]:
    """The lines of a text: broken where it breaks, else between words, else inside a word too long for a line."""
    line: list[Run] = []
    used = 0.0
    for word in _words(text):
        if word[0][0] == "\n":
            yield line
            line, used = [], 0.0
            continue
        short = sum(len(letters) for letters, _ in word) <= _MEASURED
        runs = [(letters, i, width(letters, size, bold)) for letters, i in word] if short else []
        fits = short and sum(run[2] for run in runs) <= room
        steps = [runs] if fits else [[run] for run in _broken(word, size, bold, room)]
        for step in steps:
            wide = sum(run[2] for run in step)
            if line and used + wide > room:
                yield line
                line, used = [], 0.0
                if not step[0][0].strip():
                    continue
            line += step
            used += wide
    if line:
        yield line


def _broken(word: Sequence[Piece], size: float, bold: bool, room: float) -> Iterator[Run]:
    """A word too long for a line in pieces of at most an eighth of a line, each of one feature."""
    for letters, i in word:
        held, wide = "", 0.0
        for letter in letters:
            step = width(letter, size, bold)
            if held and wide + step > room / 8:
                yield held, i, wide
                held, wide = "", 0.0
            held, wide = held + letter, wide + step
        yield held, i, wide


def _words(text: Sequence[Piece]) -> Iterator[list[Piece]]:
    """Stretches that belong together, each in its pieces: words, spaces, line breaks."""
    tokens = ((t, i) for part, i in text for t in re.findall(r"\n|[^\S\n]+|\S+", part.replace("\t", "    ")))
    for kind, run in groupby(tokens, key=lambda token: token[0] if token[0] == "\n" else token[0].isspace()):
        if kind == "\n":
            yield from ([token] for token in run)
        else:
            yield list(run)


def _backward(text: str) -> bool:
    """Whether the first letter with a direction runs from right to left."""
    found = (unicodedata.bidirectional(c) for c in text)
    return next((kind != "L" for kind in found if kind in ("L", "R", "AL")), False)


def _set(text: str, size: float, bold: bool) -> tuple[str, FontProperties]:
    """The text with a box for every letter that no font here has, and the fonts for the others."""
    from matplotlib.font_manager import FontProperties

    letters = frozenset(text) - {" "}
    bold = bold and letters <= _letters(_OWN, True)  # the other families are used in their normal weight
    families, lacking = _families(letters)
    shown = "".join(c if c not in lacking else _stand_in(c) for c in text)
    return shown, FontProperties(family=list(families), size=size, weight="bold" if bold else "normal")


def _stand_in(letter: str) -> str:
    return "" if unicodedata.category(letter) in ("Cf", "Mn", "Me") else _NO_GLYPH


@lru_cache(maxsize=10_000)
def _families(letters: frozenset[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    """The families needed for these letters, and those letters that none of them has."""
    from matplotlib.font_manager import fontManager

    lacking, families = letters - _letters(_OWN, False), [_OWN]
    for name in sorted({f.name for f in fontManager.ttflist if _OTHERS.search(f.name)}) if lacking else ():
        if lacking & _letters(name, False):
            families.append(name)
            lacking -= _letters(name, False)
    return tuple(families), lacking


@lru_cache(maxsize=200)
def _letters(family: str, bold: bool) -> frozenset[str]:
    """What a family has glyphs for."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    try:
        font = get_font(findfont(FontProperties(family=[family], weight="bold" if bold else "normal")))
        return frozenset(map(chr, font.get_charmap()))
    except (OSError, RuntimeError):  # a font that cannot be read has no letters
        return frozenset()
