"""Explanations as HTML: a fragment for notebooks, and a page that stands alone; of a text, or of an image.

No script, no font, no request. Every string is escaped. First a sentence and how far to believe it, then the input in
colour, then the numbers. A score is told by colour, by a line above (raises) or below (lowers), on hover and focus, and to a
screen reader. The words of a text are a group of radio buttons, so that a text is one stop of the Tab key and the arrow keys go
through it.
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Sequence

import numpy as np

from ..core.explanation import Explanation, Explanations
from . import arcs, content, headline, inline_charts, theme
from .page import document, safe
from .picture import ONE_SIDED, caption, data, drawn, ground, places

_CELLS = 400  # features that can be pointed at; of more, no single one can be hit


def pictures(e: Explanation, limit: float, view: str) -> str:
    """The image, and with scores the view beside it; both are in the page itself."""
    if e.image is None:
        return ""
    wide, high = e.image.size
    size = f"{wide:,} × {high:,} pixels"
    out = [_figure(data(ground(e)), f"The image, {size}", f"the image, {size}")]
    if e.features:
        label = content.label(e.target.label)
        said = caption(e, view)
        out.append(_figure(data(drawn(e, view, limit)), f"Why {label}: {said}", said, _cells(e)))
    return f'<div class="saywhy-pictures">{"".join(out)}</div>'


def several(group: Sequence[tuple[Explanation, float]], view: str) -> str:
    """The image once, and the view of each target next to it."""
    items = [e for e, _ in group]
    out = [_figure(data(ground(items[0])), "The image", "the image")]
    for (e, limit), name in zip(group, content.names(items), strict=True):
        out.append(_figure(data(drawn(e, view, limit)), f"Why {name}: {caption(e, view)}", name))
    return f'<div class="saywhy-pictures saywhy-many">{"".join(out)}</div>'


def _figure(png: bytes, alt: str, said: str, over: str = "") -> str:
    source = "data:image/png;base64," + base64.b64encode(png).decode("ascii")
    image = f'<img src="{source}" alt="{html.escape(content.visible(alt))}">'
    return (
        f'<figure class="saywhy-picture"><div class="saywhy-stage">{image}{over}</div>'
        f"<figcaption>{html.escape(said)}</figcaption></figure>"
    )


def _cells(e: Explanation) -> str:
    """Where to point to be told a feature's score."""
    cells = places(e)
    if len(cells) > _CELLS:
        return ""
    out, group = [], _group_name(e)
    for (left, top, right, bottom), mine in cells.items():
        said = "; ".join(f"{content.label(e.features[i].label)}: {content.exact(e, i)}" for i in mine)
        heard = "; ".join(f"{content.label(e.features[i].label)}: {content.heard(e, i)}" for i in mine)
        side = f"right:{1 - right:.2%}" if left + right > 1 else f"left:{left:.2%}"
        tip = " saywhy-leftward" if left + right > 1 else ""
        place = f"{side};top:{top:.2%};width:{right - left:.2%};height:{bottom - top:.2%}"
        out.append(
            f'<label class="saywhy-patch{tip}" style="{place}" data-saywhy="{html.escape(said)}">{_stop(group)}'
            f'<span class="saywhy-hidden">{html.escape(heard)}</span></label>'
        )
    return "".join(out)


_SHORT = 12  # a table of so many features is shown whole, a longer one begins with its first ten
_TALL = 2500  # characters of a text that are shown at once, a longer one scrolls
_ROWS = 5_000  # rows of a table; the pixels of an image are more


def page(what: Explanation | Explanations, title: str | None = None, view: str = "overlay") -> str:
    """A complete HTML document that needs nothing else and may load nothing else."""
    items = content.listed(what)
    if title is None:
        title = f"Why {items[0].target.label}" if len(items) == 1 else f"{len(items)} explanations"
    return document(title, _fragment(what, view, 1), images=any(e.image is not None for e in items))


def fragment(what: Explanation | Explanations, view: str = "overlay") -> str:
    """HTML to put into any page; its style reaches nothing outside of it."""
    return _fragment(what, view, 3)


def _fragment(what: Explanation | Explanations, view: str, level: int) -> str:
    """The same, its heading on this level."""
    items = content.listed(what)
    limits = iter(content.limits(items))
    groups = [[(e, next(limits)) for e in group] for group in content.groups(items)]
    if not groups:
        body = '<p class="saywhy-about">No explanations.</p>'
    elif len(groups) == 1:
        body = _group(groups[0], (), False, view, level)
    else:
        common = content.shared(items)
        blocks = (
            f'<section class="saywhy-one saywhy-first">{_group(g, common, True, view, level + 1)}</section>'
            for g in groups
        )
        said = headline.count_headline([[e for e, _ in g] for g in groups])
        body = _head(said, common, level, headline.several_badges(items)) + _charts(items, groups) + "\n".join(blocks)
    return f'<div class="saywhy-box" lang="en" dir="ltr">\n<style>{theme.scoped()}</style>\n{body}\n</div>'


