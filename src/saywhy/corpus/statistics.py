"""Sums over the shards of a corpus, shard by shard: by class, by error, by slice. Memory is bounded whatever their number."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, SupportsFloat

import numpy as np

from ..core.errors import OptionError, unknown
from ..core.frames import missing_value
from ..core.types import Array
from .phrases import Phrases
from .sample import Sample
from .word_statistics import Seen, Words

if TYPE_CHECKING:
    import pyarrow

MOST_WORDS, MOST_SLICE_WORDS, MOST_VALUES, MOST_PAIRS = 50_000, 5_000, 24, 24
MOST_CLASSES, MOST_LABELS, MOST_REASONS = 100, 2_000, 1_000
OTHER, OTHER_LABELS = "(other values)", "(other labels)"
COLUMNS = (
    "row",
    "prediction",
    "probability",
    "target",
    "unit",
    "value",
    "base",
    "gap",
    "features",
    "trust",
    "error",
    "same_as",
    "pairs",
    "parts",
)


class Sums:
    """How many texts, and the sum and sum of squares of some measures of them; a measure may be unknown of a text (nan)."""

    def __init__(self) -> None:
        self.n = 0
        self.of: dict[str, np.ndarray[Any, Any]] = {}  # count, sum, sum of squares

    def add(self, measures: Mapping[str, Any], chosen: Array) -> None:
        self.n += int(chosen.sum())
        for name, values in measures.items():
            known = values[chosen]
            known = known[~np.isnan(known)]
            self.of[name] = self.of.get(name, np.zeros(3)) + np.array([len(known), known.sum(), (known**2).sum()])

    def less(self, other: Sums) -> Sums:
        """What is not of the other."""
        rest = Sums()
        rest.n = self.n - other.n
        rest.of = {name: sums - other.of.get(name, 0) for name, sums in self.of.items()}
        return rest

    def mean(self, name: str) -> tuple[float, float, float] | None:
        """(mean, standard error, count) of a measure; None where no text has it."""
        count, total, squares = self.of.get(name, np.zeros(3))
        if count < 1:
            return None
        mean = total / count
        variance = max(0.0, squares / count - mean**2) * count / max(1, count - 1)
        return float(mean), float((variance / count) ** 0.5), float(count)


class Group:
    """Texts that belong together, their words, and the pairs of words whose interaction stood out."""

    def __init__(self, most: int):
        self.sums, self.words, self.phrases, self.pairs = Sums(), Words(most), Phrases(most), Words(most)


class Tally:
    """All that the report tells, but the texts."""

    def __init__(self, labels: Sequence[str], label: str | None, by_columns: Sequence[str], phrases: bool = False):
        self.phrases = phrases  # are the features words, so that runs of them may be phrases?
        self.labels, self.label, self.by_columns = tuple(labels), label, tuple(by_columns)
        self.whole = Sums()
        self.classes: dict[str, Group] = {}
        self.errors: dict[tuple[str, str], Group] = {}  # (label, prediction)
        self.slices: dict[str, dict[str, Sums]] = {column: {} for column in by_columns}
        self.slice_words: dict[tuple[str, str, str], Words] = {}  # (column, value, class)
        self.confusion: Counter[tuple[str, str]] = Counter()
        self.trust: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self.refused: list[tuple[int, str]] = []
        self.copies = 0
        self.sample = Sample()
        self.edges: dict[str, Any] = {}  # of numeric columns: the quartiles of the first shard

    def add(self, table: pyarrow.Table) -> None:
        """One more shard."""
        import pyarrow.compute as pc

        for row, error in zip(
            *(table.filter(pc.is_valid(table["error"]))[c].to_pylist() for c in ("row", "error")), strict=True
        ):
            reason = re.sub(r"\d+|'.*?'|\".*?\"", "…", error)[:80]
            self.refusals[
                reason if reason in self.refusals or len(self.refusals) < MOST_REASONS else "other reasons"
            ] += 1
            if len(self.refused) < 20:
                self.refused.append((row, error))
        table = table.filter(pc.is_null(table["error"])).combine_chunks()
        if not table.num_rows:
            return
        self.copies += table.num_rows - table["same_as"].null_count
        self.sample.add(table)
        self.trust.update(level for level in table["trust"].to_pylist() if level)
        prediction, target = (np.array(table[c].to_pylist(), dtype=object) for c in ("prediction", "target"))
        truth = self._truth(table)
        measures, owner, seen = _measures(table, prediction, target)
        if truth is not None:
            measures["error"] = np.array(
                [np.nan if t is None else float(t != p) for t, p in zip(truth, prediction, strict=True)]
            )
            pairs = [(t, p) for t, p in zip(truth, prediction, strict=True) if t is not None]
            self.confusion.update(pairs)
            if len(self.confusion) > MOST_LABELS:
                raise OptionError(f"Column {self.label!r} holds too many different values for one of labels.")
        self.whole.add(measures, np.ones(len(target), bool))
        target = self._bounded(target)
        self._by_class(target, measures, owner, seen, *_pairs(table))
        if truth is not None:
            self._mistaken(truth, prediction, measures, owner, seen)
        for column in self.by_columns:
            self._sliced(column, table, target, measures, owner, seen)

    def _by_class(
        self, target: Array, measures: Mapping[str, Any], owner: Array, seen: Seen, of_pair: Array, pairs: Seen
    ) -> None:
        for name in dict.fromkeys(target):
            chosen = target == name
            group = self.classes.setdefault(name, Group(max(2_000, MOST_WORDS * 4 // max(4, len(self.labels)))))
            group.sums.add(measures, chosen)
            mine = seen.of(chosen[owner])
            group.words.add(mine)
            if self.phrases:
                group.phrases.add(mine)
            group.pairs.add(pairs.of(chosen[of_pair]))

    def _bounded(self, target: Array) -> Array:
        """The explained labels, all but the first 100 of them as one."""
        known = dict.fromkeys([*self.classes, *target])
        allowed = set(list(known)[:MOST_CLASSES])
        if len(known) <= MOST_CLASSES:
            return target
        return np.array([name if name in allowed else OTHER_LABELS for name in target], dtype=object)

    def _mistaken(
        self, truth: Sequence[str | None], prediction: Array, measures: Mapping[str, Any], owner: Array, seen: Seen
    ) -> None:
        for pair in {(t, p) for t, p in zip(truth, prediction, strict=True) if t is not None and t != p}:
            if pair not in self.errors and len(self.errors) == MOST_PAIRS:
                continue
            chosen = np.array([(t, p) == pair for t, p in zip(truth, prediction, strict=True)])
            group = self.errors.setdefault(pair, Group(MOST_SLICE_WORDS))
            group.sums.add(measures, chosen)
            group.words.add(seen.of(chosen[owner]))

    def _sliced(
        self, column: str, table: pyarrow.Table, target: Array, measures: Mapping[str, Any], owner: Array, seen: Seen
    ) -> None:
        known = self.slices[column]
        names = []
        for value in self._values(column, _given(table, column)):
            name = value if value in known or len(known) < MOST_VALUES else OTHER
            known.setdefault(name, Sums())
            names.append(name)
        values = np.array(names, dtype=object)
        for name in dict.fromkeys(names):
            chosen = values == name
            known[name].add(measures, chosen)
            for label in dict.fromkeys(target[chosen]):
                words = self.slice_words.setdefault((column, name, label), Words(MOST_SLICE_WORDS))
                words.add(seen.of((chosen & (target == label))[owner]))

    def _values(self, column: str, values: Sequence[Any]) -> list[str]:
        """A date as its month, a number of many as its quarter, anything else as it is."""
        numbers = [_number(v) for v in values]
        if column not in self.edges:
            known = [n for n in numbers if n is not None]
            many = len(set(known)) > 12 and len(known) >= 0.9 * len(values)
            self.edges[column] = np.quantile(known, (0.25, 0.5, 0.75)) if many else None
        edges = self.edges[column]
        if edges is None:
            return [_said(v) for v in values]
        names = [
            f"≤ {edges[0]:g}",
            *(f"{a:g} to {b:g}" for a, b in pairwise(edges)),
            f"> {edges[-1]:g}",
        ]
        return ["(none)" if n is None else names[int(np.searchsorted(edges, n))] for n in numbers]

    def _truth(self, table: pyarrow.Table) -> list[str | None] | None:
        """The label of each text as the model names it, None where the column holds nothing."""
        if self.label is None:
            return None
        folded = {name.casefold(): name for name in self.labels}
        given = _given(table, self.label)
        return [None if missing_value(v) or v == "" else self._named(str(v), folded) for v in given]

    def _named(self, value: str, folded: Mapping[str, str]) -> str:
        whole = re.fullmatch(r"(\d+)(?:\.0+)?", value)  # a column of numbers with a gap in it has them as 1.0
        for name in (value, whole[1] if whole else value):
            if name.casefold() in folded:
                return folded[name.casefold()]
        return self.labels[int(whole[1])] if whole and int(whole[1]) < len(self.labels) else value


def _given(table: pyarrow.Table, column: str) -> list[Any]:
    names = [field.name for field in table.schema.field("given").type] if "given" in table.column_names else []
    if column not in names:
        raise unknown("column kept in the corpus", column, names)
    found: list[Any] = table["given"].combine_chunks().field(column).to_pylist()
    return found


def _number(value: object) -> float | None:
    if not isinstance(value, str | SupportsFloat):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) else None


def _said(value: object) -> str:
    text = "(none)" if missing_value(value) or value == "" else str(value)
    return text[:7] if re.match(r"\d{4}-\d\d-\d\d", text) else text[:60]


def _measures(table: pyarrow.Table, prediction: Array, target: Array) -> tuple[dict[str, Any], Any, Seen]:
    """Measures of each text; which text each word is of; and the words."""
    import pyarrow.compute as pc

    features = table["features"].combine_chunks()
    owner = np.repeat(np.arange(len(features)), pc.list_value_length(features).to_numpy(zero_copy_only=False))
    inside = features.flatten()
    codes = pc.dictionary_encode(_names(table, inside))
    scores = inside.field("score").to_numpy(zero_copy_only=False).astype(float)
    starts, ends = (pc.fill_null(inside.field(c), -1).to_numpy().astype(np.int64) for c in ("start", "end"))
    value, gap, probability = (
        pc.fill_null(table[c], float("nan")).to_numpy().astype(float) for c in ("value", "gap", "probability")
    )
    size = np.bincount(owner, np.abs(scores), len(features))
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(size > 0, np.abs(gap) / size, np.nan)
    without = np.array(inside.field("without").to_pylist(), dtype=object)
    told = np.array([w is not None for w in without], bool)
    margins = _leads(table["unit"][0].as_py(), probability, value)
    tips = np.where(told, without != prediction[owner], (scores > margins[owner]) & (prediction == target)[owner])
    rows = table["row"].to_numpy()[owner]
    seen = Seen(codes.indices.to_numpy(), scores, tips, rows, starts, ends, codes.dictionary.to_pylist())
    tipped = np.bincount(owner, tips, len(features)) > 0
    return {"probability": probability, "value": value, "gap": share, "tips": tipped.astype(float)}, owner, seen


def _names(table: pyarrow.Table, features: pyarrow.StructArray) -> pyarrow.Array:
    """The name of each feature: a word without regard to case; of rows also each column, and "title: word" of several texts."""
    import pyarrow as pa
    import pyarrow.compute as pc

    words, lists = pc.utf8_lower(features.field("label")), table["parts"].combine_chunks()
    if lists.null_count:  # each input is one text
        return words
    inside = lists.flatten()
    parts, whole = inside.field("part"), inside.field("column")
    if pc.any(whole).as_py() and len(pc.unique(parts.filter(pc.invert(whole)))) > 1:
        words = pc.binary_join_element_wise(parts.cast(pa.string()), words, ": ")
    return pc.if_else(whole, parts, words)


def _pairs(table: pyarrow.Table) -> tuple[Any, Seen]:
    """Which text each pair of words is of; and the pairs, as "not + bad", from the begin of the one to the end of the other."""
    import pyarrow.compute as pc

    features, pairs = table["features"].combine_chunks(), table["pairs"].combine_chunks()
    sizes, many = (
        pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False) for lists in (features, pairs)
    )
    owner, inside = np.repeat(np.arange(len(pairs)), many), pairs.flatten()
    first, second = (inside.field(c).to_numpy(zero_copy_only=False).astype(np.int64) for c in ("first", "second"))
    sound = (first >= 0) & (first < second) & (second < sizes[owner])
    owner, scores = owner[sound], inside.field("score").to_numpy(zero_copy_only=False).astype(float)[sound]
    ends = [(np.cumsum(sizes) - sizes)[owner] + each[sound] for each in (first, second)]
    words = features.flatten()
    labels = np.array(_names(table, words).to_pylist(), dtype=object)
    said = [f"{a} + {b}" for a, b in zip(*(labels[at] for at in ends), strict=True)]
    names, codes = np.unique(np.array(said, dtype=object), return_inverse=True)
    begin, last = (
        pc.fill_null(words.field(c), -1).to_numpy().astype(np.int64)[at]
        for c, at in (("start", ends[0]), ("end", ends[1]))
    )
    begin = np.where(last < 0, -1, begin)
    tips, rows = np.zeros(len(owner), bool), table["row"].to_numpy()[owner]
    return owner, Seen(codes, scores, tips, rows, begin, last, names.tolist())


def _leads(unit: str, probability: Array, value: Array) -> Array:
    """[texts] How much the explained number may fall before its label's probability is below one half, all else unchanged."""
    safe = np.clip(np.nan_to_num(probability, nan=0.0), 1e-12, 1 - 1e-12)
    if unit in ("logit", "log-odds"):
        lead = np.log(safe / (1 - safe))
    elif unit == "prob":
        lead = value - 0.5
    elif unit == "log-prob":
        lead = value - np.log(0.5)
    else:
        lead = np.full(len(safe), np.inf)
    return np.where(lead > 0, lead, np.inf)


def checked_columns(names: Sequence[str], wanted: Sequence[str]) -> None:
    """Refuses columns that the corpus did not keep."""
    for column in wanted:
        if not names:
            raise OptionError(f"The corpus kept no columns, so there is no {column!r}.")
        if column not in names:
            raise unknown("column kept in the corpus", column, names)
