"""What can be asked of a served model: the JSON of a question checked, the work done, the answer as plain data."""

from __future__ import annotations

import base64
import json
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from ..core.checks import several, whole_number, yes_or_no
from ..core.errors import InputError, MethodError, OptionError, SaywhyError, unknown
from ..core.explanation import Explanation, Explanations
from ..engine.batching import BoundProblem, OutputCache
from ..explain.estimate import estimate
from ..explain.explainer import Explainer
from ..explain.pipeline import Pipeline
from ..explain.request import SETTINGS, Request
from ..methods import METHODS
from ..render import content, headline
from ..storage.explanations import FORMAT, VERSION, to_dict
from ..tasks.protocol import Case

LONGEST = 100_000  # characters of all texts of an input together
MOST_EVALUATIONS = 20_000  # that an option of a method may ask for
MOST_BACKGROUND = 100  # rows that stand in for absent columns
MOST_SETS = 2_000  # sets of absent features in one question
KEPT = 16  # problems of a model that are kept open, so that toggling a word asks the model one input
MOST_OUTPUTS = 5_000  # that are kept of one open problem
MOST_LABELS = 300  # that a description lists
BY = ("word", "token", "sentence", "line", "paragraph", "focus")  # what the features of a text may be
FIELDS = ("model", "input", "options", "each_target", *SETTINGS)


@dataclass(frozen=True, eq=False)
class Question:
    """An input and the settings of a request, as they came in JSON, checked as far as that can be done without the model."""

    given: Any
    settings: Mapping[str, Any]  # of a request, the options of the method among them
    each_target: bool = False
    methods: tuple[str, ...] = ()  # several, to be held beside each other

    @property
    def key(self) -> str:
        """The same for the same features and targets, however they are checked."""
        settings = {k: self.settings[k] for k in sorted(self.settings) if k != "trust"}
        return json.dumps([self.given, settings])  # parts and slots in another order are another input


def question(body: object, more: Sequence[str] = ()) -> Question:
    """The question in this JSON; `more` are fields beside FIELDS. Raises OptionError, InputError."""
    if not isinstance(body, dict):
        raise OptionError("The body is a JSON object with the fields of /openapi.json.")
    for name in body:
        if name not in (*FIELDS, *more):
            raise unknown("field", name, (*FIELDS, *more))
    if "input" not in body:
        raise InputError('The field "input" is missing: a text, two texts, or an object as /openapi.json describes it.')
    method, options = body.get("method"), body.get("options") or {}
    if not isinstance(options, dict):
        raise OptionError(f'"options" is an object of the method\'s options, not {options!r:.60}.')
    if method is not None and not isinstance(method, str):
        raise OptionError(f'"method" is a name of `saywhy methods`, not {method!r:.60}.')
    for name, value in options.items():
        if name in FIELDS:
            raise OptionError(f"{name!r} is a field of its own, not an option of a method.")
        if name != "seed" and isinstance(value, int | float) and value > MOST_EVALUATIONS:
            raise OptionError(f"{name!r} is at most {MOST_EVALUATIONS:,} on a server, not {value!r:.60}.")
    settings = {name: body[name] for name in SETTINGS if body.get(name) is not None}
    for name in ("target", "against"):
        if isinstance(settings.get(name), list):
            settings[name] = tuple(settings[name])
    _short_enough(body["input"])
    if isinstance(settings.get("background"), list) and len(settings["background"]) > MOST_BACKGROUND:
        raise OptionError(
            f"A server takes up to {MOST_BACKGROUND} rows of `background`: each evaluation asks about all."
        )
    each_target = yes_or_no("each_target", body.get("each_target", False))
    return Question(body["input"], {**settings, **options}, each_target, _methods(body))


def _methods(body: Mapping[str, Any]) -> tuple[str, ...]:
    """The field "methods": two names or more, each once; then there is no other choice of a method."""
    if body.get("methods") is None:
        return ()
    names = tuple(several("methods", body["methods"], "names of methods"))
    for name in names:
        if not isinstance(name, str) or name not in METHODS:
            raise unknown("method", name, METHODS)
    if len(set(names)) < max(2, len(names)):
        raise OptionError(f"`methods` holds two different names or more, not {list(names)!r:.100}.")
    for field_name in ("method", "options", "each_target"):
        if body.get(field_name):
            raise OptionError(f'Leave out "{field_name}" where "methods" names several methods.')
    return names


