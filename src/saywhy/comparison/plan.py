"""Everything that is asked of a comparison, checked before the first model call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.checks import mapping, one_of, several, whole_number
from ..core.errors import InputError, OptionError
from ..core.types import Bools, Feature, MethodGenerator, Problem, Scores
from ..explain.focus import is_focus
from ..explain.request import Request
from ..metrics import METRICS, Metric
from ..storage.fingerprint import fingerprint, model_fingerprint, weights_fingerprint
from .entries import Compared, Entry, entries
from .estimates import Column
from .infill import Infill

if TYPE_CHECKING:
    from ..core.features import Granularity
    from ..explain.explainer import Explainer
    from ..tasks.protocol import WantedTarget

DEFAULT_METRICS = (
    *("normalised_comprehensiveness", "removal_area", "sufficiency", "leave_one_out_correlation", "scaled_infidelity"),
    *("random_logit", "completeness_gap"),
)
_PREFERRED = ("mask", "hide", "baseline", "mean", "drop", "black", "zero", "unk", "pad")


@dataclass(frozen=True, eq=False)
class ComparisonRequest:
    """What the caller said, as in `compare`."""

    methods: Sequence[Compared] | None
    metrics: Sequence[str] | None
    removals: Sequence[str] | None
    scores: Mapping[str, Sequence[Any]]
    rationales: Sequence[Sequence[bool]] | None
    target: WantedTarget
    unit: str | None
    by: Granularity | None
    absent: str | None
    overlong: str
    seed: int
    infill: Any = None
    background: Any = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        for name, of in (
            ("methods", "methods"),
            ("metrics", "names"),
            ("removals", "names"),
            ("rationales", "bools [n], one a text"),
        ):
            if getattr(self, name) is not None:
                put(self, name, several(name, getattr(self, name), of))
        scores = mapping("scores", self.scores, "a name to the scores [n] of each text").items()
        put(self, "scores", {str(k): several(f"scores[{k!r:.40}]", v, "scores [n], one a text") for k, v in scores})
        put(self, "seed", whole_number("seed", self.seed))


@dataclass(frozen=True, eq=False)
class Plan:
    """The inputs and everything asked about them, checked."""

    inputs: Sequence[Any]
    entries: tuple[Entry, ...]
    metrics: tuple[Metric, ...]
    columns: tuple[Column, ...]
    removals: tuple[str, ...]
    request: Request  # how a problem is posed, whichever method asks about it
    seed: int
    human: Sequence[Bools] | None
    infill: Infill | None  # what fills in for the removal "infill"
    asked: Mapping[str, Any]  # in words that can be compared with those of an earlier run


def planned(explainer: Explainer, texts: Sequence[Any], wanted: ComparisonRequest) -> Plan:
    """The plan. Refuses unknown names, inputs that cannot be explained, and methods that cannot explain them."""
    several = None if isinstance(texts, str) else explainer.inputs_of(texts)
    texts = texts if several is None else several
    _listed(texts, wanted.by)
    inputs = [explainer.task.with_targets(each, [wanted.target], None) for each in texts]
    settings = {"target": wanted.target, "unit": wanted.unit, "by": wanted.by, "overlong": wanted.overlong}
    settings["background"] = wanted.background
    request = explainer.request(inputs, method=_posing, absent=wanted.absent, **settings)
    followed = all(getattr(each, "differentiable", True) for each in inputs)
    templates = request.encoding.absent == "baseline"
    rows = tuple(entries(wanted.methods, wanted.scores, explainer.model, followed))
    metrics = _metrics(wanted.metrics, wanted.rationales is not None)
    if wanted.infill is not None and templates:
        raise OptionError("The baselines of a template stand in for its slots: leave `infill` out.")
    infill = None if wanted.infill is None else Infill(wanted.infill, explainer.model)
    removing = any(m.family == "removal" for m in metrics)
    removals = _removals(wanted.removals, explainer, request.encoding.absent, infill, templates) if removing else ()
    for row in rows:
        if row.method is not None:
            method = row.method.function if row.method.family == "custom" else row.method.name
            absent = row.absent or (None if templates else request.encoding.absent)
            asked_alone = explainer.request(inputs, method=method, absent=absent, **settings, **row.options)
            explainer.check(inputs, asked_alone)
    columns = tuple(
        Column(m.name, removal, m.better)
        for m in metrics
        for removal in (removals if m.family == "removal" else (None,))
    )
    human = None if wanted.rationales is None else [np.asarray(r, dtype=bool) for r in wanted.rationales]
    given = dict(wanted.scores) | ({} if human is None else {"rationales": human})
    if given:
        features = [explainer.task.encode(explainer.model, each, request.encoding).features for each in inputs]
        for name, numbers in given.items():
            _fitting(name, numbers, features)
    asked = _in_words(explainer, inputs, wanted, request, rows, columns, infill)
    return Plan(inputs, rows, metrics, columns, removals, request, wanted.seed, human, infill, asked)


def _listed(texts: Sequence[Any], by: Granularity | None) -> None:
    if isinstance(texts, str | bytes | Mapping) or not isinstance(texts, Sequence) or not len(texts):
        raise InputError(f"`texts` is a list of at least one input, not {texts!r:.60}.")
    if by is not None and is_focus(by):
        raise OptionError(
            "by='focus' looks at other features for each method: compare by 'sentence', 'word' or 'token'."
        )


def _in_words(
    explainer: Explainer,
    inputs: Sequence[Any],
    wanted: ComparisonRequest,
    request: Request,
    rows: Sequence[Entry],
    columns: Sequence[Column],
    infill: Infill | None,
) -> dict[str, Any]:
    background = request.encoding.background
    return {
        "model": explainer.model.name,
        "task": explainer.task.name,
        "methods": [e.label for e in rows],
        "metrics": list(dict.fromkeys(c.metric for c in columns)),
        "removals": list(dict.fromkeys(c.removal for c in columns if c.removal)),
        "by": str(request.encoding.by),
        "absent": request.encoding.absent,
        "target": wanted.target,
        "unit": wanted.unit,
        "seed": wanted.seed,
        "texts": len(inputs),
        "input": fingerprint(inputs),
        "weights": model_fingerprint(explainer.model),
        "overlong": wanted.overlong,
        **({} if background is None else {"background": fingerprint([dict(row) for row in background.rows])}),
        "scores": {name: _digest(given, float) for name, given in wanted.scores.items()},
        "rationales": None if wanted.rationales is None else _digest(wanted.rationales, bool),
        "infill": None if infill is None else weights_fingerprint(infill.masked),
        "functions": {
            e.label: fingerprint(e.method.function) for e in rows if e.method and e.method.family == "custom"
        },
    }


def _digest(given: Sequence[Any], kind: type) -> str:
    """Of what was given for each text, in lists or arrays alike."""
    return fingerprint([np.asarray(numbers, dtype=kind) for numbers in given])


def _fitting(name: str, given: Sequence[Any], features: Sequence[Sequence[Feature]]) -> None:
    """Refuses what was given for each text where it is not one number a feature."""
    if len(given) != len(features):
        raise OptionError(f"What was given as {name!r} is of {len(given)} texts; {len(features)} texts were given.")
    for i, (numbers, mine) in enumerate(zip(given, features, strict=True)):
        if np.shape(numbers) != (len(mine),):
            labels = ", ".join(f.label for f in mine[:12])
            raise OptionError(
                f"What was given as {name!r} for text {i} has shape {np.shape(numbers)}; the text has {len(mine)} features: "
                f"{labels}{', …' if len(mine) > 12 else ''}."
            )


def _posing(problem: Problem) -> MethodGenerator:
    """Stands for all methods where the problem is posed: it may be asked anything."""
    return Scores(np.zeros(0))  # type: ignore[arg-type]
    yield


def _metrics(wanted: Sequence[str] | None, marked: bool) -> tuple[Metric, ...]:
    if wanted is not None and not wanted:
        raise OptionError("`metrics` is empty: name at least one, or leave it out for the usual ones.")
    names = list(DEFAULT_METRICS if wanted is None else wanted)
    if wanted is None and marked:
        names += [m.name for m in METRICS.values() if m.family == "human"]
    for name in names:
        one_of("metric", name, METRICS)
        if METRICS[name].family == "human" and not marked:
            raise OptionError(f"{name} holds scores against what people marked: give `rationales`, bool [n] a text.")
    return tuple(METRICS[name] for name in dict.fromkeys(names))


def _removals(
    wanted: Sequence[str] | None, explainer: Explainer, first: str, infill: Infill | None, slotted: bool
) -> tuple[str, ...]:
    """How the metrics take features away: what was asked for, or two ways that this model and task have, and filling in.

    Where a slot's value is away its baseline stands, and that is the only way.
    """
    absences = () if slotted else explainer.model.absences
    allowed = [a for a in absences if a != "drop" or not explainer.task.position_indexed] or [first]
    if wanted is None:
        usual = sorted(allowed, key=lambda a: _PREFERRED.index(a) if a in _PREFERRED else 99)[:2]
        return tuple(usual if infill is None else [*usual, "infill"])
    allowed += [] if infill is None else ["infill"]
    for name in wanted:
        one_of("removal", name, allowed)
    if not wanted:
        raise OptionError("`removals` is empty: name at least one way to take features away.")
    return tuple(dict.fromkeys(wanted))
