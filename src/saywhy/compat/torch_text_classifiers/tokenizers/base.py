"""What every tokenizer by their names answers, one loaded from Hugging Face, and how one of the caller's own is read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor

from ....classifier.batches import padded
from ....classifier.tokenizers import Subwords, Tokenizer, Tokens, hugging_face
from ....core.errors import ModelError, OptionError

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Inner

HAS_HF = True  # tokenizers is one of this package's own requirements


@dataclass
class TokenizerOutput:
    """A batch: ids and mask [B, T], offsets [B, T, 2] and word ids [B, T] where they were asked for."""

    input_ids: Tensor
    attention_mask: Tensor
    offset_mapping: Tensor | None = None
    word_ids: np.ndarray[Any, Any] | None = None

    def __post_init__(self) -> None:
        for name in ("input_ids", "attention_mask"):
            if not isinstance(getattr(self, name), Tensor):
                raise TypeError(f"{name} must be a torch.Tensor, not {type(getattr(self, name)).__name__}.")
        shape = tuple(self.input_ids.shape)
        wanted = {"attention_mask": shape, "offset_mapping": (*shape, 2), "word_ids": shape}
        for name, expected in wanted.items():
            given = getattr(self, name)
            if given is not None and tuple(given.shape) != expected:
                raise OptionError(f"{name} must have the shape {expected}, not {tuple(given.shape)}.")

    def to_dict(self) -> dict[str, Any]:
        """The four fields."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> TokenizerOutput:
        """The batch that `to_dict` gave."""
        return cls(**data)


class BaseTokenizer:
    """A tokenizer by their names. A caller's own has `tokenize(text, return_offsets_mapping, return_word_ids)`."""

    def __init__(
        self, vocab_size: int, padding_idx: int | None, output_vectorized: bool = False, output_dim: int | None = None
    ):
        if output_vectorized:
            raise ModelError("Tokenizers that answer vectors are not supported: a classifier here reads token ids.")
        self.vocab_size, self.padding_idx = vocab_size, padding_idx
        self.output_vectorized, self.output_dim = output_vectorized, output_dim
        self.trained = True

    def tokenize(
        self, text: str | Iterable[str], return_offsets_mapping: bool = False, return_word_ids: bool = False
    ) -> TokenizerOutput:
        """The texts as a batch: padded to `output_dim`, or to the longest where that is None."""
        given = [text] if isinstance(text, str) else list(text)
        return batched(
            self.inner.encode(given), self.inner.padding, self.output_dim, return_offsets_mapping, return_word_ids
        )

    @property
    def inner(self) -> Tokenizer:
        """The tokenizer that a classifier reads with."""
        return Foreign(self)

    def __call__(self, text: str | Iterable[str], **settings: bool) -> TokenizerOutput:
        return self.tokenize(text, **settings)

    def __len__(self) -> int:
        return self.vocab_size

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.vocab_size} ids>"


class RemoteFiles(Protocol):
    """What is asked of a file system of fsspec."""

    def exists(self, path: str, /) -> bool: ...

    def open(self, path: str, mode: str, /) -> IO[bytes]: ...

    def put(self, here: str, there: str, /, *, recursive: bool) -> object: ...


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
    def tokenizer(self) -> Inner | None:
        """The tokenizer of the `tokenizers` library."""
        return None if self._ours is None else self._ours.inner

    def _take(self, ours: Subwords) -> None:
        self._ours, self.trained = ours, True
        self.vocab_size, self.padding_idx = ours.size, ours.padding

    @classmethod
    def load_from_pretrained(cls, tokenizer_name: str, output_dim: int | None = None) -> HuggingFaceTokenizer:
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
    def load_from_s3(cls, s3_path: str, filesystem: RemoteFiles) -> HuggingFaceTokenizer:
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


def batched(rows: Sequence[Tokens], padding: int, length: int | None, offsets: bool, words: bool) -> TokenizerOutput:
    """Tokens as a padded batch of one length."""
    ids, mask = padded([row.ids for row in rows] or [[padding]], padding)
    wide = 0 if length is None else max(0, length - ids.shape[1])
    ids = torch.nn.functional.pad(ids, (0, wide), value=padding)[: len(rows)]
    mask = torch.nn.functional.pad(mask.long(), (0, wide))[: len(rows)]
    spans = torch.zeros(*ids.shape, 2, dtype=torch.long)
    names = np.full(tuple(ids.shape), None, dtype=object)
    for b, row in enumerate(rows):
        spans[b, : len(row.ids)] = torch.tensor(row.spans)
        names[b, : len(row.ids)] = row.words
    return TokenizerOutput(ids, mask, spans if offsets else None, names if words else None)


@dataclass(frozen=True, eq=False)
class Foreign:
    """A caller's own tokenizer, read through its `tokenize`. It cannot be saved as plain data."""

    theirs: BaseTokenizer
    unknown: int | None = None
    mask: int | None = None

    @property
    def size(self) -> int:
        return self.theirs.vocab_size

    @property
    def padding(self) -> int:
        return self.theirs.padding_idx or 0

    def encode(self, texts: Sequence[str]) -> list[Tokens]:
        out = self.theirs.tokenize(list(texts), return_offsets_mapping=True, return_word_ids=True)
        if out.offset_mapping is None or out.word_ids is None:
            raise ModelError(f"{type(self.theirs).__name__} gives no offsets and word ids: it cannot be explained.")
        found = []
        for b, real in enumerate(out.attention_mask.bool()):
            words = [None if word is None else int(word) for word in out.word_ids[b][real.numpy()]]
            spans = [(int(s), int(e)) for s, e in out.offset_mapping[b][real]]
            found.append(Tokens(out.input_ids[b][real].tolist(), spans, words))
        return found

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        out = self.theirs.tokenize(list(texts))
        return [row[real].tolist() for row, real in zip(out.input_ids, out.attention_mask.bool(), strict=True)]

    def to_json(self) -> dict[str, Any]:
        raise ModelError(
            f"{type(self.theirs).__name__} is the caller's own tokenizer: it cannot be saved as plain data."
        )
