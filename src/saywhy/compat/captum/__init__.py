"""Captum's names for language models over saywhy: change the import, and the rest of the code stays.

>>> from saywhy.compat.captum import LLMAttribution, ShapleyValues, TextTemplateInput
>>> LLMAttribution(ShapleyValues(model), tokenizer).attribute(TextTemplateInput("{} was", ["She"]), target=" late")

Names, arguments and shapes are those of Captum 0.9; the numbers are saywhy's: every distinct prompt goes through the model
once, batched, in one teacher-forced pass; Shapley values are exact where that costs no more than sampling; several baselines
mean their average; log-probabilities are float32. `Lime` gives Captum's numbers (its Lasso, its draws after torch.manual_seed);
saywhy's own `lime` is another method. Captum's own method objects are taken too, and any model that answers logits with any
tokenizer that has `encode`, `decode` and `convert_ids_to_tokens`.
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
from .segments import TextSegmentInput
from .vllm import VLLMProvider

_ELSEWHERE = {
    "ImageMaskInput": "an image beside a prompt is not explained; saywhy.Explainer explains image classifiers",
    "Occlusion": "its windows mean nothing for the slots of a prompt; FeatureAblation replaces one at a time",
    "FeaturePermutation": "it permutes a batch, and a prompt is one row; take FeatureAblation",
}


def __getattr__(name: str) -> object:
    if name in _ELSEWHERE:
        raise ImportError(f"saywhy.compat.captum has no {name}: {_ELSEWHERE[name]}.")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


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
    "TextSegmentInput",
    "TextTemplateInput",
    "TextTokenInput",
    "VLLMProvider",
]
