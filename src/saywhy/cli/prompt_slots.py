"""What `saywhy prompt` does: slots from the command line, the cost beforehand, the explanation or the probe."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..core.errors import InputError, OptionError
from ..engine.dry_run import first_coalitions
from ..llm.baselines import options as baseline_columns
from ..llm.probe import Probe, probe
from ..llm.template import Template
from ..methods import method_named

if TYPE_CHECKING:
    from ..core.explanation import Explanation, Explanations
    from ..explain.explainer import Explainer


class Asked(NamedTuple):
    """What is asked of the model."""

    method: str | None = None
    target: str | None = None
    against: str | None = None
    unit: str = "log-prob"
    tokens: bool = False


def template_of(text: str, values: Sequence[str], baselines: Sequence[str]) -> Template:
    """The template of SLOT=VALUE pairs and SLOT=A,B,… lists. Raises OptionError for what is neither, and for slips."""
    named: dict[str, str] = {}
    for told in values:
        for pair in re.split(r",(?=\s*\w+=)", told):
            slot, value = _pair(pair, "--values")
            named[slot] = value
    several = dict(_pair(told, "--baseline") for told in baselines)
    split = {slot: [one.strip() for one in told.split(",")] for slot, told in several.items()}
    return Template(text, named, {**dict.fromkeys(named, ""), **split} if split else None)


def _pair(told: str, option: str) -> tuple[str, str]:
    slot, equals, value = told.partition("=")
    if not equals or not slot.strip():
        raise OptionError(f"{option} {told!r}: write SLOT=VALUE, for example country=Germany.")
    return slot.strip(), value.strip()


def cost_of(template: Template, asked: Asked, probing: bool, frugal: bool = False) -> int:
    """How many distinct prompts will go through the model."""
    if probing:
        count = 1
        for levels in levels_of(template).values():
            count *= len(levels)
        return count
    method = method_named(asked.method or "kernel_shap")
    if method.family != "coalition":
        raise OptionError(f"The slots of a prompt are explained by coalition methods; {method.name} is none.")
    options: dict[str, Any] = {"frugal": True} if frugal and asked.method is None else {}
    rows = first_coalitions(method.function, template.features, options).numpy()
    prompts = {told.text for each in template.filled(None, rows) for told in each}
    return len(prompts) * (1 if asked.against is None else 2)


def announced(template: Template, asked: Asked, probing: bool, model: str, frugal: bool = False) -> str:
    """The cost in words, before it is spent."""
    count = cost_of(template, asked, probing, frugal)
    return f"{count:,} {'prompt' if count == 1 else 'prompts'} to score with {model}"


def levels_of(template: Template) -> dict[str, list[str]]:
    """slot -> its value and its baselines: what a probe compares."""
    slots = tuple(template.named)
    columns = {} if template.baselines is None else baseline_columns(template.baselines, slots)
    told = {slot: [one[i] for one in column] for key, column in columns.items() for i, slot in enumerate(key)}
    return {slot: list(dict.fromkeys([template.named[slot], *(told.get(slot, []))])) for slot in slots}


def answered(explainer: Explainer, template: Template, asked: Asked) -> Explanation | Explanations:
    """The explanation of the whole target, or of each of its tokens."""
    if not asked.tokens:
        return explainer(
            template, target=asked.target, against=asked.against, method=asked.method, unit=asked.unit
        )  # fmt: skip
    if asked.against is not None:
        raise OptionError("--tokens explains each token of the target; leave out --against.")
    given = template if asked.target is None else {"prompt": template, "continuation": asked.target}
    return explainer.each_target(given, method=asked.method, unit=asked.unit)


def checked_probe(template: Template, asked: Asked) -> str:
    """The target of a probe. Raises InputError where there is no target, or nothing to compare."""
    if asked.target is None:
        raise InputError("--probe compares the probability of a --target; give one.")
    if template.baselines is None:
        raise InputError("--probe compares each slot's value with its --baseline; give one or several.")
    return asked.target


def probed(explainer: Explainer, template: Template, asked: Asked) -> Probe:
    """The probe over every slot's value and baselines."""
    target = checked_probe(template, asked)
    levels = {slot: [one for one in told if one] for slot, told in levels_of(template).items()}
    return probe(explainer, template.text, levels, target, against=asked.against, unit=asked.unit)
