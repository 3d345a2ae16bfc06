"""A model of rows: an estimator or a function over columns, some of which may be texts that open into their words."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.checks import one_of
from ..core.errors import InputError, MethodError, ModelError, OptionError, SaywhyError, unknown
from ..core.features import Granularity, remover, text_features, unicode_text
from ..core.frames import missing_value, row_of
from ..core.types import Array, Bools, Encoding, Feature, Held, Target
from .background import Background, background_of, replace_dtypes, typical
from .buffers import asked, turns_of
from .columns import cell, dtypes_of, frames, hashable, whole_again
from .numbers import checked_kind, numbers_of, opened
from .protocol import EncodingOptions, Model

if TYPE_CHECKING:
    import pandas
    from torch import Tensor

OPENED = ("word", "sentence", "focus", "line", "paragraph")  # how a text column may be cut; or "column", whole
_SHOWN = 40  # characters of a value in a label
_NEEDED = (
    "An absent column needs something in its place: explainer(rows, background=…) or Explainer(model, background=…) takes a data "
    "frame (rows to average over), ('mean', frame), or a mapping of column to value."
)


@dataclass(frozen=True, eq=False)
class Row:
    """What the model is asked about: a value for each column, and the types of the columns of the caller's frame."""

    values: list[Any]
    dtypes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(eq=False)
