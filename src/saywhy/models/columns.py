"""Rows as data frames, in which a value has the type that it has in the caller's own frame, whatever rows stand beside it.

A mean of whole numbers is none: in one column with whole numbers it would make "3.0" of a 3 that stays, which an estimator
that reads texts or categories takes for another value. Such rows are asked in frames of their own.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.checks import plain
from ..core.errors import missing
from ..core.frames import missing_value

if TYPE_CHECKING:
    import pandas

_OWN, _NUMBER, _MISSING, _MIXED = "as in the frame", "float", "missing", "of several types"
_FITS = {"i": (int,), "u": (int,), "f": (int, float), "b": (bool,)}  # kind of a type of numbers -> what it holds
_NUMERIC = ("sklearn", "xgboost", "lightgbm")  # whose estimators compute with numbers, however they are written


def dtypes_of(frame: Any) -> dict[str, Any]:
    """The types of the columns of a pandas frame, by name but for categories; not of sparse ones and intervals."""
    if not hasattr(frame, "iloc") or not hasattr(frame, "columns"):
        return {}
    known = {
        str(n): kind for n, kind in frame.dtypes.items() if not hasattr(kind, "subtype") and kind.kind in "biufOMm"
    }
    return {n: kind if hasattr(kind, "categories") else kind.name for n, kind in known.items() if _found_by_name(kind)}


def _found_by_name(kind: Any) -> bool:
    """Does pandas know the type by its name again? Not some of Arrow's, such as decimals."""
    from pandas.api.types import pandas_dtype

    try:
        return hasattr(kind, "categories") or pandas_dtype(kind.name) == kind
    except (TypeError, NotImplementedError):
        return False


def cell(value: Any) -> Any:
    """A value of a row: scalars of numpy as Python's own, an array as it is."""
    return value if getattr(value, "ndim", 0) else plain(value)


def hashable(value: Any) -> Hashable:
    """What two values share that are the same: the value itself; of lists, mappings, sets and arrays, what is in them."""
    try:
        return _content(value)
    except RecursionError:  # some hundreds of lists, each in another
        return repr(value)


def _content(value: Any) -> Hashable:
    if isinstance(value, str | int | float):
        return value
    if getattr(value, "ndim", 0):
        value = np.asarray(value)
        numbers = tuple(map(_content, value.ravel())) if value.dtype.kind == "O" else value.tobytes()
        return (str(value.dtype), value.shape, numbers)
    if isinstance(value, Mapping):
        return ("a mapping", *((name, type(each), _content(each)) for name, each in value.items()))
    if isinstance(value, list | tuple):
        return (type(value), *((type(each), _content(each)) for each in value))
    # sets in an order that is the same in any process
    inside = sorted(repr(_content(each)) for each in value) if isinstance(value, set | frozenset) else None
    return value if inside is None else (type(value), *inside)


def whole_again(value: Any, dtype: object) -> Any:
    """The value, as a whole number where its column holds those: one row of a pandas frame may have all its numbers as floats."""
    whole = isinstance(value, float) and value.is_integer() and abs(value) < 2**53
    return int(value) if whole and str(dtype).lower().startswith(("int", "uint")) else value


def numbers_alike(model: object) -> bool:
    """Does the model answer the same of 3 and of 3.0, as estimators do whose every step is known to compute with numbers?"""
    parts = [model, *(model.get_params().values() if hasattr(model, "get_params") else ())]
    for part in parts:
        function = getattr(part, "func", None)
        if function is not None and not isinstance(function, np.ufunc):  # a FunctionTransformer may write them out
            return False
        known = type(part).__module__.split(".")[0] in _NUMERIC
        if not known and (part is model or (hasattr(part, "get_params") and not isinstance(part, type))):
            return False
    return True


