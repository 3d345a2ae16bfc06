"""The report of a corpus: from its shards alone, in bounded memory, into a page and a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..core.checks import several, text_or_none
from ..core.display import one_line
from ..core.errors import FileError, OptionError
from ..core.explanation import Explanations
from ..render import headline
from ..storage.atomic import write
from ..storage.explanations import frame
from ..storage.paths import output_file
from .schema import arrow
from .statistics import COLUMNS, Group, Sums, Tally, checked_columns
from .walk import Corpus, load
from .word_statistics import Suspect, Word, Words, suspects

if TYPE_CHECKING:
    import pandas

SHOWN = 40  # words of a class towards it, and as many from it
Z = 1.96  # 95 % intervals are normal


class Difference(NamedTuple):
    """A mean of some texts, and how far it is from the others': difference, low and high end of its 95 % interval."""

    mean: float
    difference: float | None
    low: float | None
    high: float | None


class Odd(NamedTuple):
    """A word that does in one slice what it does not elsewhere."""

    value: str
    target: str
    word: Word
    elsewhere: float
    difference: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class ClassWords:
    """What pushes towards one explained label and from it."""

    label: str
    texts: int
    words: tuple[Word, ...]  # those that stood often enough, the most frequent first
    towards: tuple[Word, ...]
    away: tuple[Word, ...]
    suspects: tuple[Suspect, ...]
    together: tuple[Word, ...] = ()  # pairs of words, "not + bad": their interactions, the strongest reliable one first

    def tipping(self) -> list[Word]:
        """The words of the class that most often carry a prediction alone, at most 20."""
        return sorted((w for w in self.words if w.tips), key=lambda w: (-w.tips, w.label))[:20]


@dataclass(frozen=True, eq=False)
class Report:
    """What the model looks at overall."""

    corpus: Corpus
    least: int  # how often a word must stand to be named
    whole: Sums
    classes: tuple[ClassWords, ...]
    suspects: tuple[tuple[str, Suspect], ...]  # (class, suspect), the most suspect first
    confusion: Mapping[tuple[str, str], int]  # (label, prediction) -> texts
    errors: Mapping[
        tuple[str, str], tuple[int, tuple[Word, ...]]
    ]  # (label, prediction) -> texts, words that drove them
    slices: Mapping[str, Mapping[str, tuple[int, Mapping[str, Difference]]]]  # column -> value -> texts, measures
    odd: Mapping[str, tuple[Odd, ...]]  # column -> words that differ most between its values
    trust: Mapping[str, int]
    refusals: Mapping[str, int]
    refused: tuple[tuple[int, str], ...]
    copies: int
    forgotten: int
    texts: Mapping[int, str]  # of the examples
    drawn: Explanations = field(default_factory=lambda: Explanations(()))  # up to 1,000 texts, drawn at random

    def __repr__(self) -> str:
        return f"<Report on {one_line(self.corpus.folder)}: {self.whole.n:,} texts, {len(self.suspects):,} suspects>"

    def __str__(self) -> str:
        """A sentence and the trust; the suspects, and what pushes most towards each class and from it."""
        from . import page

        refused = sum(self.refusals.values())
        lines = [headline.opening(page.first_sentence(self), headline.counted_badge(self.trust))]
        lines += [f"{self.whole.n:,} texts, {self.copies:,} of them copies; {refused:,} rows could not be explained"]
        lines += [] if self.corpus.complete else ["unfinished: this is what is there so far"]
        for label, (word, suspicion) in self.suspects[:5]:
            said = f"{word.mean:+.3g} in the mean, {word.count:,} times, suspicion {suspicion:.0f}"
            lines.append(f"suspect: {word.label} ({label}), {said}")
        for c in self.classes:
            told = {"towards": c.towards[:8], "from": c.away[:8]}
            words = [f"{way} it {', '.join(f'{w.label} {w.mean:+.2f}' for w in ws)}" for way, ws in told.items() if ws]
            pairs = ", ".join(f"{w.label} {w.mean:+.2f}" for w in c.together[:5])
            words += [f"together {pairs}"] if pairs else []
            lines.append(f"{c.label} ({c.texts:,} texts): {'; '.join(words) or 'no word stands often enough'}")
        return "\n".join(map(one_line, lines))

    def to_pandas(self) -> pandas.DataFrame:
        """A row for each word of each class that stood often enough, and for each phrase among the suspects.

        Returns
        -------
        pandas.DataFrame
            class, word, count, mean, spread, effect, steadiness, tips, suspicion (NaN where it is no suspect); pushes in the
            unit of the corpus.

        Raises
        ------
        MissingError
            Without pandas.
        """
        rows = [
            (c, w.label, w.count, w.mean, w.spread, w.effect, w.steadiness, w.tips, suspicion)
            for c, w, suspicion in _listed(self)
        ]
        return frame([dict(zip(_HEADS, row, strict=True)) for row in rows])

    def save(self, path: str | Path) -> Path:
        """Write the page, and beside it the words as .csv; returns the path of the page."""
        from . import page

        path = output_file(path, (".html",))  # the words are written beside it as .csv
        write(path, page.page(self).encode("utf-8"))
        write(path.with_suffix(".csv"), as_csv(self).encode("utf-8"))
        return path