_MANY = 5  # inputs that are drawn together


def _charts(items: Sequence[Explanation], groups: Sequence[object]) -> str:
    """What the words or columns do over all inputs, where these are many, of one target each and in one unit."""
    alike = len(items) == len(groups) and len({e.target.unit for e in items}) == 1 and any(e.features for e in items)
    if len(groups) < _MANY or not alike or any(e.image is not None for e in items):
        return ""
    told = len({e.target.label for e in items}) > 1
    mixed = (
        '<p class="saywhy-small">Each input is explained by its own prediction: signs are towards it.</p>'
        if told
        else ""
    )
    return f"<style>{_CHARTED}</style>{inline_charts.over_inputs(items)}{mixed}\n"


_CHARTED = inline_charts.style(
    ".saywhy-box",
    {name: f"rgb(var(--saywhy-strong-{name}))" for name in ("up", "down")}
    | {name: f"var(--saywhy-{name})" for name in ("ink", "muted", "line")},
)


def _group(group: Sequence[tuple[Explanation, float]], common: Sequence[str], fold: bool, view: str, level: int) -> str:
    items = [e for e, _ in group]
    if len(group) == 1:
        e, limit = group[0]
        return _one(e, common, level) + _block(e, limit, fold, view)
    shared = content.shared(items)
    blocks = "\n".join(
        f'<section class="saywhy-one">{_one(e, shared, level + 1, name)}{_block(e, limit, True, view)}</section>'
        for (e, limit), name in zip(group, content.names(items), strict=True)
    )
    each = f"<details><summary>Each of the {len(group)} in its {_kind(items[0])}</summary>\n{blocks}</details>"
    about = [f"{len(items)} explanations of one input", *(phrase for phrase in shared if phrase not in common)]
    head = _head(headline.group_headline(items), about, level, headline.several_badges(items))
    return head + _heat(group, view) + each


def _one(e: Explanation, common: Sequence[str], level: int, name: str | None = None) -> str:
    """The sentence of one explanation with its badge, and under it what is explained and how."""
    about = [phrase for phrase in content.about(e) if phrase not in common]
    why = f"why {content.label(e.target.label)}" if name is None else name
    return _head(headline.headline(e), [why, *(phrase for phrase in about if phrase != name)], level, headline.badge(e))


def _head(sentence: str, about: Sequence[str], level: int, badge: headline.Badge | None) -> str:
    said = f'<p class="saywhy-about" dir="auto">{safe(" · ".join(about))}</p>' if about else ""
    beside = "" if badge is None else _badge(badge, badge.words)
    return (
        f'<div class="saywhy-head"><div class="saywhy-title" role="heading" aria-level="{level}" dir="auto">'
        f"{safe(headline.spoken(sentence))}</div>{beside}</div>{said}\n"
    )


def _badge(badge: headline.Badge, words: str) -> str:
    return f'<span class="saywhy-badge saywhy-{badge.kind}">{badge.mark} {words}</span>'


def _block(e: Explanation, limit: float, fold: bool, view: str) -> str:
    """The input, the key to its colours, how it adds up, the notes and the table (folded away where asked)."""
    table, end = _table(e, limit, content.ranked(e), fold), content.colour_end(limit, e)
    key = "" if e.image is not None and view in ONE_SIDED else _key(end, content.spec(end), e.image is not None)
    pale = content.pale(limit, e)
    key += f'<p class="saywhy-small">{safe(pale)}</p>' if pale else ""
    blocks = [_input(e, end, view), key, arcs.fragment(e, limit), _sums(e, content.spec(limit)), table]
    return "\n".join(filter(None, blocks))


def _kind(e: Explanation) -> str:
    return "text" if e.image is None else "image"


def _input(e: Explanation, limit: float, view: str = "overlay") -> str:
    if e.image is not None:
        return pictures(e, limit, view)
    parts, group = content.parts(e), _group_name(e)
    out = []
    for k, part in enumerate(parts):
        if len(parts) > 1 or part.name != "text":
            out.append(f'<p class="saywhy-name" dir="auto">{safe(part.name)}</p>')
        if part.pieces:
            text = "".join(_word(e, i, piece, limit, f"{group}-{k}") for piece, i in part.pieces)
            shown = f'<p class="saywhy-text" dir="auto" lang="">{text}</p>'
            tall = sum(len(piece) for piece, _ in part.pieces) > _TALL
            out.append(f'<div class="saywhy-tall" {_region("The text")}>{shown}</div>' if tall else shown)
        if part.loose:
            words = (_word(e, i, content.label(e.features[i].label), limit, f"{group}-{k}") for i in part.loose)
            chips = "".join(f'<li dir="auto" lang="">{word}</li>' for word in words)
            out.append(f'<ul class="saywhy-chips">{chips}</ul>')
    return "\n".join(out)


