"""A text classifier to train on your own texts, and to explain: `TextClassifier.fit(texts, labels)`."""

from __future__ import annotations

from .classifier import TextClassifier
from .encoders import Values
from .network import Architecture, Network
from .prediction import Predictions
from .tokenizers import NGrams, Subwords, Tokenizer, Tokens, hugging_face, ngrams, word_piece
from .training import History, Training

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