def report(folder: str | Path | Corpus, *, label: str | None = None, by_columns: Sequence[str] = ()) -> Report:
    """What the words of a corpus push, what may be a shortcut, what errors came of, how slices differ; without the model.

    Two passes over the shards, memory bounded by 50,000 words a class.

    Parameters
    ----------
    folder
        A corpus, or its folder.
    label
        A kept column with the true label, by the model's names or indices.
    by_columns
        Kept columns to slice by; a date counts by its month, a number of many values by its quarter.

    Returns
    -------
    Report
        It prints, and saves as a page with a table of words beside it.

    Raises
    ------
    FileError
        Where there is no corpus.
    OptionError
        For an unknown column.
    """
    columns = several("by_columns", by_columns, "kept columns")
    label = text_or_none("label", label, "stars")
    corpus = folder if isinstance(folder, Corpus) else load(folder)
    settings = corpus.manifest["settings"]
    checked_columns(settings["keep"], [*columns, *([label] if label else [])])
    if not corpus.shards:
        raise FileError(f"{corpus.folder} holds no shard yet.")
    phrases = settings.get("by") == "word" and "background" not in settings  # columns follow each other as words do not
    tally = Tally(settings["labels"], label, columns, phrases)
    wanted = [*COLUMNS, "text", *(["given"] if label or columns else [])]
    for table in corpus.tables(wanted):
        tally.add(table)
    if label is not None and not any(t == p for t, p in tally.confusion):
        said = ", ".join(sorted({repr(t) for t, _ in tally.confusion})[:8])
        raise OptionError(
            f"Column {label!r} holds {said or 'nothing'}; the model's labels are {', '.join(settings['labels'])}."
        )
    return _found(corpus, tally)


def _found(corpus: Corpus, tally: Tally) -> Report:
    least, settings = max(5, round(tally.whole.n / 2_000)), corpus.manifest["settings"]
    classes = tuple(_class(name, group, least) for name, group in sorted(tally.classes.items()))
    named = sorted(((c.label, s) for c in classes for s in c.suspects), key=lambda each: -each[1].suspicion)
    errors = {
        pair: (g.sums.n, _driving(g.words, least))
        for pair, g in sorted(tally.errors.items(), key=lambda e: -e[1].sums.n)
    }
    odd = {column: _odd(tally, column, least) for column in tally.by_columns}
    shown = [w for c in classes for w in (*c.towards, *c.away)] + [s.word for _, s in named[:SHOWN]]
    shown += [w for c in classes for w in (*c.tipping(), *c.together)] + [
        w for _, words in errors.values() for w in words
    ]
    shown += [o.word for each in odd.values() for o in each]
    rows = {example.row for word in shown for example in word.examples}
    return Report(
        corpus,
        least,
        tally.whole,
        classes,
        tuple(named),
        dict(tally.confusion),
        errors,
        {column: _slices(tally.whole, values) for column, values in tally.slices.items()},
        odd,
        dict(tally.trust),
        dict(tally.refusals.most_common(12)),
        tuple(tally.refused),
        tally.copies,
        sum(group.words.forgotten for group in tally.classes.values()),
        _texts(corpus, rows),
        tally.sample.explanations(settings["method"], tuple(settings["labels"])),
    )


def _class(label: str, group: Group, least: int) -> ClassWords:
    known = group.words.words(least)
    phrases = group.phrases.suspects(group.words.words(), least)
    words = [s for s in suspects(known) if not group.phrases.account_for(s.word, phrases)]
    standing_out = sorted([*words, *phrases], key=lambda s: (-s.suspicion, s.word.label))
    towards = sorted((w for w in known if w.mean > 0 and w.effect), key=lambda w: (-w.effect, w.label))[:SHOWN]
    away = sorted((w for w in known if w.mean < 0 and w.effect), key=lambda w: (-w.effect, w.label))[:SHOWN]
    pairs = [w for w in group.pairs.words(least) if w.effect]
    together = sorted(pairs, key=lambda w: (-w.effect, w.label))[:SHOWN]
    return ClassWords(
        label, group.sums.n, tuple(known), tuple(towards), tuple(away), tuple(standing_out), tuple(together)
    )