def _group_name(e: Explanation) -> str:
    """The name of the radio buttons of one input: the same explanation has the same, so that a page is the same each time."""
    told = repr((tuple(e.texts.items()), e.target, e.method, dict(e.options), e.scores.tolist()))
    return "sw" + hashlib.sha256(told.encode("utf-8", "backslashreplace")).hexdigest()[:10]


def _stop(group: str) -> str:
    """What the Tab key and the arrow keys reach."""
    return f'<input type="radio" class="saywhy-stop" name="{group}">'


def _word(e: Explanation, i: int | None, text: str, limit: float, group: str) -> str:
    """A stretch of text on its colour, with its exact score for those who point at it or go to it, to three digits to hear."""
    if i is None:
        return safe(text)
    return (
        f'<label class="saywhy-word{_paint(float(e.scores[i]), limit)} data-saywhy="{safe(content.exact(e, i))}">'
        f'{_stop(group)}{safe(text)}<span class="saywhy-hidden" dir="ltr" lang="en"> ({safe(content.heard(e, i))}) </span>'
        "</label>"
    )


def _paint(score: float, limit: float) -> str:
    """The rest of a class attribute, and how strong the colour is."""
    t = theme.strength(score, limit)
    if t == 0:
        return '"'
    return f' saywhy-{"up" if t > 0 else "down"}" style="--saywhy-a:{abs(t):.3f}"'


def _key(limit: float, form: str, strong: bool = False) -> str:
    if limit == 0:
        return '<p class="saywhy-small">All scores are zero, so nothing is coloured.</p>'
    low, high = _number(-limit, form), _number(limit, form)
    return (
        f'<div class="saywhy-key{" saywhy-strong" if strong else ""}">'
        '<span class="saywhy-hidden">Scale of the colours: </span><span>lowers</span>'
        '<span class="saywhy-ramp"><span class="saywhy-ends">'
        f"<span>{low}</span><span>0</span><span>{high}</span></span></span><span>raises</span></div>"
    )


def _sums(e: Explanation, form: str) -> str:
    """Value, base, sum and gap; then what there is to say about them, the notes and the cost."""
    rows = [("value", e.value, ""), ("base", e.base, "="), ("scores", float(e.scores.sum()), "+"), ("gap", e.gap, "+")]
    unit = f" <span>{safe(e.target.unit)}</span>"
    sums = "".join(
        f'<div class="saywhy-sum"{f" data-saywhy={sign!r}" if sign and e.complete else ""}><dt>{name}</dt>'
        f"<dd>{content.minus(content.amount(x, form))}{'' if sign else unit}</dd>"
        f'<dd class="saywhy-means">{headline.ENDS[name]}</dd></div>'
        for name, x, sign in rows
    )
    said = [f"The gap is {content.off(e)}."] if content.off(e) else []
    said += [] if e.complete else [f"{content.LOOSE[0].upper()}{content.LOOSE[1:]}."]
    notes = "".join(
        f'\n<p class="saywhy-note" dir="auto">{safe(headline.spoken(note))}</p>'
        for note in filter(None, [content.believed(e), *e.notes])
    )
    means = "".join(
        f'<p class="saywhy-small" dir="auto">{safe(headline.spoken(line))}</p>' for line in headline.told(e)
    )
    notes += f"\n<details><summary>What these numbers mean</summary>{means}</details>"
    cost = f'\n<p class="saywhy-small">{safe(content.spent(e.cost))}</p>' if content.spent(e.cost) else ""
    small = f'\n<p class="saywhy-small">{safe(" ".join(said))}</p>' if said else ""
    return f'<dl class="saywhy-sums">{sums}</dl>{small}{notes}{cost}'


def _table(e: Explanation, limit: float, order: Sequence[int], fold: bool) -> str:
    """All features by |score|; of many the first ten, then the others behind a summary."""
    if not order:
        return '<p class="saywhy-small">No features.</p>'
    order, left_out = order[:_ROWS], len(order[_ROWS:])
    more = f'<p class="saywhy-small">{left_out:,} weaker features are not listed.</p>' if left_out else ""
    if fold:
        return f"<details><summary>{len(order):,} features</summary>{_rows(e, limit, order)}{more}</details>"
    if len(order) <= _SHORT:
        return _rows(e, limit, order)
    rest = f"<details><summary>{len(order) - 10:,} more features</summary>{_rows(e, limit, order[10:])}{more}</details>"
    return _rows(e, limit, order[:10]) + rest


