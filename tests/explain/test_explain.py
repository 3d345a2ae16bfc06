"""The line, from a text to its explanation: targets, units, options, the package's own model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import saywhy
from conftest import TEXTS, tiny
from saywhy.core.errors import InputError, MethodError, ModelError, OptionError
from saywhy.methods import METHODS
from saywhy.models.protocol import EncodingOptions


def logits(model, tokenizer, text):
    with torch.no_grad():
        return model(**tokenizer(text, return_tensors="pt")).logits[0].double()


def test_the_result_states_everything_it_rests_on(bert):
    e = saywhy.Explainer(*bert)(TEXTS[0], method="kernel_shap", budget=40, seed=5)
    assert e.options == {
        "model": "BertForSequenceClassification",
        "task": "text-classification",
        "by": "word",
        "absent": "mask",
        "overlong": "refuse",
        "embedding": "word",
        "budget": 40,
        "pairs": None,
        "frugal": None,
        "seed": 5,
    }
    assert e.target.unit == "logit"
    assert e.value - e.base == pytest.approx(e.scores.sum() + e.gap)
    assert e.stderr is not None
    assert e.top(2) == sorted(zip(e.words, e.scores, strict=True), key=lambda pair: -abs(pair[1]))[:2]
    assert "kernel_shap" in repr(e)


@pytest.mark.parametrize("unit", ["logit", "log-prob", "prob", "log-odds"])
@pytest.mark.parametrize("method", ["shapley_sampling", "integrated_gradients"])
def test_units(bert, unit, method):
    z = logits(*bert, TEXTS[0])
    p = z.softmax(-1)
    expected = {"logit": z, "log-prob": p.log(), "prob": p, "log-odds": p.log() - (1 - p).log()}[unit]
    explainer = saywhy.Explainer(*bert)
    for i, e in enumerate(explainer.each_target(TEXTS[0], unit=unit, method=method)):
        assert e.value == pytest.approx(float(expected[i]), abs=1e-5)
        assert e.target.unit == unit
    contrast = explainer(TEXTS[0], target=0, against="LABEL_2", unit=unit, method=method)
    assert contrast.value == pytest.approx(float(expected[0] - expected[2]), abs=1e-5)
    assert contrast.target.label == "LABEL_0 rather than LABEL_2"


def test_one_output_and_many_labels_at_once(make):
    text = TEXTS[0]
    single, tokenizer = make(num_labels=1)
    e = saywhy.Explainer(single, tokenizer)(text, unit="prob")
    assert e.value == pytest.approx(float(logits(single, tokenizer, text).sigmoid()), abs=1e-6)
    regression, _ = make(num_labels=1, problem_type="regression")
    e = saywhy.Explainer(regression, tokenizer)(text)
    assert (e.target.unit, e.prediction) == ("score", "LABEL_0")
    assert e.probability == pytest.approx(e.value)
    with pytest.raises(OptionError, match="'score'"):
        saywhy.Explainer(regression, tokenizer)(text, unit="prob")
    multi, _ = make(num_labels=3, problem_type="multi_label_classification")
    for i, e in enumerate(saywhy.Explainer(multi, tokenizer).each_target(text, unit="prob")):
        assert e.value == pytest.approx(float(logits(multi, tokenizer, text)[i].sigmoid()), abs=1e-6)


def test_targets_by_name_index_and_prediction(make):
    model, tokenizer = make(id2label={0: "neg", 1: "neutral", 2: "Pos"}, label2id={"neg": 0, "neutral": 1, "Pos": 2})
    explainer = saywhy.Explainer(model, tokenizer)
    by_name, by_index, folded = (explainer("good", target=t, method="occlusion") for t in ("Pos", 2, "pos"))
    assert by_name.target == by_index.target == folded.target
    predicted = explainer("good", method="occlusion")
    assert predicted.target.index == (int(logits(model, tokenizer, "good").argmax()),)
    for wrong, said in (("negg", "Did you mean 'neg'"), (3, "0 to 2"), (-1, "0 to 2"), (1.5, "name or its index")):
        with pytest.raises(OptionError, match=said):
            explainer("good", target=wrong)
    with pytest.raises(OptionError, match="two different"):
        explainer("good", target="neg", against="neg")


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"method": "occlusionn"}, OptionError, "Did you mean 'occlusion'"),
        ({"method": "occlusion", "steps": 5}, OptionError, "option of integrated_gradients"),
        ({"stepz": 5}, OptionError, "Did you mean 'steps'"),
        ({"absent": "masked"}, OptionError, "Did you mean 'mask'"),
        ({"target": "LABEL_9"}, OptionError, "Did you mean 'LABEL_"),
        ({"against": 7}, OptionError, "0 to 2"),
        ({"unit": "logits"}, OptionError, "Did you mean 'logit'"),
        ({"by": "wrd"}, OptionError, "Did you mean 'word'"),
        ({"overlong": "cut"}, OptionError, "truncate"),
        ({"method": "shapley_values", "by": "token", "max_features": 3}, MethodError, "evaluations"),
        ({"method": "kernel_shap", "budget": 2}, OptionError, "28 to 8192"),
    ],
)
def test_bad_use_is_refused_before_the_model_is_called(bert, options, error, said):
    model, tokenizer = bert
    explainer = saywhy.Explainer(model, tokenizer)
    calls = []
    handle = model.register_forward_pre_hook(lambda *a: calls.append(1))
    try:
        with pytest.raises(error, match=said):
            explainer(["good", TEXTS[0]], **options)
    finally:
        handle.remove()
    assert not calls


def test_the_same_call_gives_the_same_numbers(bert):
    explainer = saywhy.Explainer(*bert)
    for name in (row.name for row in METHODS.values() if row.family != "attention"):
        options = {"max_features": 14} if name == "shapley_values" else {}
        first, second = (explainer("a dull film, not good", method=name, **options) for _ in range(2))
        np.testing.assert_array_equal(first.scores, second.scores)


def test_randomness_stays_inside(bert):
    explainer = saywhy.Explainer(*bert)
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    for name in ("kernel_shap", "shapley_sampling", "lime", "smoothgrad", "gradient_shap", "random"):
        explainer(TEXTS[0], method=name)
    assert torch.equal(torch.rand(1), expected)


def test_a_sequence_of_no_texts_is_empty(bert):
    assert len(saywhy.Explainer(*bert)([])) == 0


@pytest.fixture(scope="module")
def own():
    return saywhy.Explainer()


class TestThePackagesOwnModel:
    @pytest.mark.parametrize(
        ("text", "label", "word"),
        [
            ("The movie was absolutely fantastic and inspiring", "POSITIVE", ("fantastic", "inspiring")),
            ("a dull , predictable mess", "NEGATIVE", ("dull", "mess", "predictable")),
            ("terrible", "NEGATIVE", ("terrible",)),
        ],
    )
    def test_it_says_what_a_reader_would(self, own, text, label, word):
        for method in ("integrated_gradients", "kernel_shap", "occlusion"):
            e = own(text, method=method)
            assert e.prediction == label
            assert e.top(1)[0][0] in word
            assert e.top(1)[0][1] > 0

    def test_integrated_gradients_add_up(self, own):
        e = own("I love you, I like you, I also kinda dislike you")
        assert abs(e.gap) <= 0.01 * np.abs(e.scores).sum()
        assert not e.notes

    def test_it_is_small(self):
        from saywhy.models import demo

        assert sum(f.stat().st_size for f in demo.folder().iterdir()) <= 10_000_000


@pytest.mark.parametrize("name", ["bert", "gpt2"])
def test_integrated_gradients_equal_captums(name):
    captum = pytest.importorskip("captum.attr")
    model, tokenizer = tiny(name)
    text = "a dull film, not good"
    e = saywhy.Explainer(model, tokenizer)(text, by="token", steps=30, target=1, absent="zero")
    encoded = tokenizer(text, return_tensors="pt")
    layer = model.get_input_embeddings()
    lig = captum.LayerIntegratedGradients(
        lambda ids, mask: model(input_ids=ids, attention_mask=mask).logits[:, 1], layer
    )
    point = layer(encoded["input_ids"]).detach()
    mask = torch.tensor(tokenizer(text, return_special_tokens_mask=True)["special_tokens_mask"]).bool()
    ig = captum.IntegratedGradients(lambda x, m: model(inputs_embeds=x, attention_mask=m).logits[:, 1])
    baseline = point * mask[None, :, None]
    theirs = ig.attribute(point, baseline, additional_forward_args=(encoded["attention_mask"],), n_steps=30).sum(-1)[0]
    assert lig is not None
    np.testing.assert_allclose(e.scores, theirs[~mask].numpy(), atol=2e-4 * float(theirs.abs().max()))


def test_shapley_values_equal_shaps(bert):
    shap = pytest.importorskip("shap")
    explainer = saywhy.Explainer(*bert)
    e = explainer("a dull film, not good", method="shapley_values", target=1)
    encoding = explainer.model.encode({"text": "a dull film, not good"}, EncodingOptions(absent="mask"))

    def play(rows):
        with torch.no_grad():
            return explainer.model.forward(encoding.at(rows.astype(bool)))[:, 1].numpy()

    n = len(e.features)
    theirs = shap.explainers.Exact(play, np.zeros((1, n)))(np.ones((1, n))).values[0]
    np.testing.assert_allclose(e.scores, theirs, atol=1e-5)


@pytest.mark.parametrize(
    ("method", "options", "said"),
    [
        (
            "integrated_gradients",
            {"steps": "many"},
            "`steps` of integrated_gradients is a whole number or None, not 'many'",
        ),
        ("integrated_gradients", {"tolerance": "x"}, "is a number"),
        ("kernel_shap", {"budget": "x"}, "a whole number"),
        ("lime", {"seed": 1.5}, "a whole number"),
    ],
)
def test_an_option_of_another_kind_is_refused(method, options, said):
    with pytest.raises(OptionError, match=said):
        saywhy.Explainer(*tiny("bert"))("good", method=method, **options)


def test_what_is_no_method_or_no_text_is_refused():
    explainer = saywhy.Explainer(*tiny("bert"))
    with pytest.raises(MethodError, match="generator function"):
        explainer("good", method=lambda problem: None)
    with pytest.raises(InputError, match="half a character"):
        explainer("\ud800 x")
    with pytest.raises(OptionError, match="The model comes first"):
        saywhy.Explainer(*tiny("bert")[::-1])


@pytest.mark.parametrize("name", ["./nowhere", "/nowhere/at/all", "~/nowhere", Path("nowhere")])
def test_a_folder_that_is_not_there_is_not_looked_for_elsewhere(name):
    with pytest.raises(ModelError, match="There is no folder"):
        saywhy.Explainer(name)


def test_predict_refuses_a_string_and_an_unknown_overlong():
    explainer = saywhy.Explainer(*tiny("bert"))
    with pytest.raises(InputError, match="takes a list"):
        explainer.predict("good")
    with pytest.raises(OptionError, match="Did you mean 'window'"):
        explainer.predict(["good"], overlong="windw")


@pytest.mark.parametrize("absent", ["mask", "pad", "drop"])
def test_where_positions_are_left_out_there_are_no_embeddings(absent):
    """A comparison binds one input under several removals; a baseline must stand at the positions of the input."""
    explainer = saywhy.Explainer(tiny("bert"))
    pipeline = explainer.pipeline(explainer.request())
    encoding = explainer.task.encode(explainer.model, TEXTS[0], EncodingOptions(absent=absent))
    with explainer.model.frozen():
        [case], [cache] = pipeline.cases([encoding])
        path = pipeline.bind_targets(case, [None], cache).problem.path
    assert (path is None) == (absent == "drop")
    assert path is None or path.input.shape == path.baseline.shape == (len(encoding.tokens), 32)
