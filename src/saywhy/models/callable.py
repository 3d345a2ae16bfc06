"""Any function from a list of strings to an array [B, K]."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import MethodError, ModelError, OptionError
from ..core.features import text_features, unspaced, without_spans
from ..core.types import Bools, Encoding, Held
from .protocol import EncodingOptions, Model

if TYPE_CHECKING:
    from torch import Tensor


_NO_BLANKS = (
    "{} puts no blanks between words: each grapheme cluster there (a character with its marks; in Tibetan a syllable) is a "
    "feature; spans of a word segmenter, by=[(start, end), …], give words"
)


class CallableModel(Model[str]):
    """A callable as a model: its rows are strings, and it has no gradients."""

    head = "labels"
    kind = "score"
    embeddings: tuple[str, ...] = ()
    differentiable = False
    uniform = False
    batch_tokens = 16_384

    def __init__(
        self, function: Callable[[list[str]], Any], labels: Sequence[str] | None, mask_token: str | None = None
    ):
        if labels is None or isinstance(labels, str) or not labels:
            raise OptionError("A callable needs its outputs named: Explainer(function, labels=['neg', 'pos']).")
        if len(set(labels)) < len(labels):
            raise OptionError(f"The labels must differ from each other: {list(labels)!r}.")
        self.function = function
        self.labels = tuple(str(label) for label in labels)
        self.name = getattr(function, "__name__", type(function).__name__)
        self.mask_token = mask_token
        self.absences: tuple[str, ...] = ("drop",) if mask_token is None else ("mask", "drop")
        self.most_rows: int | None = None

    def encode(self, texts: Mapping[str, str], options: EncodingOptions, held: Held | None = None) -> Encoding:
        if len(texts) != 1 or held is not None:
            raise OptionError("A callable takes one text at a time, not a pair.")
        [(part, text)] = texts.items()
        features = text_features(text, options.by, part)
        placed = sorted((span, i) for i, feature in enumerate(features) for span in feature.spans)
        spans, owner = [span for span, _ in placed], [i for _, i in placed]
        replacement = self.mask_token if options.absent == "mask" else None

        def at(coalitions: Bools) -> list[str]:
            return [without_spans(text, spans, keep, replacement) for keep in coalitions[:, owner].tolist()]

        scripts = unspaced(text) if isinstance(options.by, str) and options.by == "word" else ()
        notes = (_NO_BLANKS.format(" and ".join(scripts)),) if scripts else ()
        return Encoding(texts, tuple(features), at, notes=notes, labels=self.labels)

    def sizes(self, rows: Sequence[str]) -> list[int]:
        return [1 + len(row) // 4 for row in rows]

    def keys(self, rows: Sequence[str]) -> list[Hashable]:
        return list(rows)

    def forward(self, rows: Sequence[str], points: Sequence[Tensor] | None = None) -> Tensor:
        import torch

        if points is not None:
            raise MethodError("A callable has no gradients.")
        answer = self.function(list(rows))
        try:
            out = torch.as_tensor(
                np.asarray(answer.detach().cpu() if isinstance(answer, torch.Tensor) else answer, dtype=np.float64)
            )
        except (TypeError, ValueError) as error:
            raise ModelError(
                f"{self.name} must return numbers [B, K]; it returned {type(answer).__name__}: {error}"
            ) from error
        if out.shape != (len(rows), len(self.labels)):
            raise ModelError(
                f"{self.name} got {len(rows)} strings and returned an array of shape {tuple(out.shape)}; "
                f"it must be ({len(rows)}, {len(self.labels)}): a row for each string, "
                f"a column for each of the labels {list(self.labels)!r}."
            )
        return out

    def embed(self, row: str) -> Tensor:
        raise MethodError("A callable has no embeddings.")

    @contextmanager
    def frozen(self) -> Iterator[None]:
        yield