def _rows(e: Explanation, limit: float, order: Sequence[int]) -> str:
    several, falls = len({f.part for f in e.features}) > 1, any(content.flip(e, i) for i in order)
    sides = '<span class="saywhy-axis"><span>lowers</span><span>raises</span></span>'
    heads = [("feature", "left"), *([("part", "left")] if several else []), ("score", "right")]
    heads += [("± stderr", "right")] if e.stderr is not None else []
    heads += [*([("without it", "left")] if falls else []), (sides, "sides"), ("place", "right saywhy-place")]
    head = "".join(f'<th scope="col" class="saywhy-{kind}">{name}</th>' for name, kind in heads)
    return _scrolling("Scores of the features", head, [_row(e, i, limit, several, falls) for i in order])


def _row(e: Explanation, i: int, limit: float, several: bool, falls: bool) -> str:
    """Names and numbers first, then the bar: on a phone what is read is there without scrolling."""
    score, form = float(e.scores[i]), content.spec(limit)
    cells = [f'<th scope="row"><bdi lang="">{safe(content.label(e.features[i].label))}</bdi></th>']
    cells += [f'<td class="saywhy-quiet"><bdi>{safe(e.features[i].part)}</bdi></td>'] if several else []
    cells += [f'<td class="saywhy-right">{_number(score, form)}</td>']
    if e.stderr is not None:
        cells += [f'<td class="saywhy-right saywhy-quiet">± {content.minus(format(float(e.stderr[i]), form))}</td>']
    cells += [f"<td><bdi>{safe(content.flip(e, i) or '')}</bdi></td>"] if falls else []
    bar = f'<span class="saywhy-bar{_paint(score, limit)}></span>'
    cells += [f'<td class="saywhy-sides"><span class="saywhy-track">{bar}</span></td>']
    cells += [f'<td class="saywhy-right saywhy-quiet saywhy-place">{i}</td>']
    return f"<tr>{''.join(cells)}</tr>"


def _heat(group: Sequence[tuple[Explanation, float]], view: str) -> str:
    """Features in the order of the text by targets, and how each target adds up."""
    items = [e for e, _ in group]
    head = '<th scope="col">feature</th>' + "".join(
        f'<th scope="col" class="saywhy-cell"><bdi>{safe(name)}</bdi></th>' for name in content.names(items)
    )
    rows, ends = [], [content.colour_end(limit, e) for e, limit in group]
    for i, feature in enumerate(items[0].features[:_ROWS]):
        cells = "".join(
            f'<td class="saywhy-cell{_paint(float(e.scores[i]), end)} title="{safe(content.exact(e, i))}">'
            f"{_number(float(e.scores[i]), content.spec(limit))}</td>"
            for (e, limit), end in zip(group, ends, strict=True)
        )
        rows.append(f'<tr><th scope="row"><bdi lang="">{safe(content.label(feature.label))}</bdi></th>{cells}</tr>')
    foot = []
    for name in ("value", "base", "scores", "gap"):
        numbers = (float(e.scores.sum()) if name == "scores" else float(getattr(e, name)) for e in items)
        cells = "".join(
            f'<td class="saywhy-cell">{content.minus(content.amount(x, content.spec(limit)))}</td>'
            for x, (_, limit) in zip(numbers, group, strict=True)
        )
        foot.append(f'<tr><th scope="row" class="saywhy-quiet">{name}</th>{cells}</tr>')
    trusts = "".join(f'<td class="saywhy-cell">{_badge(b, b.level)}</td>' for b in map(headline.badge, items))
    foot.append(f'<tr><th scope="row" class="saywhy-quiet">trust</th>{trusts}</tr>')
    scales = list(dict.fromkeys((end, content.spec(end)) for end in ends))
    key = _key(*scales[0], items[0].image is not None) if len(scales) == 1 else ""
    given = _input(_plain(items[0]), 0.0) if items[0].image is None else several(group, view)
    return given + key + _scrolling("Scores for each target", head, rows, foot)


def _plain(e: Explanation) -> Explanation:
    """The input without features: only its text."""
    return Explanation((), np.zeros(0), e.target, e.method, e.value, e.base, texts=e.texts, image=e.image)


def _scrolling(caption: str, head: str, rows: Sequence[str], foot: Sequence[str] = ()) -> str:
    last = f"<tfoot>{''.join(foot)}</tfoot>" if foot else ""
    return (
        f'<div class="saywhy-scroll" {_region(caption)}><table class="saywhy-table">'
        f'<caption class="saywhy-hidden">{caption}</caption>\n<thead><tr>{head}</tr></thead>\n<tbody>\n'
        + "\n".join(rows)
        + f"\n</tbody>{last}</table></div>"
    )


def _region(name: str) -> str:
    """What lets a keyboard reach a box that scrolls."""
    return f'role="group" aria-label="{name}" tabindex="0"'


def _number(x: float, form: str) -> str:
    return content.minus(content.signed(x, form))
