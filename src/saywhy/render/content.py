"""What every rendering says: the text in pieces, the numbers, the sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ..core.display import one_line
from ..core.display import visible as visible
from ..core.explanation import Explanation, Explanations
from ..core.features import place_of
from ..core.types import Box, Cost, Feature, Floats

Piece: TypeAlias = "tuple[str, int | None]"  # a stretch of text and the index of its feature, if it belongs to one

OUTLIER = 0.02  # of an image: the share of sum |scores| that may lie beyond the end of the scale

UNSAID = (
    ("overlong", "refuse"),
    ("embedding", "word"),
    ("task", "text-classification"),
    ("task", "image-classification"),
)  # options that change nothing unless they are set otherwise

TOLD = ("background",)  # an option that a note tells of in words


class Part(NamedTuple):
    """One part of an input: its text in pieces, and the features that have no place in that text."""

    name: str
    pieces: list[Piece]
    loose: list[int]


def label(text: object) -> str:
    """The text on one line: all control characters as visible escapes, a blank label in quotes."""
    line = one_line(text)
    return line if line.strip() else f"'{line}'"


def shortened(text: object, most: int = 600) -> str:
    """The same, and of a long text only its beginning, with how long it is."""
    known = str(text)
    return label(known) if len(known) <= most else f"{label(known[:most])}… ({len(known):,} characters)"


def listed(what: Explanation | Explanations) -> list[Explanation]:
    """The explanations, be it one or several."""
    return [what] if isinstance(what, Explanation) else list(what)


def groups(items: Sequence[Explanation]) -> list[list[Explanation]]:
    """Neighbours that explain the same features of the same input, together."""
    out: list[list[Explanation]] = []
    for _, same in groupby(items, key=lambda e: (tuple(e.texts.items()), e.image, e.features)):
        asked: list[Any] = []
        for e in same:
            question = (e.target, e.method, dict(e.options))
            if not asked or question in asked:  # the same again: the input was given twice
                out.append([])
                asked = []
            asked.append(question)
            out[-1].append(e)
    return out


def limits(items: Sequence[Explanation]) -> list[float]:
    """Where the scale of each explanation ends: the largest |score|, shared by those of one input and unit."""
    keys = [(tuple(e.texts.items()), e.image, e.target.unit) for e in items]
    ends: dict[Any, float] = {}
    for key, e in zip(keys, items, strict=True):
        end = end_of_scale(e.scores) if e.image is None else end_of_scale(np.array(list(by_place(e).values())), OUTLIER)
        ends[key] = max(ends.get(key, 0.0), end)
    return [ends[key] for key in keys]


def by_place(e: Explanation) -> dict[Box, float]:
    """The score at each place in an image: the channels of a pixel have one place, and add up."""
    out: dict[Box, float] = {}
    for f, score in zip(e.features, np.nan_to_num(e.scores), strict=True):
        if f.box is not None:
            out[f.box] = out.get(f.box, 0.0) + float(score)
    return out


def end_of_scale(scores: Floats, outlier: float = 0.0) -> float:
    """The largest |score|, or the one that leaves at most the share `outlier` of their sum beyond it."""
    sizes = np.sort(np.abs(scores[np.isfinite(scores)]))
    if outlier == 0 or not sizes.sum():
        return float(sizes.max(initial=0.0))
    reached = np.cumsum(sizes) >= (1 - outlier) * sizes.sum() * (1 - 1e-12)
    return float(sizes[int(reached.argmax())])


def names(group: Sequence[Explanation]) -> list[str]:
    """What tells the explanations of one group apart: the target, the method, or both."""
    targets, methods = [e.target.label for e in group], [e.method for e in group]
    if len(set(targets)) == 1 and len(set(methods)) > 1:
        return [label(m) for m in methods]
    if len(set(methods)) == 1:
        return [label(t) for t in targets]
    return [f"{label(t)} · {label(m)}" for t, m in zip(targets, methods, strict=True)]


def parts(e: Explanation) -> list[Part]:
    """The input part by part, in order; a feature is in one piece of text for each of its spans, or loose."""
    places = [place_of(e.texts, f) for f in e.features]
    order = list(dict.fromkeys([*e.texts, *places]))
    out = []
    for name in order:
        mine = [i for i, place in enumerate(places) if place == name]
        found, loose = _cut(e.texts.get(name, ""), e.features, mine)
        out.append(Part(name, found, loose))
    return out


def _cut(text: str, features: Sequence[Feature], mine: Sequence[int]) -> tuple[list[Piece], list[int]]:
    """The text cut at the spans, and the features left over: without a span, or with one that is taken already."""
    spans = sorted((*span, i) for i in mine for span in features[i].spans)
    pieces: list[Piece] = []
    at = 0
    for start, end, i in spans:
        start, end = max(start, at), min(end, len(text))
        if start >= end:
            continue
        if start > at:
            pieces.append((text[at:start], None))
        pieces.append((text[start:end], i))
        at = end
    if at < len(text):
        pieces.append((text[at:], None))
    placed = {i for _, i in pieces}
    return pieces, [i for i in mine if i not in placed]


def excerpt(pieces: Sequence[Piece], keep: Sequence[int], around: int = 60) -> list[Piece]:
    """The pieces near the features in `keep`, with "…" for what is left out."""
    starts = np.cumsum([0, *(len(text) for text, _ in pieces)])
    wanted = np.zeros(int(starts[-1]), dtype=bool)
    for (text, i), start in zip(pieces, starts[:-1], strict=True):
        if i in keep:
            wanted[max(0, int(start) - around) : int(start) + min(len(text), 4 * around) + around] = True
    for (text, _), start in zip(pieces, starts[:-1], strict=True):
        if len(text) <= around:  # cut between words, not in them
            wanted[int(start) : int(start) + len(text)] |= wanted[int(start) : int(start) + len(text)].any()
    out: list[Piece] = []
    left_out = False
    for (text, i), start in zip(pieces, starts[:-1], strict=True):
        for kept, run in groupby(range(len(text)), key=lambda k: bool(wanted[int(start) + k])):
            here = list(run)
            if kept and left_out:
                before = "" if not out or out[-1][0][-1:].isspace() else " "
                out.append((before + "…" + ("" if text[here[0]].isspace() else " "), None))
            if kept:
                out.append((text[here[0] : here[-1] + 1], i))
            left_out = not kept
    return [*out, (" …", None)] if left_out else out


def grid(e: Explanation, most: int, limit: float) -> tuple[Floats, float]:
    """An image's scores as [rows, columns] with at most `most` columns, and the end of their scale.

    Features that fall into one cell are added up; the scale then ends at the largest sum.
    """
    placed = by_place(e)
    ys, xs = (sorted({box[axis] for box in placed}) for axis in (1, 0))
    rows, columns = len(ys), len(xs)
    if columns > most or rows > 2 * most:
        shrink = max(columns / most, rows / most)
        rows, columns = max(1, round(rows / shrink)), max(1, round(columns / shrink))
    row_of = {y: k * rows // len(ys) for k, y in enumerate(ys)}
    column_of = {x: k * columns // len(xs) for k, x in enumerate(xs)}
    cells = np.zeros((rows, columns))
    for box, score in placed.items():
        cells[row_of[box[1]], column_of[box[0]]] += score
    together = cells.size < len(placed)
    return cells, (float(np.abs(cells).max(initial=0.0)) or 1.0) if together else limit


def ranked(e: Explanation) -> list[int]:
    """The features' indices by |score|, largest first; equal ones in the order of the text, those not a number last."""
    return [int(i) for i in np.argsort(-np.nan_to_num(np.abs(e.scores), nan=-1.0), kind="stable")]