def _short_enough(given: object) -> None:
    if isinstance(given, dict) and {*given} == {"image"}:
        return  # the limit of the body holds; a model of texts refuses it
    length = len(given) if isinstance(given, str) else len(json.dumps(given, ensure_ascii=False))
    if length > LONGEST:
        raise InputError(f"The input has {length:,} characters; a server takes up to {LONGEST:,}.")


def input_of(explainer: Explainer, given: object) -> object:
    """The input as the explainer takes it. No text of a question is ever taken for the name of a file."""
    if explainer.task.name == "image-classification":
        if not isinstance(given, dict) or set(given) != {"image"} or not isinstance(given["image"], str):
            raise InputError('The input of an image model is {"image": the file in base64}.')
        try:
            return base64.b64decode(given["image"].partition(",")[2] or given["image"], validate=True)
        except ValueError:
            raise InputError('"image" is not base64.') from None
    if isinstance(given, list):
        if len(given) != 2 or not all(isinstance(each, str) for each in given):
            raise InputError("A list is two texts, a pair; ask about several inputs one by one.")
        return tuple(given)
    if isinstance(given, dict) and explainer.task.head == "next" and ("template" in given or "messages" in given):
        return _prompt(given)
    if isinstance(given, str | dict):
        return given
    raise InputError(f"An input is a text, two texts or an object, not {given!r:.60}.")


def _prompt(given: Mapping[str, Any]) -> object:
    """A template with slots, or a conversation."""
    from ..llm import Chat, Template

    allowed = ("messages",) if "messages" in given else ("template", "values", "baselines")
    for name in given:
        if name not in allowed:
            raise unknown("field of a prompt", name, allowed)
    if "messages" in given:
        return Chat(several("messages", given["messages"], "messages"))
    return Template(given["template"], given.get("values") or {}, given.get("baselines"))


@dataclass(frozen=True, eq=False)
class OpenProblem:
    """A problem whose target is settled, to be asked about any subset of its features."""

    pipeline: Pipeline
    case: Case
    bound: BoundProblem
    whole: OutputCache  # outputs as they are, to tell what the model predicts


@dataclass(frozen=True, eq=False)
class Subject:
    """An explainer as one worker holds it: its name here, and the problems that it keeps open."""

    explainer: Explainer
    name: str
    open: OrderedDict[str, OpenProblem] = field(default_factory=OrderedDict)


def _requested(subject: Subject, asked: Question) -> tuple[Explainer, list[Any], Request]:
    """The explainer, the input joined with its targets, and the request."""
    given = input_of(subject.explainer, asked.given)
    own, settings = subject.explainer, subject.explainer.with_background(asked.settings, [given], given)
    target, against = asked.settings.get("target"), asked.settings.get("against")
    if asked.each_target and (target is not None or against is not None):
        raise OptionError("With each_target every target is explained: leave out target and against.")
    inputs = [own.task.with_targets(given, None if asked.each_target else [target], against)]
    return own, inputs, own.request(inputs, **settings)


def explain(
    subject: Subject,
    asked: Question,
    tick: Callable[[int, int], None] | None = None,
    expect: Callable[[int | None], None] = lambda rows: None,
) -> Explanation | Explanations:
    """The explanation, or those of every target. `expect` is told how many model inputs there will be."""
    own, inputs, request = _requested(subject, asked)
    encodings = own.check(inputs, request, False)
    counted = own.model.costly or (request.method.family == "coalition" and len(encodings[0].features) <= 200)
    cost = estimate(own.model, request, encodings) if counted else None
    if own.model.costly and cost is not None:
        own.model.afford(cost, False)
    expect(cost and cost.requests)
    targets = None if asked.each_target else [request.target]
    [found] = own.pipeline(request, tick).explain(inputs, targets, encodings)
    shown = [replace(e, options={**e.options, "model": subject.name}) for e in found]
    return Explanations(tuple(shown)) if asked.each_target else shown[0]


