"""A text classifier to train on your own texts, and to explain: `TextClassifier.fit(texts, labels)`."""

from __future__ import annotations

from .classifier import TextClassifier
from .network import Architecture, Network
from .ngrams import NGrams, ngrams
from .prediction import Predictions
from .tokens import Subwords, Tokenizer, Tokens, hugging_face, word_piece
from .training import History, Training
from .values import Values

__all__ = [
    "Architecture",
    "History",
    "NGrams",
    "Network",
    "Predictions",
    "Subwords",
    "TextClassifier",
    "Tokenizer",
    "Tokens",
    "Training",
    "Values",
    "hugging_face",
    "ngrams",
    "word_piece",
]
