"""Tokenizers: texts to ids, with each token's place in the text as given and the word that it belongs to.

Sub-words (WordPiece, or any Hugging Face tokenizer), and hashed n-grams, which have an answer to every word.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from zlib import crc32

import regex

from ..core.checks import several
from ..core.errors import FileError, InputError, ModelError, OptionError
from ..core.features import Span

if TYPE_CHECKING:
    import tokenizers


PAD, UNKNOWN, FIRST, LAST, MASK = "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"


class Tokens(NamedTuple):
    """One text as its tokens; all three have the same length, which is at least 1."""

    ids: list[int]
    spans: list[Span]  # [start, end) in the text as it was given; (0, 0) for a token that is not of the text
    words: list[int | None]  # index of the word; None for a token that is not of the text


class Tokenizer(Protocol):
    """What a classifier asks of a tokenizer."""

    @property
    def size(self) -> int:
        """How many ids there are: the rows of an embedding table."""

    @property
    def padding(self) -> int:
        """The id that fills up a batch."""

    @property
    def unknown(self) -> int | None:
        """The id of what is not in the vocabulary, where there is one."""

    @property
    def mask(self) -> int | None:
        """The id that stands for a hidden token, where there is one."""

    def encode(self, texts: Sequence[str]) -> list[Tokens]:
        """Each text's ids, spans and words."""

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Each text's ids alone, as in `encode`, faster."""

    def to_json(self) -> dict[str, Any]:
        """Plain data that `restored` turns back into the tokenizer."""


@dataclass(frozen=True, eq=False)
class Subwords:
    """A tokenizer of the `tokenizers` library, trained here (`word_piece`) or anywhere else (`hugging_face`)."""

    inner: tokenizers.Tokenizer
    padding: int
    unknown: int | None = None
    mask: int | None = None

    @property
    def size(self) -> int:
        return int(self.inner.get_vocab_size(with_added_tokens=True))

    def encode(self, texts: Sequence[str]) -> list[Tokens]:
        out = []
        for e in self.inner.encode_batch(checked_texts(texts)):
            added = [bool(a) for a in e.special_tokens_mask]
            spans: list[Span] = [(0, 0) if a else (s[0], s[1]) for a, s in zip(added, e.offsets, strict=True)]
            words = [None if a else (w or 0) for a, w in zip(added, e.word_ids, strict=True)]
            out.append(Tokens(e.ids, spans, words) if e.ids else Tokens([self.padding], [(0, 0)], [None]))
        return out

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        return [e.ids or [self.padding] for e in self.inner.encode_batch_fast(checked_texts(texts))]

    def to_json(self) -> dict[str, Any]:
        import json

        kept = {"padding": self.padding, "unknown": self.unknown, "mask": self.mask}
        return {"kind": "subwords", "tokenizer": json.loads(self.inner.to_str()), **kept}


def word_piece(
    corpus: Iterable[str],
    *,
    size: int = 8_000,
    longest: int | None = None,
    lowercase: bool = True,
    min_count: int = 2,
) -> Subwords:
    """A WordPiece tokenizer trained on the corpus: [CLS] text [SEP], at most `size` ids and `longest` tokens a text.

    `lowercase` also strips accents; spans still index the text as given. Cost: two passes over the corpus, which is
    kept in memory. The same corpus gives the same ids. Raises OptionError for a size that cannot hold the special tokens
    and InputError for an empty corpus. Source: Schuster & Nakajima 2012.
    """
    from tokenizers import Tokenizer as Inner
    from tokenizers import models, normalizers, pre_tokenizers, processors, trainers

    special = [PAD, UNKNOWN, FIRST, LAST, MASK]
    if size <= len(special):
        raise OptionError(f"A WordPiece vocabulary needs more than {len(special)} ids, not {size}.")
    texts = checked_texts(corpus)
    if not texts:
        raise InputError("The corpus is empty: there is nothing to train a tokenizer on.")
    normalizer = normalizers.BertNormalizer(lowercase=lowercase, strip_accents=lowercase)
    splitter = pre_tokenizers.BertPreTokenizer()
    learner: Any = Inner(models.WordPiece(unk_token=UNKNOWN))
    learner.normalizer, learner.pre_tokenizer = normalizer, splitter
    # named beforehand, the inner letters get the same ids in every run; the trainer's own order is random
    inside = {
        c for text in texts for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text)) for c in word[1:]
    }
    letters = [f"##{c}" for c in sorted(inside)]
    trainer = trainers.WordPieceTrainer(
        vocab_size=size, min_frequency=min_count, special_tokens=special + letters, show_progress=False
    )
    learner.train_from_iterator(texts, trainer)
    inner: Any = Inner(models.WordPiece(vocab=learner.get_vocab(), unk_token=UNKNOWN))
    inner.normalizer, inner.pre_tokenizer = normalizer, splitter
    inner.add_special_tokens(special)
    ends = [(name, inner.token_to_id(name)) for name in (FIRST, LAST)]
    inner.post_processor = processors.TemplateProcessing(single=f"{FIRST} $A {LAST}", special_tokens=ends)
    _shortened(inner, longest)
    return Subwords(inner, *(inner.token_to_id(name) for name in (PAD, UNKNOWN, MASK)))


