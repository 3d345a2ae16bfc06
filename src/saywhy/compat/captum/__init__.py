"""Captum's names for language models over saywhy: change the import, and the rest of the code stays.

>>> from saywhy.compat.captum import LLMAttribution, ShapleyValues, TextTemplateInput
>>> LLMAttribution(ShapleyValues(model), tokenizer).attribute(TextTemplateInput("{} was", ["She"]), target=" late")

Names, arguments and shapes are those of Captum 0.9; the numbers are saywhy's: every distinct prompt goes through the model
once, batched, in one teacher-forced pass; Shapley values are exact where that costs no more than sampling; several baselines
mean their average; log-probabilities are float32. `Lime` returns the local slopes themselves, not shrunk by a Lasso.
Captum's own method objects are taken too.
"""

from __future__ import annotations

from .attribution import LLMAttribution, LLMGradientAttribution
from .inputs import ProductBaselines, TextTemplateInput, TextTokenInput
from .methods import (
    FeatureAblation,
    KernelShap,
    LayerGradientShap,
    LayerGradientXActivation,
    LayerIntegratedGradients,
    Lime,
    ShapleyValues,
    ShapleyValueSampling,
)
from .remote import RemoteLLMAttribution, RemoteLLMProvider
from .result import LLMAttributionResult
from .vllm import VLLMProvider

__all__ = [
    "FeatureAblation",
    "KernelShap",
    "LLMAttribution",
    "LLMAttributionResult",
    "LLMGradientAttribution",
    "LayerGradientShap",
    "LayerGradientXActivation",
    "LayerIntegratedGradients",
    "Lime",
    "ProductBaselines",
    "RemoteLLMAttribution",
    "RemoteLLMProvider",
    "ShapleyValueSampling",
    "ShapleyValues",
    "TextTemplateInput",
    "TextTokenInput",
    "VLLMProvider",
]