class TableModel(Model[Row]):
    """An estimator or a function of rows. A column is a feature, and so is each word of a text column.

    An absent column takes what the background has for it, an absent word is left out. With several rows of background an
    evaluation is the mean over them, so it costs as many model inputs.
    """

    function: Callable[[Any], Any]  # a data frame (or an array, where it was fitted on one) -> numbers [B, K]
    labels: tuple[str, ...]
    kind: str
    name: str
    row_columns: tuple[str, ...]
    texts: tuple[str, ...] = ()  # the columns that are known to be texts
    categories: tuple[str, ...] = ()  # the columns that are known to be read as categories
    dtypes: Mapping[str, Any] = field(default_factory=dict)  # of the columns whose types the model itself tells
    named: bool = True  # is it handed a data frame, or an array without names?
    background: Background | None = None
    additive: Callable[[Mapping[str, str], Sequence[Feature]], Callable[[Target], bool] | None] | None = None
    numbers_alike: bool = False  # does it answer the same of 3 and of 3.0?
    deterministic: bool = False
    head: str = "labels"
    absences: tuple[str, ...] = ("background",)
    batch_tokens: int = 16_384

    def __post_init__(self) -> None:
        self.turns = turns_of(self.function)

    def background_rows(self, given: object) -> Background | None:
        if given is not None:
            return background_of(given, self.row_columns, self.texts, self.categories)
        if self.background is None:
            raise OptionError(_NEEDED)
        return self.background

    def typed(self, given: object, frame: object) -> Background:
        """What stands in for absent columns, `given` or the model's own, with the types of the columns of these rows."""
        known = (
            self._background() if given is None else background_of(given, self.row_columns, self.texts, self.categories)
        )
        return replace(known, dtypes={**dtypes_of(frame), **known.dtypes})

    def typical(self, rows: Sequence[Any], frame: object, of: str = "of this call") -> Background:
        """The mean of these rows as a background, `of` saying where they are from. Raises OptionError for a single row."""
        known = [self._values(row) for row in rows]
        if len(known) < 2:
            raise OptionError(
                f"{_NEEDED} Several rows in one call stand in for each other, by their mean; here is "
                f"{'one row' if known else 'none'}."
            )
        columns = [name for name in self.row_columns if name not in self.texts]
        named = [dict(zip(self.row_columns, row, strict=True)) for row in known]
        found = typical(named, columns, self.categories, dtypes_of(frame))
        row = {name: found.rows[0].get(name, "") for name in self.row_columns}
        said = f"{found.said} {of}; give `background` to fix them"
        return replace_dtypes(Background((row,), said), frame)

    def encode(self, parts: object, options: EncodingOptions, held: Held | None = None) -> Encoding:
        values, background = self._values(parts), options.background or self._background()
        if self.dtypes:
            background = replace(background, dtypes={**background.dtypes, **self.dtypes})
        values = [
            whole_again(value, background.dtypes.get(name))
            for name, value in zip(self.row_columns, values, strict=True)
        ]
        opened: dict[str, str] = {}
        features: list[Feature] = []
        for name, value in zip(self.row_columns, values, strict=True):
            how = self._granularity(name, value, options.by)
            if how == "column":
                features.append(_column(name, value, name in self.texts))
            else:
                opened[name] = value
                features += text_features(value, how, name)
        if not features:
            raise InputError("There is nothing to explain in this row: its texts are empty.")
        texts = {
            name: "" if missing_value(value) else str(value)
            for name, value in zip(self.row_columns, values, strict=True)
        }
        at = _Rows(self.row_columns, values, opened, features, background)
        notes = (background.said + ("; absent words are left out" if opened else ""),)
        known = None if self.additive is None else self.additive(opened, features)
        return Encoding(texts, tuple(features), at, notes=notes, labels=self.labels, additive=known)

    def _background(self) -> Background:
        if self.background is None:  # of rows whose prediction alone is asked for
            return Background((dict.fromkeys(self.row_columns),), "absent columns are missing")
        return self.background

    def _values(self, given: object) -> list[Any]:
        """The values of a row in the order of the columns. Raises InputError for another type, and for a column that lacks."""
        row = row_of(given, self.row_columns)
        if row is None:
            hint = (
                "" if not isinstance(given, str) else " For a model of texts give a pipeline that was fitted on texts."
            )
            raise InputError(
                f"{self.name} reads rows with the columns {', '.join(self.row_columns)}: give a data frame, or a mapping of "
                f"column to value, not {type(given).__name__}.{hint}"
            )
        for name in self.row_columns:
            if name not in row:
                raise InputError(
                    str(unknown(f"column: {self.name} reads {name!r}, which is not among those given;", name, row))
                )
        values = [(name, cell(row[name])) for name in self.row_columns]
        return [unicode_text(v, f"The column {name!r}") if isinstance(v, str) else v for name, v in values]

    def _granularity(self, name: str, value: str, by: Granularity) -> Granularity:
        """How a column is cut: "column" for whole, or what a text opens into."""
        if isinstance(by, Mapping):
            for column in by:
                if column not in self.row_columns:
                    raise unknown("column in `by`", column, self.row_columns)
            how: Any = by.get(name, "word" if name in self.texts else "column")
        else:
            how = by if name in self.texts else "column"
            if isinstance(by, str):
                one_of("granularity `by` of a row", by, (*OPENED, "column"))
            elif len(self.texts) != 1:
                raise OptionError(
                    f"Spans are of one text, and {self.name} knows {len(self.texts)} columns of texts: "
                    f"by={{{(self.texts or self.row_columns)[0]!r}: {by!r:.60}}} says of which column."
                )
        if isinstance(how, str):
            one_of(f"granularity of the column {name!r}", how, (*OPENED, "column"))
        if how != "column" and missing_value(value):
            return "column"
        if how != "column" and not isinstance(value, str):
            raise InputError(f"The column {name!r} holds {value!r:.60}, which is no text: by={{{name!r}: 'column'}}.")
        return how if how == "column" or value.strip() or not isinstance(how, str) else "column"

    def sizes(self, rows: Sequence[Row]) -> list[int]:
        return [1 + sum(len(value) // 4 for value in row.values if isinstance(value, str)) for row in rows]

    def keys(self, rows: Sequence[Row]) -> list[Hashable]:
        own: dict[int, Any] = {}  # rows that are asked together share most of their values: each is looked at once
        for row in rows:
            own.update(zip(map(id, row.values), row.values, strict=True))
        known = {i: "\0missing" if missing_value(value) else hashable(value) for i, value in own.items()}
        found = [tuple(map(known.__getitem__, map(id, row.values))) for row in rows]
        if self.numbers_alike or not self.named:
            return [*found]
        return [(key, tuple(map(type, key))) for key in found]  # 3 and 3.0 are equal, and asked apart

    def forward(self, rows: Sequence[Row], points: Sequence[Tensor] | None = None) -> Tensor:
        if points is not None:
            raise MethodError(f"{self.name} has no gradients.")
        import torch

        out = torch.empty(len(rows), len(self.labels), dtype=torch.float64)
        for places, batch in self._batches(rows):
            out[places] = self._asked(batch)
        return out

    def _asked(self, batch: pandas.DataFrame | Array) -> Tensor:
        return asked(
            self.turns,
            partial(self._returned, batch),
            lambda answer: checked_kind(numbers_of(answer, len(batch), self.labels, self.name), self.kind, self.name),
        )

    def _returned(self, batch: pandas.DataFrame | Array) -> object:
        try:
            return opened(self.function(batch))
        except SaywhyError:
            raise
        except Exception as error:
            said = " ".join(str(error).split())[:200]
            raise ModelError(f"{self.name} raised {type(error).__name__} on {len(batch)} rows: {said}.") from error

    def _batches(self, rows: Sequence[Row]) -> Sequence[tuple[list[int], pandas.DataFrame | Array]]:
        """Which of the rows, and they as the model reads them."""
        values = [row.values for row in rows]
        if not self.named:
            texts = any(isinstance(value, str) for row in values for value in row)
            return [([*range(len(rows))], np.array(values, dtype=object if texts else np.float64))]
        known = rows[0].dtypes  # of one background, as all rows of a call
        return frames(self.row_columns, values, known, self.numbers_alike)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        yield


@dataclass(frozen=True, eq=False)
class _Rows:
    """bool [N, n] -> the row of each coalition: a row, or a tuple of one for each row of the background."""

    columns: tuple[str, ...]
    values: list[Any]
    opened: Mapping[str, str]
    features: Sequence[Feature]
    background: Background

    def __call__(self, coalitions: Bools) -> list[Any]:
        stands = [[row[name] for name in self.columns] for row in self.background.rows]
        dtypes = self.background.dtypes
        whole = [(i, self.columns.index(f.part)) for i, f in enumerate(self.features) if f.column]
        cut = []
        for name, text in self.opened.items():
            placed = self._spans(name)
            cut.append((self.columns.index(name), remover(text, [span for span, _ in placed]), [i for _, i in placed]))
        found: list[Any] = []
        for keep in coalitions.tolist():
            own = list(self.values)
            for c, left, owner in cut:
                own[c] = left([keep[i] for i in owner])
            gone = [c for i, c in whole if not keep[i]]
            made = tuple(
                Row([stand[c] if c in gone else value for c, value in enumerate(own)], dtypes) for stand in stands
            )
            found.append(made if len(made) > 1 else made[0])
        return found

    def _spans(self, name: str) -> list[tuple[tuple[int, int], int]]:
        return sorted((span, i) for i, f in enumerate(self.features) if f.part == name for span in f.spans)


def _column(name: str, value: object, text: bool) -> Feature:
    """A whole column as a feature, "age = 42"."""
    if missing_value(value):
        return Feature(f"{name} = missing", None, name, column=True)
    shown = f"{value:g}" if isinstance(value, float) else str(value)
    shown = shown if len(shown) <= _SHOWN else shown[: _SHOWN - 1] + "…"
    return Feature(f"{name} = {shown}", (0, len(str(value))) if str(value) else None, name, column=True)