def hugging_face(source: object, *, longest: int | None = None) -> Subwords:
    """Any Hugging Face tokenizer: a hub id or folder, a transformers fast tokenizer, or one of the `tokenizers` library.

    It is copied, so the caller's own stays as it was. `longest` cuts texts; None keeps them whole. Raises ModelError for a slow
    tokenizer (no offsets) and OptionError for one without a padding token.
    """
    from tokenizers import Tokenizer as Inner

    if isinstance(source, str | Path):
        from transformers import AutoTokenizer

        try:
            source = AutoTokenizer.from_pretrained(str(source))
        except (OSError, ValueError) as error:
            raise ModelError(f"Could not load the tokenizer {str(source)!r}: {error}") from error
    held = getattr(source, "backend_tokenizer", source)
    if not isinstance(held, Inner):
        raise ModelError(f"{type(source).__name__} is not a fast tokenizer, and only those know each token's place.")
    inner: Any = Inner.from_str(held.to_str())
    inner.no_padding()
    inner.no_truncation()
    _shortened(inner, longest)
    named = {
        key: getattr(source, f"{key}_token_id", None) if held is not source else _first_of(inner, names)
        for key, names in (
            ("pad", (PAD, "<pad>", "<|endoftext|>")),
            ("unk", (UNKNOWN, "<unk>")),
            ("mask", (MASK, "<mask>")),
        )
    }
    if named["pad"] is None:
        raise OptionError("The tokenizer has no padding token: set tokenizer.pad_token (its end token will do).")
    return Subwords(inner, named["pad"], named["unk"], named["mask"])


def _first_of(inner: tokenizers.Tokenizer, names: Sequence[str]) -> int | None:
    found = (inner.token_to_id(name) for name in names)
    return next((i for i in found if i is not None), None)


def _shortened(inner: tokenizers.Tokenizer, longest: int | None) -> None:
    if longest is None:
        return
    if longest < 3:
        raise OptionError(f"`longest` must leave room for [CLS], a token and [SEP]: 3 or more, not {longest}.")
    inner.enable_truncation(max_length=longest)


def restored(data: Mapping[str, Any]) -> Tokenizer:
    """The tokenizer that `to_json` described. Raises FileError for data that is none."""
    import json

    try:
        if data["kind"] == "ngrams":
            return NGrams.from_json(data)
        if data["kind"] == "subwords":
            from tokenizers import Tokenizer as Inner

            inner = Inner.from_str(json.dumps(data["tokenizer"]))
            return Subwords(inner, data["padding"], data["unknown"], data["mask"])
    except (KeyError, TypeError, ValueError) as error:
        raise FileError(f"The tokenizer's data is damaged: {type(error).__name__} {error}") from error
    raise FileError(f"Unknown kind of tokenizer {data['kind']!r}; this saywhy knows 'subwords' and 'ngrams'.")


def checked_texts(texts: Iterable[object], start: int = 0) -> list[str]:
    """The texts, if each is a string; otherwise an InputError that names the first row that is not."""
    if isinstance(texts, str):
        raise InputError("Give a list of texts, not one string.")
    out = []
    for i, text in enumerate(several("texts", texts, "texts")):
        if not isinstance(text, str):
            raise InputError(f"The text in row {start + i} is not a string but {type(text).__name__}: {text!r:.60}")
        out.append(str(text))
    return out


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
