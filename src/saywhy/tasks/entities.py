"""Which tokens a tagger's answer marks, one by one or put together into entities, as the transformers pipeline does it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from torch import Tensor

from ..features import words
from ..types import Token

GROUPS = ("none", "simple", "first", "average", "max")


class Entity(NamedTuple):
    """One token, or several that the model takes for one thing."""

    label: str  # of a group without its B- or I-
    start: int
    end: int
    score: float
    read: tuple[tuple[int, int], ...]  # the (position, label index) pairs whose mean probability is the score


def entities(probs: Tensor, tokens: Sequence[Token], labels: Sequence[str], group: str) -> list[Entity]:
    """The entities of one text, [S, C] probabilities, ignored labels too; `group` is one of GROUPS.

    none: every token; simple: neighbours of one tag; first, average, max: as simple, but over whole words, whose label is
    their first token's, that of the mean, or that of the surest token.
    """
    places = [i for i, token in enumerate(tokens) if token.span is not None]
    if group in ("none", "simple"):
        words = [[i] for i in places]
    else:
        words = []
        for i in places:
            if words and tokens[i].inside:
                words[-1].append(i)
            else:
                words.append([i])
    found = [_word(probs, tokens, labels, word, group) for word in words]
    return found if group == "none" else _grouped(found)


def whole_words(probs: Tensor, tokens: Sequence[Token], labels: Sequence[str], text: str) -> list[Entity]:
    """The words of the text, each with the label of its first piece; those that no token reads are left out."""
    found = []
    for start, end in words(text):
        spans = ((i, token.span) for i, token in enumerate(tokens) if token.span is not None)
        first = next((i for i, span in spans if span[0] < end and span[1] > start), None)
        if first is not None:
            best = int(probs[first].argmax())
            found.append(Entity(labels[best], start, end, float(probs[first, best]), ((first, best),)))
    return found


def numbered(names: Iterable[str]) -> list[str]:
    """The names, told apart: the second "Paris" is "Paris (2)"."""
    seen: Counter[str] = Counter()
    out = []
    for name in names:
        seen[name] += 1
        out.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return out


def _word(probs: Tensor, tokens: Sequence[Token], labels: Sequence[str], word: list[int], group: str) -> Entity:
    read = word
    if group == "first":
        read = word[:1]
    elif group == "max":
        read = [max(word, key=lambda i: float(probs[i].max()))]
    mean = probs[read].mean(0)
    best = int(mean.argmax())
    first, last = tokens[word[0]].span, tokens[word[-1]].span
    assert first is not None
    assert last is not None
    return Entity(labels[best], first[0], last[1], float(mean[best]), tuple((i, best) for i in read))


def _grouped(found: Sequence[Entity]) -> list[Entity]:
    groups: list[list[Entity]] = []
    for entity in found:
        begins, tag = _tag(entity.label)
        if groups and not begins and tag == _tag(groups[-1][-1].label)[1]:
            groups[-1].append(entity)
        else:
            groups.append([entity])
    return [_joined(each) for each in groups]


def _joined(words: Sequence[Entity]) -> Entity:
    """One entity of several words; each word counts the same, so the tokens of a shorter one stand in `read` more often."""
    common = math.lcm(*(len(word.read) for word in words))
    read = tuple(pair for word in words for pair in word.read * (common // len(word.read)))
    score = sum(word.score for word in words) / len(words)
    return Entity(words[0].label.split("-", 1)[-1], words[0].start, words[-1].end, score, read)


def _tag(label: str) -> tuple[bool, str]:
    """Does it begin an entity, and of which kind?"""
    return label.startswith("B-"), label[2:] if label.startswith(("B-", "I-")) else label
