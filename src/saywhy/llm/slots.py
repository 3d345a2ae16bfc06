"""A text with {slots} in pieces, with literal braces told from slots."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from string import Formatter
from typing import NamedTuple, TypeAlias

from ..errors import OptionError


class Piece(NamedTuple):
    """A stretch of literal text, or a slot."""

    text: str
    slot: str | None = None


Pieces: TypeAlias = "list[Piece]"
_BRACED = re.compile(r"\{\{(\w*)\}\}|\{(\w*)\}")


def pieces(text: str, slots: Sequence[str]) -> Pieces:
    """The text cut at its slots, `{}` being numbered. Raises OptionError for `{name}` where `name` is no slot."""
    return _formatted(text, slots) or _braced(text, slots)


def fill(parts: Pieces, values: Mapping[str, str]) -> str:
    """The text with these values in its slots."""
    return "".join(piece.text if piece.slot is None else values[piece.slot] for piece in parts)


def _formatted(text: str, slots: Sequence[str]) -> Pieces | None:
    """As `str.format` reads it, if it has only plain fields, all of them slots, and every slot."""
    out, count = [], 0
    try:
        for literal, name, spec, conversion in Formatter().parse(text):
            if literal:
                out.append(Piece(literal))
            if name is None:
                continue
            slot, count = (name, count) if name else (str(count), count + 1)
            if slot not in slots or spec or conversion:
                return None
            out.append(Piece("", slot))
    except ValueError:
        return None
    return out if {piece.slot for piece in out} >= set(slots) else None


def _braced(text: str, slots: Sequence[str]) -> Pieces:
    """Only {slot} is a slot; {{word}} is {word}; every other brace stands for itself."""
    out, at, count = [], 0, 0
    for found in _BRACED.finditer(text):
        escaped, name = found.groups()
        if escaped is not None:
            out += [Piece(text[at : found.start()]), Piece("{" + escaped + "}")]
        else:
            slot, count = (name, count) if name else (str(count), count + 1)
            if slot not in slots:
                raise _valueless(slot, name, slots)
            out += [Piece(text[at : found.start()]), Piece("", slot)]
        at = found.end()
    return [piece for piece in [*out, Piece(text[at:])] if piece.text or piece.slot is not None]


def _valueless(slot: str, name: str, slots: Sequence[str]) -> OptionError:
    if not name:
        return OptionError(
            f"The template has more {{}} than values: {len(slots)} were given. Literal braces are {{{{}}}}."
        )
    near = difflib.get_close_matches(slot, slots, n=1, cutoff=0.5)
    hint = f" Is {near[0]!r} meant to be the same?" if near else ""
    given = ", ".join(map(repr, slots))
    return OptionError(
        f"The template's slot {slot!r} has no value in `values`, which are for {given}.{hint} For literal braces write "
        f"{{{{{name}}}}}."
    )
