"""Any function from a list of strings to an array [B, K]."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.checks import plain
from ..core.errors import MethodError, ModelError, OptionError, SaywhyError
from ..core.features import text_features, unspaced, without_spans
from ..core.types import Bools, Encoding, Held
from .labels import label_names, same_order
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
    deterministic = False
    uniform = False
    batch_tokens = 16_384

    def __init__(
        self, function: Callable[[list[str]], Any], labels: Sequence[str] | None, mask_token: str | None = None
    ):
        owner = getattr(function, "__self__", None)  # of a method such as pipe.predict_proba
        own = getattr(owner, "classes_", None)
        if labels is None:
            raise OptionError("A callable needs its outputs named: Explainer(function, labels=['neg', 'pos']).")
        self.function = function
        self.labels = label_names(labels)
        same_order(self.labels, own, f"{type(owner).__name__}.classes_")
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

        if points is not None:
            raise MethodError("A callable has no gradients.")
        try:
            answer = self.function(list(rows))
        except SaywhyError:
            raise
        except Exception as error:
            raise ModelError(self._failed(rows, error)) from error
        return self._numbers(answer, len(rows))

    def _failed(self, rows: Sequence[str], error: Exception) -> str:
        said = f"{self.name} raised {type(error).__name__} on {len(rows)} texts: {' '.join(str(error).split())[:200]}"
        if any(not row.strip() for row in rows):
            said += (
                ". Among them is the empty text, which stands for all words absent: let the function answer it, or give "
                "mask_token='…', which then stands in for each absent word"
            )
        return said + "."

    def _numbers(self, answer: Any, many: int) -> Tensor:
        """float64 [B, K], a copy: a function may hand out one buffer again and again. A frame is read by its column names."""
        import torch

        if hasattr(answer, "columns") and hasattr(answer, "to_numpy"):
            answer = self._by_name(answer)
        try:
            if isinstance(answer, torch.Tensor):
                out = answer.detach().to("cpu", torch.float64, copy=True)
            else:
                out = torch.from_numpy(np.array(answer, dtype=np.float64, order="C"))
        except (TypeError, ValueError, RuntimeError) as error:
            raise ModelError(
                f"{self.name} must return numbers [B, K]; it returned {type(answer).__name__}: {error}"
            ) from error
        if out.shape == (many,) and len(self.labels) == 1:
            out = out[:, None]
        if out.shape != (many, len(self.labels)):
            raise ModelError(
                f"{self.name} got {many} strings and returned an array of shape {tuple(out.shape)}; "
                f"it must be ({many}, {len(self.labels)}): a row for each string, "
                f"a column for each of the labels {list(self.labels)!r}."
            )
        return out

    def _by_name(self, frame: Any) -> Any:
        """The columns of a frame in the order of the labels; as they stand, where they are only numbered."""
        columns = [str(plain(name)) for name in frame.columns]
        if columns == [str(i) for i in range(len(columns))]:
            return frame.to_numpy()
        if sorted(columns) != sorted(self.labels):
            raise ModelError(
                f"{self.name} returned a frame with the columns {columns!r:.200}, and its labels are {list(self.labels)!r:.200}: "
                "name the columns as the labels, or return an array."
            )
        return frame.to_numpy()[:, [columns.index(label) for label in self.labels]]

    def embed(self, row: str) -> Tensor:
        raise MethodError("A callable has no embeddings.")

    @contextmanager
    def frozen(self) -> Iterator[None]:
        yield
