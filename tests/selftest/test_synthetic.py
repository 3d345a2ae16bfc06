"""Models that learned one rule: methods must point at it, and the check of an explanation must know it from noise."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
import transformers

import saywhy
from conftest import tiny
from saywhy.core.errors import OptionError
from saywhy.selftest.synthetic import RULES, precision, synthetic_model
from tiny_lm import language_model


@pytest.fixture(scope="module")
def shortcut():
    return synthetic_model("word", texts=12)


@pytest.fixture(scope="module")
def explainer(shortcut):
    return saywhy.Explainer((shortcut.model, shortcut.tokenizer))


def test_the_model_learned_the_rule_and_the_truth_marks_it(shortcut):
    assert shortcut.accuracy > 0.98
    for text, truth in zip(shortcut.texts, shortcut.truth, strict=True):
        assert [word for word, true in zip(text.split(), truth, strict=True) if true] == ["shortcut"]


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.name)
def test_rules_decide_by_their_words(rule):
    words = ["bala", *rule.words, "domi"]
    assert rule.holds(words)
    assert not rule.holds(["bala", "domi"])
    if rule.name == "pair":
        assert not rule.holds(words[::-1])
    elif len(rule.words) > 1:
        assert not rule.holds(["bala", rule.words[0]])


@pytest.mark.parametrize("method", ["integrated_gradients", "libra", "occlusion", "kernel_shap"])
@pytest.mark.parametrize("how", ["quick", "full"])
def test_an_explanation_that_names_the_shortcut_is_trusted(explainer, shortcut, method, how):
    for text in shortcut.texts[:6]:
        e = explainer(text, method=method, target="yes", trust=how, progress=False)
        assert e.top(1)[0][0] == "shortcut"
        assert e.trust.level == "high", e.trust
        assert e.trust.said


def test_scores_without_meaning_are_not_trusted(explainer, shortcut):
    found = [explainer(t, method="random", target="yes", progress=False).trust.level for t in shortcut.texts]
    assert found.count("high") == 0
    assert found.count("low") >= 9


@pytest.mark.parametrize("name", ["bert", "roberta", "gpt2", "distilbert", "llama", "bart"])
@pytest.mark.parametrize("method", ["input_x_gradient", "kernel_shap"])
def test_a_model_of_random_weights_is_not_trusted(name, method):
    explainer = saywhy.Explainer(tiny(name))
    text = "The movie was absolutely fantastic and inspiring, don't miss it!"
    assert explainer(text, method=method, progress=False).trust.level == "low"


@pytest.mark.parametrize("seed", range(3))
def test_chance_is_told_where_a_model_chooses_among_many(seed):
    """Answers, gaps and continuations of random weights: their removal may well be what the scores say, of a mere guess."""
    torch.manual_seed(seed)
    tokenizer = tiny("bert")[1]
    small = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 37}
    config = transformers.BertConfig(vocab_size=len(tokenizer), **small)
    answers = saywhy.Explainer((transformers.BertForQuestionAnswering(config), tokenizer))
    given = {"question": "what is it?", "context": "The movie was absolutely fantastic and inspiring"}
    assert answers(given, method="kernel_shap").trust.level == "low"
    gaps = saywhy.Explainer((transformers.BertForMaskedLM(config), tokenizer))
    assert gaps("The movie was absolutely [MASK] and inspiring", method="kernel_shap").trust.level == "low"
    model, words = language_model("Llama", seed)
    prompts = saywhy.Explainer((model, words))
    assert prompts("The movie was absolutely fantastic", target=" and", method="kernel_shap").trust.level != "high"


def test_a_small_part_of_a_large_move_is_not_trusted():
    """What is taken away moves next to nothing, though everything together moves much."""
    told = figured(saywhy.Explainer(lambda texts: [[4.0 * bool(t.split())] for t in texts], labels=["x"]))
    assert told.level == "low"
    assert "hardly reacts to a quarter" in told.said


def figured(explainer):
    return explainer("one two three four five six", method="occlusion", progress=False).trust


def test_the_check_costs_what_it_says_and_is_not_charged_to_the_method(explainer, shortcut, monkeypatch):
    sent = []
    forward = explainer.model.forward
    monkeypatch.setattr(
        explainer.model, "forward", lambda rows, points=None: sent.extend(rows) or forward(rows, points)
    )
    text = shortcut.texts[0]
    bare = explainer(text, method="input_x_gradient", trust="none", progress=False)
    alone, sent[:] = len(sent), []
    quick = explainer(text, method="input_x_gradient", progress=False)
    assert alone < len(sent) <= alone + quick.trust.figures["rows"]
    assert bare.trust is None
    assert bare.cost.rows == quick.cost.rows
    np.testing.assert_array_equal(bare.scores, quick.scores)


def test_every_target_has_its_own_check(explainer, shortcut):
    yes, no = explainer.each_target(shortcut.texts[0], ["yes", "no"], method="occlusion", progress=False)
    assert yes.trust.level == no.trust.level == "high"
    assert yes.trust.figures["fall"] > 0 > no.trust.figures["fall"]
    assert "lowest" in no.trust.said


def test_alone_or_in_a_batch_the_check_says_the_same(explainer, shortcut):
    many = explainer(list(shortcut.texts[:4]), method="occlusion", target="yes", progress=False)
    for text, e in zip(shortcut.texts, many, strict=False):
        alone = explainer(text, method="occlusion", target="yes", progress=False)
        assert alone.trust.level == e.trust.level
        assert alone.trust.figures["correlation"] == pytest.approx(e.trust.figures["correlation"], abs=1e-4)


def test_one_word_has_no_order_and_unknown_checks_are_refused(explainer, tmp_path):
    e = explainer("shortcut", progress=False)
    assert e.trust.level == "unknown"
    with pytest.raises(OptionError, match="Did you mean 'quick'"):
        explainer("shortcut", trust="quik")
    assert next(explainer.stream(["shortcut bala"])).trust is None
    assert next(explainer.stream(["shortcut bala"], trust="quick")).trust is not None


def test_it_is_drawn_and_comes_back_from_a_file(explainer, shortcut, tmp_path):
    e = explainer(shortcut.texts[0], method="occlusion", progress=False)
    assert f"trust: {e.trust.level}" in str(e)
    assert f"trust: {e.trust.level}" in e.save(tmp_path / "e.html").read_text()
    assert saywhy.load(e.save(tmp_path / "e.json")).trust == e.trust
    e.save(tmp_path / "e.svg")


def test_templates_and_callables_are_checked_too():
    heard = saywhy.Explainer(lambda texts: np.array([[float("bad" in t), 0.0] for t in texts]), labels=["bad", "good"])
    e = heard("a bad film for a whole evening", progress=False)
    assert e.top(1)[0][0] == "bad"
    assert e.trust.level == "high"


def test_methods_are_held_against_the_rule(monkeypatch):
    told = []
    found = precision(["occlusion", "input_x_gradient"], ["word"], texts=10, say=told.append)
    c = found["word"]
    assert c.numbers("occlusion", "precision_at_one").mean() == 1
    assert c.numbers("occlusion", "token_f1").mean() == 1
    assert c.numbers("random", "precision_at_one").mean() < 0.6
    assert "shortcut" in told[0]
    with pytest.raises(OptionError, match="Did you mean 'word'"):
        precision(rules=["wrd"])


def test_training_leaves_the_callers_chance_alone():
    torch.manual_seed(5)
    state = torch.get_rng_state()
    synthetic_model("word", texts=2)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_command(tmp_path):
    request = [sys.executable, "-m", "saywhy", "benchmark", "--rules", "word", "--texts", "5", "--methods", "occlusion"]
    done = subprocess.run([*request, "-o", str(tmp_path / "t.json")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "100% (100–100)" in done.stdout
    assert "new sentences right" in done.stderr
    assert json.loads((tmp_path / "t.json").read_text())["word"]["spent"]["occlusion"]["rows"] > 5
