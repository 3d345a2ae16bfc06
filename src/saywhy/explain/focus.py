"""With by="focus" a long input is looked at twice: by sentence, then by the words of the sentences that matter most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..core.explanation import Explanation
from ..core.features import Granularity, Span, words

FOCUS = 64  # how many words get a score of their own


def focused(coarse: Sequence[Explanation]) -> Granularity:
    """The words of the sentences that matter most, up to FOCUS of them, and the other sentences whole; for each part."""
    if not coarse:
        return "sentence"
    weight = np.abs([e.scores for e in coarse]).max(0)
    features, texts = coarse[0].features, coarse[0].texts
    room = FOCUS
    spans: dict[str, list[Span]] = {part: [] for part in texts}
    for i in np.argsort(-weight, kind="stable"):
        span = features[i].span
        if span is None:
            continue
        inside = [(span[0] + a, span[0] + b) for a, b in words(texts[features[i].part][slice(*span)])]
        spans[features[i].part] += inside if len(inside) <= room else [span]
        room -= len(inside) if len(inside) <= room else 0
    return {part: sorted(found) for part, found in spans.items()}


def both(coarse: Sequence[Explanation], fine: Sequence[Explanation]) -> list[Explanation]:
    """The finer explanations, with the cost of both passes and a note on what was looked at by word."""
    out = []
    for before, after in zip(coarse, fine, strict=True):
        alone = [f for f in after.features if f not in before.features]
        note = f"focus: {len(alone)} words of the sentences that matter most by word, the other sentences whole"
        cost = before.cost.plus(after.cost)
        out.append(replace(after, options={**after.options, "by": "focus"}, notes=(*after.notes, note), cost=cost))
    return out
