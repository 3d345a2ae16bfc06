"""Raw values to whole numbers and back, by dictionaries or scikit-learn's LabelEncoder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ....classifier.encoders import Values, plain
from ....core.errors import InputError, OptionError


class Fitted(Protocol):
    """A fitted LabelEncoder of scikit-learn."""

    classes_: Any


class DictEncoder:
    """{value: number}; the numbers are 0, 1, …"""

    def __init__(self, mapping: Mapping[Any, int]):
        self.mapping = dict(mapping)
        self.inverse_mapping = {number: value for value, number in self.mapping.items()}

    def __call__(self, value: object) -> int | None:
        return self.mapping.get(value)

    def transform(self, col: Iterable[Any]) -> NDArray[np.int64] | list[int]:
        """Numbers for values; an unknown one is a ValueError."""
        found = known(self, "value").encode([_fitting(self.mapping, plain(v)) for v in col])
        return found if isinstance(col, np.ndarray) else found.tolist()

    def inverse_transform(self, col: ArrayLike) -> NDArray[Any] | list[Any]:
        """Values for numbers."""
        found = known(self, "value").decode(col)
        return found if isinstance(col, np.ndarray) else found.tolist()

    @property
    def vocabulary_size(self) -> int:
        return len(self.mapping)


def _fitting(mapping: Mapping[Any, Any], value: object) -> object:
    """The key that the value stands for: itself, or the one that is written the same."""
    if value in mapping:
        return value
    return next((key for key in mapping if str(key) == str(value)), value)


def known(encoder: DictEncoder | Fitted, column: str) -> Values:
    """The values of an encoder in the order of their numbers. TypeError for what is no encoder."""
    if isinstance(encoder, DictEncoder):
        if sorted(encoder.inverse_mapping) != list(range(len(encoder.mapping))):
            raise OptionError(f"The numbers of {column!r} must be 0 to {len(encoder.mapping) - 1}, each once.")
        return Values(column, tuple(encoder.inverse_mapping[i] for i in range(len(encoder.mapping))))
    if hasattr(encoder, "classes_"):
        return Values(column, tuple(plain(value) for value in encoder.classes_))
    raise TypeError(f"{column!r} needs a DictEncoder or a fitted LabelEncoder, not {type(encoder).__name__}.")


LabelEncoders: TypeAlias = "DictEncoder | Fitted | list[DictEncoder | Fitted]"


class ValueEncoder:
    """Encoders for the labels (a list of them for several levels) and for each categorical column by name."""

    def __init__(
        self, label_encoder: LabelEncoders, categorical_encoders: Mapping[str, DictEncoder | Fitted] | None = None
    ):
        self.label_encoder = label_encoder
        self.categorical_encoders = None if categorical_encoders is None else dict(categorical_encoders)
        many = isinstance(label_encoder, list)
        each = label_encoder if isinstance(label_encoder, list) else [label_encoder]
        self.levels = tuple(known(e, f"level {i}" if many else "label") for i, e in enumerate(each))
        self.variables = tuple(known(e, str(name)) for name, e in (self.categorical_encoders or {}).items())

    @property
    def vocabulary_sizes(self) -> list[int] | None:
        return None if self.categorical_encoders is None else [len(v) for v in self.variables]

    @property
    def num_classes(self) -> int | list[int]:
        sizes = [len(level) for level in self.levels]
        return sizes if isinstance(self.label_encoder, list) else sizes[0]

    def transform(self, X_categorical: ArrayLike) -> NDArray[np.int64]:  # noqa: N803
        """int64 [N, columns]. An unknown value is a ValueError that names its column, the value and the row."""
        rows = np.asarray(X_categorical, dtype=object)
        if rows.ndim != 2 or rows.shape[1] != len(self.variables):
            names = [v.column for v in self.variables]
            raise InputError(f"The categorical columns are {names}: an array [N, {len(names)}], not {rows.shape}.")
        return _encoded(self.variables, rows.T)

    __call__ = transform

    def transform_labels(self, y_labels: ArrayLike) -> NDArray[np.int64]:
        """int64 [N], or [N, levels]."""
        labels = np.asarray(y_labels, dtype=object)
        if isinstance(self.label_encoder, list):
            if labels.ndim != 2 or labels.shape[1] != len(self.levels):
                raise InputError(f"Labels of {len(self.levels)} levels are an array [N, {len(self.levels)}].")
            return _encoded(self.levels, labels.T)
        return _encoded(self.levels, [labels.reshape(-1)])[:, 0]

    def inverse_transform_labels(self, y_encoded: ArrayLike) -> NDArray[Any]:
        """Labels for numbers [N] or [N, k]; for several levels the last axis is the level."""
        codes = np.asarray(y_encoded, dtype=np.int64)
        if not isinstance(self.label_encoder, list):
            return self.levels[0].decode(codes)
        parts = [level.decode(codes[..., i]).astype(object) for i, level in enumerate(self.levels)]
        return np.stack(parts, axis=-1)


def _encoded(known_values: Sequence[Values], columns: Iterable[Iterable[Any]]) -> NDArray[np.int64]:
    fitted = []
    for values, column in zip(known_values, columns, strict=True):
        keys = dict.fromkeys(values.known)
        fitted.append(values.encode(_fitting(keys, plain(value)) for value in column))
    return np.stack(fitted, axis=1)


def encoder_to_json(encoder: ValueEncoder | None) -> dict[str, Any] | None:
    """Plain data for a ValueEncoder."""
    if encoder is None:
        return None
    columns = [[v.column, list(v.known)] for v in encoder.variables]
    return {
        "many": isinstance(encoder.label_encoder, list),
        "levels": [list(level.known) for level in encoder.levels],
        "variables": None if encoder.categorical_encoders is None else columns,
    }


def encoder_from_json(data: Mapping[str, Any] | None) -> ValueEncoder | None:
    """The ValueEncoder that `encoder_to_json` described, of dictionaries."""
    if data is None:
        return None
    levels: list[DictEncoder | Fitted] = [
        DictEncoder({value: i for i, value in enumerate(known)}) for known in data["levels"]
    ]
    columns = data["variables"]
    beside = None
    if columns is not None:
        beside = {name: DictEncoder({value: i for i, value in enumerate(known)}) for name, known in columns}
    return ValueEncoder(levels if data["many"] else levels[0], beside)
