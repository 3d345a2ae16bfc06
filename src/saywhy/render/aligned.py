"""Many explanations side by side: the scores of each word or column over all inputs, and what they are in the mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..core.checks import one_of, whole_number
from ..core.errors import InputError, missing
from ..core.explanation import Explanation
from ..core.types import Feature, Floats
from . import content, headline

if TYPE_CHECKING:
    import pandas

BY = ("feature", "column")


class Aligned(NamedTuple):
    """Scores of B inputs over the F features that any of them has; a feature that an input lacks scores 0 there."""

    names: tuple[str, ...]  # [F]: words without regard to case, and columns
    values: Floats  # [B, F]: a word that stands in an input several times has the sum of its scores
    data: Any  # object [B, F]: the value of a column; how often a word stands there, or the score's text where several join
    counts: Any  # int [B, F]: how many features of the input are summed up there
    base_values: Floats  # [B]
    targets: tuple[str, ...]  # [B]
    unit: str


class SummaryRow(NamedTuple):
    """What one word or column does over many inputs, in the target's unit."""

    name: str
    inputs: int  # in how many inputs it stands
    size: float  # mean |score| over all inputs, where it does not stand counted as 0
    mean: float  # mean score where it stands, with its sign
    spread: float  # the standard deviation of the score where it stands; 0 where it stands once


@dataclass(frozen=True, eq=False)
class Summary:
    """What each word or column does over many inputs, the largest mean |score| first."""

    rows: tuple[SummaryRow, ...]
    inputs: int
    targets: tuple[str, ...]  # which are explained, each once
    unit: str
    trust: Mapping[str, int] = field(default_factory=dict)  # level -> in how many inputs the check found it

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, name: str) -> SummaryRow:
        """The row of a word or a column, by its name. Raises KeyError with the names that come first."""
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(f"{name!r} is not in this summary; it begins with {[row.name for row in self.rows[:8]]}")

    def to_pandas(self) -> pandas.DataFrame:
        """One row a word or column: name, inputs, size, mean, spread."""
        try:
            import pandas as pd
        except ImportError:
            raise missing("pandas", "A data frame", "table") from None
        return pd.DataFrame(self.rows, columns=list(SummaryRow._fields))

    @property
    def sentence(self) -> str:
        """Which word or column moves the model most: "On average 'love' moves POSITIVE most, by 1.2 logit." """
        if not self.rows or not self.rows[0].size:
            return "No score differs from zero."
        first = self.rows[0]
        moved = content.label(self.targets[0]) if len(self.targets) == 1 else "each input's own target"
        size = content.amount(first.size, content.spec(first.size))
        return f"On average '{content.label(first.name)}' moves {moved} most, by {size} {content.label(self.unit)}."

    def top(self, k: int = 20) -> list[SummaryRow]:
        """The k words or columns of largest mean |score|."""
        return list(self.rows[: whole_number("k", k, least=0)])

    def __str__(self) -> str:
        about = f"{self.inputs:,} inputs, {len(self.rows):,} features; scores in {self.unit}"
        first = headline.opening(self.sentence, headline.counted_badge(self.trust))
        return "\n".join(
            [first, f"{about}, {_targets(self.targets)}", "", *_table(self.top()), *_more(len(self.rows) - 20)]
        )

    def __repr__(self) -> str:
        return f"<Summary of {self.inputs:,} inputs: {', '.join(f'{r.name} {r.mean:+.3g}' for r in self.rows[:3])}>"


def _targets(targets: Sequence[str]) -> str:
    if len(targets) == 1:
        return f"of {content.label(targets[0])}"
    return f"each of its own prediction ({len(targets)} labels); with target=… signs have one meaning"


def _table(rows: Sequence[SummaryRow]) -> list[str]:
    form = content.spec(max((row.size for row in rows), default=0.0))
    cells = [["feature", "inputs", "mean |score|", "mean", "spread"]]
    for row in rows:
        numbers = [format(row.size, form), content.signed(row.mean, form), format(row.spread, form)]
        name = content.label(row.name)
        cells.append([name if len(name) <= 32 else name[:31] + "…", f"{row.inputs:,}", *numbers])
    wide = [max(len(line[i]) for line in cells) for i in range(5)]
    return [
        "  ".join([line[0].ljust(wide[0]), *(line[i].rjust(wide[i]) for i in range(1, 5))]).rstrip() for line in cells
    ]