def flip(e: Explanation, i: int) -> str | None:
    """The label that the model predicts without this feature, where that is another one."""
    if e.without is None or e.prediction is None or e.without[i] == e.prediction:
        return None
    return label(e.without[i])


def spec(limit: float) -> str:
    """The number format of a column whose largest entry is `limit`: at least three digits of it."""
    if not (0 < limit < math.inf):
        return ".3f"
    exponent = math.floor(math.log10(limit))
    if not -4 <= exponent <= 6:
        return ".2e"
    return f".{max(0, 3 - max(exponent, 0)) if exponent >= -1 else 2 - exponent}f"


def signed(x: float, form: str) -> str:
    """A score with its sign; what is written as zero has none."""
    shown = format(x, "+" + form)
    return shown if _says_more_than_zero(shown) else shown[1:]


def amount(x: float, form: str) -> str:
    """A value, with a sign only if it is below zero."""
    shown = format(x, form)
    return shown if _says_more_than_zero(shown) else shown.removeprefix("-")


def _says_more_than_zero(shown: str) -> bool:
    return any(c in "123456789nif" for c in shown.split("e")[0])


# By unit, what is next to nothing: no probability can be moved by more than a sixteenth with so much.
LEAST = {"logit": 0.25, "log-prob": 0.25, "log-odds": 0.25, "nats": 0.25, "prob": 0.0625}
_PALE = 20  # scores below this part of what the model was seen to move are drawn pale


def movement(e: Explanation) -> float:
    """How far the model was seen to move the target, in its unit.

    From everything absent to the whole input, and where the trust was checked, when a quarter of the features was removed.
    """
    seen = [abs(e.value - e.base), 0.0 if e.trust is None else e.trust.figures.get("reaction", 0.0)]
    return max((float(x) for x in seen if math.isfinite(x)), default=0.0)


