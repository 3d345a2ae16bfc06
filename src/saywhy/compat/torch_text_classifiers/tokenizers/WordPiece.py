"""WordPiece by its name: trained on the caller's corpus."""  # noqa: N999 - the name of their module

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ....classifier.tokenizers import word_piece
from .base import HuggingFaceTokenizer, RemoteFiles


class WordPieceTokenizer(HuggingFaceTokenizer):
    """WordPiece trained on the corpus: [CLS] text [SEP], lower case."""

    def __init__(self, vocab_size: int, trained: bool = False, output_dim: int | None = None):
        super().__init__(vocab_size, output_dim=output_dim)

    def train(
        self,
        training_corpus: Iterable[str],
        save_path: str | None = None,
        filesystem: RemoteFiles | None = None,
        s3_save_path: str | None = None,
    ) -> None:
        """Train on the corpus; `save_path` is a folder for tokenizer.json, put to `s3_save_path` of a file system if given."""
        self._take(word_piece(training_corpus, size=self.vocab_size, longest=self.output_dim, min_count=1))
        if save_path:
            Path(save_path).mkdir(parents=True, exist_ok=True)
            self.inner.inner.save(str(Path(save_path) / "tokenizer.json"))
            if filesystem is not None and s3_save_path:
                filesystem.put(save_path, s3_save_path, recursive=True)