def predict(
    subject: Subject, asked: Question, absent: Sequence[Sequence[int]], tick: Callable[[int, int], None] | None = None
) -> dict[str, Any]:
    """What the target is, and what the model predicts, with each of these sets of features absent."""
    problem = _opened(subject, asked, tick)
    n = len(problem.bound.problem.features)
    coalitions = torch.ones(len(absent), n, dtype=torch.bool)
    for row, features in zip(coalitions, absent, strict=True):
        for i in features:
            row[whole_number("a feature in absent_features", i, 0, n - 1)] = False
    engine, case, cache = problem.pipeline.engine, problem.case, problem.bound.cache
    engine.batches.tick = tick
    with problem.pipeline.model.frozen():
        [outputs] = engine.outputs([(case.encoding, problem.whole, coalitions)])
        known = {k: v for k, v in problem.whole.outputs.items() if k not in cache.outputs}
        cache.outputs.update(known if cache.keep is None else {k: cache.keep(v) for k, v in known.items()})
        [values] = engine.values([(problem.bound, coalitions)])
    if len(problem.whole.outputs) > MOST_OUTPUTS:
        problem.whole.outputs.clear()
        cache.outputs.clear()
    target = problem.bound.problem.targets[0]
    said = [problem.pipeline.task.predict_label(replace(case, output=output)) for output in outputs]
    return {
        "target": target.label,
        "unit": target.unit,
        "features": [f.label for f in problem.bound.problem.features],
        "numbers": [
            {"value": float(value), "prediction": label, "probability": probability}
            for value, (label, probability) in zip(values[:, 0], said, strict=True)
        ],
    }


def absent_sets(body: Mapping[str, Any]) -> list[list[int]]:
    """The field "absent_features": lists of indices of features."""
    sets = several("absent_features", body.get("absent_features", [[]]), "lists of features")
    if not 1 <= len(sets) <= MOST_SETS:
        raise OptionError(f"`absent_features` holds 1 to {MOST_SETS:,} lists, not {len(sets):,}.")
    return [several("absent_features", each, "indices of features") for each in sets]


def _opened(subject: Subject, asked: Question, tick: Callable[[int, int], None] | None) -> OpenProblem:
    """The problem of this question; kept, so that the next set of words costs one model input."""
    if asked.key in subject.open:
        subject.open.move_to_end(asked.key)
        return subject.open[asked.key]
    own, inputs, request = _requested(subject, replace(asked, each_target=False))
    if request.encoding.by == "focus":
        raise OptionError("Ask about the features of by='focus' by their spans: by=[[start, end], …].")
    own.check(inputs, request, False)
    pipeline = own.pipeline(request, tick)
    with own.model.frozen():
        completed = own.task.complete_input(own.model, inputs[0])
        [case], [cache] = pipeline.cases([own.task.encode(own.model, completed, request.encoding)])
        whole = OutputCache(dict(cache.outputs))
        bound = pipeline.bind_targets(case, [request.target], cache)
        pipeline.engine.gradients.forget()  # a graph that a method would follow is not needed here
    subject.open[asked.key] = OpenProblem(pipeline, case, bound, whole)
    while len(subject.open) > KEPT:
        subject.open.popitem(last=False)
    return subject.open[asked.key]


def answer(
    subject: Subject,
    asked: Question,
    tick: Callable[[int, int], None] | None = None,
    expect: Callable[[int | None], None] = lambda rows: None,
) -> dict[str, Any]:
    """The explanations that were asked for, as the answer of the API; see `explain` and `plain`.

    Of several methods, those that cannot be asked of this input are named in "refused" with the reason; where that is all of
    them, the first reason is raised.
    """
    if not asked.methods:
        return plain(explain(subject, asked, tick, expect))
    found: list[Explanation] = []
    refused: list[tuple[str, SaywhyError]] = []
    for name in asked.methods:
        one = replace(asked, settings={**asked.settings, "method": name}, methods=())
        try:
            made = explain(subject, one, tick)
        except (InputError, MethodError, OptionError) as error:
            refused.append((name, error))
        else:
            found += [made] if isinstance(made, Explanation) else made
    if not found:
        raise refused[0][1]
    told = [{"method": name, "message": str(error)} for name, error in refused]
    return {**plain(Explanations(tuple(found))), "refused": told}


def plain(found: Explanation | Explanations) -> dict[str, Any]:
    """The explanations as their JSON file has them, and beside them what every rendering says of them.

    "headline" is the first sentence with its badge (null where the explanations have no badge in common); "shown" has for each
    explanation its own sentence and badge, the reason for its trust, where its scale of colours ends, and what its numbers mean.
    """
    single = isinstance(found, Explanation)
    items = [found] if isinstance(found, Explanation) else list(found)
    written = {"format": FORMAT, "version": VERSION, "single": single, "explanations": [to_dict(e) for e in items]}
    if not items:
        return {**written, "headline": {"sentence": "There is nothing to explain.", "badge": None}, "shown": []}
    sentence = headline.headline(items[0]) if len(items) == 1 else headline.group_headline(items)
    first = {"sentence": headline.spoken(sentence), "badge": _badge(headline.several_badges(items))}
    limits = content.limits(items)
    return {
        **written,
        "headline": first,
        "shown": [_shown(e, limit) for e, limit in zip(items, limits, strict=True)],
    }


