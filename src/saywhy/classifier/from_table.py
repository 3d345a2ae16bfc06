"""`saywhy train`: a table of texts and labels to a saved classifier, with a report on rows that it never saw."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..core.display import one_line
from ..core.errors import FileError, InputError, unknown
from ..models.registry import CLASSIFIER_CARD as CARD
from ..storage.tables import column
from .classifier import TextClassifier
from .files import WEIGHTS
from .network import Architecture
from .tokenizers import ngrams, word_piece
from .training import Training

TOKENIZERS = ("word_piece", "ngrams")
HELD_OUT = 0.1
REPORT = "report.json"
_OURS = {CARD, WEIGHTS, REPORT}


@dataclass(frozen=True)
class Table:
    """The columns that are used of a file, as strings."""

    texts: list[str]
    labels: list[str]
    categories: dict[str, list[str]]

    def __len__(self) -> int:
        return len(self.texts)

    def chosen(self, rows: Sequence[int]) -> Table:
        """Some of the rows."""
        beside = {name: [values[i] for i in rows] for name, values in self.categories.items()}
        return Table([self.texts[i] for i in rows], [self.labels[i] for i in rows], beside)


@dataclass(frozen=True)
class Report:
    """How a classifier answers rows that it never saw. Counts are by label: rows, rows predicted so, and rightly so."""

    rows: int
    accuracy: float
    labels: dict[str, dict[str, int]]

    def lines(self) -> list[str]:
        """The report as text, the most frequent label first."""
        width = max((len(name) for name in self.labels), default=5)
        head = f"{'label':<{width}}  {'rows':>6}  {'predicted':>9}  {'right':>6}  {'recall':>6}"
        out = [f"held out: {self.rows} rows, accuracy {self.accuracy:.3f}", "", head]
        for name, n in sorted(self.labels.items(), key=lambda item: (-item[1]["rows"], item[0])):
            recall = f"{n['right'] / n['rows']:.3f}" if n["rows"] else "-"
            out.append(f"{one_line(name):<{width}}  {n['rows']:>6}  {n['predicted']:>9}  {n['right']:>6}  {recall:>6}")
        return out


def read(path: Path, text: str, label: str, categorical: Sequence[str]) -> Table:
    """The columns of a table with a head line: .csv, .tsv, .jsonl or .parquet.

    Raises FileError for a file that cannot be read, OptionError for an unknown column, InputError for a row without a text
    or a label, by its number.
    """
    wanted = [text, label, *categorical]
    if len(set(wanted)) < len(wanted):
        raise InputError(f"The columns must differ from each other: {', '.join(wanted)}.")
    found: dict[str, list[str]] = {name: [] for name in wanted}
    for _, row in column(path, wanted):
        for name, value in row.items():
            found[name].append(value)
    if not found[text]:
        raise InputError(f"{str(path)!r} has no rows.")
    return Table(found[text], found[label], {name: found[name] for name in categorical})


def split(table: Table, seed: int) -> tuple[Table, Table]:
    """(to learn from, held out): a tenth of each label with ten rows or more is held out; at random, by the seed.

    A row with a categorical value that no other row would teach is learned from.
    """
    draw = np.random.default_rng(seed)
    places: dict[str, list[int]] = {}
    for i, label in enumerate(table.labels):
        places.setdefault(label, []).append(i)
    held: set[int] = set()
    for label in sorted(places):
        held |= {int(i) for i in draw.permutation(places[label])[: int(len(places[label]) * HELD_OUT)]}
    for values in table.categories.values():
        taught = {value for i, value in enumerate(values) if i not in held}
        held = {i for i in held if values[i] in taught}
    kept = [i for i in range(len(table)) if i not in held]
    return table.chosen(kept), table.chosen(sorted(held))


def report(classifier: TextClassifier, held: Table) -> Report:
    """How the classifier answers the held-out rows."""
    said = [str(label) for label in classifier.predict(held.texts, held.categories).labels[:, 0]]
    counts = {name: {"rows": 0, "predicted": 0, "right": 0} for name in classifier.levels[0].names}
    for label, answer in zip(held.labels, said, strict=True):
        counts[label]["rows"] += 1
        counts[answer]["predicted"] += 1
        counts[label]["right"] += label == answer
    right = sum(n["right"] for n in counts.values())
    return Report(len(held), right / len(held) if len(held) else float("nan"), counts)


def _free(output: Path, overwrite: bool) -> None:
    """Refuses a folder where something would be lost."""
    held = [output.name] if output.exists() and not output.is_dir() else []
    held += [path.name for path in output.iterdir()] if output.is_dir() else []
    if any(name not in _OURS for name in held):
        raise FileError(f"{str(output)!r} exists and holds other things: give a new folder.")
    if held and not overwrite:
        raise FileError(
            f"{str(output)!r} holds a classifier already ({', '.join(sorted(held))}): give a new folder, or --overwrite to "
            "replace it."
        )


def run(
    file: Path,
    text: str,
    label: str,
    categorical: Sequence[str],
    output: Path,
    tokenizer: str = "word_piece",
    layers: int = 0,
    training: Training | None = None,
    overwrite: bool = False,
) -> Report:
    """Read, split, train, report and save; the report is also written into the folder, as report.json.

    A folder that holds a classifier is refused (FileError) unless `overwrite`, one that holds other things always.
    """
    training = training or Training()
    if tokenizer not in TOKENIZERS:
        raise unknown("tokenizer", tokenizer, TOKENIZERS)
    _free(output, overwrite)
    table = read(file, text, label, categorical)
    learned, held = split(table, training.seed)
    if len(set(learned.labels)) < 2:
        raise InputError(f"The column {label!r} has one value only: there is nothing to tell apart.")
    made = ngrams(learned.texts) if tokenizer == "ngrams" else word_piece(learned.texts)
    classifier = TextClassifier.fit(
        learned.texts,
        learned.labels,
        learned.categories,
        tokenizer=made,
        architecture=Architecture(layers=layers),
        training=training,
    )
    found = report(classifier, held)
    classifier.save(output)
    summary: dict[str, Any] = {"rows": found.rows, "accuracy": found.accuracy, "labels": found.labels}
    (output / REPORT).write_text(json.dumps(summary, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return found
