"""Phrases: runs of two to four words that push together beyond what their words do elsewhere, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .word_statistics import Seen, Suspect, Word, Words, suspects

LENGTHS = (2, 3, 4)
BEYOND = 0.5  # of a phrase's push, the least that must be beyond its words' own
Z = 1.96  # 95 % intervals are normal
SAME = 0.8  # of the places of a phrase, the share in which a longer one stands around it, that makes it a part of that
STRONGER = 1.25  # how many times harder a longer phrase must push to be more than an instance of a shorter one


class Phrases:
    """What every run of words did to the explained number: as `Words`, with the share of each of its words."""

    def __init__(self, most: int):
        self.words = Words(most)
        self.shares: dict[str, Any] = {}  # phrase -> [4] the sum of the scores of its first, second, … word

    def add(self, seen: Seen) -> None:
        """More texts, whose words come text by text in the order of the text."""
        for length in LENGTHS:
            runs, shares = _runs(seen, length)
            self.words.add(runs)
            codes, own = np.unique(runs.codes, return_inverse=True)
            sums: Any = np.stack([np.bincount(own, share, len(codes)) for share in shares], 1) if len(codes) else []
            for code, each in zip(codes, sums, strict=True):
                label = runs.labels[code]
                self.shares[label] = self.shares.get(label, 0.0) + np.pad(each, (0, max(LENGTHS) - length))
        if len(self.shares) > len(self.words.index):  # the rarest were forgotten
            self.shares = {label: self.shares[label] for label in self.words.index if label in self.shares}

    def suspects(self, words: Sequence[Word], least: int) -> list[Suspect]:
        """The phrases that may be shortcuts, the most suspect first; `words` are all words of the same texts."""
        known = {word.label: word for word in words}
        often = [word for word in words if word.count >= least]
        found = [s for s in suspects(self.words.words(least), often) if self._beyond(s.word, known)]
        return [s for s in found if not any(_hidden_by(s.word, other.word) for other in found)]

    def account_for(self, word: Word, phrases: Sequence[Suspect]) -> bool:
        """Does a word push mostly where it stands in one of these phrases?"""
        for phrase, _ in phrases:
            for label, inside, times in self._parts(phrase):
                alone = _without(word, inside, times) if label == word.label else None
                if alone is not None and abs(alone) < BEYOND * abs(word.mean):
                    return True
        return False

    def _parts(self, phrase: Word) -> Iterator[tuple[str, float, int]]:
        """(word, the sum of its scores within the phrase, how often it stands there) of each different word of a phrase."""
        parts = phrase.label.split(" ")
        shares = self.shares[phrase.label][: len(parts)]
        for label in dict.fromkeys(parts):
            inside = [float(share) for part, share in zip(parts, shares, strict=True) if part == label]
            yield label, sum(inside), len(inside) * phrase.count

    def _beyond(self, phrase: Word, known: Mapping[str, Word]) -> bool:
        """Is at least half of its push more than what its words do where they stand without it?"""
        elsewhere = 0.0
        for label, inside, times in self._parts(phrase):
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


def _runs(seen: Seen, length: int) -> tuple[Seen, list[Any]]:
    """Every run of so many words of one text, signs not among them; and the scores of its first, second, … word."""
    many = max(0, len(seen.codes) - length + 1)
    at = [np.arange(many) + k for k in range(length)]
    letters = np.array([any(c.isalnum() for c in label) and " " not in label for label in seen.labels], dtype=bool)
    sound = np.ones(many, dtype=bool)
    for k, place in enumerate(at):
        sound &= letters[seen.codes[place]] & (seen.starts[place] >= 0)
        if k:
            before = at[k - 1]
            sound &= (seen.rows[place] == seen.rows[before]) & (seen.starts[place] > seen.starts[before])
    places = [place[sound] for place in at]
    codes, labels = _coded([seen.codes[place] for place in places], seen.labels)
    first, last = places[0], places[-1]
    scores = [seen.scores[place] for place in places]
    never = np.zeros(len(first), dtype=bool)
    runs = Seen(codes, np.sum(scores, axis=0), never, seen.rows[first], seen.starts[first], seen.ends[last], labels)
    return runs, scores


def _coded(words: Iterable[Any], labels: Sequence[str]) -> tuple[Any, list[str]]:
    """A number for each different run [M], and the run of each number."""
    first, *rest = words
    kinds, codes = np.unique(first, return_inverse=True)
    named = [labels[kind] for kind in kinds]
    for word in rest:
        kinds, codes = np.unique(codes.astype(np.int64) * len(labels) + word, return_inverse=True)
        named = [f"{named[kind // len(labels)]} {labels[kind % len(labels)]}" for kind in kinds]
    return codes, named
