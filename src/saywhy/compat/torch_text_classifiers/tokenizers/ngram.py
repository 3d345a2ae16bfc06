"""Words, character n-grams and word n-grams by their name."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from torch import Tensor

from ....classifier.tokenizers import NGrams, ngrams, restored
from ....core.errors import FileError, ModelError, OptionError
from .base import BaseTokenizer


class NGramTokenizer(BaseTokenizer):
    """Words, character n-grams and word n-grams in hashed buckets."""

    def __init__(
        self,
        min_count: int,
        min_n: int,
        max_n: int,
        num_tokens: int,
        len_word_ngrams: int,
        training_text: Iterable[str] | None = None,
        preprocess: bool = True,
        output_dim: int | None = None,
    ):
        if min_n < 2 or max_n > 6 or min_n > max_n:
            raise OptionError(f"NGramTokenizer needs 2 <= min_n <= max_n <= 6, not {min_n} and {max_n}.")
        super().__init__(3 + num_tokens, 0, output_dim=output_dim)
        self.min_count, self.min_n, self.max_n, self.num_tokens = min_count, min_n, max_n, num_tokens
        self.word_ngrams, self.preprocess = len_word_ngrams, preprocess
        self.trained = False
        self._ours: NGrams | None = None
        if training_text is not None:
            self.train(training_text)

    @property
    def inner(self) -> NGrams:
        if self._ours is None:
            raise ModelError("The tokenizer must be trained before it is used.")
        return self._ours

    def train(self, training_text: Iterable[str]) -> None:
        """Build the vocabulary."""
        self._take(
            ngrams(
                training_text,
                buckets=self.num_tokens,
                shortest=self.min_n,
                longest=self.max_n,
                word_ngrams=max(1, self.word_ngrams),
                min_count=self.min_count,
                lowercase=self.preprocess,
                most=self.output_dim,
            )
        )

    def _take(self, ours: NGrams) -> None:
        self._ours, self.trained, self.vocab_size = ours, True, ours.size

    def decode(self, token_ids: Iterable[int] | Tensor, skip_special_tokens: bool = True) -> str:
        """The words of the ids, in order; n-grams are hashed and leave nothing."""
        words = {i: word for word, i in self.inner.vocabulary.items()}
        if not skip_special_tokens:
            words |= {0: "[PAD]", 1: "[UNK]"}
        return " ".join(words[int(i)] for i in token_ids if int(i) in words)

    def batch_decode(self, sequences: Iterable[Iterable[int] | Tensor], skip_special_tokens: bool = True) -> list[str]:
        """`decode` for each."""
        return [self.decode(one, skip_special_tokens) for one in sequences]

    def save_pretrained(self, save_directory: str | Path) -> None:
        """Write tokenizer.json into the folder."""
        import json

        Path(save_directory).mkdir(parents=True, exist_ok=True)
        data = {**self.inner.to_json(), "min_count": self.min_count}
        (Path(save_directory) / "tokenizer.json").write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> NGramTokenizer:
        """The tokenizer in a folder (or file), with all its settings."""
        import json

        file = Path(path) / "tokenizer.json" if Path(path).is_dir() else Path(path)
        if not file.is_file():
            raise FileNotFoundError(f"There is no file {str(file)!r}.")
        return cls.build_from_config(json.loads(file.read_text(encoding="utf-8")))

    @classmethod
    def build_from_config(cls, config: dict[str, Any]) -> NGramTokenizer:
        """The tokenizer that a saved configuration describes."""
        ours = restored(config)
        if not isinstance(ours, NGrams):
            raise FileError("This is not an n-gram tokenizer's configuration.")
        return cls._of(ours, int(config.get("min_count", 1)))

    @classmethod
    def _of(cls, ours: NGrams, min_count: int = 1) -> NGramTokenizer:
        settings = (min_count, ours.shortest, ours.longest, ours.buckets, ours.word_ngrams)
        made = cls(*settings, preprocess=ours.lowercase, output_dim=ours.most)
        made._take(ours)
        return made