def _more(many: int) -> list[str]:
    return [f"… {many:,} more"] if many > 0 else []


def aligned(items: Sequence[Explanation], by: str = "feature") -> Aligned:
    """The explanations side by side.

    Parameters
    ----------
    items
        Explanations of one target each, of any inputs.
    by
        "feature": every word and every column; "column": the sum over each part of an input, a text column being one.

    Raises
    ------
    InputError
        For no explanations, and for those of images or in different units, which have nothing in common.
    """
    one_of("value of `by`", by, BY)
    if not items:
        raise InputError("There are no explanations to put together.")
    if any(e.image is not None for e in items):
        raise InputError("Explanations of images have no words or columns in common.")
    units = sorted({e.target.unit for e in items})
    if len(units) > 1:
        raise InputError(
            f"These explanations are in different units, {', '.join(units)}: put those of one unit together."
        )
    several = len({f.part for e in items for f in e.features if not f.column}) > 1
    index: dict[str, int] = {}
    entries: list[tuple[int, int, float, Any]] = []
    for row, e in enumerate(items):
        for feature, score in zip(e.features, e.scores.tolist(), strict=True):
            name = feature.part if by == "column" else _name(feature, several)
            entries.append((row, index.setdefault(name, len(index)), score, _value(feature, e)))
    shape = (len(items), len(index))
    values, counts, data = np.zeros(shape), np.zeros(shape, dtype=int), np.zeros(shape, dtype=object)
    for row, at, score, value in entries:
        values[row, at] += score
        counts[row, at] += 1
        data[row, at] = counts[row, at] if value is None else value
    return Aligned(
        tuple(index),
        values,
        data,
        counts,
        np.array([e.base for e in items]),
        tuple(e.target.label for e in items),
        units[0],
    )


def _name(feature: Feature, several: bool) -> str:
    if feature.column:
        return feature.part
    word = feature.label.casefold()
    return f"{feature.part}: {word}" if several else word


def _value(feature: Feature, e: Explanation) -> Any:
    """The value of a column as it was given, a number as a number; None for a word."""
    if not feature.column:
        return None
    text = e.texts.get(feature.part, "")
    try:
        return float(text)
    except ValueError:
        return text or None


def summarised(items: Sequence[Explanation], by: str = "feature") -> Summary:
    """Mean |score|, mean, count and spread of each word or column over these explanations."""
    found = aligned(items, by)
    rows = []
    for at, name in enumerate(found.names):
        there = found.counts[:, at] > 0
        scores = found.values[there, at]
        spread = float(scores.std(ddof=1)) if len(scores) > 1 else 0.0
        size = float(np.abs(found.values[:, at]).mean())
        rows.append(SummaryRow(name, int(there.sum()), size, float(scores.mean()), spread))
    rows.sort(key=lambda row: (-float(f"{row.size:.9g}"), row.name))  # rounding must not part what is equal
    trust = Counter(e.trust.level for e in items if e.trust is not None)
    return Summary(tuple(rows), len(items), tuple(dict.fromkeys(found.targets)), found.unit, trust)


def to_shap(items: Sequence[Explanation], by: str = "feature", single: bool = False) -> Any:
    """A `shap.Explanation` of these explanations, [B, F]; of a single one [n], its features in their own order."""
    try:
        import shap
    except ImportError as error:
        raise missing("shap", "A shap.Explanation", "shap") from error
    if single:
        [e] = items
        names = [f.part if f.column else f.label for f in e.features]
        data = np.array([_value(f, e) if f.column else f.label for f in e.features], dtype=object)
        return shap.Explanation(e.scores.copy(), base_values=e.base, data=data, feature_names=names)
    found = aligned(items, by)
    return shap.Explanation(
        found.values, base_values=found.base_values, data=_numeric(found.data), feature_names=list(found.names)
    )


def _numeric(data: Any) -> Any:
    """As numbers where all are, which shap draws colours by."""
    try:
        return data.astype(float)
    except (TypeError, ValueError):
        return data
