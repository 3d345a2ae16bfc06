"""Explanations made by hand, one for each thing that can go wrong when they are drawn."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from saywhy.core.explanation import Explanation, Explanations
from saywhy.core.types import Cost, Feature, Target


def words(text: str, part: str = "text") -> tuple[Feature, ...]:
    return tuple(Feature(m.group(), m.span(), part) for m in re.finditer(r"\w+|[^\w\s]", text))


def explained(
    text: str = "", scores: Any = None, label: str = "POSITIVE", unit: str = "logit", **more: Any
) -> Explanation:
    features = more.pop("features", words(text))
    scores = np.resize([0.5, -0.25, 1.0, 0.0, -0.75], len(features)) if scores is None else scores
    given: dict[str, Any] = {"method": "shapley", "value": 2.5, "base": -0.5, "texts": {"text": text}, "complete": True}
    given |= {"options": {"by": "word", "absent": "mask"}, "prediction": "POSITIVE", "probability": 0.973}
    return Explanation(features, scores, Target(label, (1,), unit), **(given | more))


LOVE = "I love you,\n  and also kinda dislike you."
BAD = """</span><script>alert("1")</script>&amp;<img src=x onerror='alert(2)'>"""
RUDE = "[bold]x[/bold] \x1b[31mred\x1b[0m \u202eevil\u202c $a_b$ \ud800 \r\x07"
PREMISE, HYPOTHESIS = "A man is playing.", "A man is sleeping."
BOTH = words(PREMISE, "premise") + words(HYPOTHESIS, "hypothesis")
SCORES = [0.1, 1.25, 0.31, -0.02, 0.04, -0.12, -0.43, -0.9, 0.18, 0.0]
ONE = explained(
    LOVE, SCORES, stderr=np.abs(SCORES) / 20 + 0.004, without=("POSITIVE", "NEGATIVE", *["POSITIVE"] * 8),
    notes=("200 sampled orders.",), cost=Cost(212, 10, 7, 1, 0.83),
)  # fmt: skip
PAIR = explained(
    features=BOTH, texts={"premise": PREMISE, "hypothesis": HYPOTHESIS}, label="A rather than B", unit="log-odds",
    method="occlusion", complete=False, prediction="NON-A", without=["NON-A"] * 3 + ["NON-B"] * 7,
)  # fmt: skip
HOSTILE = explained(
    features=(*(Feature(f.label, f.span, BAD) for f in words(BAD + RUDE)), Feature(BAD + RUDE, None, "part " + BAD)),
    texts={BAD: BAD + RUDE}, label=BAD, unit=BAD, method=BAD, options={BAD: RUDE}, prediction=RUDE, notes=(BAD, RUDE),
    without=[BAD] * (len(words(BAD + RUDE)) + 1),
)  # fmt: skip
LOOSE = explained(
    features=(*words("Rome is"), Feature("Rome", None, "slot: city"), Feature(" ", None)), texts={"text": "Rome is"}
)
ODD = explained("日本語 👍🏽 naïve\n\n\tمرحبا بالعالم end\r\nnext \u0378 line")
ARABIC = explained("هذا الفيلم رائع")
ZERO = explained(LOVE, np.zeros(10))
LONG = explained(" ".join(f"w{i}" for i in range(700)), np.sin(np.arange(700.0) ** 2) ** 5)
HOLES = explained("a b c", [np.nan, np.inf, -1.0], base=np.nan)
TARGETS = Explanations(
    tuple(explained(LOVE, np.roll(SCORES, k), label) for k, label in enumerate(("joy", "anger", BAD)))
)
MANY = Explanations((ONE, PAIR, ARABIC, HOSTILE))
NOTHING = Explanations(())
ALL = [ONE, PAIR, HOSTILE, LOOSE, ODD, ARABIC, ZERO, LONG, HOLES, TARGETS, MANY]
