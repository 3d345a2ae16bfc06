"""A corpus of rows: which columns are explained, the cells of a text file as numbers, and what stands in for absent columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain, islice
from typing import Any

from ..core.errors import OptionError
from ..models.protocol import Model
from ..models.table import TableModel
from ..storage.tables import DamagedRow, number
from .inputs import Input, Row

FIRST = 1_000  # rows of the source that are looked at before any is explained


def explained_columns(model: Model[Any], text: Sequence[str] | None) -> tuple[str, ...]:
    """The columns that are explained: those named; else all that a model of rows reads, or "text".

    Raises OptionError where a model of rows would lack one.
    """
    if text is None:
        return tuple(model.row_columns) or ("text",)
    if any(name not in text for name in model.row_columns):
        raise OptionError(
            f"{model.name} reads the columns {', '.join(model.row_columns)}: name them all in `text`, or leave `text` out; how "
            f"each is cut is said by `by`, for example by={{{model.row_columns[0]!r}: 'column'}}."
        )
    return tuple(text)


def with_background(
    model: TableModel, source: object, found: Input, settings: Mapping[str, Any], text: Sequence[str]
) -> tuple[Input, dict[str, Any]]:
    """The input with numbers where all of a text file's first cells are, and the settings with a `background`.

    Where nothing says what stands in for an absent column, it is the mean of the first rows: no row then depends on those
    beside it, and a run that goes on finds the same. Raises OptionError for what is no background.
    """
    first = list(islice(found.rows, FIRST))
    if found.cells_are_text:
        others = [name for name in text if name not in model.texts]
        numbers = _numbers(first, others)
        first = [_typed(row, others, numbers) for row in first]
        found = replace(found, rows=chain(first, (_typed(row, others, numbers) for row in found.rows)))
    else:
        found = replace(found, rows=chain(first, found.rows))
    given = settings.get("background")
    if given is not None or model.background is not None:
        return found, {**settings, "background": model.typed(given, source)}
    sound = [row for row in first if not isinstance(row, DamagedRow) and all(name in row for name in text)]
    where = "of the source" if len(first) < FIRST else "at the beginning of the source"
    return found, {**settings, "background": model.typical(sound, source, where)}


def _numbers(rows: Sequence[Row], columns: Sequence[str]) -> tuple[str, ...]:
    """The columns of which every cell is a number, or empty."""
    found = []
    for name in columns:
        cells = [row[name] for row in rows if not isinstance(row, DamagedRow) and row.get(name) not in (None, "")]
        if cells and all(number(cell) is not None for cell in cells):
            found.append(name)
    return tuple(found)


def _typed(row: Row, columns: Sequence[str], numbers: Sequence[str]) -> Row:
    """The row of a text file with the cells of these columns as the model has them: empty ones missing, numbers as numbers."""
    if isinstance(row, DamagedRow):
        return row
    own = {name: None if row[name] == "" else row[name] for name in columns if name in row}
    read = {name: number(own[name]) for name in numbers if name in own}
    return {**row, **own, **{name: value for name, value in read.items() if value is not None}}
