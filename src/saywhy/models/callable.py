"""Any function from a list of strings to an array [B, K]."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import MethodError, ModelError, OptionError
from ..core.features import own, words
from ..core.types import Bools, Encoding, Held
from .protocol import EncodingOptions, Model

if TYPE_CHECKING:
    from torch import Tensor


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

    def encode(self, texts: Mapping[str, str], encoding_options: EncodingOptions, held: Held | None = None) -> Encoding:
        if len(texts) != 1 or held is not None:
            raise OptionError("A callable takes one text at a time, not a pair.")
        [(part, text)] = texts.items()
        if encoding_options.by == "token":
            raise OptionError("A callable has no tokens: use by='word', by='sentence' or spans [(start, end), …].")
        features, _ = own(text, words(text), encoding_options.by, part)
        spans = [f.span for f in features if f.span is not None]
        replacement_id = self.mask_token if encoding_options.absent == "mask" else None

        def at(coalitions: Bools) -> list[str]:
            return [_present(text, spans, keep, replacement_id) for keep in coalitions]

        return Encoding(texts, tuple(features), at, labels=self.labels)

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


def _present(text: str, spans: Sequence[tuple[int, int]], keep: Bools, replacement_id: str | None) -> str:
    """The text without its absent spans: each goes with the white space before it, or makes place for the filler."""
    out, at = [], 0
    for (start, end), stays in zip(spans, keep, strict=True):
        between = text[at:start]
        if stays or replacement_id is not None:
            out += [between, text[start:end] if stays else str(replacement_id)]
        else:
            out.append(between.rstrip() if between.strip() or out else between)
        at = end
    out.append(text[at:])
    left = "".join(out)
    if not keep.any():
        return left.strip()
    return left if keep[0] or text[: spans[0][0]].strip() else left.lstrip()  # no space where the first word was
