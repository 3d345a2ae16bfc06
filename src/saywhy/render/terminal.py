"""Explanations in a terminal: the text in colours, the scores in a table, and how they add up.

Sign and size are also told by signs and bars, so nothing is lost in a pipe or under NO_COLOR.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from io import StringIO

import numpy as np
from rich.cells import cell_len, set_cell_size
from rich.columns import Columns
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

from ..core.explanation import Explanation, Explanations
from . import arcs, content, headline, theme

TOP = 10  # rows of a table, unless the caller says
_LONG = 1600  # characters of a text that are still shown whole
_HALF = 10  # cells of a bar on each side of zero
_CELLS = 24  # cells of an image in a row, three letters each
_FAINT, _WEAK = 0.05, 0.25  # shares of the scale: less is not coloured, less colours only the letters
_PAIRS = 3  # pairs that are told
_BOLD, _QUIET = Style(bold=True), Style(dim=True)
_BADGES = {
    "high": Style(bold=True, color=theme.LETTERS_UP),
    "low": Style(bold=True, color=theme.LETTERS_DOWN),
    "medium": _BOLD,
    "unknown": _QUIET,
}
_ASCII = str.maketrans(
    {"·": "|", "±": "+/-", "│": "|", "█": "#", "▌": "#", "▐": "#", "…": "...", "−": "-", "Σ": "sum", "✓": "+"}
)


def show(what: Explanation | Explanations, console: Console, top: int | None = None) -> None:
    """Prints the explanations on the console, with `top` rows in each table (10 unless said)."""
    drawn = Group(*_blocks(content.listed(what), TOP if top is None else max(top, 0), console.width))
    console.print(drawn if _speaks_unicode(console.encoding) else _Spelt(drawn, console.encoding))


def plain(what: Explanation | Explanations) -> str:
    """The same as `show` draws, as text without colour, 100 characters wide."""
    out = StringIO()
    show(what, Console(file=out, width=100, color_system=None, force_jupyter=False, legacy_windows=False, _environ={}))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def _blocks(items: Sequence[Explanation], top: int, width: int) -> list[RenderableType]:
    limits = iter(content.limits(items))
    groups = [[(e, next(limits)) for e in group] for group in content.groups(items)]
    if not groups:
        return [Text("No explanations.")]
    if len(groups) == 1:
        return _several(groups[0], top, width) if len(groups[0]) > 1 else _single(*groups[0][0], top, width)
    common = content.shared(items)
    said = headline.count_headline([[e for e, _ in group] for group in groups])
    out: list[RenderableType] = [_sentence(said), *([_phrases(common)] if common else [])]
    for k, group in enumerate(groups, 1):
        out += ["", Text(f"{k} of {len(groups)}", _QUIET)]
        out += _several(group, top, width) if len(group) > 1 else _compact(*group[0], min(top, 5), common)
    return out


def _single(e: Explanation, limit: float, top: int, width: int) -> list[RenderableType]:
    out = [
        *_heading(e, limit),
        _phrases(content.about(e)),
        "",
        *_text(e, limit, top),
        "",
        _table(e, limit, top, width),
        "",
    ]
    return [*out, *_pairs(e, limit), *_closing(e, limit)]


def _pairs(e: Explanation, limit: float) -> list[RenderableType]:
    """The pairs that stand out: "not + bad -1.9"."""
    told = arcs.told(e, limit, _PAIRS)
    if not told:
        return []
    phrases = [arcs.phrase(p, content.spec(limit)) for p in told]
    return [_set(Text.assemble(("together: ", _QUIET), " · ".join(phrases))), ""]


def pair_table(e: Explanation, top: int) -> str:
    """The strongest pairs, one a line, with their standard errors: what `saywhy explain --pairs` shows."""
    pairs = e.pairs(top)
    if not pairs:
        return f"{content.label(e.target.label)}: one feature only, so there are no pairs."
    form = content.spec(max(abs(p.score) for p in pairs))
    names = [f"{content.label(p.words[0])} + {content.label(p.words[1])}" for p in pairs]
    wide = min(48, max(map(cell_len, names)))
    lines = [f"Pairs: what two do together beyond what each does alone, in {content.label(e.target.unit)}"]
    for name, p in zip(names, pairs, strict=True):
        error = "" if p.stderr is None else f"  ± {format(p.stderr, form)}"
        places = f"{p.indexes[0]}, {p.indexes[1]}"
        lines.append(f"  {set_cell_size(name, wide)}  {content.signed(p.score, form):>8}{error}  ({places})")
    return "\n".join(lines)


def _compact(e: Explanation, limit: float, top: int, common: Sequence[str]) -> list[RenderableType]:
    form, own = content.spec(limit), [phrase for phrase in content.about(e) if phrase not in common]
    best = Columns([_named(e, i, limit, form) for i in content.ranked(e)[:top]], padding=(0, 3, 0, 0))
    out = [*_heading(e, limit), *([_phrases(own)] if own else []), *_text(e, limit, top), Padding(best, (0, 0, 0, 2))]
    return [*out, *_closing(e, limit)]


def _several(group: Sequence[tuple[Explanation, float]], top: int, width: int) -> list[RenderableType]:
    items = [e for e, _ in group]
    names, common = content.names(items), content.shared(items)
    out: list[RenderableType] = [_sentence(headline.group_headline(items))]
    out += [_phrases([f"{len(items)} explanations of one input", *common]), "", *_text(items[0], 0.0, top), ""]
    widest = max(map(cell_len, items[0].words), default=0)
    room = max(1, (width - min(24, max(8, widest)) - 8) // 14)
    largest = np.nan_to_num(np.abs([e.scores for e in items]).max(axis=0))
    order = [int(i) for i in np.argsort(-largest, kind="stable")]
    for start in range(0, len(group), room):
        out += [_heat(group[start : start + room], names[start : start + room], order, top), ""]
    notes = dict.fromkeys(note for e in items for note in e.notes)
    out += [
        _set(f"{name}: {content.believed(e)}") for name, e in zip(names, items, strict=True) if e.trust is not None
    ][:top]
    out += [] if all(e.complete for e in items) else [_set(f"gap: {content.LOOSE}")]
    costs = [content.spent(e.cost) for e in items]
    said = costs[:1] if len(set(costs)) == 1 else [f"{name}: {cost}" for name, cost in zip(names, costs, strict=True)]
    return [*out, *map(_note, notes), *(_set(cost, _QUIET) for cost in said if cost)]


def _sentence(said: str) -> RenderableType:
    return Text(content.label(said), _BOLD)


def _heading(e: Explanation, limit: float) -> list[RenderableType]:
    """The sentence; then the target, both its ends, and how far to believe it."""
    form, unit, badge = content.spec(limit), content.label(e.target.unit), headline.badge(e)
    values = f"  {content.amount(e.value, form)} {unit}, base {content.amount(e.base, form)}"
    trust = ("  ", (badge.text, _BADGES[badge.kind])) if e.trust is not None else ()
    return [
        _sentence(headline.headline(e)),
        Text.assemble((content.label(e.target.label), _BOLD), values, *trust),
    ]


def _closing(e: Explanation, limit: float) -> list[RenderableType]:
    cost = content.spent(e.cost)
    said = [content.balance(e, content.spec(limit)), content.believed(e)]
    return [*(_set(line) for line in said if line), *map(_note, e.notes), *([_set(cost, _QUIET)] if cost else [])]


def _phrases(said: Sequence[str]) -> RenderableType:
    return Text(content.label(" · ".join(said)), _QUIET)


def _set(text: str | Text, style: Style | str = "") -> RenderableType:
    return Padding(text if isinstance(text, Text) else Text(content.visible(text), style), (0, 0, 0, 2))


def _note(note: str) -> RenderableType:
    return _set(Text.assemble(("Note: ", "yellow"), content.label(note)))


def _text(e: Explanation, limit: float, top: int) -> list[RenderableType]:
    """The input in its own spacing, each feature on its colour; a long text in excerpts around the strongest."""
    out: list[RenderableType] = []
    limit = content.colour_end(limit, e)
    if e.image is not None:
        return [Padding(row, (0, 2)) for row in _grid(e, limit)]
    parts = content.parts(e)
    for part in parts:
        if len(parts) > 1:
            out.append(_set(content.label(part.name), _QUIET))
        text = Text(overflow="fold")
        whole = sum(len(piece) for piece, _ in part.pieces)
        cut = part.pieces if whole <= _LONG else content.excerpt(part.pieces, content.ranked(e)[: max(top, 1)])
        for piece, i in cut:
            text.append(content.visible(piece), _paint(e, i, limit))
        if part.pieces:
            out.append(Padding(text, (0, 2)))
        if cut is not part.pieces:
            out.append(_set(f"({whole:,} characters; shown is what surrounds the strongest features)", _QUIET))
        if part.loose:
            chips = (Text(f" {content.label(e.features[i].label)} ", _paint(e, i, limit)) for i in part.loose)
            out.append(Padding(Text("  ").join(chips), (0, 2)))
    return out


def _grid(e: Explanation, limit: float) -> list[Text]:
    """What is explained of an image, seen from afar: + raises and - lowers, doubled where it is much."""
    wide, high = e.image.size if e.image is not None else (1, 1)
    frame = Text(f"the image, {wide:,} x {high:,} pixels", _QUIET)
    if limit == 0:
        return [frame]
    cells, limit = content.grid(e, _CELLS, limit)
    rows = [Text.assemble(*((_sign(t), _tint(t)) for t in cells_of_row / limit)) for cells_of_row in cells]
    return [frame, *rows, Text("++ and + raise, -- and - lower", _QUIET)]


def _sign(t: float) -> str:
    if abs(t) < _FAINT * 2:
        return " · "
    sign = "+" if t > 0 else "-"
    return f"{sign * 2} " if abs(t) >= 0.5 else f" {sign} "


def _paint(e: Explanation, i: int | None, limit: float) -> Style:
    """How a score looks: nothing if it is faint, coloured letters if it is weak, else letters on a colour."""
    return _tint(0.0 if i is None else theme.strength(float(e.scores[i]), limit))


def _tint(t: float) -> Style:
    if abs(t) < _FAINT:
        return Style()
    if abs(t) < _WEAK:
        return Style(color=theme.LETTERS_UP if t > 0 else theme.LETTERS_DOWN)
    back = theme.blend(*(theme.BEHIND_UP if t > 0 else theme.BEHIND_DOWN), abs(t))
    return Style(color=theme.ink_on(back), bgcolor=back)


def _table(e: Explanation, limit: float, top: int, width: int) -> RenderableType:
    """The strongest features with score, standard error, bar and flip, and one line for the rest.

    Where the console is narrow, bars are left out first, then the places in the text; names are cut, numbers never.
    """
    if not e.features:
        return Text("  No features.")
    form, order = content.spec(limit), content.ranked(e)
    several = len({f.part for f in e.features}) > 1
    rest = order[top:]
    total = [content.signed(float(e.scores[rest].sum()), form)] if rest else []
    scores = [content.signed(float(e.scores[i]), form) for i in order[:top]]
    errors = [] if e.stderr is None else ["± " + format(float(e.stderr[i]), form) for i in order[:top]]
    numbers = (
        max(map(len, [*scores, *total, "score"])),
        max(map(len, [*errors, "± stderr"])) if e.stderr is not None else 0,
    )
    labels = [content.label(e.features[i].label) for i in order[:top]]
    used = 6 + sum(numbers) + 2 * bool(numbers[1]) + 18 * several + min(32, max(map(cell_len, [*labels, "feature"])))
    places, bars = used + 5 <= width, used + 5 + 2 * _HALF + 3 <= width
    table = _columns(numbers, several, places)
    for k, i in enumerate(order[:top]):
        new = content.flip(e, i)
        row = [*([Text(str(i))] if places else []), Text(labels[k])]
        row += [Text(content.label(e.features[i].part))] if several else []
        row += [Text(scores[k]), *([Text(errors[k])] if errors else [])]
        row += [_bar(float(e.scores[i]), limit) if bars else Text("")]
        table.add_row(*row, Text(f"-> {new} without it" if new else "", _BOLD))
    if rest:
        row = [*([Text("…")] if places else []), Text(f"{len(rest):,} more", _QUIET), *([Text("")] if several else [])]
        table.add_row(*row, Text(total[0], _QUIET))
    return Padding(table, (0, 0, 0, 2))


def _columns(numbers: tuple[int, int], several: bool, places: bool) -> Table:
    """An empty table whose columns of numbers are as wide as they need to be."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style=_QUIET)
    if places:
        table.add_column("#", justify="right", style=_QUIET, no_wrap=True)
    table.add_column("feature", max_width=32, no_wrap=True, overflow="ellipsis")
    if several:
        table.add_column("part", style=_QUIET, max_width=16, no_wrap=True, overflow="ellipsis")
    table.add_column("score", justify="right", no_wrap=True, min_width=numbers[0])
    if numbers[1]:
        table.add_column("± stderr", justify="right", style=_QUIET, no_wrap=True, min_width=numbers[1])
    table.add_column("", no_wrap=True)
    table.add_column("", overflow="fold")
    return table


