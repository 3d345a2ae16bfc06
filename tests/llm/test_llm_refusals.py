"""What a language model, its tokenizer or a prompt may lack: the right numbers all the same, or a plain refusal beforehand."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

import saywhy
from saywhy.core.errors import InputError, ModelError, OptionError
from saywhy.llm import Chat, Template, probe
from saywhy.models.causal.model import LanguageModel
from saywhy.models.causal.prompts import Prompt
from saywhy.models.protocol import EncodingOptions
from tiny_lm import language_model, straight

PROMPT, TARGET = "I love you, the movie was a", " lovely mess"


def forwards(model):
    """A list that grows with every call of the model."""
    seen = []
    model.register_forward_pre_hook(lambda *_: seen.append(1))
    return seen


def bare(*names):
    """A tokenizer without these special tokens."""
    made = copy.deepcopy(language_model("Llama")[1])
    for name in names:
        setattr(made, name, None)
    return made


class TestTokenizersThatLackSomething:
    @pytest.mark.parametrize("lacking", [("pad_token",), ("bos_token",), ("pad_token", "bos_token", "eos_token")])
    def test_no_padding_no_beginning_token(self, lacking):
        model, whole = language_model("Llama")
        tokenizer = bare(*lacking)
        one = saywhy.Explainer(model, tokenizer)
        inputs = [PROMPT, "the night", PROMPT + " long"]
        found = one(inputs, target=TARGET, method="occlusion", absent="drop")
        plain = saywhy.Explainer(model, whole)(inputs, target=TARGET, method="occlusion", absent="drop")
        for e, other, text in zip(found, plain, inputs, strict=True):
            assert e.value == pytest.approx(float(straight(model, whole, text, TARGET).sum()), abs=1e-4)
            np.testing.assert_allclose(e.scores, other.scores, atol=1e-4)
        filled = one(Template("the {x} was", {"x": "movie"}, {"x": "night"}), target=TARGET, method="shapley_values")
        assert abs(filled.gap) < 1e-9
        assert one("the movie", method="occlusion").prediction

    def test_a_way_of_absence_that_needs_the_token(self):
        one = saywhy.Explainer(language_model("Llama")[0], bare("pad_token"))
        with pytest.raises(OptionError, match="absent"):
            one(PROMPT, target=TARGET, absent="pad")

    def test_no_chat_template(self):
        model, tokenizer = language_model("Llama")
        messages = [{"role": "user", "content": "the {x} was"}]
        one, seen = saywhy.Explainer(model, tokenizer), forwards(model)
        for given in (Chat(messages), Template(messages, {"x": "movie"})):
            with pytest.raises(InputError, match="has no chat template"):
                one(given, target=TARGET)
        assert not seen
        model._forward_pre_hooks.clear()


class TestModels:
    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_half_precision_that_overflows(self, dtype):
        model, tokenizer = copy.deepcopy(language_model("Llama"))
        model = model.to(dtype)
        with torch.no_grad():
            model.lm_head.weight[:] = float("inf")
        with pytest.raises(ModelError, match=r"not all finite.*float32"):
            saywhy.Explainer(model, tokenizer)(PROMPT, target=TARGET, method="occlusion")
        with pytest.raises(ModelError, match="finite"):
            probe(saywhy.Explainer(model, tokenizer), "the {x} was", {"x": ["movie", "night"]}, TARGET)

    def test_numbers_that_are_none_only_without_a_feature(self):
        model, tokenizer = copy.deepcopy(language_model("Llama"))
        bad = tokenizer("bad", add_special_tokens=False)["input_ids"][0]
        with torch.no_grad():
            model.get_input_embeddings().weight[bad] = float("nan")
        template = Template("the {x} was", {"x": "good"}, {"x": "bad"})
        with pytest.raises(ModelError, match=r"nan.*float32"):
            saywhy.Explainer(model, tokenizer)(template, target=TARGET, method="shapley_values")

    def test_no_generate(self):
        model, tokenizer = copy.deepcopy(language_model("Llama"))
        model.generate = None
        with pytest.raises(ModelError, match="no generate"):
            saywhy.Explainer(model, tokenizer)(PROMPT)
        assert np.isfinite(saywhy.Explainer(model, tokenizer)(PROMPT, target=TARGET, method="occlusion").value)


class TestPromptsAndTargets:
    @pytest.fixture
    def one(self):
        return saywhy.Explainer(*language_model("Llama"))

    def test_no_room(self, one):
        with pytest.raises(InputError, match="no room for an answer"):
            one("a" * 64)
        with pytest.raises(InputError, match="can read 64"):
            one("good " * 64)
        with pytest.raises(InputError, match="Shorten one"):
            one(PROMPT, target=" good" * 64)
        with pytest.raises(InputError, match="Shorten one"):
            one(PROMPT, target=TARGET, against=" good" * 64)

    def test_targets_that_are_none(self, one):
        for target in ("", ()):
            with pytest.raises((InputError, OptionError), match="target"):
                one(PROMPT, target=target)
        with pytest.raises(InputError, match="outside the model's vocabulary"):
            one(PROMPT, target=(5, 10**6))
        with pytest.raises(InputError, match="has no token"):
            probe(one, "the {x}", {"x": ["movie", "night"]}, "")

    def test_prompts_without_a_feature(self, one):
        for prompt in ("", " \n "):
            with pytest.raises(InputError, match="blank"):
                one(prompt, target=TARGET, method="occlusion")
        with pytest.raises(InputError, match="nothing to explain"):
            Template("the movie was", {})

    def test_nothing_was_asked_of_the_model(self):
        model, tokenizer = copy.deepcopy(language_model("Llama"))
        one, seen = saywhy.Explainer(model, tokenizer), forwards(model)
        for asked in (
            {"target": ""},
            {"target": " x" * 70},
            {"target": (10**6,)},
            {"target": " x", "method": "nonsense"},
        ):
            with pytest.raises((InputError, OptionError)):
                one(PROMPT, **asked)
        assert not seen

    def test_dropping_everything_leaves_one_token(self):
        adapter = LanguageModel(language_model("Llama")[0], bare("bos_token", "eos_token", "unk_token", "pad_token"))
        encoding = adapter.encode_prompt(Prompt("good"), EncodingOptions(absent="drop"))
        assert encoding.nothing.ids.tolist() == [0]
