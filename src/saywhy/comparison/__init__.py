"""Which method to believe: methods by metrics on your own model and texts, with intervals, controls and costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import OptionError
from ..core.progress import Tick
from ..core.progress import progress as shown_progress
from ..core.types import Array
from ..storage.paths import as_path
from ..tasks.protocol import WantedTarget
from .cost_estimate import CostEstimate, estimate_cost
from .entries import ORACLE, Compared
from .estimates import SHARES, Column, Estimate, Place, Spent, likeness_of
from .plan import DEFAULT_METRICS, ComparisonRequest, Plan, planned
from .result import Comparison
from .resume import Parts, add
from .run import WINDOW, Found, Walk

if TYPE_CHECKING:
    from ..core.features import Granularity
    from ..explain.explainer import Explainer

__all__ = ["DEFAULT_METRICS", "Column", "Comparison", "CostEstimate", "Estimate", "Place", "Spent", "compare"]


def compare(
    explainer: Explainer,
    texts: Sequence[Any],
    methods: Sequence[Compared] | None = None,
    metrics: Sequence[str] | None = None,
    *,
    removals: Sequence[str] | None = None,
    target: WantedTarget = None,
    unit: str | None = None,
    by: Granularity | None = None,
    absent: str | None = None,
    overlong: str = "refuse",
    background: object = None,
    scores: Mapping[str, Sequence[Any]] | None = None,
    rationales: Sequence[Sequence[bool]] | None = None,
    infill: object = None,
    seed: int = 0,
    resume: str | Path | None = None,
    announce: Callable[[CostEstimate], object] | None = None,
    progress: bool | None = None,
) -> Comparison:
    """Methods by metrics on these texts: means with 95 % bootstrap intervals, what each took, and two controls.

    All methods' cost, some 20 evaluations a text for each method and removal, and 128 to search each removal's best order; every
    distinct row goes through the model once.

    Parameters
    ----------
    explainer
        Whose model and task are asked.
    texts
        A list of inputs, a column or the rows of a frame, as in calling the explainer.
    methods
        Names in METHODS, "name:option=value", (name, options) or generator functions; by default what the model can be asked.
        "random" is always among them, and "oracle", the best order that a search finds, where order matters.
    metrics
        Names in METRICS.
    removals
        How the metrics take features away, whatever the methods do; by default two ways.
    target, unit, by, absent, overlong, background
        As in calling the explainer.
    scores
        Name -> scores made elsewhere, [n] a text.
    rationales
        What people marked, bool [n] a text, for metrics of plausibility.
    infill
        A masked language model (or its name) with the same ids, for the removal "infill": likely words in their place.
    seed
        Of methods and metrics that draw.
    resume
        A file that keeps each text's numbers, from which the same call goes on.
    announce
        Called with what it will cost, before the first method runs.
    progress
        Whether a progress line is shown; by default for long work on a terminal.

    Returns
    -------
    Comparison
        Every number of every text, estimates, ranking; it prints, saves and becomes a frame.

    Raises
    ------
    OptionError, InputError, MethodError
        Before the first model call.
    """
    outside = {} if scores is None else scores
    _callers(explainer, announce)
    if not isinstance(texts, str):
        background = explainer.with_background({"background": background}, explainer.inputs_of(texts), texts)[
            "background"
        ]
    wanted = ComparisonRequest(
        *(methods, metrics, removals, outside, rationales, target, unit, by, absent, overlong, seed, infill, background)
    )
    plan = planned(explainer, texts, wanted)
    parts = None if resume is None else Parts(as_path(resume, "resume"), plan, explainer)
    found = [] if parts is None else parts.done
    if announce is not None:
        announce(estimate_cost(explainer.model, explainer.task, plan, len(found)))
    with shown_progress(len(plan.inputs), progress) as tick, nullcontext() if parts is None else parts.open() as file:
        walk = Walk(explainer.model, explainer.task, plan, explainer.batch_tokens, tick)
        found += _walked(walk, plan, found, tick, None if file is None else partial(add, file))
    return _comparison(plan, found)


def _callers(explainer: object, announce: object) -> None:
    """Refuses what is no explainer, and what cannot be called."""
    if announce is not None and not callable(announce):
        raise OptionError(f"`announce` is a function of a CostEstimate, not {announce!r:.60}.")
    if not hasattr(explainer, "pipeline"):
        raise OptionError(
            f"`explainer` is an Explainer, for example Explainer(model, tokenizer), not {explainer!r:.60}."
        )


def _walked(
    walk: Walk, plan: Plan, before: Sequence[Found], tick: Tick, keep: Callable[[Found], None] | None
) -> list[Found]:
    """What comes after the texts that are done: each text's numbers, given to `keep` before the next begins."""
    if tick is not None:
        tick(len(before), 0)
    found = []
    for start in range(len(before), len(plan.inputs), WINDOW):
        window = plan.inputs[start : start + WINDOW]
        for each in walk.window(window, start):
            found.append(each)
            if keep is not None:
                keep(each)
        if tick is not None:
            tick(len(window), 0)
    return found


def _comparison(plan: Plan, found: Sequence[Found]) -> Comparison:
    """The numbers of all texts in tables."""
    labels = [e.label for e in plan.entries]
    judged = [*labels, *([ORACLE] if any(ORACLE in f.values for f in found) else [])]
    blank = [[None, None] for _ in plan.columns]
    cells = np.array([[f.values.get(m, blank) for m in judged] for f in found], dtype=float)  # [T, M, C, 2]
    cells = cells.reshape(len(found), len(judged), len(plan.columns), 2)
    curves = {}
    for removal in {r for f in found for r in f.curves}:
        drawn = [[f.curves.get(removal, {}).get(m, [np.nan] * len(SHARES)) for m in judged] for f in found]
        curves[removal] = np.array(drawn, dtype=float)
    return Comparison(
        tuple(judged),
        plan.columns,
        cells[..., 0],
        cells[..., 1],
        curves,
        likeness_of([_likeness(f, labels) for f in found]),
        tuple(_total(found, m) for m in judged),
        sum(f.rows for f in found),
        sum(f.rows_alone for f in found),
        plan.asked,
    )


def _likeness(found: Found, labels: Sequence[str]) -> Array:
    import torch

    from ..metrics.ranks import spearman

    vectors = [torch.tensor(found.scores[m], dtype=torch.float64) for m in labels]
    return np.array([[spearman(a, b) for b in vectors] for a in vectors])


def _total(found: Sequence[Found], method: str) -> Spent:
    every = [f.spent[method] for f in found if method in f.spent]
    peaks = [peak for _, _, _, peak in every if peak is not None]
    return Spent(
        sum(e[0] for e in every), sum(e[1] for e in every), sum(e[2] for e in every), max(peaks) if peaks else None
    )
