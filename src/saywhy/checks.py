"""What is asked of a call, checked before any input is read; and the inputs, before any model call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from .errors import InputError, MethodError, OptionError, unknown
from .line import Ask, MethodLike
from .methods import METHODS, Method, checked_options, method_named
from .models import EMBEDDINGS, NOT_FOLLOWED, OVERLONG, Look, Model
from .tasks import Case, Task, WantedTarget
from .types import Encoding, Problem, Smooth, Target

MOST_FEATURES = 5_000  # that a method may ask about one by one: more coalitions than that fit no memory


def asked(
    model: Model,
    task: Task,
    method: MethodLike | None,
    look: Look,
    wanted: tuple[WantedTarget, WantedTarget, str | None],
    options: Mapping[str, Any],
    slotted: bool = False,
    smooth: bool = True,
) -> Ask:
    """Everything asked for: method, look, (target, against, unit) and options. Unknown names are refused with the nearest.

    `slotted`: the inputs are templates, whose slots have baselines of their own; `smooth`: gradients can follow them.
    """
    target, against, unit = wanted
    if method is None:
        followed = smooth and model.differentiable and look.absent not in NOT_FOLLOWED
        method = "integrated_gradients" if followed else "kernel_shap"
    row = method_named(method)
    checked_options(row, options)
    if look.overlong not in OVERLONG:
        raise unknown("value of `overlong`", look.overlong, OVERLONG)
    _sees(model, row)
    look = _filled(look, row, smooth) if slotted else replace(look, absent=_absence(model, task, look, row))
    named, held = ([target], against) if target is not None else ([against], None)
    task.targets(Case(model), named, held, unit)  # refuses unknown labels and units now
    return Ask(row, dict(options), look, target, against, unit)


def _sees(model: Model, method: Method) -> None:
    """Refuses a method that asks where a model looks, for a model that cannot say."""
    if method.needs == "label attention" and not getattr(model, "attends", False):
        raise MethodError(f"{method.name} needs a model with label attention, and {model.name} has none.")
    if method.needs != "attention heads":
        return
    why: str | None = getattr(model, "blind", f"{model.name} does not say what its attention heads look at")
    if why is not None:
        raise MethodError(f"{method.name} needs attention weights, and {why}. Use 'kernel_shap' or 'occlusion'.")


def _absence(model: Model, task: Task, look: Look, method: Method) -> str:
    """What takes a missing feature's place, checked; the model's own choice where nothing was asked for."""
    allowed = [a for a in model.absences if a != "drop" or not task.steady]
    if look.embedding != "word":
        if look.embedding not in EMBEDDINGS:
            raise unknown("value of `embedding`", look.embedding, EMBEDDINGS)
        if look.embedding not in model.embeddings:
            has = ", ".join(model.embeddings) or "none that gradients can follow"
            raise OptionError(f"{model.name} has no {look.embedding} embeddings; it has {has}.")
        allowed = ["zero"]
    if look.absent and look.absent not in allowed:
        raise unknown(f"`absent` for {task.name} with {model.name}", look.absent, allowed)
    if method.gradients and (not model.differentiable or look.absent in NOT_FOLLOWED):
        reason = (
            "this model gives no gradients"
            if not model.differentiable
            else f"embeddings cannot tell of absent={look.absent!r}"
        )
        coalition = ", ".join(name for name, m in METHODS.items() if m.family == "coalition")
        raise MethodError(f"{method.name} follows gradients, and {reason}. Use one of: {coalition}.")
    return look.absent or next((a for a in allowed if a not in NOT_FOLLOWED or not method.gradients), allowed[0])


def check(model: Model, task: Task, inputs: Sequence[Any], ask: Ask, many: bool) -> None:
    """Refuses what cannot be explained, before any model call."""
    for i, given in enumerate(inputs):
        try:
            encoding = task.encode(model, given, ask.look)
            task.targets(Case(model, encoding), [ask.target], ask.against, ask.unit)
            if ask.method.coalitions:
                _few_enough(len(encoding.features), ask.method)
                dry = ask.method.function(_without_model(encoding, ask.method), **ask.options)
                next(dry)
                dry.close()
        except (InputError, OptionError, MethodError) as error:
            where = f"Input {i} of {len(inputs)}: " if many else ""
            raise type(error)(where + str(error)) from None


def _without_model(encoding: Encoding, method: Method) -> Problem:
    """A problem of these features, for a method to check its options by; where it asks for gradients, of no embeddings."""
    n = len(encoding.features)
    smooth = None
    if method.gradients:
        smooth = Smooth(torch.zeros(n, 1), torch.zeros(n, 1), np.arange(n), n)
    return Problem(encoding.features, (Target("", (0,)),), smooth)


def kind(inputs: Sequence[Any]) -> dict[str, bool]:
    """Are the inputs templates (all of a call, or none), and can gradients follow their features?"""
    slotted = {bool(getattr(each, "slotted", False)) for each in inputs}
    if len(slotted) > 1:
        raise InputError("Templates and texts are explained in calls of their own: their features are not alike.")
    return {"slotted": True in slotted, "smooth": all(getattr(each, "smooth", True) for each in inputs)}


def _filled(look: Look, method: Method, smooth: bool) -> Look:
    """How a template is looked at: by its slots, whose baselines take their place."""
    if look.absent or look.by != "word":
        raise OptionError(
            "A template's features are its slots, and their baselines stand in for them: no `by`, no `absent`."
        )
    if method.gradients and not smooth:
        raise MethodError(
            f"{method.name} follows gradients, and a slot's text changes length. Use a coalition method, for example "
            "'shapley_values' or 'kernel_shap'."
        )
    return replace(look, by="slot", absent="baseline")


def _few_enough(n: int, method: Method) -> None:
    if n > MOST_FEATURES:
        gradient = ", ".join(name for name, m in METHODS.items() if m.gradients)
        raise MethodError(
            f"{method.name} asks about each of {n:,} features; the limit is {MOST_FEATURES:,}. Take coarser features (`by`), "
            f"or a method that follows gradients: {gradient}."
        )
