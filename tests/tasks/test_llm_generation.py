"""Language models: the numbers are those of a plain call, whatever the batch; targets, granularities, refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import saywhy
from saywhy.core.errors import InputError, MethodError, ModelError, OptionError
from tiny_lm import DECODERS, ENCODED, language_model, straight

PROMPT = "I love you, the movie was a"
TARGET = " lovely mess"


def explainer(name="Llama", **settings):
    return saywhy.Explainer(*language_model(name), **settings)


@pytest.mark.parametrize("name", DECODERS + ENCODED)
def test_numbers_are_those_of_a_plain_call_in_any_batch(name):
    model, tokenizer = language_model(name)
    expected = straight(model, tokenizer, PROMPT, TARGET)
    one = explainer(name)
    assert one.task.name == "text-generation"
    e = one(PROMPT, target=TARGET, method="occlusion", absent="drop", by="token")
    assert e.value == pytest.approx(float(expected.sum()), abs=1e-4)
    ids = tokenizer(PROMPT)["input_ids"]
    assert len(e.features) <= len(ids)
    shorter = tokenizer.decode(ids[1:]) if name in DECODERS else None
    if shorter is not None and tokenizer(shorter)["input_ids"] == ids[1:]:
        without = float(straight(model, tokenizer, shorter, TARGET).sum())
        assert e.value - e.scores[0] == pytest.approx(without, abs=1e-4)
    tokens = one.each_target({"prompt": PROMPT, "continuation": TARGET}, method="occlusion", absent="drop")
    assert [t.value for t in tokens] == pytest.approx(expected.tolist(), abs=1e-4)
    for size in (1, 40, 100_000):
        again = explainer(name, batch_tokens=size)(
            [PROMPT, "short", PROMPT + " film"], target=TARGET, method="occlusion", absent="drop", by="token"
        )
        np.testing.assert_allclose(again[0].scores, e.scores, atol=1e-4)
        assert again[1].value == pytest.approx(float(straight(model, tokenizer, "short", TARGET).sum()), abs=1e-4)


@pytest.mark.parametrize("name", ["Llama", "GPT2", "Gemma", "T5", "Bart"])
def test_shapley_values_and_integrated_gradients_share_both_ends(name):
    one = explainer(name)
    for unit in ("log-prob", "prob"):
        shapley = one(PROMPT, target=TARGET, method="shapley_values", unit=unit, absent="zero")
        path = one(PROMPT, target=TARGET, unit=unit, absent="zero", budget=400)
        assert (path.value, path.base) == pytest.approx((shapley.value, shapley.base), abs=1e-4)
        assert abs(shapley.gap) < 1e-9
        assert abs(path.gap) <= 0.03 * np.abs(path.scores).sum() + 1e-6, path.notes


def test_input_x_gradient_is_that_of_one_pass():
    model, tokenizer = language_model("Llama")
    ids, goal = tokenizer(PROMPT)["input_ids"], tokenizer(TARGET, add_special_tokens=False)["input_ids"]
    vectors = model.get_input_embeddings()(torch.tensor([ids + goal])).detach().requires_grad_()
    logp = model(inputs_embeds=vectors).logits[0, len(ids) - 1 : -1].log_softmax(-1)
    logp.gather(-1, torch.tensor(goal)[:, None]).sum().backward()
    expected = (vectors.grad[0] * vectors[0]).sum(-1)[: len(ids)].detach()
    e = explainer()(PROMPT, target=TARGET, method="input_x_gradient", by="token", absent="zero")
    np.testing.assert_allclose(e.scores, expected.numpy(), atol=1e-4)
    tokens = explainer().each_target(
        {"prompt": PROMPT, "continuation": TARGET}, method="input_x_gradient", by="token", absent="zero"
    )
    np.testing.assert_allclose(tokens.matrix.sum(0), e.scores, atol=1e-4)


def test_a_decoder_that_reads_the_prompt_again_has_no_gradient_of_its_own():
    one = explainer("T5")  # the target is the prompt: the decoder looks up the encoder's own ids
    e = one("good", target="good", method="input_x_gradient", absent="zero", by="token")
    other = one(["good", "short"], target="good", method="input_x_gradient", absent="zero", by="token")
    np.testing.assert_allclose(e.scores, other[0].scores, atol=1e-4)


class TestTargets:
    def test_every_token_from_the_same_forwards(self):
        one = explainer()
        whole = one(PROMPT, target=TARGET, method="occlusion")
        tokens = one.each_target({"prompt": PROMPT, "continuation": TARGET}, method="occlusion")
        assert tokens[0].cost.rows == whole.cost.rows == len(whole.features) + 2
        np.testing.assert_allclose(tokens.matrix.sum(0), whole.scores, atol=1e-4)
        assert "".join(e.target.label for e in tokens) == TARGET
        second = one({"prompt": PROMPT, "continuation": TARGET}, target=1, method="occlusion")
        np.testing.assert_allclose(second.scores, tokens[1].scores, atol=1e-9)
        with pytest.raises(OptionError, match="There is no token 99"):
            one({"prompt": PROMPT, "continuation": TARGET}, target=99)

    @pytest.mark.parametrize("method", ["occlusion", "input_x_gradient"])
    def test_one_continuation_rather_than_another(self, method):
        one = explainer()
        asked = {"method": method, "absent": "zero"}
        e = one(PROMPT, target=" lovely", against=" terrible night", **asked)
        assert e.target.label == " lovely rather than  terrible night"
        yes, no = one(PROMPT, target=" lovely", **asked), one(PROMPT, target=" terrible night", **asked)
        assert e.value == pytest.approx(yes.value - no.value, abs=1e-5)
        np.testing.assert_allclose(e.scores, yes.scores - no.scores, atol=1e-4)
        both = one.each_target(PROMPT, [" lovely", " terrible night"], **asked)
        np.testing.assert_allclose(both[1].scores, no.scores, atol=1e-4)
        with pytest.raises(OptionError, match="are both"):
            one(PROMPT, target=" lovely", against=" lovely")

    def test_probabilities(self):
        one = explainer()
        logp = one(PROMPT, target=TARGET, method="occlusion").value
        assert one(PROMPT, target=TARGET, method="occlusion", unit="prob").value == pytest.approx(
            np.exp(logp), rel=1e-4
        )
        with pytest.raises(OptionError, match="log-prob"):
            one(PROMPT, target=TARGET, unit="logprob")

    @pytest.mark.parametrize("name", ["Llama", "GPT2", "T5", "Bart"])
    def test_what_the_model_itself_writes(self, name):
        model, tokenizer = language_model(name, seed=1)
        one = saywhy.Explainer(model, tokenizer)
        e = one(PROMPT, method="occlusion")
        ids = tokenizer(PROMPT, return_tensors="pt")["input_ids"]
        out = model.generate(ids, max_new_tokens=25, do_sample=False, pad_token_id=1)[0].tolist()
        new = out[1:] if name in ENCODED else out[ids.shape[1] :]
        new = new[: new.index(tokenizer.eos_token_id)] if tokenizer.eos_token_id in new else new
        assert e.prediction == e.target.label == tokenizer.decode(new)
        assert e.probability == pytest.approx(np.exp(e.value), rel=1e-4)
        given = one(PROMPT, target=tuple(new), method="occlusion")
        np.testing.assert_allclose(given.scores, e.scores, atol=1e-4)
        assert given.prediction is None

    def test_nothing_written(self):
        from saywhy.tasks.text_generation import TextGeneration

        model, tokenizer = language_model("Llama", seed=3)
        first = model.generate(**tokenizer(PROMPT, return_tensors="pt"), max_new_tokens=1, do_sample=False)[0, -1]
        kept = model.generation_config.eos_token_id
        model.generation_config.eos_token_id = int(first)
        try:
            with pytest.raises(InputError, match="wrote nothing"):
                saywhy.Explainer(model, tokenizer, task=TextGeneration(max_new_tokens=3))(PROMPT)
        finally:
            model.generation_config.eos_token_id = kept


class TestPrompts:
    def test_granularities(self):
        text = "One line. And more.\nTwo\n\nThird, a paragraph\n"
        counts = {
            by: len(explainer()(text, target=" x", by=by, method="random").features)
            for by in ("word", "sentence", "line", "paragraph", "token")
        }
        assert counts["line"] == 3
        assert counts["paragraph"] == 2
        assert counts["token"] >= counts["word"] > counts["sentence"] == 4

    def test_a_note_where_the_target_joins_the_prompts_last_word(self):
        assert not any(
            "joined" in n or "together" in n for n in explainer()(PROMPT, target=" good", method="random").notes
        )
        assert any("begins with a space" in n for n in explainer()("love t", target="he", method="random").notes)

    def test_a_note_where_the_target_goes_on_with_a_word_in_tokens_of_its_own(self):
        def notes(prompt, target):
            return explainer()(prompt, target=target, method="random", by="token").notes

        assert any("goes on with the prompt's last word" in n for n in notes("I love", "night"))
        for prompt, target in (("I love", " night"), ("I love.", "night"), ("I love", "."), ("\u6211", "\u6211")):
            assert notes(prompt, target) == ()

    def test_the_callers_model_is_as_it_was(self):
        model, tokenizer = language_model("Llama")
        model.train()
        side, tokenizer.padding_side = tokenizer.padding_side, "left"
        try:
            e = explainer()(PROMPT, target=TARGET, method="occlusion", absent="drop")
            assert model.training
            assert all(p.requires_grad for p in model.parameters())
            assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
        finally:
            tokenizer.padding_side = side
            model.eval()
        assert e.value == pytest.approx(float(straight(model, tokenizer, PROMPT, TARGET).sum()), abs=1e-4)


class TestRefusals:
    def test_bad_input(self):
        one = explainer()
        with pytest.raises(InputError, match="has no token"):
            one(PROMPT, target="")
        with pytest.raises(InputError, match="can read 64"):
            one(PROMPT, target=" good" * 80)
        with pytest.raises(InputError, match="empty or blank"):
            one("  ", target=" x")
        with pytest.raises(InputError, match=r"saywhy\.llm\.Chat"):
            one([{"role": "user", "content": "hello"}], target=" x")
        with pytest.raises(InputError, match="prompt is a string"):
            one(7, target=" x")
        with pytest.raises(OptionError, match="overlong"):
            one(PROMPT, target=" x", overlong="window")
        with pytest.raises(OptionError, match="by='message'"):
            one(PROMPT, target=" x", by="message")
        with pytest.raises(OptionError, match="A target is a text"):
            one(PROMPT, target=1.5)
        with pytest.raises(MethodError):
            one(PROMPT, target=" x", method="integrated_gradients", absent="drop")

    def test_numbers_that_are_none(self):
        model, tokenizer = language_model("Llama", seed=5)
        with torch.no_grad():
            model.lm_head.weight[:] = float("nan")
        with pytest.raises(ModelError, match="not all finite"):
            saywhy.Explainer(model, tokenizer)(PROMPT, target=" x", method="occlusion")

    def test_an_encoder_looks_ahead(self, caplog):
        from transformers import BertConfig, BertLMHeadModel

        from conftest import word_piece

        config = BertConfig(
            vocab_size=120, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=37
        )
        caplog.set_level("ERROR", logger="transformers")
        with pytest.raises(ModelError, match="looks ahead"):
            saywhy.Explainer(BertLMHeadModel(config), word_piece())

    def test_a_classifier_writes_nothing(self, bert):
        with pytest.raises(ModelError, match="cannot do text-generation"):
            saywhy.Explainer(*bert, task="text-generation")
