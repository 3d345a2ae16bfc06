"""The tokenizers by their names; each holds one of ours."""

from __future__ import annotations

from ....classifier.tokenizers import NGrams, Subwords, Tokenizer
from ....core.errors import ModelError
from .base import HAS_HF, BaseTokenizer, Foreign, HuggingFaceTokenizer, TokenizerOutput, batched
from .ngram import NGramTokenizer
from .WordPiece import WordPieceTokenizer


def of_ours(ours: Tokenizer, output_dim: int | None) -> BaseTokenizer:
    """Our tokenizer by their names."""
    if isinstance(ours, NGrams):
        return NGramTokenizer._of(ours)
    made = WordPieceTokenizer(ours.size, output_dim=output_dim)
    if not isinstance(ours, Subwords):
        raise ModelError(f"{type(ours).__name__} has no name here.")
    made._take(ours)
    return made


def inner_of(tokenizer: BaseTokenizer) -> Tokenizer:
    """What a classifier reads with; also of a tokenizer that is no BaseTokenizer and has its members."""
    return tokenizer.inner if isinstance(tokenizer, BaseTokenizer) else Foreign(tokenizer)


__all__ = [
    "HAS_HF",
    "BaseTokenizer",
    "HuggingFaceTokenizer",
    "NGramTokenizer",
    "TokenizerOutput",
    "WordPieceTokenizer",
    "batched",
]
