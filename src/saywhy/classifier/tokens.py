"""Tokenizers: texts to ids, with each token's place in the text as it was given and the word it belongs to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ..errors import FileError, InputError, ModelError, OptionError
from ..features import Span

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


def hugging_face(source: Any, *, longest: int | None = None) -> Subwords:
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


def _first_of(inner: Any, names: Sequence[str]) -> int | None:
    found = (inner.token_to_id(name) for name in names)
    return next((i for i in found if i is not None), None)


def _shortened(inner: Any, longest: int | None) -> None:
    if longest is None:
        return
    if longest < 3:
        raise OptionError(f"`longest` must leave room for [CLS], a token and [SEP]: 3 or more, not {longest}.")
    inner.enable_truncation(max_length=longest)


def restored(data: Mapping[str, Any]) -> Tokenizer:
    """The tokenizer that `to_json` described. Raises FileError for data that is none."""
    import json

    from .ngrams import NGrams

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
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputError(f"The text in row {start + i} is not a string but {type(text).__name__}: {text!r:.60}")
        out.append(str(text))
    return out
