"""Labels and categorical values as numbers and back; what is unknown is refused by column, value and row."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..core.checks import one_of, several
from ..core.errors import InputError, OptionError, unknown
from ..core.types import Array, Ints

PROBLEMS = ("multi-class", "multi-label", "soft")


def plain(value: object) -> Any:
    """The value as a Python string, number or bool, whatever array it came from."""
    return value.item() if isinstance(value, np.generic | Tensor) else value


@dataclass(frozen=True)
class Values:
    """The known values of one column; a value's code is its place."""

    column: str
    known: tuple[Any, ...]
    _codes: Mapping[Any, int] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        codes = {_key(value): i for i, value in enumerate(self.known)}
        if len(codes) < len(self.known):
            raise OptionError(f"The values of {self.column!r} must differ from each other: {list(self.known)!r:.200}.")
        object.__setattr__(self, "_codes", codes)

    def __len__(self) -> int:
        return len(self.known)

    @classmethod
    def of(cls, column: str, values: Iterable[Any]) -> Values:
        """The distinct values of a column, sorted; strings, whole numbers and bools only."""
        distinct = {}
        for row, value in enumerate(several(column, values, "values, one a row")):
            value = plain(value)
            if not isinstance(value, str | int):
                raise InputError(f"Column {column!r}, row {row}: {value!r:.60} is no string or whole number.")
            distinct[_key(value)] = value
        known = sorted(distinct.values(), key=lambda v: (isinstance(v, str), v))
        if not known:
            raise InputError(f"The column {column!r} is empty.")
        return cls(column, tuple(known))

    def encode(self, values: Iterable[Any], start: int = 0) -> Ints:
        """int64 [N]. An unknown value is an InputError that names the column, the value and the row."""
        out = []
        for row, value in enumerate(values, start):
            code = self._codes.get(_key(plain(value)))
            if code is None:
                raise InputError(self._unknown(plain(value), row))
            out.append(code)
        return np.array(out, dtype=np.int64)

    def code(self, value: object) -> int:
        """The code of one value; an unknown one is an InputError."""
        return int(self.encode([value])[0])

    def _unknown(self, value: object, row: int) -> str:
        names = {str(known).lower(): known for known in self.known}
        near = difflib.get_close_matches(str(value).lower(), names, n=1, cutoff=0.5)
        hint = f" Did you mean {names[near[0]]!r}?" if near else ""
        shown = ", ".join(repr(known) for known in self.known[:8]) + (", …" if len(self.known) > 8 else "")
        return f"Column {self.column!r}, row {row}: unknown value {value!r:.80}.{hint} Known: {shown}."

    def decode(self, codes: object) -> np.ndarray[Any, Any]:
        """The values of codes of any shape, as an array of strings or of whole numbers."""
        same = {type(value) for value in self.known}
        table = np.array(self.known, dtype=None if len(same) == 1 else object)
        return table[np.asarray(codes, dtype=np.int64)]

    @property
    def names(self) -> tuple[str, ...]:
        """Each value as a string."""
        return tuple(str(value) for value in self.known)


def _key(value: object) -> object:
    try:
        hash(value)
    except TypeError:
        return repr(value)
    return (type(value) is bool, isinstance(value, str), value)


@dataclass(frozen=True, eq=False)
class Targets:
    """What a network should answer, row by row, as compactly as it can be kept."""

    problem: str
    classes: tuple[int, ...]  # of each level
    rows: Any  # multi-class: int64 [N, levels]; multi-label: N arrays of codes; soft: float32 [N, C]

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, which: Sequence[int]) -> Tensor:
        """int64 [b, levels] for multi-class; otherwise float32 [b, C]."""
        if self.problem != "multi-label":
            return torch.as_tensor(self.rows[list(which)])
        out = torch.zeros(len(which), sum(self.classes))
        for b, i in enumerate(which):
            out[b, self.rows[i]] = 1.0
        return out


def named_levels(labels: object, problem: str, names: object) -> tuple[Values, ...]:
    """The levels that these labels have, with the labels' names: `names` where given, else the distinct ones, sorted."""
    one_of("`problem`", problem, PROBLEMS)
    if not isinstance(labels, Mapping) and (not isinstance(labels, Iterable) or isinstance(labels, str | bytes)):
        raise InputError(f"`labels` is a list, one entry a text, or {{level: labels}}; not {labels!r:.60}.")
    if isinstance(labels, Mapping):
        if problem != "multi-class" or not labels:
            raise OptionError("Labels by level, {level: labels}, are for problem='multi-class', and need one level.")
        given = names if isinstance(names, Mapping) else {}
        return tuple(named_levels_of(level, column, given.get(level)) for level, column in labels.items())
    if names is not None:
        return (Values("label", tuple(plain(name) for name in several("names", names, "labels"))),)
    if problem == "multi-class":
        return (named_levels_of("label", labels, None),)
    if isinstance(labels, np.ndarray | Tensor) and labels.ndim == 2:
        return (Values("label", tuple(range(labels.shape[1]))),)
    if problem == "soft":
        return (Values("label", tuple(range(len(next(iter(labels)))))),)
    return (Values.of("label", (one for row in labels for one in _many(row, 0))),)


