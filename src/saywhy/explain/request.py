"""What is asked of a call: one frozen `Request`, made and checked in one place, before any model call.

A new setting is a parameter of `request_for` and a field of `Request`; where the command shall have it, a shared option in
`cli/options.py`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, TypeVar

from ..core.checks import one_of, plain, text_or_none
from ..core.errors import InputError, MethodError, OptionError, unknown
from ..core.features import Granularity
from ..core.types import Encoding, MethodGenerator
from ..engine.dry_run import first_coalitions
from ..methods import METHODS, Method, checked_options, method_named
from ..models.protocol import EMBEDDINGS, NON_DIFFERENTIABLE, OVERLONG, EncodingOptions, Model
from ..tasks.protocol import Case, Task, WantedTarget
from .trust import CHECKS

MethodLike: TypeAlias = "str | Callable[..., MethodGenerator]"
F = TypeVar("F", bound=Callable[..., Any])
MOST_FEATURES = 5_000  # that a method may ask about one by one: more coalitions than that fit no memory


@dataclass(frozen=True, eq=False)
class Request:
    """Everything that is asked of a call, checked before any input is read."""

    method: Method
    options: Mapping[str, Any]  # of the method, those that the caller gave
    encoding: EncodingOptions  # the features, and what stands in for an absent one; of rows, for an absent column
    target: WantedTarget = None
    against: WantedTarget = None
    unit: str | None = None
    trust: str = "quick"  # how the explanations are checked: one of trust.CHECKS


def request_for(
    model: Model[Any],
    task: Task,
    inputs: Sequence[Any] = (),
    /,
    *,
    method: MethodLike | None = None,
    target: WantedTarget = None,
    against: WantedTarget = None,
    unit: str | None = None,
    by: Granularity | None = None,
    absent: str | None = None,
    overlong: str | None = None,
    embedding: str = "word",
    trust: str = "quick",
    background: object = None,
    **options: Any,
) -> Request:
    """The request that these settings make of a model and a task; `Explainer` describes each setting.

    Parameters
    ----------
    model, task
        What is asked, and what is asked about.
    inputs
        The inputs as far as they are known, joined with their targets: templates are looked at by their slots, and where the
        features of an input have no embeddings to follow, the default method is another.
    **options
        Options of the method.

    Raises
    ------
    OptionError
        For a name, a value or a type that is not allowed, with what is allowed and the nearest match.
    MethodError
        For a method that this model cannot be asked.
    InputError
        For templates and texts in one call.
    """
    slotted, followable = _kinds(inputs)
    encoding = EncodingOptions(
        task.default_granularity if by is None else granularity(by),
        text_or_none("absent", absent, "mask") or "",
        model.overlong if overlong is None else one_of("value of `overlong`", overlong, OVERLONG),
        one_of("value of `embedding`", embedding, EMBEDDINGS),
        model.background_rows(background),
    )
    if method is None:
        followed = followable and model.differentiable and encoding.absent not in NON_DIFFERENTIABLE
        method = "integrated_gradients" if followed else "kernel_shap"
        options = {"frugal": True, **options} if model.costly and method == "kernel_shap" else options
    row = method_named(method)
    options = checked_options(row, options)
    _needs(model, row)
    filled = _by_slot(encoding, row, followable) if slotted else _with_absence(model, task, encoding, row)
    one, other, unit = wanted("target", target), wanted("against", against), text_or_none("unit", unit, "logit")
    task.targets(Case(model), [other] if one is None else [one], None if one is None else other, unit)
    return Request(row, options, filled, one, other, unit, one_of("value of `trust`", trust, CHECKS))


SETTINGS = tuple(p.name for p in inspect.signature(request_for).parameters.values() if p.kind is p.KEYWORD_ONLY)


def takes_settings(function: F) -> F:
    """Shows the settings of a request in the signature of a function that passes `**settings` on to `request_for`."""
    own = inspect.signature(function)
    shown = inspect.signature(request_for).parameters
    named = [p for p in own.parameters.values() if p.kind is not p.VAR_KEYWORD]
    settings = [shown[name] for name in SETTINGS if name not in own.parameters]
    function.__signature__ = own.replace(parameters=[*named, *settings, shown["options"]])  # type: ignore[attr-defined]
    return function


def wanted(name: str, target: object) -> WantedTarget:
    """A target as it may be asked for: a name (of a class that is a number or a truth value, that), an index, a tuple, or None.

    Raises OptionError for another type.
    """
    known = plain(target)
    if isinstance(known, tuple | list):
        return tuple(plain(each) for each in known)
    if not isinstance(known, str | int | float | None):
        raise OptionError(
            f"`{name}` is a label by its name or its index, or a text, not {target!r:.60} ({type(target).__name__})."
        )
    return known


def granularity(by: object) -> Granularity:
    """What the features shall be, if it is of a type that can say so. Raises OptionError."""
    known: Any = plain(by)
    if isinstance(known, str | Mapping) or (isinstance(known, Sequence) and not isinstance(known, bytes)):
        return known
    raise OptionError(f"`by` is a word such as 'word' or 'sentence', or spans [(start, end), …], not {by!r:.60}.")


def _needs(model: Model[Any], method: Method) -> None:
    """Refuses a method that asks where a model looks, for a model that cannot say."""
    if method.needs == "label attention" and not model.has_label_attention:
        raise MethodError(f"{method.name} needs a model with label attention, and {model.name} has none.")
    if method.needs != "attention heads":
        return
    if model.attention_unavailable is not None:
        raise MethodError(
            f"{method.name} needs attention weights, and {model.attention_unavailable}. Use 'kernel_shap' or 'occlusion'."
        )


def _with_absence(model: Model[Any], task: Task, encoding: EncodingOptions, method: Method) -> EncodingOptions:
    """What takes a missing feature's place, checked; the model's own choice where nothing was asked for."""
    allowed = [a for a in model.absences if a != "drop" or not task.position_indexed]
    if encoding.embedding != "word":
        if encoding.embedding not in model.embeddings:
            has = ", ".join(model.embeddings) or "none that gradients can follow"
            raise OptionError(f"{model.name} has no {encoding.embedding} embeddings; it has {has}.")
        allowed = ["zero"]
    if encoding.absent and encoding.absent not in allowed:
        raise unknown(f"`absent` for {task.name} with {model.name}", encoding.absent, allowed)
    if method.gradients and (not model.differentiable or encoding.absent in NON_DIFFERENTIABLE):
        reason = (
            "this model gives no gradients"
            if not model.differentiable
            else f"embeddings cannot tell of absent={encoding.absent!r}"
        )
        coalition = ", ".join(name for name, m in METHODS.items() if m.family == "coalition")
        raise MethodError(f"{method.name} follows gradients, and {reason}. Use one of: {coalition}.")
    usable = (each for each in allowed if each not in NON_DIFFERENTIABLE or not method.gradients)
    return replace(encoding, absent=encoding.absent or next(usable, allowed[0]))


def check(model: Model[Any], task: Task, inputs: Sequence[Any], request: Request, many: bool) -> list[Encoding]:
    """The encodings of all inputs; what cannot be explained is refused before any model call, by its place in the list."""
    encodings = []
    for i, given in enumerate(inputs):
        try:
            encoding = task.encode(model, given, request.encoding)
            task.targets(Case(model, encoding), [request.target], request.against, request.unit)
            few_enough(len(encoding.features), request.method)
            if request.method.coalitions:
                first_coalitions(request.method.function, encoding.features, request.options)  # may refuse
        except (InputError, OptionError, MethodError) as error:
            where = f"Input {i} of {len(inputs)}: " if many else ""
            raise type(error)(where + str(error)) from None
        encodings.append(encoding)
    return encodings


def _kinds(inputs: Sequence[Any]) -> tuple[bool, bool]:
    """Are the inputs templates (all of a call, or none), and can gradients follow their features?"""
    slotted = {bool(getattr(each, "slotted", False)) for each in inputs}
    if len(slotted) > 1:
        raise InputError("Templates and texts are explained in calls of their own: their features are not alike.")
    return True in slotted, all(getattr(each, "differentiable", True) for each in inputs)


def _by_slot(encoding: EncodingOptions, method: Method, differentiable: bool) -> EncodingOptions:
    """How a template is looked at: by its slots, whose baselines take their place."""
    if encoding.absent or encoding.by != "word":
        raise OptionError(
            "A template's features are its slots, and their baselines stand in for them: no `by`, no `absent`."
        )
    if method.gradients and not differentiable:
        raise MethodError(
            f"{method.name} follows gradients, and a slot's text changes length. Use a coalition method, for example "
            "'shapley_values' or 'kernel_shap'."
        )
    return replace(encoding, by="slot", absent="baseline")


def few_enough(n: int, method: Method) -> None:
    """Raises MethodError for more features than a method may ask about one by one, before any coalition is made."""
    if method.coalitions and n > MOST_FEATURES:
        gradient = ", ".join(name for name, m in METHODS.items() if m.gradients and not m.coalitions)
        raise MethodError(
            f"{method.name} asks about each of {n:,} features; the limit is {MOST_FEATURES:,}. Take coarser features (`by`), "
            f"or a method that follows gradients: {gradient}."
        )