def _driving(words: Words, least: int) -> tuple[Word, ...]:
    """The words with the largest sums of push in texts that were labelled wrongly."""
    known = [w for w in words.words(min(least, 3)) if w.mean > 0]
    return tuple(sorted(known, key=lambda w: (-w.mean * w.count, w.label))[:15])


def _slices(whole: Sums, values: Mapping[str, Sums]) -> dict[str, tuple[int, dict[str, Difference]]]:
    found = {}
    for value, sums in sorted(values.items(), key=lambda each: (-each[1].n, each[0])):
        rest = whole.less(sums)
        found[value] = (sums.n, {name: d for name in sums.of if (d := _difference(sums.mean(name), rest.mean(name)))})
    return found


def _difference(mine: tuple[float, float, float] | None, rest: tuple[float, float, float] | None) -> Difference | None:
    if mine is None:
        return None
    if rest is None or mine[2] < 2 or rest[2] < 2:
        return Difference(mine[0], None, None, None)
    gone = mine[0] - rest[0]
    half = Z * (mine[1] ** 2 + rest[1] ** 2) ** 0.5
    return Difference(mine[0], gone, gone - half, gone + half)


def _odd(tally: Tally, column: str, least: int) -> tuple[Odd, ...]:
    """Words whose mean push differs most, for sure, between a value of the column and its other values."""
    known = {k[1:]: {w.label: w for w in words.words(2)} for k, words in tally.slice_words.items() if k[0] == column}
    found = []
    for (value, target), words in known.items():
        others = [theirs for (v, t), theirs in known.items() if t == target and v != value]
        for label, word in words.items():
            rest = _pooled([theirs[label] for theirs in others if label in theirs])
            if word.count < least or rest is None or rest[2] < least:
                continue
            gone = word.mean - rest[0]
            half = Z * (word.spread**2 / word.count + rest[1] ** 2) ** 0.5
            if abs(gone) > half:
                found.append(Odd(value, target, word, rest[0], gone, gone - half, gone + half))
    return tuple(sorted(found, key=lambda o: (-min(abs(o.low), abs(o.high)), o.word.label))[:20])


def _pooled(words: Sequence[Word]) -> tuple[float, float, int] | None:
    """(mean, standard error, count) over several groups."""
    count = sum(w.count for w in words)
    if count < 2:
        return None
    mean = sum(w.mean * w.count for w in words) / count
    squares = sum((w.count - 1) * w.spread**2 + w.count * (w.mean - mean) ** 2 for w in words)
    return mean, (squares / (count - 1) / count) ** 0.5, count


def _texts(corpus: Corpus, rows: set[int]) -> dict[int, str]:
    """The texts of these rows, from the shards that hold them."""
    pa = arrow()
    import pyarrow.compute as pc

    wanted = pa.array(sorted(rows), pa.int64())
    found: dict[int, str] = {}
    for table in corpus.tables(["row", "text"]):
        chosen = table.filter(pc.is_in(table["row"], wanted))
        found.update(zip(chosen["row"].to_pylist(), chosen["text"].to_pylist(), strict=True))
    return found


_HEADS = ("class", "word", "count", "mean", "spread", "effect", "steadiness", "tips", "suspicion")


def _listed(r: Report) -> Iterator[tuple[str, Word, float | None]]:
    """(class, word or phrase, suspicion where it is a suspect): every word that stood often enough, then the phrases."""
    for c in r.classes:
        known = {s.word.label: s.suspicion for s in c.suspects}
        for word in c.words:
            yield c.label, word, known.pop(word.label, None)
        yield from ((c.label, s.word, s.suspicion) for s in c.suspects if s.word.label in known)


def as_csv(r: Report) -> str:
    """Every word of every class that stood often enough, and the phrases among the suspects."""
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(_HEADS)
    for label, w, suspicion in _listed(r):
        numbers: list[Any] = [w.count, *(f"{x:.6g}" for x in (w.mean, w.spread, w.effect, w.steadiness)), w.tips]
        table.writerow([label, w.label, *numbers, "" if suspicion is None else f"{suspicion:.4g}"])
    return out.getvalue()
