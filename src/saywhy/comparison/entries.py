"""What is compared: methods with their options, scores made elsewhere, and the controls."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from ..core.checks import mapping
from ..core.errors import OptionError
from ..core.types import MethodGenerator, Problem
from ..methods import METHODS, Method, checked_options, method_named
from ..models.protocol import Model

Compared: TypeAlias = (
    "str | Callable[..., MethodGenerator] | tuple[str | Callable[..., MethodGenerator], Mapping[str, Any]]"
)

RANDOM, ORACLE = "random", "oracle"
_CANDIDATES = ("integrated_gradients", "libra", "input_x_gradient", "saliency", "attention_rollout")
_ALWAYS = ("occlusion", "kernel_shap", "lime")


@dataclass(frozen=True, eq=False)
class Entry:
    """One row of the comparison: a method with its options, or scores that were made elsewhere."""

    label: str
    method: Method | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    absent: str | None = None  # what stands in for absent features while it computes; None is the comparison's own
    given: Sequence[Any] = ()  # [n] each: a text's scores, where there is no method

    def asking(self, problem: Problem, index: int, seed: int | None = None) -> MethodGenerator:
        """The method at work on the problem of text `index`. The random control draws anew for every text."""
        if self.method is None:
            raise OptionError(f"{self.label!r} has no method: its scores were given.")
        options = dict(self.options)
        if self.label == RANDOM:
            options["seed"] = index + 1_000 * (seed or 0)
        elif seed is not None and "seed" in self.method.options:
            options["seed"] = seed
        return self.method.function(problem, **options)

    def scores(self, index: int) -> Tensor:
        """[1, n]: what was given for text `index`."""
        return torch.tensor(np.array(self.given[index], dtype=np.float64))[None]


def entries(
    wanted: Sequence[Compared] | None, given: Mapping[str, Sequence[Any]], model: Model[Any], followed: bool = True
) -> list[Entry]:
    """The rows of a comparison, the random control last. Refuses unknown methods and options, and two rows of one name."""
    found = [_entry(each) for each in (suited(model, followed) if wanted is None else wanted)]
    found += [Entry(label, given=scores) for label, scores in given.items()]
    if RANDOM not in [each.label for each in found]:
        found.append(Entry(RANDOM, METHODS["random"]))
    labels = [each.label for each in found]
    twice = sorted({label for label in labels if labels.count(label) > 1 or label == ORACLE})
    if twice:
        raise OptionError(f"Each row needs a name of its own, and {ORACLE!r} is taken: {', '.join(twice)}.")
    return found


def suited(model: Model[Any], followed: bool = True) -> list[str]:
    """The methods that are compared where none are named: what can be asked. `followed`: do gradients follow the inputs?"""
    sighted = model.attention_unavailable is None
    return [
        *(
            name
            for name in _CANDIDATES
            if followed and model.differentiable and (sighted or METHODS[name].family != "attention")
        ),
        *_ALWAYS,
    ]


def _entry(each: Compared) -> Entry:
    name, options = (
        each if isinstance(each, tuple) and len(each) == 2 else _written(each) if isinstance(each, str) else (each, {})
    )
    options = dict(mapping("options", options, "an option's name to its value"))
    absent = options.pop("absent", None)
    row = method_named(name)
    checked_options(row, options)
    said = {**options, **({"absent": absent} if absent else {})}
    label = row.name + (f" ({', '.join(f'{key}={value}' for key, value in said.items())})" if said else "")
    return Entry(label, row, options, absent)


def _written(text: str) -> tuple[str, dict[str, Any]]:
    """ "name" or "name:option=value:option=value"."""
    name, *pairs = text.split(":")
    options: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip().isidentifier():
            raise OptionError(
                f"{text!r}: write a method with options as name:option=value, for example occlusion:absent=pad."
            )
        try:
            options[key.strip()] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            options[key.strip()] = value
    return name.strip(), options
