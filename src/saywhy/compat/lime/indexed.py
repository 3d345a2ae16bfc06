"""A text cut into words or characters that have an index, and the text without some of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import compress, pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...core.errors import InputError

SplitExpression: TypeAlias = "str | Callable[[str], Sequence[str]]"


class Indexed:
    """What both kinds of text share.

    `as_list` holds all pieces in order, `inverse_vocab` those that have an index, `positions` where in `as_list` they stand: a
    list of places for each with `bow`, an array of one place each without. `string_start` is where a piece begins in the text.
    """

    def __init__(self, raw_string: str, pieces: list[str], counted: list[bool], bow: bool, mask_string: str):
        self.raw, self.bow, self.mask_string = raw_string, bow, mask_string
        self.as_list = pieces
        self.as_np = np.array(pieces)
        self.string_start = np.cumsum([0, *map(len, pieces[:-1])])
        self.inverse_vocab: list[str] = []
        self.positions: list[list[int]] | NDArray[np.int64]
        places: list[list[int]] = []
        known: dict[str, int] = {}
        for place, (piece, counts) in enumerate(zip(pieces, counted, strict=True)):
            if not counts:
                continue
            index = known.setdefault(piece, len(known)) if bow else len(places)
            if index == len(places):
                places.append([])
                self.inverse_vocab.append(piece)
            places[index].append(place)
        self._places = places
        self._owner = np.full(len(pieces), -1)  # of each piece the index, -1 for what has none
        for index, each in enumerate(places):
            self._owner[each] = index
        self.positions = places if bow else np.array([place for [place] in places], dtype=np.int64)

    def raw_string(self) -> str:
        """The text itself."""
        return self.raw

    def num_words(self) -> int:
        """How many words (or characters) have an index."""
        return len(self.inverse_vocab)

    def word(self, id_: int) -> str:
        """The word of an index."""
        return self.inverse_vocab[id_]

    def string_position(self, id_: int) -> NDArray[np.int64]:
        """Where the word of an index begins in the text, every time it stands there."""
        return self.string_start[self._places[id_]]

    def spans(self, id_: int) -> list[tuple[int, int]]:
        """(start, end) of the word of an index, every time it stands in the text."""
        return [(int(start), int(start) + len(self.word(id_))) for start in self.string_position(id_)]

    def inverse_removing(self, words_to_remove: Sequence[int] | NDArray[np.int64]) -> str:
        """The text without some words: with `bow` they are cut out, without they become `mask_string`."""
        kept = np.ones((1, self.num_words()), dtype=bool)
        kept[0, np.asarray(words_to_remove, dtype=np.int64)] = False
        return self.without(kept)[0]

    def without(self, kept: NDArray[np.bool_]) -> list[str]:
        """The texts with only these words [N, words], as `inverse_removing` leaves them."""
        always = np.ones((len(kept), 1), dtype=bool)  # what has no index is never removed
        stays = np.concatenate([kept, always], axis=1)[:, self._owner].tolist()
        if self.bow:
            return ["".join(compress(self.as_list, row)) for row in stays]
        pieces, filler = self.as_list, self.mask_string
        return ["".join([p if there else filler for p, there in zip(pieces, row, strict=True)]) for row in stays]


class IndexedString(Indexed):
    """A text by words. `split_expression` is a pattern that parts them, or a function from a text to its words.

    With `bow` a word is one feature wherever it stands, and is removed everywhere at once; without, every place is a feature of
    its own and becomes `mask_string` ("UNKWORDZ" by default). Raises ValueError for words that do not stand in the text.
    """

    def __init__(
        self,
        raw_string: str,
        split_expression: SplitExpression = r"\W+",
        bow: bool = True,
        mask_string: str | None = None,
    ):
        pieces, counted = _cut(raw_string, split_expression)
        super().__init__(raw_string, pieces, counted, bow, "UNKWORDZ" if mask_string is None else mask_string)


class IndexedCharacters(Indexed):
    """A text by characters, as IndexedString by words; without `bow` a character becomes `mask_string`, chr(0) by default."""

    def __init__(self, raw_string: str, bow: bool = True, mask_string: str | None = None):
        pieces = list(raw_string)
        super().__init__(raw_string, pieces, [True] * len(pieces), bow, chr(0) if mask_string is None else mask_string)


def _cut(text: str, split: SplitExpression) -> tuple[list[str], list[bool]]:
    """The pieces of a text, and which of them are words."""
    if callable(split):
        spans = _located(text, split(text))
    else:
        ends = [(0, 0), *((m.start(), m.end()) for m in re.finditer(split, text)), (len(text), len(text))]
        spans = [(a, b) for (_, a), (b, _) in pairwise(ends) if b > a]
    pieces, counted, at = [], [], 0
    for start, end in spans:
        between = [(text[at:start], False)] if start > at else []
        for piece, counts in [*between, (text[start:end], True)]:
            pieces.append(piece)
            counted.append(counts)
        at = end
    if at < len(text):
        pieces.append(text[at:])
        counted.append(False)
    words = {piece for piece, counts in zip(pieces, counted, strict=True) if counts}
    if callable(split):  # a word of the function's is one wherever it stands, as in lime
        counted = [piece in words for piece in pieces]
    return pieces, counted


def _located(text: str, words: Sequence[str]) -> list[tuple[int, int]]:
    """Where the words stand in the text, one after the other. An empty word stands nowhere."""
    out, at = [], 0
    for word in words:
        if not word:
            continue
        start = text.find(word, at)
        if start < 0:
            raise InputError(
                f"Tokenization produced tokens that do not belong in string! {word!r:.60} does not follow position {at}."
            )
        at = start + len(word)
        out.append((start, at))
    return out