def _shown(e: Explanation, limit: float) -> dict[str, Any]:
    return {
        "sentence": headline.spoken(headline.headline(e)),
        "badge": _badge(headline.badge(e)),
        "reason": "" if e.trust is None else headline.spoken(e.trust.said),
        "colour_end": content.colour_end(limit, e),
        "pale": content.pale(limit, e),
        "means": [headline.spoken(line) for line in headline.told(e)],
    }


def _badge(badge: headline.Badge | None) -> dict[str, str] | None:
    return None if badge is None else {"kind": badge.kind, "text": badge.text}


_SHAPES = {
    "question-answering": "question",
    "sentence-similarity": "pair",
    "zero-shot-classification": "labels",
    "text-generation": "prompt",
    "image-classification": "image",
}


def described(subject: Subject) -> dict[str, Any]:
    """What a program and the page must know of a model: its task, labels, units, methods, absences."""
    model, task = subject.explainer.model, subject.explainer.task
    image, chat = task.name == "image-classification", _chats(subject.explainer)
    units = ("logit", "log-prob", "prob", "log-odds", "score", "decision", "cosine", "dot", "euclidean", "manhattan")
    return {
        "task": task.name,
        "input": "row" if model.row_columns else _SHAPES.get(task.name, "text"),
        "columns": list(model.row_columns),
        "labels": list(model.labels[:MOST_LABELS]) if task.head != "next" else [],
        "units": [unit for unit in units if _taken(subject.explainer, unit=unit)],
        "absent": [each for each in model.absences if _taken(subject.explainer, absent=each, method="occlusion")],
        "chat": chat,
        "by": ["patch", "channel"] if image else [*BY, "message"] if chat else [*BY],
        "methods": [
            {"name": name, "summary": row.summary, "cost": row.cost, "complete": row.complete, "options": _options(row)}
            for name, row in METHODS.items()
            if _taken(subject.explainer, method=name)
        ],
        "limit": model.limit,
    }


def _chats(explainer: Explainer) -> bool:
    """Is it a language model with a template for conversations?"""
    if explainer.task.head != "next":
        return False
    return bool(getattr(explainer.model.text_tokenizer, "chat_template", None))


def _taken(explainer: Explainer, **settings: object) -> bool:
    """Does this model take these settings, whatever the input?"""
    try:
        explainer.request((), **settings)
    except SaywhyError:
        return False
    return True


def _options(row: Any) -> dict[str, Any]:
    """Option -> default, of those whose default JSON can hold."""
    return {k: v for k, v in row.options.items() if v is None or isinstance(v, bool | int | float | str)}


CITE_FIELDS = ("model", "question", "documents", "answer", "prompt", "budget", "confidence", "max_new_tokens")
MOST_FORWARDS = 1_000  # for the sources of one answer


def cite(
    subject: Subject,
    body: Mapping[str, Any],
    tick: Callable[[int, int], None] | None = None,
    expect: Callable[[int | None], None] = lambda rows: None,
) -> dict[str, Any]:
    """Which sentences of the documents stand behind each sentence of an answer: the JSON of `Citations`."""
    from ..llm.citations import CitationCost, citations_of

    for name in body:
        if name not in CITE_FIELDS:
            raise unknown("field", name, CITE_FIELDS)
    if not isinstance(body.get("question"), str | list) or not isinstance(body.get("documents"), list):
        raise InputError('Citations need "question", a text, and "documents", a list of texts.')
    _short_enough({name: body[name] for name in body if name != "model"})
    settings = {name: body[name] for name in CITE_FIELDS[4:] if body.get(name) is not None}
    budget = whole_number("budget", settings.pop("budget", MOST_FORWARDS), 1, MOST_FORWARDS)
    whole_number("max_new_tokens", settings.get("max_new_tokens", 128), 1, 512)

    @contextmanager
    def begin(cost: CitationCost) -> Iterator[Callable[[int, int], None] | None]:
        expect(cost.most)
        yield tick

    found = citations_of(
        subject.explainer, body["question"], body["documents"], body.get("answer"), begin, budget=budget, **settings
    )
    return {**found.to_dict(), "model": subject.name}
