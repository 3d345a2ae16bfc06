"""The sentences of a text."""

from __future__ import annotations

from typing import TypeAlias

import regex

Span: TypeAlias = "tuple[int, int]"
_SENTENCE_END = regex.compile(r"(?:(?<!\b\p{Lu})\.|[!?…])[.!?…]*['\")\]’”]*(?=\s)|[。！？]+[」』”）]*|\n+")


def sentences(text: str) -> list[Span]:
    spans, start = [], 0
    for end in [*(m.end() for m in _SENTENCE_END.finditer(text)), len(text)]:
        trimmed = trim(text, (start, end))
        if trimmed[0] < trimmed[1]:
            spans.append(trimmed)
        start = end
    return spans


def trim(text: str, span: Span) -> Span:
    """The span without white space at its ends; an empty one at its end if it holds nothing else."""
    start, end = span
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end
