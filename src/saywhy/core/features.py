"""From a text to its features: tokens, words, sentences or the caller's spans, all as [start, end) of the text as given."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import regex

from .errors import InputError, OptionError, unknown
from .types import Feature, Ints

Span: TypeAlias = "tuple[int, int]"
Granularity: TypeAlias = "str | tuple[int, int] | Sequence[Span] | Mapping[str, Sequence[Span]]"
GRANULARITIES = ("word", "token", "sentence", "focus", "line", "paragraph")

# A word: one ideograph; letters and digits joined by ' ’ - or by . , between digits; U.S.; a run of one sign; one grapheme.
_WORD = regex.compile(
    r"""\p{Han}\p{M}*
    | \p{L}\.(?:\p{L}\.)+
    | \p{N}+(?:[.,:]\p{N}+)+
    | (?:(?!\p{Han})[\p{L}\p{M}\p{N}_])+(?:['’\-](?:(?!\p{Han})[\p{L}\p{M}\p{N}_])+)*
    | ([\p{P}\p{S}])\1+
    | (?!\s)\X""",
    regex.VERBOSE,
)
_SENTENCE_END = regex.compile(r"(?:(?<!\b\p{Lu})\.|[!?…])[.!?…]*['\")\]’”]*(?=\s)|[。！？]+[」』”）]*|\n+")


def words(text: str) -> list[Span]:
    """The words and signs of a text; the same for every model. Ideographs stand alone, emoji sequences stay whole."""
    return [m.span() for m in _WORD.finditer(text)]


def sentences(text: str) -> list[Span]:
    """The sentences of a text: up to . ! ? … followed by a space, 。！？, or a line's end."""
    spans, start = [], 0
    for end in [*(m.end() for m in _SENTENCE_END.finditer(text)), len(text)]:
        trimmed = _trim(text, (start, end))
        if trimmed[0] < trimmed[1]:
            spans.append(trimmed)
        start = end
    return spans


def lines(text: str) -> list[Span]:
    """The lines of a text that are not blank."""
    return [span for m in regex.finditer(r"[^\n\r]+", text) if (span := _trim(text, m.span()))[0] < span[1]]


def paragraphs(text: str) -> list[Span]:
    """The paragraphs of a text: what blank lines part."""
    ends = [0, *(place for m in regex.finditer(r"\n\s*\n", text) for place in m.span()), len(text)]
    return [span for a, b in zip(ends[::2], ends[1::2], strict=True) if (span := _trim(text, (a, b)))[0] < span[1]]


def _trim(text: str, span: Span) -> Span:
    start, end = span
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end


def segments(text: str, by: Granularity, part: str) -> list[Span] | None:
    """The spans that `by` asks for; None for "token", which only a tokenizer knows. Refuses spans that overlap or lie outside."""
    if isinstance(by, str):
        if by not in GRANULARITIES:
            raise unknown("granularity `by`", by, GRANULARITIES)
        if by == "token":
            return None
        return {"word": words, "line": lines, "paragraph": paragraphs}.get(by, sentences)(
            text
        )  # focus: sentences first
    if isinstance(by, Mapping):
        if part not in by:
            raise unknown("part in `by`: it names", part, by)
        by = by[part]
    pairs: Any = by
    try:
        spans = sorted((int(start), int(end)) for start, end in pairs)
    except (TypeError, ValueError):
        raise OptionError(f"`by` must be one of {GRANULARITIES} or a list of (start, end) pairs, not {by!r}.") from None
    if not spans:
        raise OptionError("`by` is an empty list: give at least one (start, end) span.")
    for (start, end), following in zip(spans, [*spans[1:], (len(text) + 1, 0)], strict=True):
        if not 0 <= start < end <= len(text):
            raise OptionError(
                f"The span ({start}, {end}) is empty or outside the text, which has {len(text)} characters."
            )
        if end > following[0] <= len(text):
            raise OptionError(f"The spans ({start}, {end}) and {following} overlap.")
    return spans


def own(text: str, tokens: Sequence[Span | None], by: Granularity, part: str = "text") -> tuple[list[Feature], Ints]:
    """The features of a tokenised text and, for each token, the index of the feature it belongs to.

    `tokens` holds each token's span, None for one that is not of the text (a special token: it belongs to none, -1).
    A word that shares a token with its neighbour is joined with it, so every token is in exactly one feature; a token of
    white space goes to the feature after it. With the caller's own list of spans, text outside them belongs to none; spans given
    by part, as a mapping, are joined like words where they share a token.
    """
    kept = [(i, _trim(text, span)) for i, span in enumerate(tokens) if span is not None]
    wanted = segments(text, by, part)
    owner = np.full(len(tokens), -1, dtype=np.int64)
    if wanted is None:
        owner[[i for i, _ in kept]] = np.arange(len(kept))
        return [Feature(text[a:b], (a, b), part) for _, (a, b) in kept], owner
    exact = not isinstance(by, str | Mapping)
    spans = wanted if exact else _joined(wanted + [span for _, span in kept if span[0] < span[1]])
    holders = (_held if exact else _within)(spans, [span for _, span in kept])
    used = sorted({h for h in holders if h >= 0})
    if exact and len(used) < len(spans):
        lost = next(s for j, s in enumerate(spans) if j not in used)
        raise OptionError(f"The span {lost} ({text[lost[0] : lost[1]]!r}) holds no token of its own.")
    rank = {h: j for j, h in enumerate(used)}
    for (i, _), holder in zip(kept, holders, strict=True):
        owner[i] = rank.get(holder, -1)
    return [Feature(text[slice(*spans[h])], spans[h], part) for h in used], owner


def _joined(spans: list[Span]) -> list[Span]:
    out: list[Span] = []
    for start, end in sorted(spans):
        if out and start < out[-1][1]:
            out[-1] = (out[-1][0], max(end, out[-1][1]))
        else:
            out.append((start, end))
    return out


def _within(spans: list[Span], tokens: list[Span]) -> list[int]:
    """The span that holds each token, of ordered ones that hold them all; a token without characters goes to it or the next."""
    starts, ends = [s for s, _ in spans], [e for _, e in spans]
    return [
        bisect_right(starts, start) - 1 if start < end else min(bisect_right(ends, start), len(spans) - 1)
        for start, end in tokens
    ]


def _held(spans: list[Span], tokens: list[Span]) -> list[int]:
    """The given span that each token overlaps, or in which one without characters stands; -1 for none. Refuses two."""
    starts, ends = np.array([s for s, _ in spans]), np.array([e for _, e in spans])
    out = []
    for start, end in tokens:
        overlaps = np.minimum(ends, max(end, start + 1)) > np.maximum(starts, start)
        if overlaps.sum() > 1:
            raise OptionError(f"The token at ({start}, {end}) lies in two of the given spans: move their border.")
        out.append(int(overlaps.argmax()) if overlaps.any() else -1)
    return out


def aligned(text: str, pieces: Sequence[str], special: Sequence[bool], joined: Any) -> list[Span | None] | None:
    """Spans for a tokenizer that gives none: how far `joined(pieces[:i])` reaches into the text; None where it does not fit.

    `joined` is the tokenizer's own way from tokens back to a string. Cost: one call a token.
    """
    spans: list[Span | None] = []
    before: list[str] = []
    at = 0
    folded = text.casefold()
    if len(folded) != len(text):
        folded = text
    for piece, skip in zip(pieces, special, strict=True):
        if skip:
            spans.append(None)
            continue
        before.append(piece)
        reached = joined(before).casefold() if folded is not text else joined(before)
        offset = len(folded) - len(folded.lstrip())
        end = next((o + len(reached) for o in (0, offset) if folded.startswith(reached, o)), None)
        if end is None:
            return None
        spans.append((min(at, end), end))
        at = end
    return spans if folded[at:].strip() == "" else None


def removed(texts: Mapping[str, str], feature: Feature, filler: str = "") -> str:
    """The text with one feature cut out (with the space before it) or replaced by `filler`."""
    out = []
    for part, text in texts.items():
        if part == feature.part and feature.span is not None:
            start, end = feature.span
            left, right = text[:start], text[end:]
            if not filler and (not left or left[-1:].isspace()) and (right[:1].isspace() or not right):
                left, right = (left[:-1], right) if left else (left, right.lstrip(" "))
            text = left + filler + right
        out.append(text)
    return "\n".join(out)


def checked(text: object, what: str = "text") -> str:
    """The text itself, if it is one that can be explained; otherwise says what was given instead."""
    if not isinstance(text, str):
        raise InputError(f"The {what} must be a string (or a list of strings), not {type(text).__name__}: {text!r:.80}")
    if not text.strip():
        raise InputError(f"The {what} is empty or blank: there is nothing to explain.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = f"half a character, {text[error.start]!r}, at {error.start}"
        raise InputError(f"The {what} holds {half}: it is no Unicode text.") from None
    return text
