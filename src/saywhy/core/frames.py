"""Columns and rows of other libraries as lists: pandas, polars, Arrow, numpy, datasets; by what they can do, importing none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from .checks import plain
from .errors import InputError
from .types import Array


def several_inputs(given: object, columns: Sequence[str] = ()) -> list[Any] | None:
    """The inputs that a caller gave together: a list, a column, the rows of a frame; None where it is one input.

    Parameters
    ----------
    given
        A list; a Series of pandas or polars, an array of Arrow, a one-dimensional array of strings (a column: one value an
        input); a DataFrame of pandas or polars, a Table of Arrow, a dataset (rows: one mapping an input); or a generator.
    columns
        What a row of the model holds, where it reads rows: then a pandas Series that is labelled by these is one row, and
        a two-dimensional array of numbers is rows in this order.

    Returns
    -------
    list or None

    Notes
    -----
    Cost: one pass over what was given. A missing value stays what it is there (None or NaN).
    """
    if isinstance(given, list):
        return given
    if columns:
        refuse_columns(given)
    if isinstance(given, str | bytes | Mapping | tuple) or _is_row(given, columns):
        return None
    if (rows := rows_of(given)) is not None:
        return rows
    if (values := column_values(given)) is not None:
        return values
    if columns and getattr(given, "ndim", 0) == 2 and hasattr(given, "tolist"):
        return _numbered(cast(Array, given), columns)
    return list(given) if isinstance(given, Iterator) else None


def rows_of(frame: object) -> list[dict[str, Any]] | None:
    """The rows of a frame or a table as mappings; None for anything else. Raises InputError for a column name twice."""
    if hasattr(frame, "column_names") and hasattr(frame, "to_pylist"):  # an Arrow table or batch
        _named_once(frame.column_names)
        return [dict(row) for row in frame.to_pylist()]
    if hasattr(frame, "column_names") and hasattr(frame, "features"):  # a dataset of Hugging Face
        return [dict(row) for row in cast(Iterable[Mapping[str, Any]], frame)]
    if hasattr(frame, "collect") and hasattr(
        frame, "collect_schema"
    ):  # polars, not computed yet; asked for its columns it would warn
        return list(frame.collect().iter_rows(named=True))
    if not hasattr(frame, "columns") or isinstance(frame, type):
        return None
    if hasattr(frame, "iter_rows"):  # polars
        return list(frame.iter_rows(named=True))
    if hasattr(frame, "iloc") and hasattr(frame, "to_dict"):  # pandas
        _named_once([str(name) for name in frame.columns])
        names = [str(name) for name in frame.columns]
        values = [frame.iloc[:, i].tolist() for i in range(len(names))]
        return [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)] if names else []
    return None


def column_values(column: object) -> list[Any] | None:
    """The values of a Series, an Arrow array or an array of strings; None for anything else, arrays of numbers among it."""
    if hasattr(column, "to_pylist"):  # Arrow
        return list(column.to_pylist())
    if hasattr(column, "to_list") and hasattr(column, "dtype") and not hasattr(column, "columns"):  # pandas and polars
        return list(column.to_list())
    kind = getattr(getattr(column, "dtype", None), "kind", "")
    if getattr(column, "ndim", 0) == 1 and kind in ("U", "S", "O", "T"):  # S: bytes, which are refused one by one
        return [plain(value) for value in cast(Iterable[object], column)]
    return None


def by_own_names(row: Mapping[Any, Any], columns: Sequence[str]) -> dict[str, Any]:
    """The row by the names that the model has for its columns: LightGBM writes blanks in them as underscores."""
    named = {str(name): value for name, value in row.items()}
    lacking = {name for name in columns if name not in named}
    spelt = {name: name.replace(" ", "_") for name in named} if lacking else {}
    return {spelt[name] if spelt.get(name) in lacking else name: value for name, value in named.items()}


def row_of(given: Any, columns: Sequence[str] = ()) -> dict[str, Any] | None:
    """One row as a mapping by the names of a model's columns; None for what is no row.

    A row is a mapping, a row of a pandas frame (a Series, or of `itertuples`), or as many values as there are columns, in their
    order.
    """
    if hasattr(given, "_asdict"):
        given = given._asdict()
    elif hasattr(given, "to_dict") and hasattr(given, "index") and not hasattr(given, "columns"):
        given = given.to_dict()
    elif _in_order(given, columns):
        given = dict(zip(columns, given.tolist() if hasattr(given, "tolist") else given, strict=True))
    return by_own_names(given, columns) if isinstance(given, Mapping) else None


def refuse_columns(given: object) -> None:
    """Raises InputError for the columns of several rows, or a tuple of rows, given where one row may be given.

    Among other rows such a mapping is a row: its cells may be lists that happen to be of one length.
    """
    cells = given if isinstance(given, Mapping) else dict(enumerate(given)) if isinstance(given, tuple) else {}
    sizes = [len(cell) if isinstance(cell, list) or getattr(cell, "ndim", 0) > 0 else None for cell in cells.values()]
    if len(sizes) > 1 and sizes[0] is not None and sizes == sizes[:1] * len(sizes):
        name, cell = next(iter(cells.items()))
        raise InputError(
            f"Every column holds a list of {sizes[0]} ({name!r}: {cell!r:.60}). Several rows are a data frame, "
            "pandas.DataFrame(columns), or a list of mappings; one row whose cells are lists is given in a list, [row]."
        )


def missing_value(value: object) -> bool:
    """Is it None, NaN, or what pandas has for a missing value?"""
    if value is None:
        return True
    if isinstance(value, float):
        return value != value
    if getattr(value, "ndim", 0):  # an array is there, whatever is in it
        return False
    return type(value).__name__ in ("NAType", "NaTType") or (hasattr(value, "dtype") and bool(value != value))


def _in_order(given: Any, columns: Sequence[str]) -> bool:
    """Is it as many values as a row has columns, in their order? A tuple or an array of as many rows is not."""
    values = isinstance(given, list | tuple) or getattr(given, "ndim", 0) == 1
    return bool(columns) and values and len(given) == len(columns) and not isinstance(given[0], Mapping)


def _is_row(given: object, columns: Sequence[str]) -> bool:
    """Is it one row of a frame, labelled by its columns, or an array of as many values?"""
    if not hasattr(given, "index"):
        return _in_order(given, columns)
    return (
        bool(columns)
        and hasattr(given, "iloc")
        and not hasattr(given, "columns")
        and set(by_own_names(dict.fromkeys(given.index), columns)) >= set(columns)
    )


def _named_once(names: Sequence[str]) -> None:
    twice = sorted({name for name in names if list(names).count(name) > 1})
    if twice:
        raise InputError(f"The column {twice[0]!r} is there more than once: rename one.")


def _numbered(array: Array, columns: Sequence[str]) -> list[dict[str, Any]]:
    if array.shape[1] != len(columns):
        raise InputError(
            f"The rows have {array.shape[1]} columns; the model reads {len(columns)}: {', '.join(columns)}."
        )
    return [dict(zip(columns, row, strict=True)) for row in array.tolist()]
