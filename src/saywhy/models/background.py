"""What stands in for an absent column of a row: a value for each column, or rows over which the answers are averaged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import Any

from ..core.checks import plain
from ..core.errors import OptionError, unknown
from ..core.frames import by_own_names, missing_value, refuse_columns, row_of, several_inputs
from .columns import cell, dtypes_of, hashable

MOST = 1_000  # rows of a background: each evaluation asks the model about all of them


@dataclass(frozen=True, eq=False)
class Background:
    """Rows that stand in for what is absent; `said` tells of them in words."""

    rows: tuple[Mapping[str, Any], ...]
    said: str
    dtypes: Mapping[str, Any] = field(default_factory=dict)  # of the columns of the caller's frame

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(self.rows[0])

    @property
    def recorded(self) -> object:
        """What a result keeps of it: the value of each column where it is one row, else how many rows it has."""
        if len(self.rows) > 1:
            return f"{len(self.rows):,} rows"
        return {name: None if missing_value(value) else plain(value) for name, value in self.rows[0].items()}


def background_of(
    given: object, columns: Sequence[str] = (), texts: Sequence[str] = (), categories: Sequence[str] = ()
) -> Background:
    """The background that a caller gave.

    Parameters
    ----------
    given
        A mapping of column to value, or one row; a frame or a list of rows, over which the answers are averaged; or
        ("mean", rows), the mean of numbers and the most frequent value of other columns. A background that is known already
        is narrowed down.
    columns
        What the model reads; by default the columns that are given.
    texts
        The columns of texts, whose absent words are left out: they need no value.
    categories
        The columns that are read as categories, of whose numbers there is no mean.

    Raises
    ------
    OptionError
        For another type, no rows, too many, or a column that is lacking or unknown.
    """
    if isinstance(given, Background):
        known = [by_own_names(row, columns) for row in given.rows]
        _lacking(known, columns, texts)
        wanted = tuple(columns or given.columns)
        return replace(given, rows=tuple({name: row.get(name, "") for name in wanted} for row in known))
    if isinstance(given, tuple) and len(given) == 2 and isinstance(given[0], str) and given[0] == "mean":
        rows = _rows(given[1], columns)
        _lacking(rows, columns or tuple(rows[0]), texts)
        chosen = [name for name in columns or tuple(rows[0]) if name not in texts]
        mean = typical(rows, chosen, categories, dtypes_of(given[1]))
        row = {name: mean.rows[0].get(name, "") for name in columns or tuple(rows[0])}
        return replace_dtypes(Background((row,), mean.said), given[1])
    refuse_columns(given)
    alone = None if isinstance(given, list) else row_of(given, columns)  # a list is of rows
    if alone is not None:
        rows = [alone]
        said = "an absent column takes the value that was given for it"
    else:
        rows = _rows(given, columns)
        said = f"absent columns are averaged over {len(rows):,} row{'s' * (len(rows) > 1)} of the background"
    wanted = tuple(columns or rows[0])
    for name in rows[0] if isinstance(given, Mapping) else ():  # a frame may have other columns, such as the truth
        if name not in wanted:
            raise unknown("column of `background`", name, wanted)
    _lacking(rows, wanted, texts)
    return replace_dtypes(Background(tuple({name: row.get(name, "") for name in wanted} for row in rows), said), given)


def _lacking(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], texts: Sequence[str]) -> None:
    """Refuses a background without some column."""
    for row in rows:
        lacking = [name for name in columns if name not in row and name not in texts]
        if lacking:
            wanted = ", ".join(columns)
            raise OptionError(f"`background` lacks the column {lacking[0]!r}: give a value for each of {wanted}.")


def typical(
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str],
    categories: Sequence[str] = (),
    dtypes: Mapping[str, Any] | None = None,
) -> Background:
    """The mean of each column of numbers, the most frequent value of each other one; missing values do not count.

    Numbers of `categories`, and of columns that are categories by their `dtypes`, are names.
    """
    named = {*categories, *(name for name, kind in (dtypes or {}).items() if hasattr(kind, "categories"))}
    row: dict[str, Any] = {}
    for name in columns:
        known = [cell(each[name]) for each in rows if not missing_value(each[name])]
        numbers = [float(value) for value in known if isinstance(value, Real) and not isinstance(value, bool)]
        if known and len(numbers) == len(known) and name not in named:
            row[name] = sum(numbers) / len(numbers)
        else:  # where all are missing, as they are missing here
            told = {hashable(value): value for value in reversed(known)}
            often = Counter(map(hashable, known)).most_common(1)
            row[name] = told[often[0][0]] if often else cell(rows[0][name])
    said = f"absent columns take the mean of numbers and the most frequent of other values, of {len(rows):,} rows"
    return Background((row,), said)


def replace_dtypes(background: Background, frame: object) -> Background:
    """The background with the types of the columns of a pandas frame: an estimator may have been fitted on them."""
    return replace(background, dtypes={**background.dtypes, **dtypes_of(frame)})


def _rows(given: object, columns: Sequence[str]) -> list[dict[str, Any]]:
    rows = [row_of(row, columns) for row in several_inputs(given, columns) or ()]
    known = [row for row in rows if row is not None]
    if not rows or len(known) < len(rows):
        raise OptionError(
            "`background` is what stands in for absent columns: a mapping of column to value, a data frame or a list of rows "
            f"(mappings) to average over, or ('mean', rows); not {given!r:.60}."
        )
    if len(rows) > MOST:
        raise OptionError(
            f"`background` has {len(rows):,} rows, and each evaluation asks about all of them; the limit is {MOST:,}. "
            "Take a sample, frame.sample(50), or their mean, background=('mean', frame)."
        )
    return known
