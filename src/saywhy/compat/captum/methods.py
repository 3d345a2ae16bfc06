"""Captum's method classes as plain holders of a model, and which method of saywhy each stands for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from torch import nn

from ...core.errors import OptionError


class InterpretableModel(Protocol):
    """A linear model: scikit-learn's kind with `coef_` after fit, or Captum's with `representation()`."""

    fit: Callable[..., Any]


@dataclass(frozen=True, eq=False)
class FeatureAblation:
    """How far the target falls when each feature alone is replaced."""

    forward_func: Callable[..., Any]


@dataclass(frozen=True, eq=False)
class ShapleyValueSampling:
    """Shapley values: exact where all subsets cost no more than the orders asked for, else from random orders."""

    forward_func: Callable[..., Any]


@dataclass(frozen=True, eq=False)
class ShapleyValues:
    """Exact Shapley values from 2^F evaluations."""

    forward_func: Callable[..., Any]


@dataclass(frozen=True, eq=False)
class Lime:
    """The slopes of a local linear model, by Captum's numbers: fair coins, a cosine kernel of width 1, a Lasso of alpha 0.01.

    `interpretable_model` is Captum's kind (fit(DataLoader), representation()) or scikit-learn's; `similarity_func` takes
    (original, perturbed, subset) and gives a weight; `perturb_func` takes the original and gives a subset [1, F], or is a
    generator of them.
    """

    forward_func: Callable[..., Any]
    interpretable_model: InterpretableModel | None = None
    similarity_func: Callable[..., Any] | None = None
    perturb_func: Callable[..., Any] | None = None


@dataclass(frozen=True, eq=False)
class KernelShap:
    """Shapley values by regression; exact where all subsets fit into the budget."""

    forward_func: Callable[..., Any]


@dataclass(frozen=True, eq=False)
class LayerIntegratedGradients:
    """Gradients integrated from the baseline's embeddings to the prompt's. `layer` is the model's input embedding."""

    forward_func: Callable[..., Any]
    layer: nn.Module


@dataclass(frozen=True, eq=False)
class LayerGradientXActivation:
    """The gradient times the embedding. `layer` is the model's input embedding."""

    forward_func: Callable[..., Any]
    layer: nn.Module


@dataclass(frozen=True, eq=False)
class LayerGradientShap:
    """Expected gradients between the baseline's embeddings and the prompt's. `layer` is the model's input embedding."""

    forward_func: Callable[..., Any]
    layer: nn.Module


class AttributionMethod(Protocol):
    """What holds a model: one of these classes, or one of Captum's own."""

    @property
    def forward_func(self) -> Callable[..., Any]: ...


class LayerMethod(AttributionMethod, Protocol):
    """What holds a model and one of its layers."""

    @property
    def layer(self) -> nn.Module: ...


class Way(NamedTuple):
    """One class of Captum in saywhy's words."""

    method: Callable[[int, int], tuple[str, dict[str, Any]]]  # (features, samples) -> method, options
    samples: int  # by default
    takes: tuple[str, ...]  # the arguments of attribute() that mean something here
    gradients: bool = False
    seeded: bool = False


def _sampled(n: int, samples: int) -> tuple[str, dict[str, Any]]:
    if n <= 12 and 2**n <= max(samples * n, 64):
        return "shapley_values", {}
    return "shapley_sampling", {"permutations": max(2, samples + samples % 2)}


def _kernel(n: int, samples: int) -> tuple[str, dict[str, Any]]:
    return "kernel_shap", {"budget": min(8192, max(samples, 2 * n + 2, 2**n if n <= 7 else 0))}


IGNORED = (
    "perturbations_per_eval",
    "show_progress",
    "return_input_shape",
    "internal_batch_size",
    "attribute_to_layer_input",
)
WAYS: Mapping[str, Way] = {
    "FeatureAblation": Way(lambda n, s: ("occlusion", {}), 0, ()),
    "ShapleyValueSampling": Way(_sampled, 25, ("n_samples", "seed"), seeded=True),
    "ShapleyValues": Way(lambda n, s: ("shapley_values", {}), 0, ()),
    "KernelShap": Way(_kernel, 25, ("n_samples", "seed"), seeded=True),
    "Lime": Way(lambda n, s: ("lime", {}), 25, ("n_samples", "seed"), seeded=True),  # see surrogate.py
    "LayerIntegratedGradients": Way(
        lambda n, s: ("integrated_gradients", {"steps": s}), 50, ("n_steps", "method", "baselines"), gradients=True
    ),
    "LayerGradientXActivation": Way(lambda n, s: ("input_x_gradient", {}), 0, (), gradients=True),
    "LayerGradientShap": Way(
        lambda n, s: ("gradient_shap", {"samples": max(2, s)}),
        5,
        ("n_samples", "stdevs", "seed", "baselines"),
        gradients=True,
        seeded=True,
    ),
}


def way_of(method: AttributionMethod | type, gradients: bool, whose: str) -> tuple[str, Way]:
    """The row of WAYS for a method object, ours or Captum's, by the name of its class. Raises OptionError for others."""
    allowed = [name for name, way in WAYS.items() if way.gradients is gradients]
    if isinstance(method, type):
        raise OptionError(f"{whose} takes a method object, {method.__name__}(model), not the class.")
    for kind in type(method).__mro__:
        if kind.__name__ in ("FeaturePermutation", "Occlusion"):
            break
        if kind.__name__ in allowed:
            if gradients and getattr(method, "multiplies_by_inputs", True) is False:
                raise OptionError(
                    f"{kind.__name__} gives gradients times the distance from the baseline here, not gradients alone: make it "
                    "without multiply_by_inputs=False."
                )
            return kind.__name__, WAYS[kind.__name__]
    raise OptionError(f"{whose} does not support {type(method)}. Allowed: {', '.join(allowed)}.")


def checked_arguments(name: str, way: Way, given: Mapping[str, Any]) -> None:
    """Refuses an argument of attribute() that this method does not take."""
    for argument, value in given.items():
        if argument in ("feature_mask", "baselines") and value is not None and argument not in way.takes:
            raise OptionError(f"`{argument}` belongs to the input here: TextTemplateInput(…, mask=…, baselines=…).")
        if argument not in (*way.takes, *IGNORED, "feature_mask", "baselines"):
            shown = ", ".join((*way.takes, *IGNORED))
            raise TypeError(
                f"attribute() got an unexpected keyword argument {argument!r} for {name}; it takes {shown}."
            )
    if given.get("method", "gausslegendre") != "gausslegendre":
        raise OptionError("Integrals are taken by method='gausslegendre' here.")
    if given.get("stdevs"):
        raise OptionError(f"No noise is laid on the input here: `stdevs` must be 0, not {given['stdevs']!r:.40}.")
