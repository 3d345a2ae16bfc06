"""Some explanations of a corpus, drawn at random whatever its size: those that charts show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.explanation import Explanation, Explanations
from ..core.types import Feature, Target
from .word_statistics import hashed

if TYPE_CHECKING:
    import pyarrow

DRAWN = 1_000
_NEEDED = ("row", "text", "prediction", "probability", "target", "unit", "value", "base", "features", "parts")


class Sample:
    """The rows whose numbers hash lowest: a random sample, the same each time, in memory bounded by `most` rows."""

    def __init__(self, most: int = DRAWN):
        self.most = most
        self.rows: dict[int, Mapping[str, Any]] = {}  # hash -> record

    def add(self, table: pyarrow.Table) -> None:
        """More rows, all of them explained."""
        numbers = table["row"].to_numpy()
        order = hashed(numbers, np.zeros(len(numbers), dtype=np.int64))
        chosen = np.argsort(order, kind="stable")[: self.most]
        if len(self.rows) >= self.most:
            chosen = chosen[order[chosen] < max(self.rows)]
        names = [name for name in _NEEDED if name in table.column_names]
        found = table.select(names).take(chosen).to_pylist()
        self.rows.update(zip((int(order[i]) for i in chosen), found, strict=True))
        for worst in sorted(self.rows)[self.most :]:
            del self.rows[worst]

    def explanations(self, method: str, labels: tuple[str, ...]) -> Explanations:
        """The rows in their order, as explanations that can be drawn and summed up."""
        rows = sorted(self.rows.values(), key=lambda row: row["row"])
        return Explanations(tuple(_explanation(row, method, labels) for row in rows))


# Of a part that was cut into features, what lies between the first and the last of them is its text again.
def _explanation(row: Mapping[str, Any], method: str, labels: tuple[str, ...]) -> Explanation:
    parts = row.get("parts") or [{"part": "text", "column": False}] * len(row["features"])
    text = row.get("text") or ""
    begins: dict[str, int] = {}
    ends: dict[str, int] = {}
    for f, of in zip(row["features"], parts, strict=True):
        if f["start"] is not None:
            begins[of["part"]] = min(f["start"], begins.get(of["part"], f["start"]))
            ends[of["part"]] = max(f["end"], ends.get(of["part"], 0))
    texts = {name: text[begins[name] : ends[name]] for name in begins}
    if set(begins) <= {"text"}:
        begins, texts = {}, {"text": text}
    features = []
    for f, of in zip(row["features"], parts, strict=True):
        at = begins.get(of["part"], 0)
        span = None if f["start"] is None else (f["start"] - at, f["end"] - at)
        features.append(Feature(f["label"], span, of["part"], column=of["column"]))
    index = (labels.index(row["target"]),) if row["target"] in labels else (0,)
    return Explanation(
        tuple(features),
        np.array([f["score"] for f in row["features"]], dtype=float),
        Target(row["target"], index, row["unit"]),
        method,
        row["value"],
        row["base"],
        texts=texts,
        prediction=row.get("prediction"),
        probability=row.get("probability"),
    )
