"""Words, their character n-grams and word n-grams, hashed into buckets: a tokenizer that has an answer to every word."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from zlib import crc32

import regex

from ..errors import InputError, OptionError
from ..features import Span
from .tokens import Tokens, checked_texts

_WORD = regex.compile(r"[\p{L}\p{M}\p{N}_]+(?:['’\-][\p{L}\p{M}\p{N}_]+)*|[^\s\p{L}\p{M}\p{N}_]")
_RESERVED = 3  # padding, unknown, mask
_KEPT = 200_000  # words whose pieces are remembered


class Pieces(NamedTuple):
    """One word's own id and its character n-grams, with spans inside the word."""

    ids: list[int]
    spans: list[Span]


@dataclass(frozen=True, eq=False)
class NGrams:
    """Each word as itself and its character n-grams, then the word n-grams; `ngrams` makes one from a corpus.

    Ids: 0 padding, 1 an unknown word, 2 a hidden token, then the vocabulary, then `buckets` hashed n-grams. A word n-gram
    spans its words and belongs to the first.
    """

    vocabulary: Mapping[str, int]  # word as it is looked up -> id
    buckets: int
    shortest: int
    longest: int
    word_ngrams: int
    lowercase: bool = True
    most: int | None = None  # positions a text
    _known: dict[str, Pieces] = field(default_factory=dict, repr=False)

    padding = 0
    unknown = 1
    mask = 2

    @property
    def size(self) -> int:
        return _RESERVED + len(self.vocabulary) + self.buckets

    def encode(self, texts: Sequence[str]) -> list[Tokens]:
        return [self._one(text) for text in checked_texts(texts)]

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        return [self._one(text).ids for text in checked_texts(texts)]

    def _one(self, text: str) -> Tokens:
        ids: list[int] = []
        spans: list[Span] = []
        words: list[int | None] = []
        found = [(m.start(), m.end(), m.group()) for m in _WORD.finditer(text)]
        for w, (start, _, word) in enumerate(found):
            pieces = self._pieces(word)
            ids += pieces.ids
            spans += [(start + a, start + b) for a, b in pieces.spans]
            words += [w] * len(pieces.ids)
        looked_up = [folded(word, self.lowercase)[0] for _, _, word in found] if self.word_ngrams > 1 else []
        for n in range(2, self.word_ngrams + 1):
            for w in range(len(found) - n + 1):
                ids.append(self._bucket("\x1f".join(looked_up[w : w + n])))
                spans.append((found[w][0], found[w + n - 1][1]))
                words.append(w)
        if not ids:
            return Tokens([self.unknown], [(0, 0)], [None])
        return Tokens(ids[: self.most], spans[: self.most], words[: self.most])

    def _pieces(self, word: str) -> Pieces:
        known = self._known.get(word)
        if known is not None:
            return known
        text, places = folded(word, self.lowercase)
        marked = f"<{text}>"
        inside = [0, *places, len(word)]  # the character of the word that each of `marked` stands for
        ids = [self.vocabulary.get(text, self.unknown)]
        spans: list[Span] = [(0, len(word))]
        for n in range(self.shortest, self.longest + 1):
            for a in range(len(marked) - n + 1):
                if n == len(marked):  # the whole word has its own id
                    continue
                ids.append(self._bucket(marked[a : a + n]))
                last = inside[a + n - 1]
                spans.append((inside[a], len(word) if a + n == len(marked) else last + 1))
        if len(self._known) < _KEPT:
            self._known[word] = Pieces(ids, spans)
        return Pieces(ids, spans)

    def _bucket(self, ngram: str) -> int:
        return _RESERVED + len(self.vocabulary) + crc32(ngram.encode("utf-8", "surrogatepass")) % self.buckets

    def to_json(self) -> dict[str, Any]:
        named = ("buckets", "shortest", "longest", "word_ngrams", "lowercase", "most")
        return {"kind": "ngrams", "words": list(self.vocabulary), **{name: getattr(self, name) for name in named}}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> NGrams:
        """The tokenizer that `to_json` described."""
        words = {word: _RESERVED + i for i, word in enumerate(data["words"])}
        named = ("buckets", "shortest", "longest", "word_ngrams", "lowercase", "most")
        return cls(words, **{name: data[name] for name in named})


def folded(word: str, lowercase: bool) -> tuple[str, list[int]]:
    """The word as it is looked up - lower case, no accents - and the character of the original that each of its own is from."""
    if not lowercase:
        return word, list(range(len(word)))
    text, places = [], []
    for i, character in enumerate(word):
        for c in unicodedata.normalize("NFKD", character.lower()):
            if not unicodedata.combining(c):
                text.append(c)
                places.append(i)
    return "".join(text), places


def ngrams(
    corpus: Iterable[str],
    *,
    buckets: int = 20_000,
    shortest: int = 3,
    longest: int = 6,
    word_ngrams: int = 2,
    min_count: int = 2,
    lowercase: bool = True,
    most: int | None = None,
) -> NGrams:
    """A tokenizer of words seen `min_count` times, character n-grams and word n-grams.

    Character n-grams have `shortest` to `longest` signs, word n-grams up to `word_ngrams` words, in `buckets` hashed ids.
    `lowercase` also strips accents for looking up, in training and after alike; spans index the text as given. `most` cuts the
    positions of a text. One pass over the corpus. Source: Bojanowski et al. 2017; Joulin et al. 2017 (hashed word n-grams).
    """
    if not 1 <= shortest <= longest:
        raise OptionError(f"Character n-grams need 1 <= shortest <= longest, not {shortest} and {longest}.")
    if buckets < 1 or word_ngrams < 1 or (most is not None and most < 1):
        raise OptionError(f"`buckets`, `word_ngrams` and `most` are 1 or more, not {buckets}, {word_ngrams}, {most}.")
    counts: Counter[str] = Counter()
    seen = 0
    for text in corpus:
        seen += 1
        counts.update(folded(word, lowercase)[0] for word in _WORD.findall(checked_texts([text], seen - 1)[0]))
    if not seen:
        raise InputError("The corpus is empty: there is nothing to train a tokenizer on.")
    words = [word for word, count in counts.most_common() if count >= min_count and word]
    vocabulary = {word: _RESERVED + i for i, word in enumerate(sorted(words, key=lambda w: (-counts[w], w)))}
    return NGrams(vocabulary, buckets, shortest, longest, word_ngrams, lowercase, most)
