"""Texts as they may be shown: what moves a cursor, reorders a line or cannot be written is spelt out, never sent."""

from __future__ import annotations

import re

# control characters, line separators, marks that turn the direction of a line, halves of characters
UNSEEN = "\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff"
_IN_TEXT = re.compile(f"[{UNSEEN}]")
_IN_LINE = re.compile(f"[\t\n{UNSEEN}]")


def visible(text: str) -> str:
    """The text with control characters as visible escapes; line breaks and tabs stay."""
    return _IN_TEXT.sub(_escape, text.replace("\r\n", "\n"))


def one_line(text: object) -> str:
    """The text on one line: all control characters as visible escapes."""
    return _IN_LINE.sub(_escape, str(text))


def _escape(found: re.Match[str]) -> str:
    return found.group().encode("unicode_escape").decode("ascii")
