"""The tokenizers by their names; each holds one of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...classifier.tokenizers import NGrams, Subwords, Tokenizer, hugging_face, ngrams, restored, word_piece
from ...core.errors import FileError, ModelError, OptionError
from .tokens import BaseTokenizer, TokenizerOutput

HAS_HF = True


class HuggingFaceTokenizer(BaseTokenizer):
    """A Hugging Face fast tokenizer: `load_from_pretrained(name)` or `load(file)`."""

    def __init__(
        self, vocab_size: int, output_dim: int | None = None, padding_idx: int | None = None, trained: bool = False
    ):
        super().__init__(vocab_size, padding_idx, output_dim=output_dim)
        self.trained = trained
        self._ours: Subwords | None = None

    @property
    def inner(self) -> Subwords:
        if self._ours is None:
            raise ModelError("The tokenizer must be trained (or loaded) before it is used.")
        return self._ours

    @property
    def tokenizer(self) -> Any:
        """The tokenizer of the `tokenizers` library."""
        return None if self._ours is None else self._ours.inner

    def _take(self, ours: Subwords) -> None:
        self._ours, self.trained = ours, True
        self.vocab_size, self.padding_idx = ours.size, ours.padding

    @classmethod
    def load_from_pretrained(cls, tokenizer_name: Any, output_dim: int | None = None) -> HuggingFaceTokenizer:
        """The tokenizer of that name, folder or object; `output_dim` is a fixed length."""
        made = cls(0, output_dim=output_dim)
        made._take(hugging_face(tokenizer_name, longest=output_dim))
        return made

    @classmethod
    def load(cls, load_path: str | Path) -> HuggingFaceTokenizer:
        """The tokenizer in a tokenizer.json file."""
        from tokenizers import Tokenizer as Inner

        if not Path(load_path).is_file():
            raise FileNotFoundError(f"There is no file {str(load_path)!r}.")
        made = cls(0)
        made._take(hugging_face(Inner.from_file(str(load_path))))
        return made

    @classmethod
    def load_from_s3(cls, s3_path: str, filesystem: Any) -> HuggingFaceTokenizer:
        """The tokenizer in a tokenizer.json file of a remote file system (fsspec)."""
        from tokenizers import Tokenizer as Inner

        if not filesystem.exists(s3_path):
            raise FileNotFoundError(f"There is no file {s3_path!r}.")
        with filesystem.open(s3_path, "rb") as file:
            made = cls(0)
            made._take(hugging_face(Inner.from_str(file.read().decode("utf-8"))))
        return made

    def train(self, *args: Any, **settings: Any) -> None:
        """Not for this class: load one, or train a WordPieceTokenizer."""
        raise NotImplementedError("This tokenizer is loaded, not trained; WordPieceTokenizer can be trained.")


class WordPieceTokenizer(HuggingFaceTokenizer):
    """WordPiece trained on the corpus: [CLS] text [SEP], lower case."""

    def __init__(self, vocab_size: int, trained: bool = False, output_dim: int | None = None):
        super().__init__(vocab_size, output_dim=output_dim)

    def train(
        self,
        training_corpus: Any,
        save_path: str | None = None,
        filesystem: Any = None,
        s3_save_path: str | None = None,
    ) -> None:
        """Train on the corpus; `save_path` is a folder for tokenizer.json, put to `s3_save_path` of a file system if given."""
        self._take(word_piece(training_corpus, size=self.vocab_size, longest=self.output_dim, min_count=1))
        if save_path:
            Path(save_path).mkdir(parents=True, exist_ok=True)
            self.inner.inner.save(str(Path(save_path) / "tokenizer.json"))
            if filesystem is not None and s3_save_path:
                filesystem.put(save_path, s3_save_path, recursive=True)


class NGramTokenizer(BaseTokenizer):
    """Words, character n-grams and word n-grams in hashed buckets."""

    def __init__(
        self,
        min_count: int,
        min_n: int,
        max_n: int,
        num_tokens: int,
        len_word_ngrams: int,
        training_text: Any = None,
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

    def train(self, training_text: Any) -> None:
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

    def decode(self, token_ids: Any, skip_special_tokens: bool = True) -> str:
        """The words of the ids, in order; n-grams are hashed and leave nothing."""
        words = {i: word for word, i in self.inner.vocabulary.items()}
        if not skip_special_tokens:
            words |= {0: "[PAD]", 1: "[UNK]"}
        return " ".join(words[int(i)] for i in token_ids if int(i) in words)

    def batch_decode(self, sequences: Any, skip_special_tokens: bool = True) -> list[str]:
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


def of_ours(ours: Tokenizer, output_dim: int | None) -> BaseTokenizer:
    """Our tokenizer by their names."""
    if isinstance(ours, NGrams):
        return NGramTokenizer._of(ours)
    made = WordPieceTokenizer(ours.size, output_dim=output_dim)
    if not isinstance(ours, Subwords):
        raise ModelError(f"{type(ours).__name__} has no name here.")
    made._take(ours)
    return made


__all__ = [
    "HAS_HF",
    "BaseTokenizer",
    "HuggingFaceTokenizer",
    "NGramTokenizer",
    "TokenizerOutput",
    "WordPieceTokenizer",
]
