"""What tells a model without weights, such as a function or an estimator, from another one: what it answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from ..engine.engine import Engine
from .explainer import Explainer
from .pipeline import predictions
from .request import Request

MOST = 16  # inputs that are asked about
Answer: TypeAlias = "tuple[str | None, float | None]"  # what the model says of an input, and its probability or score


def answer_fingerprint(explainer: Explainer, inputs: Sequence[Any], request: Request) -> list[Answer] | None:
    """What the model says of the first MOST of these inputs; of one on which it fails, (None, None).

    None where nothing needs to be asked, because weights tell the model from others; where answers cost something; and where
    they differ from call to call, so that they tell nothing.
    """
    if explainer.model.module is not None or explainer.model.costly:
        return None
    first, again = ([_answer(explainer, each, request) for each in inputs[:MOST]] for _ in range(2))
    return first if same_model(first, again) else None


def same_model(before: Sequence[Sequence[Any]] | None, now: Sequence[Sequence[Any]] | None) -> bool:
    """Are these the answers of one model? Numbers may differ as they do between batches, of whatever size all of them are."""
    if before is None or now is None:
        return True
    sizes = [abs(number) for _, number in before if number is not None and math.isfinite(number)]
    small = 1e-6 * max(sizes, default=0.0)
    return len(before) == len(now) and all(
        one[0] == other[0] and _close(one[1], other[1], small) for one, other in zip(before, now, strict=True)
    )


def _close(one: float | None, other: float | None, small: float) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=1e-4, abs_tol=small)


def _answer(explainer: Explainer, given: object, request: Request) -> Answer:
    options = replace(request.encoding, by=explainer.task.default_granularity)
    engine = Engine(explainer.model, explainer.batch_tokens)
    try:
        [found] = predictions(engine, explainer.model, explainer.task, [given], options)
    except Exception:  # whatever a caller's function raises; that it fails is its answer
        return None, None
    return found
