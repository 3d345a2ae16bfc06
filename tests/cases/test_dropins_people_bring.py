"""What other libraries' own objects and arguments say is followed or refused by name, never passed over."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch

from conftest import headed, tiny
from saywhy.compat import captum as ours
from saywhy.compat import transformers_interpret as ti
from saywhy.core.errors import InputError, OptionError
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


@pytest.mark.filterwarnings("ignore::UserWarning:captum")  # of the names of tokens
def test_what_ends_the_models_own_answer_is_scored_as_captum_scores_it() -> None:
    attr = pytest.importorskip("captum.attr")
    first, tokenizer = language_model("Llama")
    model = copy.deepcopy(first)
    prompt = torch.tensor([tokenizer("She was late and")["input_ids"]])
    told = model.generate(prompt, max_new_tokens=5, do_sample=False)[0].tolist()[prompt.shape[1] :]
    model.generation_config.eos_token_id = told[3]
    ends = told.index(told[3]) + 1
    found = [
        each.LLMAttribution(attr.FeatureAblation(model), tokenizer).attribute(
            each.TextTemplateInput("{} was {} and", ["She", "late"]), use_cached_outputs=False
        )
        for each in (attr, ours)
    ]
    assert [result.token_attr.shape for result in found] == [(ends, 2), (ends, 2)]
    torch.testing.assert_close(found[1].token_attr, found[0].token_attr, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found[1].seq_attr, found[0].seq_attr, atol=1e-4, rtol=1e-4)


@pytest.mark.filterwarnings("ignore::UserWarning:captum")  # of the names of tokens
@pytest.mark.parametrize("tokens", [True, False])
def test_a_longest_length_counts_the_prompt_as_in_captum(tokens: bool) -> None:
    attr = pytest.importorskip("captum.attr")
    model, tokenizer = language_model("Llama")
    longest = len(tokenizer("She was late and")["input_ids"]) + 4
    found = []
    for each in (attr, ours):
        wrapped = each.LLMAttribution(attr.FeatureAblation(model), tokenizer)
        values = each.TextTemplateInput("{} was {} and", ["She", "late"])
        given = each.TextTokenInput("She was late and", tokenizer) if tokens else values
        found.append(wrapped.attribute(given, gen_args={"max_length": longest}, use_cached_outputs=False))
    assert found[0].token_attr.shape[0] == 4
    torch.testing.assert_close(found[1].token_attr, found[0].token_attr, atol=1e-4, rtol=1e-4)
    with pytest.raises(OptionError, match="counts the prompt too"):
        wrapped.attribute(given, gen_args={"max_length": longest - 4})


@pytest.mark.parametrize("named", [True, False])
def test_captums_own_product_of_baselines_counts_in_all_its_combinations(named: bool) -> None:
    attr = pytest.importorskip("captum.attr")
    model, tokenizer = language_model("Llama")
    told: Any = {("a", "b"): [("He", "x"), ("I", "y")], "c": ["u", "w"]} if named else [["He", "I"], ["x", "y"], ["u"]]
    text, values = (
        ("{a} was {b} {c}", {"a": "She", "b": "late", "c": "so"}) if named else ("{} was {} {}", ["She", "late", "so"])
    )
    found = [
        ours.LLMAttribution(ours.ShapleyValues(model), tokenizer).attribute(
            ours.TextTemplateInput(text, values, each.ProductBaselines(told)), target=" it"
        )
        for each in (attr, ours)
    ]
    torch.testing.assert_close(found[0].seq_attr, found[1].seq_attr, atol=1e-6, rtol=0)
    assert found[0].explanations[0].stderr is None  # nothing is drawn


# ---- transformers-interpret ------------------------------------------------------------------------------------------

TEXT = "I love you"


def test_an_index_goes_before_the_name_of_a_class() -> None:
    explainer = ti.SequenceClassificationExplainer(*tiny("bert"))
    other = [label for label, index in explainer.label2id.items() if index != 1]
    for name in (*other, "no such label"):
        found = explainer(TEXT, index=1, class_name=name)
        assert explainer.selected_index == 1
        assert found == explainer(TEXT, index=1)


@pytest.mark.parametrize("blank", ["", " \n"])
def test_a_blank_text_has_scores_of_zero_whatever_is_explained(blank: str) -> None:
    labels = ti.MultiLabelClassificationExplainer(*tiny("bert"))
    found = labels([TEXT, blank, TEXT])
    assert found[1] == {label: [("[CLS]", 0.0), ("[SEP]", 0.0)] for label in labels.labels}
    assert found[0] == found[2] == labels(TEXT)
    tagger = ti.TokenClassificationExplainer(*headed("bert", "tokens"))
    each = tagger(blank)
    assert list(each) == ["[CLS]", "[SEP]"]
    assert all(one["attribution_scores"] == [("[CLS]", 0.0), ("[SEP]", 0.0)] for one in each.values())


def test_texts_and_indexes_may_be_arrays() -> None:
    explainer = ti.SequenceClassificationExplainer(*tiny("bert"))
    assert explainer(np.array([TEXT, "you"])) == explainer([TEXT, "you"])  # type: ignore[call-overload]
    tagger = ti.TokenClassificationExplainer(*headed("bert", "tokens"))
    assert tagger(TEXT, ignored_indexes=np.array([0, 1])) == tagger(TEXT, ignored_indexes=[0, 1])  # type: ignore[arg-type]
    for given in (3, None, [TEXT, 3]):
        with pytest.raises(InputError, match="must be a string"):
            explainer(given)  # type: ignore[call-overload]
    with pytest.raises(InputError, match="must be a string"):
        tagger([TEXT])  # type: ignore[arg-type]


# ---- torchTextClassifiers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), 0.5, None])
def test_a_label_that_is_no_whole_number_is_refused_with_its_row(wrong: Any) -> None:
    from saywhy.compat.torch_text_classifiers import ModelConfig, TrainingConfig, torchTextClassifiers
    from saywhy.compat.torch_text_classifiers.tokenizers import WordPieceTokenizer

    texts = ["a good film", "a bad film", "so good", "so bad"]
    tokenizer = WordPieceTokenizer(40, output_dim=8)
    tokenizer.train(texts)
    made = torchTextClassifiers(tokenizer=tokenizer, model_config=ModelConfig(embedding_dim=8, num_classes=2))
    config = TrainingConfig(num_epochs=1, batch_size=4, lr=1e-2, save_path=None)
    with pytest.raises(InputError, match=r"Column 'label', row 2: .* is no whole number"):
        made.train(texts, [0, 1, wrong, 1], config)