def frames(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], dtypes: Mapping[str, Any], alike: bool
) -> list[tuple[list[int], pandas.DataFrame]]:
    """Which rows, and they as a data frame: all in one, but for rows whose values cannot share a column as what they are.

    `alike`: may whole numbers and others share one?
    """
    try:
        import pandas as pd
    except ImportError:
        raise missing("pandas", "Explaining rows with named columns", "table") from None
    dtypes = {name: pd.api.types.pandas_dtype(kind) for name, kind in dtypes.items()}
    values = list(zip(*rows, strict=True))
    kinds = [_kinds(each, dtypes.get(name), alike) for name, each in zip(columns, values, strict=True)]
    together: dict[tuple[str, ...], list[int]] = {}
    if mixed := [each for each in kinds if not isinstance(each, str)]:
        for i, signature in enumerate(zip(*mixed, strict=True)):
            together.setdefault(signature, []).append(i)
    if not mixed:
        whole = {n: _series(list(v), str(k), dtypes.get(n)) for n, v, k in zip(columns, values, kinds, strict=True)}
        return [(list(range(len(rows))), pd.DataFrame(whole))]
    found = []
    for places in together.values():
        made = {
            name: _series(
                [each[i] for i in places], kind if isinstance(kind, str) else kind[places[0]], dtypes.get(name)
            )
            for name, each, kind in zip(columns, values, kinds, strict=True)
        }
        found.append((places, pd.DataFrame(made)))
    return found


def _kinds(values: Sequence[Any], dtype: Any, alike: bool) -> str | list[str]:
    """What each value is as the content of a column, or what all of them are."""
    kind = getattr(dtype, "kind", None)
    types = set(map(type, values))
    fit = kind is not None and (kind not in _FITS or types <= set(_FITS[kind]))
    if fit and (kind not in ("i", "u") or (_in_range(min(values), dtype) and _in_range(max(values), dtype))):
        return _OWN
    if alike and types <= {int, float} and (kind is None or kind in "iuf"):
        return "int" if types == {int} else _NUMBER
    found = [_kind(value, dtype) for value in values]
    named = set(found)
    if _MISSING in named:  # it stands in a column of numbers as NaN, in another beside what is there
        others = sorted(named - {_MISSING})
        if kind == "b" and isinstance(dtype, np.dtype):  # which holds no missing value
            return _MIXED
        number = kind in ("i", "u") or (bool(others) and set(others) <= {"int", _NUMBER})
        found = [(_NUMBER if number else (others or [_MISSING])[0]) if each == _MISSING else each for each in found]
    named = set(found)
    if alike and (kind is None or kind in "iuf") and named <= {_OWN, "int", _NUMBER} and len(named) > 1:
        return _NUMBER
    return found[0] if len(named) == 1 else found


def _kind(value: object, dtype: Any) -> str:
    if missing_value(value):
        return _OWN if dtype is not None and (dtype.kind == "f" or not isinstance(dtype, np.dtype)) else _MISSING
    if dtype is not None and type(value) in _FITS[dtype.kind] and (dtype.kind not in "iu" or _in_range(value, dtype)):
        return _OWN
    return type(value).__name__


def _in_range(value: Any, dtype: Any) -> bool:
    known = np.iinfo(getattr(dtype, "numpy_dtype", dtype))
    return bool(known.min <= value <= known.max)


def _series(values: list[Any], kind: str, dtype: Any) -> pandas.Series:
    import pandas as pd

    numpy = isinstance(dtype, np.dtype)
    if (kind == _NUMBER or (numpy and dtype.kind == "f")) and not set(map(type, values)) <= {int, float}:
        values = [np.nan if missing_value(value) else value for value in values]
    if kind == _MIXED:
        return pd.Series(values, dtype=object)
    if kind == _NUMBER:
        return pd.Series(values, dtype=np.float64 if numpy or dtype is None else "Float64")
    if kind != _OWN:
        return pd.Series(values)
    if dtype.kind in "OMm" and not (numpy and dtype.kind == "O"):
        return _as_type(pd.Series(values), dtype)
    return pd.Series(values, dtype=dtype)


def _as_type(values: pandas.Series, dtype: Any) -> pandas.Series:
    """The values in a column's type; in a wider one where that would lose some, as those of a background may be."""
    import pandas as pd

    categories = getattr(dtype, "categories", None)
    if categories is not None:
        others = [v for v in dict.fromkeys(values) if not missing_value(v) and v not in categories]
        return values.astype(pd.CategoricalDtype([*categories, *others], dtype.ordered) if others else dtype)
    made = values.astype(dtype)
    kept = all(missing_value(v) or (not missing_value(m) and m == v) for v, m in zip(values, made, strict=True))
    return made if kept else values
