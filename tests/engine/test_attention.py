"""Attention methods: against numpy by hand and a plain call of the model; the model stays as it was; refusals."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

import saywhy
from conftest import ARCHITECTURES, TEXTS, headed, tiny
from saywhy.core.errors import MethodError, OptionError
from saywhy.methods import METHODS
from saywhy.models.text.attention import eager
from toys import tangled

NAMES = [name for name, row in METHODS.items() if row.needs == "attention heads"]
SEEING = [name for name in ARCHITECTURES if name not in ("xlnet", "bart", "t5")]


def scores(name, game, **options):
    return game.drive(METHODS[name].function(game.problem, **options)).values.numpy()


def test_raw_attention_is_a_row_of_the_weights():
    game = tangled(n=5)
    weights = game._gaze().weights.numpy()
    np.testing.assert_allclose(scores("raw_attention", game)[0], weights[1].mean(0)[0, 1:])
    np.testing.assert_allclose(scores("raw_attention", game, layer=0, head=2)[1], weights[0, 2][0, 1:])


def test_rollout_multiplies_layers():
    game = tangled(n=5)
    first, last = game._gaze().weights.numpy().mean(1)
    whole = (last + np.eye(6)) / 2 @ ((first + np.eye(6)) / 2)
    np.testing.assert_allclose(scores("attention_rollout", game)[0], whole[0, 1:])


def test_gradient_rollout_is_the_recursion_of_the_paper():
    game = tangled(n=5)
    attention = game._gaze()
    for k, found in enumerate(scores("gradient_rollout", game)):
        reached = np.eye(6)
        for weights, gradients in zip(attention.weights.numpy(), attention.gradients[k].numpy(), strict=True):
            reached = reached + np.maximum(weights * gradients, 0).mean(0) @ reached
        np.testing.assert_allclose(found, (reached - np.eye(6))[0, 1:])


@pytest.mark.parametrize("name", ["raw_attention"])
def test_layers_and_heads_that_are_not_there_are_refused(name):
    for options in ({"layer": 2}, {"head": 3}, {"head": -1}):
        with pytest.raises(OptionError, match=str(next(iter(options.values())))):
            scores(name, tangled(n=5), **options)


def test_against_a_plain_call_of_the_model():
    """A BERT reads its first position: rollout from `output_attentions`, Chefer's with gradients by autograd."""
    model, tokenizer = tiny("bert")
    twin = copy.deepcopy(model)
    twin.config._attn_implementation = "eager"
    text = "The movie was absolutely fantastic"
    out = twin(**tokenizer(text, return_tensors="pt"), output_attentions=True)
    gradients = torch.autograd.grad(out.logits[0, 1], out.attentions)
    reached, mixed = torch.eye(out.attentions[0].shape[-1]), torch.eye(out.attentions[0].shape[-1])
    for weights, slope in zip(out.attentions, gradients, strict=True):
        reached = reached + (weights * slope)[0].clamp(min=0).mean(0) @ reached
        mixed = (weights[0].mean(0) + torch.eye(len(mixed))) / 2 @ mixed
    explainer = saywhy.Explainer(model, tokenizer)
    for method, expected in (("gradient_rollout", reached), ("attention_rollout", mixed)):
        e = explainer(text, method=method, target=1, by="token")
        np.testing.assert_allclose(e.scores, expected[0, 1:-1].detach().numpy(), rtol=1e-4, atol=1e-7)
    assert model.config._attn_implementation == "sdpa"


@pytest.mark.parametrize("name", SEEING)
def test_alone_and_in_a_batch_and_the_model_as_it_was(name):
    model, tokenizer = tiny(name)
    before = model.config._attn_implementation
    explainer = saywhy.Explainer(model, tokenizer)
    for method in NAMES:
        together = explainer(TEXTS[:2], method=method)
        for text, e in zip(TEXTS[:2], together, strict=True):
            assert np.isfinite(e.scores).all()
            assert e.scores.min() >= 0
            assert e.scores.sum() > 0
            alone = explainer(text, method=method).scores
            np.testing.assert_allclose(alone, e.scores, rtol=1e-3, atol=1e-5 * e.scores.max())
    assert model.config._attn_implementation == before


def test_every_target_is_as_if_asked_alone():
    explainer = saywhy.Explainer(*tiny("llama"))
    for k, e in enumerate(explainer.each_target(TEXTS[0], method="gradient_rollout")):
        np.testing.assert_allclose(
            explainer(TEXTS[0], method="gradient_rollout", target=k).scores, e.scores, rtol=1e-4, atol=1e-9
        )


def test_a_token_is_read_off_its_own_position():
    model, tokenizer = headed("bert", "tokens")
    explainer = saywhy.Explainer(model, tokenizer)
    whose = tokenizer("The movie was good").word_ids()
    found = explainer.each_target("The movie was good", method="attention_rollout")
    assert len(found) >= 1
    for e in found:
        assert int(e.scores.argmax()) == whose[e.target.index[0]]


def test_the_implementation_comes_back_after_an_exception():
    model, _ = tiny("bert")
    cache = []

    def stopping():
        with eager(model):
            cache.append(model.config._attn_implementation)
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        stopping()
    assert cache == ["eager"]
    assert model.config._attn_implementation == "sdpa"


@pytest.mark.parametrize("name", ["bart", "t5"])
@pytest.mark.parametrize("method", NAMES)
def test_encoder_decoders_are_refused_before_any_call(name, method):
    explainer = saywhy.Explainer(*tiny(name))
    with pytest.raises(MethodError, match="encoder and a decoder"):
        explainer("good", method=method)


def test_what_cannot_be_seen_is_refused():
    with pytest.raises(MethodError, match="kernel_shap"):
        saywhy.Explainer(lambda texts: [[len(t)] for t in texts], labels=["length"])("a", method="raw_attention")
    with pytest.raises(MethodError, match="form that its output does not follow"):
        saywhy.Explainer(*tiny("xlnet"))("good", method="attention_rollout")
    with pytest.raises(MethodError, match="needs a model with label attention"):
        saywhy.Explainer(*tiny("bert"))("good", method="label_attention")
    with pytest.raises(MethodError, match="several rows"):
        saywhy.Explainer(*tiny("bert"))(" ".join(["good film"] * 60), method="raw_attention", overlong="window")
