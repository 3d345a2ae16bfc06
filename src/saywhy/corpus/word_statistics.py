"""What every word did to the explained number, over any number of texts: counts, sums and a few examples, in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..core.types import Array

EXAMPLES = 4  # of each word
_LAST = np.iinfo(np.uint64).max


class Example(NamedTuple):
    """Where a word stood: the row, its place in the row's text, and its score there."""

    row: int
    start: int
    end: int
    score: float


@dataclass(frozen=True, eq=False)
class Word:
    """One word over all texts of a group. Scores are pushes towards the explained target, in its unit."""

    label: str
    count: int
    mean: float
    spread: float  # the standard deviation of its scores; 0 where it stood once
    tips: int  # how often the label would have lost without its push
    examples: tuple[Example, ...]

    @property
    def effect(self) -> float:
        """The size of the mean that is beyond doubt: |mean| less 1.96 standard errors, at least 0."""
        return max(0.0, abs(self.mean) - 1.96 * self.spread / math.sqrt(self.count))

    @property
    def steadiness(self) -> float:
        """1 where it does the same in every text, 0 where what it does depends on the text: |mean| / sqrt(mean^2 + spread^2)."""
        size = (self.mean**2 + self.spread**2) ** 0.5
        return abs(self.mean) / size if size else 0.0


@dataclass(frozen=True, eq=False)
class Seen:
    """The words of some texts, one entry for each time a word stands there."""

    codes: Any  # [M], which of `labels`
    scores: Any  # [M]
    tips: Any  # bool [M]
    rows: Any  # [M]
    starts: Any  # [M]; -1 where it has no place
    ends: Any  # [M]
    labels: Sequence[str]

    def of(self, chosen: Array) -> Seen:
        """Some of them; bool [M]."""
        arrays = (self.codes, self.scores, self.tips, self.rows, self.starts, self.ends)
        codes, scores, tips, rows, starts, ends = (array[chosen] for array in arrays)
        return Seen(codes, scores, tips, rows, starts, ends, self.labels)


class Words:
    """At most twice `most` words: the rarest are forgotten. Examples are a random sample, the same each time."""

    def __init__(self, most: int):
        self.most, self.forgotten = most, 0
        self.index: dict[str, int] = {}
        self.sums = np.zeros((0, 4))  # count, sum, sum of squares, tips
        self.examples = np.zeros((0, EXAMPLES, 4))  # row, start, end, score
        self.order = np.zeros((0, EXAMPLES), np.uint64)  # the examples are those whose hash is least

    def add(self, seen: Seen) -> None:
        """More texts."""
        if not len(seen.codes):
            return
        codes, own = np.unique(seen.codes, return_inverse=True)
        at = self._places([seen.labels[code] for code in codes])
        self.sums[at] += np.stack(
            [np.bincount(own, weights) for weights in (None, seen.scores, seen.scores**2, seen.tips.astype(float))], 1
        )
        order = hashed(seen.rows, seen.starts)
        sorted_ = np.lexsort((order, own))
        rank = np.arange(len(own)) - np.searchsorted(own[sorted_], own[sorted_])
        first = sorted_[rank < EXAMPLES]
        place = own[first], rank[rank < EXAMPLES]
        fresh_order = np.full((len(codes), EXAMPLES), _LAST, np.uint64)
        fresh = np.zeros((len(codes), EXAMPLES, 4))
        fresh_order[place] = order[first]
        fresh[place] = np.stack([seen.rows[first], seen.starts[first], seen.ends[first], seen.scores[first]], 1)
        both = np.concatenate([self.order[at], fresh_order], 1)
        keep = both.argsort(1, kind="stable")[:, :EXAMPLES]
        self.order[at] = np.take_along_axis(both, keep, 1)
        whole = np.concatenate([self.examples[at], fresh], 1)
        self.examples[at] = np.take_along_axis(whole, keep[:, :, None], 1)
        if len(self.index) > 2 * self.most:
            self._forget()

    def _places(self, labels: Sequence[str]) -> Array:
        at = np.array([self.index.setdefault(label, len(self.index)) for label in labels])
        short = len(self.index) - len(self.sums)
        if short > 0:
            more = max(short, len(self.sums) // 2)
            self.sums = np.concatenate([self.sums, np.zeros((more, 4))])
            self.examples = np.concatenate([self.examples, np.zeros((more, EXAMPLES, 4))])
            self.order = np.concatenate([self.order, np.full((more, EXAMPLES), _LAST, np.uint64)])
        return at

    def _forget(self) -> None:
        kept = np.sort(np.argsort(-self.sums[: len(self.index), 0], kind="stable")[: self.most])
        labels = list(self.index)
        self.forgotten += len(labels) - len(kept)
        self.index = {labels[i]: j for j, i in enumerate(kept)}
        self.sums, self.examples, self.order = self.sums[kept], self.examples[kept], self.order[kept]

    def words(self, least: int = 1) -> list[Word]:
        """Every word that stood at least so often, the most frequent first."""
        out = []
        for label, i in self.index.items():
            count, total, squares, tips = self.sums[i]
            if count < least:
                continue
            mean = total / count
            spread = max(0.0, (squares - count * mean**2) / (count - 1)) ** 0.5 if count > 1 else 0.0
            known = self.examples[i][self.order[i] != _LAST]
            shown = tuple(Example(int(r), int(a), int(b), float(s)) for r, a, b, s in known)
            out.append(Word(label, int(count), float(mean), float(spread), int(tips), shown))
        return sorted(out, key=lambda w: (-w.count, w.label))


def hashed(rows: Array, starts: Array) -> Array:
    """uint64 [M]: the same for the same place of the same row, and otherwise as if at random (splitmix64)."""
    with np.errstate(over="ignore"):
        z = rows.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + starts.astype(np.uint64) * np.uint64(
            0xD1B54A32D192ED03
        )
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    out: Array = z ^ (z >> np.uint64(31))
    return out


class Suspect(NamedTuple):
    """A word that may be a shortcut, and how far it stands out."""

    word: Word
    suspicion: float


def suspects(words: Sequence[Word], among: Sequence[Word] | None = None) -> list[Suspect]:
    """The words whose effect is far above that of words about as frequent, alike in every text, and often; the first first.

    suspicion = steadiness x sqrt(count) x (effect - typical) / spread, where `typical` is the median effect of the 101 words
    nearest in frequency and `spread` the scaled median absolute deviation of all words' |mean|. Neither is moved by a few
    outliers, so one shortcut does not hide another. Only words above 10 are named. `among` are the words that they are held
    against, by default the same.
    """
    others = sorted(words if among is None else among, key=lambda w: (-w.count, w.label))
    if len(others) < 10:
        return []
    effects = np.array([w.effect for w in others])
    counts = np.array([w.count for w in others])
    spread = max(_spread(np.array([abs(w.mean) for w in others])), 1e-12)
    places = {w.label: i for i, w in enumerate(others)} if among is None else {}
    found = []
    for word in words:
        i = places.get(word.label, int(np.searchsorted(-counts, -word.count)))
        begin = max(0, min(i - 50, len(others) - 101))
        excess = (word.effect - np.median(effects[begin : begin + 101])) / spread
        found.append(Suspect(word, float(excess * word.steadiness * math.sqrt(word.count))))
    return sorted((s for s in found if s.suspicion > 10), key=lambda s: (-s.suspicion, s.word.label))


def _spread(values: Array) -> float:
    return float(1.4826 * np.median(np.abs(values - np.median(values))))
