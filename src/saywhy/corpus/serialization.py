"""Values as plain text and back, each as what it was: rows, settings and types of columns on their way to a worker."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import numpy as np

KIND = "\0kind"  # marks what JSON has no word for; no column and no setting is called so


def dumped(value: object) -> str:
    """One line of JSON. Raises TypeError for what cannot be told."""
    return json.dumps(_whole(value), default=_told)


def loaded(text: str) -> Any:
    """What `dumped` was given; paths are texts."""
    return json.loads(text, object_hook=_read)


def _whole(value: Any) -> Any:
    """The value, with a mark on what JSON would make something else of: tuples, and names that are no texts."""
    if isinstance(value, Mapping) and all(isinstance(name, str) for name in value):
        return {name: _whole(each) for name, each in value.items()}
    if isinstance(value, Mapping):
        return {KIND: "dict", "value": _whole([*value.items()])}
    if isinstance(value, list):
        return [_whole(each) for each in value]
    if isinstance(value, tuple | set | frozenset):
        name = next(kind.__name__ for kind in (tuple, set, frozenset) if isinstance(value, kind))
        return {KIND: name, "value": [_whole(each) for each in value]}
    return value


def _told(value: Any) -> object:
    """What JSON has no word for, as a mapping of its kind and its value."""
    name = type(value).__name__
    if isinstance(value, np.generic) and value.dtype.kind in "biufU":
        return {KIND: "numpy", "value": [value.dtype.str, value.item()]}
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufU":
        return {KIND: "ndarray", "value": [value.dtype.str, value.shape, value.ravel().tolist()]}
    if isinstance(value, timedelta) and name == "timedelta":
        return {KIND: name, "value": [value.days, value.seconds, value.microseconds]}
    if isinstance(value, date | time) and name in _KINDS:
        return {KIND: name, "value": value.isoformat()}
    if isinstance(value, Decimal) or name in ("NAType", "NaTType", "Timedelta"):
        return {KIND: name, "value": str(value)}
    if name == "CategoricalDtype":
        known = value.categories
        return {KIND: name, "value": [None if known is None else [known.tolist(), str(known.dtype)], value.ordered]}
    if isinstance(value, bytes):
        return {KIND: name, "value": value.hex()}
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"{value!r:.60} ({name})")


def _pandas(kind: str) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        import pandas as pd

        if kind == "CategoricalDtype":
            known, ordered = value
            return pd.CategoricalDtype(None if known is None else pd.Index(known[0], dtype=known[1]), ordered)
        return {"NAType": pd.NA, "NaTType": pd.NaT}[kind] if kind.endswith("Type") else getattr(pd, kind)(value)

    return read


_KINDS: Mapping[str, Callable[[Any], Any]] = {
    "numpy": lambda value: np.dtype(value[0]).type(value[1]),
    "ndarray": lambda value: np.array(value[2], dtype=value[0]).reshape(value[1]),
    **{kind.__name__: kind for kind in (dict, tuple, set, frozenset)},
    "bytes": bytes.fromhex,
    "Decimal": Decimal,
    "date": date.fromisoformat,
    "datetime": datetime.fromisoformat,
    "time": time.fromisoformat,
    "timedelta": lambda value: timedelta(*value),
    **{kind: _pandas(kind) for kind in ("Timestamp", "Timedelta", "NAType", "NaTType", "CategoricalDtype")},
}


def _read(known: dict[str, Any]) -> Any:
    return _KINDS[known[KIND]](known["value"]) if KIND in known else known
