"""With by="focus" a long input is looked at twice: by sentence, then by the words of the sentences that matter most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ..core.explanation import Explanation
from ..core.features import Granularity, Span, words

FOCUS = 64  # how many words get a score of their own


def is_focus(by: Granularity) -> bool:
    """Shall the input be looked at twice, or one of the columns that a mapping names?"""
    return by == "focus" or (isinstance(by, Mapping) and "focus" in list(by.values()))


def by_sentence(by: Granularity) -> Granularity:
    """What the features are at the first look."""
    if isinstance(by, Mapping):
        return {part: "sentence" if how == "focus" else how for part, how in by.items()}
    return "sentence"


def focused(coarse: Sequence[Explanation], by: Granularity = "focus") -> Granularity:
    """The words of the sentences that matter most, up to FOCUS of them, and the other sentences whole; for each part.

    A whole column of a row stays whole; where `by` names some columns of a row, only those are looked at twice.
    """
    if not coarse:
        return by_sentence(by)
    weight = np.abs([e.scores for e in coarse]).max(0)
    features, texts = coarse[0].features, coarse[0].texts
    room = FOCUS
    chosen = {part for part in texts if not isinstance(by, Mapping) or by.get(part) == "focus"}
    whole = {f.part for f in features if f.column}
    spans: dict[str, list[Span]] = {part: [] for part in chosen - whole}
    for i in np.argsort(-weight, kind="stable"):
        span = features[i].span
        if span is None or features[i].part not in spans:
            continue
        inside = [(span[0] + a, span[0] + b) for a, b in words(texts[features[i].part][slice(*span)])]
        spans[features[i].part] += inside if len(inside) <= room else [span]
        room -= len(inside) if len(inside) <= room else 0
    told = dict(by) if isinstance(by, Mapping) else {}
    whole_ones = dict.fromkeys(sorted(chosen & whole), "column")
    return {**told, **whole_ones, **{part: sorted(found) for part, found in spans.items()}}


def both(coarse: Sequence[Explanation], fine: Sequence[Explanation], by: Granularity = "focus") -> list[Explanation]:
    """The finer explanations, with the cost of both passes and a note on what was looked at by word."""
    out = []
    for before, after in zip(coarse, fine, strict=True):
        alone = [f for f in after.features if f not in before.features]
        note = f"focus: {len(alone)} words of the sentences that matter most by word, the other sentences whole"
        cost = before.cost.plus(after.cost)
        out.append(replace(after, options={**after.options, "by": by}, notes=(*after.notes, note), cost=cost))
    return out
