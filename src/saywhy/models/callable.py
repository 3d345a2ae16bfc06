"""Any function from a list of strings to an array [B, K]."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from ..core.errors import MethodError, ModelError, OptionError, SaywhyError
from ..core.features import remover, text_features, unspaced
from ..core.types import Bools, Encoding, Feature, Held, Target
from .buffers import asked, turns_of
from .labels import label_names, same_order
from .numbers import checked_kind, numbers_of, opened
from .protocol import EncodingOptions, Model

if TYPE_CHECKING:
    from torch import Tensor


_NO_BLANKS = (
    "{} puts no blanks between words: each grapheme cluster there (a character with its marks; in Tibetan a syllable) is a "
    "feature; spans of a word segmenter, by=[(start, end), …], give words"
)
Additive: TypeAlias = "Callable[[str, Sequence[Feature]], Callable[[Target], bool] | None] | None"


class CallableModel(Model[str]):
    """A callable as a model: its rows are strings, and it has no gradients."""

    head = "labels"
    embeddings: tuple[str, ...] = ()
    differentiable = False
    deterministic = False
    uniform = False
    batch_tokens = 16_384

    def __init__(
        self,
        function: Callable[[list[str]], Any],
        labels: Sequence[str] | None,
        mask_token: str | None = None,
        kind: str = "score",
    ):
        owner = getattr(function, "__self__", None)  # of a method such as pipe.predict_proba
        self.turns = turns_of(function)
        own = getattr(owner, "classes_", None)
        if labels is None and own is None:
            raise OptionError("A callable needs its outputs named: Explainer(function, labels=['neg', 'pos']).")
        self.function = function
        self.labels = label_names(own if labels is None else labels)
        same_order(self.labels, own, f"{type(owner).__name__}.classes_")
        self.name = getattr(function, "__name__", type(function).__name__)
        self.kind = kind
        self.mask_token = mask_token
        self.absences: tuple[str, ...] = ("drop",) if mask_token is None else ("mask", "drop")
        self.most_rows: int | None = None
        self.additive: Additive = None  # which targets are additive, of an estimator whose steps are known

    def encode(self, texts: Mapping[str, str], options: EncodingOptions, held: Held | None = None) -> Encoding:
        if len(texts) != 1 or held is not None:
            raise OptionError("A callable takes one text at a time, not a pair.")
        [(part, text)] = texts.items()
        features = text_features(text, options.by, part)
        placed = sorted((span, i) for i, feature in enumerate(features) for span in feature.spans)
        spans, owner = [span for span, _ in placed], [i for _, i in placed]
        replacement = self.mask_token if options.absent == "mask" else None

        left = remover(text, spans, replacement)

        def at(coalitions: Bools) -> list[str]:
            return [left(keep) for keep in coalitions[:, owner].tolist()]

        scripts = unspaced(text) if isinstance(options.by, str) and options.by == "word" else ()
        notes = (_NO_BLANKS.format(" and ".join(scripts)),) if scripts else ()
        additive = None if self.additive is None or options.absent != "drop" else self.additive(text, features)
        return Encoding(texts, tuple(features), at, notes=notes, labels=self.labels, additive=additive)

    def sizes(self, rows: Sequence[str]) -> list[int]:
        return [1 + len(row) // 4 for row in rows]

    def keys(self, rows: Sequence[str]) -> list[Hashable]:
        return list(rows)

    def forward(self, rows: Sequence[str], points: Sequence[Tensor] | None = None) -> Tensor:
        if points is not None:
            raise MethodError("A callable has no gradients.")
        return asked(
            self.turns,
            partial(self._returned, rows),
            lambda answer: checked_kind(
                numbers_of(answer, len(rows), self.labels, self.name, rows), self.kind, self.name
            ),
        )

    def _returned(self, rows: Sequence[str]) -> object:
        try:
            return opened(self.function(list(rows)))
        except SaywhyError:
            raise
        except Exception as error:
            raise ModelError(self._failed(rows, error)) from error

    def _failed(self, rows: Sequence[str], error: Exception) -> str:
        said = f"{self.name} raised {type(error).__name__} on {len(rows)} texts: {' '.join(str(error).split())[:200]}"
        if any(not row.strip() for row in rows):
            said += (
                ". Among them is the empty text, which stands for all words absent: let the function answer it, or give "
                "mask_token='…', which then stands in for each absent word"
            )
        return said + "."

    def embed(self, row: str) -> Tensor:
        raise MethodError("A callable has no embeddings.")

    @contextmanager
    def frozen(self) -> Iterator[None]:
        yield
