"""What other libraries' own objects and arguments say is followed or refused by name, never passed over."""

from __future__ import annotations

from typing import Any

import pytest

from saywhy.compat import captum as ours
from saywhy.core.errors import OptionError
from tiny_lm import language_model


@pytest.mark.parametrize("name", ["LayerIntegratedGradients", "LayerGradientXActivation", "LayerGradientShap"])
def test_gradients_that_are_not_multiplied_are_refused_and_not_given_multiplied(name: str) -> None:
    attr = pytest.importorskip("captum.attr")
    model, tokenizer = language_model("Llama")
    layer = model.get_input_embeddings()
    with pytest.raises(OptionError, match="multiply_by_inputs=False"):
        ours.LLMGradientAttribution(getattr(attr, name)(model, layer, multiply_by_inputs=False), tokenizer)
    ours.LLMGradientAttribution(getattr(attr, name)(model, layer), tokenizer)


def test_noise_on_the_input_is_refused_and_not_passed_over() -> None:
    model, tokenizer = language_model("Llama")
    wrapped = ours.LLMGradientAttribution(ours.LayerGradientShap(model, model.get_input_embeddings()), tokenizer)
    asked: dict[str, Any] = {"target": " it", "n_samples": 4}
    with pytest.raises(OptionError, match="`stdevs` must be 0"):
        wrapped.attribute(ours.TextTokenInput("She was", tokenizer), stdevs=0.5, **asked)
    assert wrapped.attribute(ours.TextTokenInput("She was", tokenizer), stdevs=0.0, **asked).seq_attr.isfinite().all()
