"""Phrases: runs of two to four words that push together beyond what their words do elsewhere, in bounded memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..core.types import Array
from .word_statistics import EXAMPLES, Example, Seen, Suspect, Word, suspects

LENGTHS = (2, 3, 4)
LONGEST = max(LENGTHS)
BEYOND = 0.5  # of a phrase's push, the least that must be beyond its words' own
Z = 1.96  # 95 % intervals are normal
SAME = 0.8  # of the places of a phrase, the share in which a longer one stands around it, that makes it a part of that
STRONGER = 1.25  # how many times harder a longer phrase must push to be more than an instance of a shorter one


class Phrases:
    """What every run of words did to the explained number: at most twice `most` of them; the rarest are forgotten.

    Runs are told apart by a digest of 64 bits, so that all of a shard are summed up without a look at each.
    """

    def __init__(self, most: int):
        self.most = most
        self.vocabulary: dict[str, int] = {}
        self.keys: Any = np.zeros(0, np.uint64)  # sorted
        self.ids: Any = np.zeros(
            (0, LONGEST), np.int64
        )  # the words of each run, by their number; -1 where it is shorter
        self.sums: Any = np.zeros(
            (0, 3 + LONGEST)
        )  # count, sum, sum of squares; the sum of the first, second, … word's scores
        self.examples: Any = np.zeros((0, EXAMPLES, 4))  # row, start, end, score; one of each shard that has any
        self.shown: Any = np.zeros(0, np.int64)  # how many examples there are

    def add(self, seen: Seen) -> None:
        """More texts, whose words come text by text in the order of the text."""
        if not len(seen.codes):
            return
        numbers = np.array([self.vocabulary.setdefault(label, len(self.vocabulary)) for label in seen.labels])
        digests = np.array([_digest(label) for label in seen.labels], np.uint64)
        letters = np.array([any(c.isalnum() for c in label) and " " not in label for label in seen.labels], dtype=bool)
        each = [_runs(seen, length, letters[seen.codes]) for length in LENGTHS]
        places, scores, examples = (np.concatenate(parts) for parts in zip(*each, strict=True))
        there = places >= 0
        codes = seen.codes[places]
        self._merge(_mixed(np.where(there, digests[codes], 0)), np.where(there, numbers[codes], -1), scores, examples)

    def _merge(self, keys: Array, ids: Array, scores: Array, examples: Array) -> None:
        fresh, first, own = np.unique(keys, return_index=True, return_inverse=True)
        total = scores.sum(1)
        weights = (np.ones(len(own)), total, total**2, *scores.T)
        sums = np.stack([np.bincount(own, weight, len(fresh)) for weight in weights], 1)
        merged, at = np.unique(np.concatenate([self.keys, fresh]), return_inverse=True)
        old, new = at[: len(self.keys)], at[len(self.keys) :]
        before = self.ids, self.sums, self.examples, self.shown
        self.ids, self.sums, self.examples, self.shown = (
            np.zeros((len(merged), *array.shape[1:]), array.dtype) for array in before
        )
        self.keys, self.ids[new] = merged, ids[first]
        for after, array in zip((self.ids, self.sums, self.examples, self.shown), before, strict=True):
            after[old] = array
        self.sums[new] += sums
        room = self.shown[new] < EXAMPLES
        self.examples[new[room], self.shown[new[room]]] = examples[first[room]]
        self.shown[new[room]] += 1
        if len(merged) > 2 * self.most:
            self._forget()

    def _forget(self) -> None:
        kept = np.sort(np.argsort(-self.sums[:, 0], kind="stable")[: self.most])
        self.keys, self.ids, self.sums, self.examples, self.shown = (
            array[kept] for array in (self.keys, self.ids, self.sums, self.examples, self.shown)
        )
        used = np.unique(self.ids[self.ids >= 0])
        labels = list(self.vocabulary)
        self.vocabulary = {labels[number]: place for place, number in enumerate(used)}
        self.ids = np.where(self.ids >= 0, np.searchsorted(used, self.ids), -1)

    def words(self, least: int = 1) -> dict[str, tuple[Word, Any]]:
        """label -> (the phrase, the sum of the scores of its first, second, … word), of those that stood so often."""
        labels, found = list(self.vocabulary), {}
        for i in np.flatnonzero(self.sums[:, 0] >= least):
            count, total, squares, *shares = self.sums[i].tolist()
            mean = total / count
            spread = max(0.0, (squares - count * mean**2) / (count - 1)) ** 0.5 if count > 1 else 0.0
            shown = tuple(
                Example(int(row), int(start), int(end), score)
                for row, start, end, score in self.examples[i, : self.shown[i]].tolist()
            )
            label = " ".join(labels[number] for number in self.ids[i] if number >= 0)
            found[label] = Word(label, int(count), mean, spread, 0, shown), shares
        return found

    def suspects(self, words: Sequence[Word], least: int) -> list[Suspect]:
        """The phrases that may be shortcuts, the most suspect first; `words` are all words of the same texts."""
        known = {word.label: word for word in words}
        often = [word for word in words if word.count >= least]
        runs = self.words(least)
        standing_out = suspects([phrase for phrase, _ in runs.values()], often)
        found = [s for s in standing_out if _beyond(s.word, runs[s.word.label][1], known)]
        return [s for s in found if not any(_hidden_by(s.word, other.word) for other in found)]

    def account_for(self, word: Word, phrases: Sequence[Suspect]) -> bool:
        """Does a word push mostly where it stands in one of these phrases?"""
        runs = self.words(min((s.word.count for s in phrases), default=1)) if phrases else {}
        for phrase, _ in phrases:
            for label, inside, times in _parts(phrase, runs[phrase.label][1]):
                alone = _without(word, inside, times) if label == word.label else None
                if alone is not None and abs(alone) < BEYOND * abs(word.mean):
                    return True
        return False


def _parts(phrase: Word, shares: Sequence[float]) -> Iterator[tuple[str, float, int]]:
    """(word, the sum of its scores within the phrase, how often it stands there) of each different word of a phrase."""
    parts = phrase.label.split(" ")
    for label in dict.fromkeys(parts):
        inside = [share for part, share in zip(parts, shares, strict=False) if part == label]
        yield label, sum(inside), len(inside) * phrase.count


def _beyond(phrase: Word, shares: Sequence[float], known: Mapping[str, Word]) -> bool:
    """Is at least half of its push more than what its words do where they stand without it?"""
    elsewhere = 0.0
    for label, inside, times in _parts(phrase, shares):
        alone = _without(known.get(label), inside, times)
        # of a word that stands nowhere else nobody knows what it does alone
        elsewhere += inside / phrase.count if alone is None else times / phrase.count * alone
    beyond = phrase.mean - elsewhere
    sure = Z * phrase.spread / phrase.count**0.5
    return beyond * phrase.mean > 0 and abs(beyond) >= max(BEYOND * abs(phrase.mean), sure)


def _without(word: Word | None, inside: float, times: int) -> float | None:
    """The mean score of a word but for so many places whose scores add up to `inside`; None where it stands nowhere else."""
    rest = 0 if word is None else word.count - times
    return None if word is None or rest <= 0 else (word.mean * word.count - inside) / rest


def _hidden_by(phrase: Word, other: Word) -> bool:
    """Is a phrase told already by another one, which lies in it or around it?"""
    if f" {phrase.label} " in f" {other.label} " and phrase is not other:
        return other.count >= SAME * phrase.count or abs(other.mean) >= STRONGER * abs(phrase.mean)
    if f" {other.label} " in f" {phrase.label} " and phrase is not other:
        return phrase.count < SAME * other.count and abs(phrase.mean) < STRONGER * abs(other.mean)
    return False


def _runs(seen: Seen, length: int, letters: Array) -> tuple[Any, Any, Any]:
    """Every run of so many words of one text, signs not among them.

    The places of its words [R, 4], -1 where it is shorter; their scores [R, 4]; and (row, start, end, score) [R, 4].
    """
    many = max(0, len(seen.codes) - length + 1)
    at = np.arange(many)[:, None] + np.arange(length)
    sound = letters[at].all(1) & (seen.starts[at] >= 0).all(1)
    sound &= (seen.rows[at] == seen.rows[at[:, :1]]).all(1) & (np.diff(seen.starts[at], axis=1) > 0).all(1)
    at = at[sound]
    scores = seen.scores[at]
    examples = np.stack([seen.rows[at[:, 0]], seen.starts[at[:, 0]], seen.ends[at[:, -1]], scores.sum(1)], 1)
    wide = ((0, 0), (0, LONGEST - length))
    return np.pad(at, wide, constant_values=-1), np.pad(scores, wide), examples


def _digest(label: str) -> int:
    return int.from_bytes(hashlib.blake2b(label.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def _mixed(digests: Array) -> Array:
    """uint64 [R]: one number of the digests [R, 4] of the words of each run, in their order."""
    out = np.zeros(len(digests), np.uint64)
    with np.errstate(over="ignore"):
        for column in digests.T.astype(np.uint64):
            out = (out ^ column) * np.uint64(0x9E3779B97F4A7C15)
            out ^= out >> np.uint64(29)
    return out