def colour_end(limit: float, e: Explanation) -> float:
    """Where the scale of colours ends: at the largest score, but not below a twentieth of what the model moves the target.

    Where it moves the target by next to nothing in that unit, what is next to nothing is the end.
    """
    if not limit > 0:
        return limit
    moved, least = movement(e), LEAST.get(e.target.unit, 0.0)
    return max(limit, moved / _PALE if moved >= least else least)


def pale(limit: float, e: Explanation) -> str:
    """Why the colours are pale, in a sentence; empty where they are not."""
    if not 0 < limit < colour_end(limit, e):
        return ""
    largest, moved = amount(limit, spec(limit)), movement(e)
    if moved < LEAST.get(e.target.unit, 0.0):
        return f"The colours are pale, because the largest score ({largest}) is small in this unit."
    return (
        f"The colours are pale, because the largest score ({largest}) is small beside what the model was seen to move "
        f"({amount(moved, spec(moved))})."
    )


def heard(e: Explanation, i: int) -> str:
    """One score to three digits, as a screen reader says it: with its unit, and the flip."""
    new = flip(e, i)
    said = f"{minus(signed(float(e.scores[i]), '.3g'))} {label(e.target.unit)}"
    return said + (f", {new} without it" if new else "")


def exact(e: Explanation, i: int) -> str:
    """One score to six digits, with its standard error, unit and flip; the minus sign is a true one."""
    text = minus(signed(float(e.scores[i]), ".6g"))
    if e.stderr is not None:
        text += " ± " + minus(f"{e.stderr[i]:.2g}")
    new = flip(e, i)
    return f"{text} {label(e.target.unit)}" + (f", {new} without it" if new else "")


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers from `low` to `high`, at most `most` steps apart of 1, 2 or 5 times a power of ten; with 0."""
    span = high - low
    if not (0 < span < math.inf):
        return [low] if math.isfinite(low) else []
    size = 10.0 ** math.floor(math.log10(span / most))
    step = next(size * by for by in (1, 2, 5, 10) if span / (size * by) <= most)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [k * step for k in range(first, last + 1)]


def minus(number: str) -> str:
    """A number with the minus sign that is as wide as a plus and that screen readers read aloud."""
    return number.replace("-", "−")


def about(e: Explanation) -> list[str]:
    """The method and its options, each a phrase."""
    return [
        label(e.method),
        *(
            f"{label(k)}={_option(v)}"
            for k, v in e.options.items()
            if k not in TOLD and (k, v) not in UNSAID and v is not None
        ),
    ]


def shared(items: Sequence[Explanation]) -> list[str]:
    """The phrases of `about` that all of them have in common."""
    return [phrase for phrase in about(items[0]) if all(phrase in about(e) for e in items[1:])]


def _option(value: object) -> str:
    shown = f"{value:g}" if isinstance(value, float) else label(value)
    return shown if len(shown) <= 40 else shown[:39] + "…"


def off(e: Explanation) -> str:
    """The gap in % of the sum of |scores|, or nothing where that sum is zero or not a number."""
    whole = float(np.abs(e.scores).sum())
    share = 100 * abs(e.gap) / whole if whole > 0 else math.nan
    return f"{share:.1f}% of the sum of |scores|" if math.isfinite(share) else ""


def balance(e: Explanation, form: str) -> str:
    """One line on how value, base and scores add up."""
    total = amount(float(e.scores.sum()), form)
    gap = amount(e.gap, form) + (f" ({off(e)})" if off(e) else "")
    value, base = amount(e.value, form), amount(e.base, form)
    if e.complete:
        return f"value {value} = base {base} + scores {total} + gap {gap}"
    return f"value {value}, base {base}, scores {total}, gap {gap}; {LOOSE}"


def believed(e: Explanation) -> str:
    """One line on how far to believe it; empty where that was not checked."""
    return "" if e.trust is None else f"trust: {e.trust.level} – {label(e.trust.said)}"


LOOSE = "the scores of this method need not add up"


def spent(cost: Cost) -> str:
    """What it took, in words; empty if nothing was counted."""
    said = []
    if cost.rows or cost.forwards:
        said.append(f"{_count(cost.rows, 'model input')} in {_count(cost.forwards, 'call')}")
    if cost.backward_rows or cost.backwards:
        said.append(f"{_count(cost.backward_rows, 'gradient')} in {_count(cost.backwards, 'backward call')}")
    if cost.seconds:
        said.append(f"{cost.seconds:.3g} s")
    return ", ".join(said)


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"