def _bar(score: float, limit: float) -> Text:
    """A bar from the zero line to the left or right, in half cells."""
    t = theme.strength(score, limit)
    full, half = divmod(round(abs(t) * _HALF * 2), 2)
    body = "█" * full
    if t < 0:
        drawn = ("▐" if half else "") + body
        return Text.assemble(" " * (_HALF - len(drawn)), (drawn, theme.LETTERS_DOWN), ("│", _QUIET))
    return Text.assemble(" " * _HALF, ("│", _QUIET), (body + ("▌" if half else ""), theme.LETTERS_UP))


def _named(e: Explanation, i: int, limit: float, form: str) -> Text:
    new = content.flip(e, i)
    tail = f" {content.signed(float(e.scores[i]), form)}" + (f" (-> {new} without it)" if new else "")
    return Text.assemble((content.label(e.features[i].label), _paint(e, i, limit)), tail)


def _heat(
    group: Sequence[tuple[Explanation, float]], names: Sequence[str], order: Sequence[int], top: int
) -> RenderableType:
    """Features by targets, in the order given, and below how each target adds up."""
    features = group[0][0].features
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style=_QUIET)
    table.add_column("#", justify="right", style=_QUIET, no_wrap=True)
    table.add_column("feature", max_width=24, no_wrap=True, overflow="ellipsis")
    for name in names:
        short = name if len(name) <= 24 else name[:23] + "…"
        table.add_column(Text(short), justify="right", max_width=12, overflow="fold")
    for i in order[:top]:
        cells = (Text(f" {content.signed(float(e.scores[i]), content.spec(m))} ", _paint(e, i, m)) for e, m in group)
        table.add_row(Text(str(i)), Text(content.label(features[i].label)), *cells)
    if rest := list(order[top:]):
        sums = (Text(f"{content.signed(float(e.scores[rest].sum()), content.spec(m))} ", _QUIET) for e, m in group)
        table.add_row(Text("…"), Text(f"{len(rest):,} more", _QUIET), *sums)
    table.add_row()
    for name in ("value", "base", "scores", "gap"):
        numbers = [float(e.scores.sum()) if name == "scores" else float(getattr(e, name)) for e, _ in group]
        shown = (Text(content.amount(x, content.spec(m)) + " ") for x, (_, m) in zip(numbers, group, strict=True))
        table.add_row(Text(""), Text(name, _QUIET), *shown)
    return Padding(table, (0, 0, 0, 2))


def _speaks_unicode(encoding: str) -> bool:
    try:
        return codecs.lookup(encoding).name.startswith("utf")
    except LookupError:
        return True


class _Spelt:
    """What is drawn, in letters that the console's encoding has."""

    def __init__(self, drawn: RenderableType, encoding: str) -> None:
        self.drawn, self.encoding = drawn, encoding

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for segment in console.render(self.drawn, options):
            spelt = segment.text.translate(_ASCII).encode(self.encoding, "backslashreplace").decode(self.encoding)
            yield Segment(spelt, segment.style, segment.control)
