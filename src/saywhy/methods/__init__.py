"""The table of methods. A method is a generator that asks about a problem and returns scores; a row gives it a name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from ..core.checks import MOST, one_of, plain, whole_number
from ..core.errors import OptionError, unknown
from ..core.types import MethodGenerator
from .attention import attention_rollout, gradient_rollout, label_attention, raw_attention
from .coalitions import occlusion, random, shapley_sampling, shapley_values
from .gradients import (
    gradient_shap,
    input_x_gradient,
    integrated_gradients,
    noisy_integrated_gradients,
    saliency,
    smoothgrad,
)
from .guided import guided_shap
from .rules import attn_lrp, detach_attention, integrated_rules, libra
from .surrogates import kernel_shap, lime


@dataclass(frozen=True)
class Method:
    """One row: what a user and a contract test must know of a method."""

    function: Callable[..., MethodGenerator]
    family: str  # "coalition", "gradient", "guided" (coalitions and gradients), "attention" or "control"
    cost: str  # evaluations a text, in F (forwards) and B (backwards); n features
    source: str
    complete: bool = False  # do the scores add up to value - base?
    needs: str = ""  # what of the model, if not all have it: "label attention" or "attention heads"
    reuses_forward: str = ""  # it asks for gradients at the input itself, once: "plain", or under these backward rules
    leaves_one_out: bool = False  # does it look at each feature alone absent?

    @property
    def name(self) -> str:
        return self.function.__name__

    @property
    def summary(self) -> str:
        """The first line of the docstring: what comes out."""
        return (inspect.getdoc(self.function) or "").split("\n")[0].split(". ")[0].rstrip(".")

    @property
    def gradients(self) -> bool:
        """Does it ask for gradients, so that there must be some?"""
        return self.family in ("gradient", "guided")

    @property
    def coalitions(self) -> bool:
        """Does it ask about coalitions, by options that can be checked before the model is asked?"""
        return self.family in ("coalition", "guided")

    @property
    def options(self) -> Mapping[str, Any]:
        """option -> default"""
        parameters = inspect.signature(self.function).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


_ROWS = (
    Method(integrated_gradients, "gradient", "9-25 (F + B), adaptive", "Sundararajan et al. 2017", complete=True),
    Method(occlusion, "coalition", "n + 1 F", "Zeiler & Fergus 2014", leaves_one_out=True),
    Method(kernel_shap, "coalition", "16 n + 64 F, or 2^n", "Lundberg & Lee 2017; Musco & Witter 2025", complete=True),
    Method(guided_shap, "guided", "2 n + 2 F, 4 (F + B)", "Lundberg & Lee 2017; Mehri et al. 2025", complete=True),
    Method(shapley_sampling, "coalition", "16 n F", "Castro et al. 2009", complete=True),
    Method(shapley_values, "coalition", "2^n F", "Shapley 1953", complete=True),
    Method(lime, "coalition", "257 F", "Ribeiro et al. 2016"),
    Method(input_x_gradient, "gradient", "1 (F + B)", "Shrikumar et al. 2016", reuses_forward="plain"),
    Method(saliency, "gradient", "1 (F + B)", "Simonyan et al. 2014", reuses_forward="plain"),
    Method(smoothgrad, "gradient", "16 (F + B)", "Smilkov et al. 2017"),
    Method(noisy_integrated_gradients, "gradient", "50 (F + B)", "Smilkov et al. 2017; Sundararajan et al. 2017"),
    Method(gradient_shap, "gradient", "16 (F + B)", "Lundberg & Lee 2017; Erion et al. 2021"),
    Method(libra, "gradient", "1 (F + B)", "Mehri et al. 2025", reuses_forward="libra"),
    Method(attn_lrp, "gradient", "1 (F + B)", "Achtibat et al. 2024", reuses_forward="attn_lrp"),
    Method(detach_attention, "gradient", "1 (F + B)", "Ali et al. 2022", reuses_forward="detach_attention"),
    Method(integrated_rules, "gradient", "2 (F + B)", "Mehri et al. 2025; Sundararajan et al. 2017"),
    Method(label_attention, "attention", "1 F", "Mullenbach et al. 2018", needs="label attention"),
    Method(raw_attention, "attention", "1 F", "Jain & Wallace 2019", needs="attention heads"),
    Method(attention_rollout, "attention", "1 F", "Abnar & Zuidema 2020", needs="attention heads"),
    Method(gradient_rollout, "attention", "1 (F + B)", "Chefer et al. 2021", needs="attention heads"),
    Method(random, "control", "none", "control"),
)
METHODS: Mapping[str, Method] = {row.name: row for row in _ROWS}


def method_named(wanted: str | Callable[..., MethodGenerator]) -> Method:
    """The row of a method given by name, or a row made for a caller's own generator function."""
    if callable(wanted):
        try:
            inspect.signature(wanted).bind_partial(None)
        except (TypeError, ValueError):
            raise OptionError(
                f"A method of your own is a generator function of a problem, as `saywhy.extend` describes it, not {wanted!r:.60}."
            ) from None
        return Method(wanted, "custom", "?", "the caller's own")
    return METHODS[one_of("method", wanted, METHODS)]


def checked_options(method: Method, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options as Python's own values. Refuses one that the method does not have, and says whose it is."""
    known: dict[str, Any] = {}
    for name, value in options.items():
        if name in method.options:
            known[name] = _checked_value(method, name, plain(value))
            continue
        owners = [row.name for row in METHODS.values() if name in row.options]
        if owners:
            raise OptionError(
                f"{name!r} is an option of {', '.join(owners)}, not of {method.name}, "
                f"which takes {', '.join(method.options) or 'none'}."
            )
        raise unknown(f"option for {method.name}", name, method.options, near=0.7)
    return known


_MOST = 10_000_000  # samples, steps, …: more is a slip, and would fill the memory before it fails
_KINDS: Mapping[str, tuple[Any, str]] = {
    "int": (Integral, "a whole number"),
    "float": (Real, "a number"),
    "str": (str, "a word"),
    "bool": (bool, "True or False"),
    "None": (type(None), "None"),
}


def _checked_value(method: Method, name: str, value: object) -> object:
    """The value; refuses one of another kind than the option is annotated with; where that is another kind, any is taken."""
    hint = inspect.signature(method.function).parameters[name].annotation
    kinds = [kind.strip() for kind in (hint if isinstance(hint, str) else getattr(hint, "__name__", "")).split("|")]
    if any(kind not in _KINDS for kind in kinds):
        return value
    if any(isinstance(value, _KINDS[kind][0]) and (kind == "bool" or not isinstance(value, bool)) for kind in kinds):
        if isinstance(value, int) and not isinstance(value, bool):
            whole_number(f"{name} of {method.name}", value, most=MOST if name == "seed" else _MOST)
        return value
    wanted = " or ".join(_KINDS[kind][1] for kind in kinds)
    raise OptionError(f"`{name}` of {method.name} is {wanted}, not {value!r:.60}.")
