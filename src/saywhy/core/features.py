"""From a text to its features: tokens, words, sentences or the caller's spans, all as [start, end) of the text as given."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import compress, pairwise
from operator import index
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import regex

from .errors import InputError, OptionError, unknown
from .sentences import Span as Span
from .sentences import sentences, trim, trimmed
from .types import Feature, Ints

if TYPE_CHECKING:
    from .shapes import Int

FeatureSpans: TypeAlias = "Span | Sequence[Span]"  # where one feature stands: in one place or in several
Granularity: TypeAlias = "str | tuple[int, int] | Sequence[FeatureSpans] | Mapping[str, str | Sequence[FeatureSpans]]"
GRANULARITIES = ("word", "token", "sentence", "focus", "line", "paragraph")

# A word: one ideograph; letters and digits joined by ' ’ - or by . , between digits; U.S.; a run of one sign; one grapheme.
# Scripts without blanks between words do not say where one ends: there it is one grapheme cluster, in Tibetan a syllable.
_BY_NAME = ("Thai", "Lao", "Khmer", "Tibetan", "Javanese", "Balinese", "New Tai Lue", "Tai Tham", "Tai Viet", "Yi")
UNSPACED = {name: rf"\p{{{name.replace(' ', '_')}}}" for name in _BY_NAME}
UNSPACED |= {"Burmese": r"\p{Myanmar}", "Japanese kana": r"\p{Hiragana}\p{Katakana}ー"}
_UNSPACED = rf"(?=[\p{{L}}\p{{M}}])[{''.join(UNSPACED.values())}]"
_LETTER = rf"(?!\p{{Han}}|{_UNSPACED})[\p{{L}}\p{{M}}\p{{N}}_]"
_WORD = regex.compile(
    rf"""[A-Za-z]++(?=[\s,;:!?)]|\Z)  # most words, found faster
    | \p{{Han}}\p{{M}}*
    | (?:(?=\p{{Tibetan}})[\p{{L}}\p{{M}}])+་?
    | (?={_UNSPACED})\X
    | \p{{L}}\.(?:\p{{L}}\.)+
    | \p{{N}}+(?:[.,:]\p{{N}}+)+
    | (?:{_LETTER})+(?:['’\-](?:{_LETTER})+)*
    | ([\p{{P}}\p{{S}}])\1+
    | [\U0001f1e6-\U0001f1ff]{{1,2}}[\p{{M}}\u200c\u200d]*  # a flag; \X would look back over a whole row of them each time
    | (?![\s\x1c-\x1f])\X""",
    regex.VERBOSE,
)


def words(text: str) -> list[Span]:
    """The words and signs of a text; the same for every model. Ideographs stand alone, emoji sequences stay whole.

    In a script that puts no blanks between its words (UNSPACED) each grapheme cluster stands alone, in Tibetan each syllable.
    """
    return [m.span() for m in _WORD.finditer(text)]


def unspaced(text: str) -> tuple[str, ...]:
    """The scripts of UNSPACED that a text has letters of: `words` finds no words in them."""
    return tuple(name for name, script in UNSPACED.items() if regex.search(rf"(?=\p{{L}})[{script}]", text))


def lines(text: str) -> list[Span]:
    """The lines of a text that are not blank."""
    return [span for m in regex.finditer(r"[^\n\r]+", text) if (span := trim(text, m.span()))[0] < span[1]]


def paragraphs(text: str) -> list[Span]:
    """The paragraphs of a text: what blank lines part."""
    ends = [0, *(place for m in regex.finditer(r"\n\s*\n", text) for place in m.span()), len(text)]
    return [span for a, b in zip(ends[::2], ends[1::2], strict=True) if (span := trim(text, (a, b)))[0] < span[1]]


def segments(text: str, by: Granularity, part: str) -> list[Span] | None:
    """All spans that `by` asks for, in the order of the text; None for "token", which only a tokenizer knows."""
    groups = feature_spans(text, by, part)
    return None if groups is None else sorted(span for group in groups for span in group)


def feature_spans(text: str, by: Granularity, part: str) -> list[tuple[Span, ...]] | None:
    """The spans of each feature that `by` asks for; None for "token", which only a tokenizer knows.

    Parameters
    ----------
    text : the text of this part of the input.
    by : a name of GRANULARITIES; or a list whose items are spans (start, end) or lists of spans that are one feature
        together; or such a list for each part of the input.
    part : the name of this part, looked up where `by` is a mapping.

    Raises
    ------
    OptionError
        For an unknown name, and for spans that overlap, are empty or lie outside the text.
    """
    if isinstance(by, str):
        if by not in GRANULARITIES:
            raise unknown("granularity `by`", by, GRANULARITIES)
        if by == "token":
            return None
        named = {"word": words, "line": lines, "paragraph": paragraphs}.get(by, sentences)  # focus: sentences first
        return [(span,) for span in named(text)]
    if isinstance(by, Mapping):
        if part not in by:
            raise unknown("part in `by`: it names", part, by)
        by = by[part]
    groups = _grouped(by)
    spans = sorted(span for group in groups for span in group)
    for (start, end), following in zip(spans, [*spans[1:], (len(text) + 1, 0)], strict=True):
        if not 0 <= start < end <= len(text):
            raise OptionError(
                f"The span ({start}, {end}) is empty or outside the text, which has {len(text)} characters."
            )
        if end > following[0] <= len(text):
            raise OptionError(f"The spans ({start}, {end}) and {following} overlap.")
    return groups


def _grouped(by: Iterable[Any]) -> list[tuple[Span, ...]]:
    """The caller's own spans, one tuple for each feature, in the order of the features' first spans."""
    groups = []
    try:
        for item in by:
            pair = tuple(item)
            together = [pair] if not pair or hasattr(pair[0], "__index__") else pair
            groups.append(tuple(sorted((index(start), index(end)) for start, end in together)))
    except (TypeError, ValueError):
        raise OptionError(
            f"`by` must be one of {GRANULARITIES} or a list of (start, end) pairs of whole numbers, in which a list of "
            f"such pairs is one feature that stands in several places; not {by!r:.200}."
        ) from None
    if not groups:
        raise OptionError("`by` is an empty list: give at least one (start, end) span.")
    return sorted(groups)


def text_features(text: str, by: Granularity, part: str = "text") -> list[Feature]:
    """The features of a text that is read as a string: exactly the spans of `by`, which may be finer than words.

    What lies outside the caller's own spans belongs to no feature and always stays.
    """
    groups = feature_spans(text, by, part)
    if groups is None:
        raise OptionError("A callable has no tokens: use by='word', by='sentence' or spans [(start, end), …].")
    return [_feature(text, group, part) for group in groups]


def _feature(text: str, spans: Sequence[Span], part: str) -> Feature:
    """A feature labelled by its text; where it stands in several places, by each of its texts once."""
    if len(spans) == 1:
        return Feature(text[slice(*spans[0])], spans[0], part)
    label = " … ".join(dict.fromkeys(text[start:end] for start, end in spans))
    return Feature(label, spans[0], part, more_spans=tuple(spans[1:]))


def own(
    text: str, tokens: Sequence[Span | None], by: Granularity, part: str = "text"
) -> tuple[list[Feature], Int[Ints, " S"]]:
    """The features of a tokenised text and, for each token, the index of the feature it belongs to.

    `tokens` holds each token's span, None for one that is not of the text (a special token: it belongs to none, -1).
    A word that shares a token with its neighbour is joined with it, so every token is in exactly one feature; a token of
    white space goes to the feature after it. With the caller's own list of spans, text outside them belongs to none, and
    a span that cuts a token is refused, because the model reads tokens whole; spans given by part, as a mapping, are
    joined like words where they share a token. Cost: n log n in spans and tokens.
    """
    at = [i for i, span in enumerate(tokens) if span is not None]
    read = trimmed(text, (span for span in tokens if span is not None))
    groups = feature_spans(text, by, part)
    owner = np.full(len(tokens), -1, dtype=np.int64)
    if groups is None:
        owner[at] = np.arange(len(at))
        return [Feature(text[a:b], (a, b), part) for a, b in read], owner
    exact = not isinstance(by, str | Mapping)
    groups = groups if exact else _joined(groups, [span for span in read if span[0] < span[1]])
    placed = sorted((span, g) for g, group in enumerate(groups) for span in group)
    found = _held(text, placed, read) if exact else _within([span for span, _ in placed], read)
    holders = [placed[j][1] if j >= 0 else -1 for j in found]
    used = sorted({h for h in holders if h >= 0})
    if exact and len(used) < len(groups):
        lost = groups[min(set(range(len(groups))).difference(used))][0]
        raise OptionError(f"The span {lost} ({text[slice(*lost)]!r}) holds no token of its own.")
    rank = {h: j for j, h in enumerate(used)}
    owner[at] = [rank.get(holder, -1) for holder in holders]
    return [_feature(text, groups[h], part) for h in used], owner


def _joined(groups: Sequence[Sequence[Span]], tokens: Sequence[Span]) -> list[tuple[Span, ...]]:
    """Features that share a token are one; a token that no feature touches is a feature of its own."""
    pieces = [(span, g) for g, group in enumerate(groups) for span in group]
    pieces += [(span, len(groups) + t) for t, span in enumerate(tokens)]
    root = list(range(len(pieces)))  # of those in several places, which are joined where any of theirs are
    several = len(pieces) > len(groups) + len(tokens)

    def find(g: int) -> int:
        while root[g] != g:
            root[g] = root[root[g]]
            g = root[g]
        return g

    merged: list[tuple[int, int, int]] = []
    until = -1
    for (start, end), g in sorted(pieces):
        if start < until:
            before, _, other = merged[-1]
            until = max(end, until)
            merged[-1] = (before, until, other)
            if several:
                root[find(g)] = find(other)
        else:
            until = end
            merged.append((start, end, g))
    if not several:
        return [((start, end),) for start, end, _ in merged]
    out: dict[int, list[Span]] = {}
    for start, end, g in merged:
        out.setdefault(find(g), []).append((start, end))
    return sorted(tuple(spans) for spans in out.values())


def _within(spans: list[Span], tokens: list[Span]) -> list[int]:
    """The span that holds each token, of ordered ones that hold them all; a token without characters goes to it or the next."""
    starts, ends = [s for s, _ in spans], [e for _, e in spans]
    return [
        bisect_right(starts, start) - 1 if start < end else min(bisect_right(ends, start), len(spans) - 1)
        for start, end in tokens
    ]


def _held(text: str, placed: list[tuple[Span, int]], tokens: list[Span]) -> list[int]:
    """The given span that each token lies in, or in which one without characters stands; -1 for none. Refuses a cut token."""
    starts, ends = [s for (s, _), _ in placed], [e for (_, e), _ in placed]
    out = []
    for start, end in tokens:
        first, last = bisect_right(ends, start), bisect_left(starts, max(end, start + 1))
        touched = placed[first:last]
        out.append(first if touched else -1)
        if not touched or start == end:
            continue
        (span, feature), (other, _) = touched[0], touched[-1]
        if any(g != feature for _, g in touched):
            raise OptionError(
                f"The token {text[start:end]!r} at ({start}, {end}) lies in two of the given spans, {span} and {other}, and "
                f"the model reads it whole: move their border to {start} or {end}, or make them one feature, [{span}, {other}]."
            )
        borders = [start, *(place for held, _ in touched for place in held), end]
        if any(text[a:b].strip() for a, b in zip(borders[::2], borders[1::2], strict=True) if a < b):
            raise OptionError(
                f"The span {span} ({text[slice(*span)]!r}) cuts the token {text[start:end]!r} at ({start}, {end}), which the "
                f"model reads whole: use ({min(start, span[0])}, {max(end, span[1])}), or a span without any of it."
            )
    return out


# signs that a person writes without a blank on one side; quotes are either, which the blank on their other side tells
_QUOTES = "\"'“”„‟‘’‚‛«»‹›"
_OPENED = regex.compile(rf"(?:\A|\s)[\p{{Ps}}\p{{Pi}}¿¡{_QUOTES}]{{1,8}}\Z")
_CLOSED = regex.compile(rf"[\p{{Pe}}\p{{Pf}}\p{{Terminal_Punctuation}}…{_QUOTES}]{{1,8}}+(?=\s|\Z)")
_CLOSABLE = regex.compile(rf"[^\p{{Ps}}\p{{Pi}}\p{{Terminal_Punctuation}}…{_QUOTES}]")
_OPENABLE = regex.compile(rf"[^\p{{Pe}}\p{{Pf}}{_QUOTES}]\Z")
_BREAK = regex.compile(r"\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_IN_WORD = regex.compile(r"[\p{L}\p{M}\p{N}_]")


def without_spans(text: str, spans: Sequence[Span], keep: Sequence[bool], filler: str | None = None) -> str:
    """What is left of a text without some of its spans, written as a person would write it.

    What remains is in order and separated as it was. Where white space stood between two words, one stretch of it stays
    (that with the most line breaks; of equal ones the last), and where none stood, none appears. A closing sign stays
    with the text before it and an opening one with the text after it: "a film." without "film" is "a.", and
    "(very good)" without "very" is "(good)". White space at the text's start goes with what follows it.

    Parameters
    ----------
    text : any text.
    spans : disjoint [start, end) in the order of the text; they may touch, and one may be a part of a word. One that
        holds nothing but white space is removed to the letter: "a b" without its blank is "ab".
    keep : for each span, does it stay? If all do, the text comes back as it was.
    filler : stands in the place of each removed span, and the text around it does not change; None puts nothing there.

    Notes
    -----
    Cost: linear in the length of the text.
    """
    gone = [span for span, stays in zip(spans, keep, strict=True) if not stays]
    cores = [
        span if not (text[span[0]].isspace() or text[span[1] - 1].isspace()) else _core(text, span) for span in gone
    ]
    out, at = [], 0
    for start, end, inside, gaps in _cuts(text, cores) if filler is None else ((*core, [], []) for core in cores):
        out += [text[at:start], _separator(text, start, end, inside, gaps) if filler is None else filler]
        at = end
    return "".join([*out, text[at:]])


def remover(text: str, spans: Sequence[Span], filler: str | None = None) -> Callable[[Sequence[bool]], str]:
    """`without_spans` of one text for any number of subsets: what is left of it, by which spans stay.

    Where words with one blank between are all of the text, they are joined, which is the same and faster.
    """
    pieces = [text[start:end] for start, end in spans]
    plain = filler is None and " ".join(pieces) == text and all(p[0].isalnum() and p[-1].isalnum() for p in pieces)
    if plain and all(end + 1 == start for (_, end), (start, _) in pairwise(spans)):
        return lambda keep: " ".join(compress(pieces, keep))
    if filler is None and all(piece.strip() for piece in pieces):
        return _Cutter(text, [_core(text, span) for span in spans])
    return lambda keep: without_spans(text, spans, keep, filler)


class _Cutter:
    """What is left of one text. A run of neighbours that go together leaves the same wherever it is cut, so it is kept."""

    def __init__(self, text: str, cores: Sequence[Span]):
        self.text, self.cores = text, cores
        self.joined = [not text[end:start].strip() for (_, end), (start, _) in pairwise(cores)]
        self.runs: dict[
            tuple[int, int], tuple[int, int, str]
        ] = {}  # first and last span -> start, end, what stays there

    def __call__(self, keep: Sequence[bool]) -> str:
        gone = [i for i, stays in enumerate(keep) if not stays]
        out, at, k = [], 0, 0
        while k < len(gone):
            first = last = gone[k]
            k += 1
            while k < len(gone) and gone[k] == last + 1 and self.joined[last]:
                last = gone[k]
                k += 1
            start, end, stays_there = self.runs.get((first, last)) or self._run(first, last)
            out += [self.text[at:start], stays_there]
            at = end
        return "".join([*out, self.text[at:]])

    def _run(self, first: int, last: int) -> tuple[int, int, str]:
        [(start, end, inside, gaps)] = _cuts(self.text, self.cores[first : last + 1])
        found = self.runs[first, last] = (start, end, _separator(self.text, start, end, inside, gaps))
        return found


def _core(text: str, span: Span) -> Span:
    """The span without white space at its ends; one that is nothing else stays as it is."""
    core = trim(text, span)
    return core if core[0] < core[1] else span


def _cuts(text: str, cores: Sequence[Span]) -> Iterator[tuple[int, int, Sequence[Span], list[str]]]:
    """Removed spans with nothing but white space between: where that stretch and the white space around it starts and ends,
    the spans, and the white space before, between and after them."""
    at = i = 0
    while i < len(cores):
        first, before = i, text[at : cores[i][0]]
        gaps = [before[len(before.rstrip()) :]]
        while True:
            end = cores[i][1]
            i += 1
            after = text[end : cores[i][0] if i < len(cores) else len(text)]
            gaps.append(after[: len(after) - len(after.lstrip())])
            if i == len(cores) or len(gaps[-1]) < len(after):
                break
        at = end + len(gaps[-1])
        yield cores[first][0] - len(gaps[0]), at, cores[first:i], gaps


def _separator(text: str, start: int, end: int, cores: Sequence[Span], gaps: list[str]) -> str:
    """The white space that stays where a stretch is cut out: as `_cuts` gives it."""
    if text[cores[0][0]].isspace() and all(text[a:b].isspace() for a, b in cores):
        return "".join(gaps)
    if start == 0 or end == len(text):
        return gaps[-1] if start > 0 else ""
    spaces = {gap for gap in gaps if gap}
    if not spaces:
        glued = _IN_WORD.match(text[start - 1]) and _IN_WORD.match(text[end])
        return " " if glued and any(len(text[a:b].split()) > 1 for a, b in cores) else ""
    space = " " if spaces == {" "} else max(filter(None, reversed(gaps)), key=lambda gap: len(_BREAK.findall(gap)))
    if (text[start - 1].isalnum() and text[end].isalnum()) or (space != " " and _BREAK.search(space)):
        return space
    if not gaps[-1] and _CLOSED.match(text, end) and _CLOSABLE.match(_touching(text, cores, gaps, -1)):
        return ""
    opened = not gaps[0] and _OPENED.search(text[max(0, start - 9) : start])
    return "" if opened and _OPENABLE.search(_touching(text, cores, gaps, 0)) else space


def _touching(text: str, cores: Sequence[Span], gaps: Sequence[str], side: int) -> str:
    """The removed text that touches what stays before (side 0) or after (side -1) a cut, up to the first white space in it."""
    step = 1 if side == 0 else -1
    inner = gaps[1:-1][::step]
    many = next((k for k, gap in enumerate(inner) if gap), len(inner)) + 1
    run = cores[:many] if side == 0 else cores[-many:]
    return (text[run[0][0] : run[-1][1]].split() or [""])[side]


def removed(texts: Mapping[str, str], feature: Feature, filler: str = "") -> str:
    """The text, part by part, with one feature removed as `without_spans` does, or replaced by `filler`."""
    return "\n".join(
        without_spans(text, feature.spans, [False] * len(feature.spans), filler or None)
        if part == place_of(texts, feature)
        else text
        for part, text in texts.items()
    )


def place_of(texts: Mapping[str, str], feature: Feature) -> str:
    """The part whose text the feature stands in: its own, or the first one where its own has no text (a slot of a prompt)."""
    return feature.part if feature.part in texts or not feature.spans else next(iter(texts), feature.part)


def checked(text: object, what: str = "text") -> str:
    """The text itself, if it is one that can be explained; otherwise says what was given instead."""
    if not isinstance(text, str):
        raise InputError(f"The {what} must be a string (or a list of strings), not {type(text).__name__}: {text!r:.80}")
    if not text.strip():
        raise InputError(f"The {what} is empty or blank: there is nothing to explain.")
    return unicode_text(text, f"The {what}")


def unicode_text(text: str, what: str) -> str:
    """The text itself, where UTF-8 can hold it: files, pages and tokenizers take no half of an emoji. Raises InputError."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = f"half a character, {text[error.start]!r}, at {error.start}"
        raise InputError(f"{what} holds {half}: it is no Unicode text.") from None
    return text