def named_levels_of(level: str, labels: Iterable[Any], names: object) -> Values:
    """One level's labels."""
    if names is not None:
        return Values(level, tuple(plain(name) for name in several("names", names, "labels")))
    column = several(f"labels[{level!r:.40}]", labels, "labels, one a text")
    return Values.of(level, (_single(label, row) for row, label in enumerate(column)))


def _single(label: object, row: int) -> object:
    if isinstance(label, list | tuple | set | Mapping) or (isinstance(label, np.ndarray | Tensor) and label.ndim):
        raise InputError(
            f"Row {row} has several labels: {label!r:.60}. Say problem='multi-label' (any number of labels a text, given as "
            "lists or as 0 and 1) or problem='soft' (a probability for each label)."
        )
    return label


def _many(labels: object, row: int) -> list[Any]:
    if isinstance(labels, str) or not isinstance(labels, Iterable):
        raise InputError(f"Row {row}: a multi-label row is a list of labels, not {labels!r:.60}.")
    return list(labels)


def targets(labels: object, problem: str, levels: Sequence[Values], count: int) -> Targets:
    """The labels of `count` texts as targets. What does not fit is an InputError that names the row."""
    classes = tuple(len(level) for level in levels)
    if isinstance(labels, Mapping):
        if set(labels) != {level.column for level in levels}:
            raise InputError(f"The levels are {[v.column for v in levels]}, and the labels have {list(labels)}.")
        columns = [labels[level.column] for level in levels]
    else:
        columns = [labels]
    for column in columns:
        if not hasattr(column, "__len__") or len(column) != count:
            size = len(column) if hasattr(column, "__len__") else "no length"
            raise InputError(f"{count} texts and {size} labels were given: each text needs its own.")
    if problem == "multi-class":
        codes = [level.encode(_single(v, i) for i, v in enumerate(c)) for level, c in zip(levels, columns, strict=True)]
        return Targets(problem, classes, np.stack(codes, axis=1))
    rows = _soft(labels, classes[0]) if problem == "soft" else _multi(labels, levels[0])
    return Targets(problem, classes, rows)


def _soft(labels: object, classes: int) -> Array:
    rows = np.asarray(labels, dtype=np.float32)
    if rows.ndim != 2 or rows.shape[1] != classes:
        raise InputError(f"Soft labels are an array [texts, {classes}], not one of shape {rows.shape}.")
    wrong = ~((rows >= 0).all(1) & (np.abs(rows.sum(1) - 1) < 1e-3))
    if wrong.any():
        row = int(wrong.argmax())
        raise InputError(f"Row {row}: soft labels are probabilities that sum to 1, not {rows[row].tolist()}.")
    return rows


def _multi(labels: Any, level: Values) -> list[Ints]:
    if isinstance(labels, np.ndarray | Tensor) and labels.ndim == 2:
        matrix = np.asarray(labels)
        if matrix.shape[1] != len(level) or not np.isin(matrix, (0, 1)).all():
            raise InputError(f"Multi-label arrays are 0 and 1, [texts, {len(level)}]; this one is {matrix.shape}.")
        return [row.nonzero()[0].astype(np.int64) for row in matrix]
    return [level.encode(sorted(set(_many(row, i)), key=repr), i) if len(row) else np.zeros(0, np.int64)
            for i, row in enumerate(labels)]  # fmt: skip


def coded(
    variables: Sequence[Values], columns: Mapping[str, Sequence[Any]] | None, count: int, start: int = 0
) -> Ints | None:
    """int64 [count, V]: the categorical columns as codes; None where the network has none. Missing columns are refused."""
    columns = columns or {}
    expected = [variable.column for variable in variables]
    if surplus := [name for name in columns if name not in expected]:
        raise unknown("categorical column", surplus[0], expected)
    if lost := [name for name in expected if name not in columns]:
        raise InputError(f"The categorical column {lost[0]!r} is missing; this classifier reads {expected}.")
    if not variables:
        return None
    for name in expected:
        if len(columns[name]) != count:
            raise InputError(f"{count} texts and {len(columns[name])} values of {name!r} were given.")
    return np.stack([v.encode(columns[v.column], start) for v in variables], axis=1)
