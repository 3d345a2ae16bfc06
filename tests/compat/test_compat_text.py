"""transformers-interpret's text explainers by their own names: shapes, defaults, errors, and what is right now."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from transformers import pipeline

from conftest import headed, tiny
from saywhy.compat import transformers_interpret as ti
from saywhy.compat.transformers_interpret import errors
from saywhy.compat.transformers_interpret.explainers.text import SequenceClassificationExplainer as SameClass

TEXT = "I love you, I like you"


def tokens_of(tokenizer, *texts):
    return tokenizer(*texts).tokens()


def norm(pairs):
    return float(np.linalg.norm([score for _, score in pairs]))


class TestSequence:
    def test_a_list_of_tokens_and_scores(self):
        model, tokenizer = tiny("bert")
        explainer = ti.SequenceClassificationExplainer(model, tokenizer)
        found = explainer(TEXT)
        assert [token for token, _ in found] == tokens_of(tokenizer, TEXT)
        assert found[0] == ("[CLS]", 0.0)
        assert found[-1] == ("[SEP]", 0.0)
        assert norm(found) == pytest.approx(1, abs=1e-6)
        assert explainer.word_attributions == found == explainer(TEXT)
        with torch.no_grad():
            logits = model(**tokenizer(TEXT, return_tensors="pt")).logits[0]
        assert explainer.predicted_class_index == int(logits.argmax())
        assert explainer.predicted_class_index.shape == ()
        assert explainer.predicted_class_name == model.config.id2label[int(logits.argmax())]
        assert explainer.pred_probs.shape == ()
        assert float(explainer.pred_probs) == pytest.approx(float(logits.softmax(-1).max()), abs=1e-6)
        assert explainer.attributions.delta.abs() < 0.01
        assert SameClass is ti.SequenceClassificationExplainer

    @pytest.mark.parametrize(
        "name",
        ["bert", "roberta", "xlm-roberta", "deberta-v2", "distilbert", "gpt2-pad-eos", "bart", "t5", "xlnet", "llama"],
    )
    def test_predictions_are_the_models_own(self, name):
        model, tokenizer = tiny(name)
        explainer = ti.SequenceClassificationExplainer(model, tokenizer)
        for text in (TEXT, "U.S. 3,520,031 (www.a.com)!\n  Twice."):
            found = explainer(text)
            with torch.no_grad():
                probs = model(**tokenizer(text, return_tensors="pt")).logits[0].softmax(-1)
            assert float(explainer.pred_probs) == pytest.approx(float(probs[explainer.selected_index]), abs=1e-6)
            assert explainer.selected_index == int(probs.argmax()) == int(explainer.predicted_class_index)
            assert len(found) == len(tokenizer(text)["input_ids"])
            assert np.isfinite([score for _, score in found]).all()
            assert norm(found) == pytest.approx(1, abs=1e-6)

    def test_another_class(self):
        model, tokenizer = tiny("bert")
        explainer = ti.SequenceClassificationExplainer(model, tokenizer)
        explainer(TEXT)
        best = explainer.predicted_class_name
        other = next(label for label in explainer.label2id if label != best)
        found = explainer(TEXT, class_name=other)
        assert explainer.selected_index == explainer.label2id[other]
        assert explainer.predicted_class_name == best
        assert explainer(TEXT, index=explainer.label2id[other]) == found
        assert explainer(TEXT, index=explainer.label2id[other] - 3) == found
        with pytest.warns(UserWarning, match="'NOPE' is not found"):
            explainer(TEXT, class_name="NOPE")
        assert explainer.selected_index == int(explainer.predicted_class_index)
        with pytest.raises(IndexError):
            explainer(TEXT, index=3)

    def test_two_classes_are_each_others_negative(self, make):
        model, tokenizer = make(num_labels=2)
        explainer = ti.SequenceClassificationExplainer(model, tokenizer)
        one, two = (explainer(TEXT, index=i, n_steps=20) for i in (0, 1))
        np.testing.assert_allclose([s for _, s in one], [-s for _, s in two], atol=1e-5)

    def test_labels_of_ones_own(self):
        model, tokenizer = tiny("bert")
        explainer = ti.SequenceClassificationExplainer(model, tokenizer, custom_labels=["a", "b", "c"])
        explainer(TEXT)
        assert explainer.predicted_class_name in ("a", "b", "c")
        with pytest.raises(ValueError, match="2 custom labels"):
            ti.SequenceClassificationExplainer(model, tokenizer, custom_labels=["a", "b"])

    def test_steps_and_batches_are_honoured_and_do_not_stick(self):
        model, tokenizer = tiny("bert")
        explainer = ti.SequenceClassificationExplainer(model, tokenizer)
        sent = []
        handle = model.register_forward_pre_hook(lambda m, a, k: sent.append(len(k["input_ids"])), with_kwargs=True)
        try:
            explainer(TEXT, n_steps=12, internal_batch_size=4)
            assert max(sent) == 4
            assert sum(sent) == 12 + 3  # the points, both ends, the prediction
            assert explainer.n_steps == 50
            assert explainer.internal_batch_size is None
            sent.clear()
            explainer(TEXT, n_steps=12)
            assert max(sent) == 12
        finally:
            handle.remove()
        with pytest.raises(ValueError, match="at least 1"):
            explainer(TEXT, n_steps=0)

    def test_scores_add_up_to_the_probability(self):
        explainer = ti.SequenceClassificationExplainer(*tiny("bert"))
        explainer(TEXT, n_steps=50)
        e = explainer.attributions.explanation
        assert float(explainer.attributions._attributions.sum()) == pytest.approx(e.value - e.base, abs=1e-3)
        assert float(explainer.attributions.delta) == pytest.approx(-e.gap, abs=1e-6)
        assert explainer.attributions._attributions.shape[:2] == (1, len(explainer.attributions.tokens))

    def test_in_train_mode_and_without_gradients(self, make):
        model, tokenizer = make()
        explainer = ti.SequenceClassificationExplainer(model, tokenizer)
        expected = explainer(TEXT)
        model.train()
        assert explainer(TEXT) == expected
        assert model.training
        with torch.no_grad():
            assert explainer(TEXT) == expected

    def test_other_embeddings(self):
        explainer = ti.SequenceClassificationExplainer(*tiny("bert"))
        words = explainer(TEXT)
        assert explainer(TEXT, embedding_type=1) != words
        assert explainer(TEXT, embedding_type=-42) == words
        other = ti.SequenceClassificationExplainer(*tiny("llama"))
        words = other(TEXT)
        with pytest.warns(UserWarning, match="no position embeddings"):
            assert other(TEXT, embedding_type=1) == words

    def test_long_empty_and_many_texts(self):
        model, tokenizer = tiny("bert")
        explainer = ti.SequenceClassificationExplainer(model, tokenizer)
        with pytest.warns(UserWarning, match="first 64 of"):
            assert len(explainer("movie " * 100)) == 64
        assert explainer("") == [("[CLS]", 0.0), ("[SEP]", 0.0)]
        many = explainer([TEXT, "", "a dull mess"])
        for one, text in zip(many, (TEXT, "", "a dull mess"), strict=True):
            alone = explainer(text)
            assert [t for t, _ in one] == [t for t, _ in alone]
            np.testing.assert_allclose([s for _, s in one], [s for _, s in alone], atol=1e-4)

    def test_before_a_call(self):
        explainer = ti.SequenceClassificationExplainer(*tiny("bert"))
        with pytest.raises(ValueError, match="not yet been calculated"):
            explainer.word_attributions  # noqa: B018
        with pytest.raises(errors.InputIdsNotCalculatedError):
            explainer.predicted_class_index  # noqa: B018
        with pytest.raises(errors.AttributionsNotCalculatedError):
            explainer.visualize()
        with pytest.raises(errors.AttributionTypeNotSupportedError):
            ti.SequenceClassificationExplainer(*tiny("bert"), attribution_type="UNSUPPORTED")
        assert issubclass(errors.AttributionTypeNotSupportedError, RuntimeError)

    def test_members(self):
        model, tokenizer = tiny("bert")
        explainer = ti.SequenceClassificationExplainer(model, tokenizer)
        assert explainer.model is model
        assert explainer.tokenizer is tokenizer
        assert explainer.device == model.device
        assert explainer.model_prefix == "bert"
        assert explainer.ref_token_id == tokenizer.pad_token_id
        assert (explainer.cls_token_id, explainer.sep_token_id) == (tokenizer.cls_token_id, tokenizer.sep_token_id)
        assert explainer.accepts_position_ids
        assert explainer.accepts_token_type_ids
        assert explainer.word_embeddings is model.bert.embeddings.word_embeddings
        assert explainer.position_embeddings is model.bert.embeddings.position_embeddings
        assert explainer.model_embeddings is model.bert.embeddings
        assert explainer.encode(TEXT) == tokenizer(TEXT, add_special_tokens=False)["input_ids"]
        assert str(explainer).startswith("SequenceClassificationExplainer(\n\tmodel=BertForSequenceClassification")
        assert "attribution_type='lig'" in str(explainer)
        explainer(TEXT)
        assert explainer.input_ids.shape == explainer.ref_input_ids.shape == explainer.attention_mask.shape
        assert explainer.decode(explainer.input_ids) == tokens_of(tokenizer, TEXT)
        assert explainer.sep_idx == len(tokens_of(tokenizer, TEXT)) - 1
        assert isinstance(explainer, ti.BaseExplainer)
        assert isinstance(explainer.attributions, ti.Attributions)


class TestPages:
    def test_a_page_without_a_notebook(self, tmp_path):
        model, tokenizer = tiny("bert")
        explainer = ti.SequenceClassificationExplainer(model, tokenizer)
        explainer(TEXT)
        page = explainer.visualize(str(tmp_path / "x"), true_class="<script>alert(1)</script>")
        written = (tmp_path / "x.html").read_text(encoding="utf-8")
        assert written == page.data
        assert "<script" not in page.data
        assert "&lt;script&gt;" in page._repr_html_()
        assert "Content-Security-Policy" in written
        assert "\u202e" not in explainer.visualize(true_class="a\u202eb").data
        for header in ("True Label", "Predicted Label", "Attribution Label", "Attribution Score", "Word Importance"):
            assert f"<th>{header}</th>" in page.data
        assert explainer.predicted_class_name in page.data
        assert "<td>n/a</td>" in explainer.visualize().data
        assert f"<td>{explainer.id2label[0]}</td>" in explainer.visualize(true_class=0).data

    def test_a_row_for_each_label(self):
        explainer = ti.MultiLabelClassificationExplainer(*tiny("bert"))
        explainer(TEXT)
        assert explainer.visualize().data.count("<tr>") == 1 + 3


class TestPairs:
    def test_both_texts_as_the_tokenizer_joins_them(self):
        model, tokenizer = tiny("bert")
        explainer = ti.PairwiseSequenceClassificationExplainer(model, tokenizer)
        pair = ("How many people live in Berlin?", "Berlin has 3,520,031 inhabitants.")
        found = explainer(*pair)
        assert [t for t, _ in found] == tokens_of(tokenizer, *pair)
        assert (explainer.text1, explainer.text2) == pair
        flipped = explainer(*pair, flip_sign=True)
        assert [(t, -s) for t, s in flipped] == found
        with torch.no_grad():
            probs = model(**tokenizer(*pair, return_tensors="pt")).logits[0].softmax(-1)
        assert float(explainer.pred_probs) == pytest.approx(float(probs.max()), abs=1e-6)
        explainer.visualize()

    def test_one_output_is_a_sigmoid(self, make):
        model, tokenizer = make(num_labels=1)
        explainer = ti.PairwiseSequenceClassificationExplainer(model, tokenizer)
        explainer("a lovely day", "a night")
        with torch.no_grad():
            logit = model(**tokenizer("a lovely day", "a night", return_tensors="pt")).logits[0, 0]
        assert float(explainer.pred_probs) == pytest.approx(float(logit.sigmoid()), abs=1e-6)
        assert f"({float(explainer.pred_probs):.2f})" in explainer.visualize().data


class TestManyLabels:
    def test_a_list_for_each_label(self):
        model, tokenizer = tiny("bert")
        explainer = ti.MultiLabelClassificationExplainer(model, tokenizer)
        assert explainer.labels == []
        found = explainer(TEXT)
        assert list(found) == [model.config.id2label[i] for i in range(3)] == explainer.labels
        assert all([t for t, _ in pairs] == tokens_of(tokenizer, TEXT) for pairs in found.values())
        with torch.no_grad():
            probs = model(**tokenizer(TEXT, return_tensors="pt")).logits[0].sigmoid()
        for i, label in enumerate(found):
            assert float(explainer.label_probs_dict[label]) == pytest.approx(float(probs[i]), abs=1e-6)
            assert explainer.attributions[i].explanation.value == pytest.approx(float(probs[i]), abs=1e-5)
        assert "MultiLabelClassificationExplainer(" in str(explainer)
        many = explainer([TEXT, "a mess"], n_steps=8)
        np.testing.assert_allclose(
            [s for _, s in many[0]["LABEL_1"]], [s for _, s in explainer(TEXT, n_steps=8)["LABEL_1"]], atol=1e-5
        )


class TestZeroShot:
    LABELS = ("finance", "a day of technology", "sports")

    def test_every_token_of_the_text_for_every_label(self):
        model, tokenizer = headed("bert", "labels")
        explainer = ti.ZeroShotClassificationExplainer(model, tokenizer)
        assert (explainer.entailment_key, explainer.entailment_idx) == ("Entailment", 2)
        found = explainer(TEXT, labels=list(self.LABELS))
        assert list(found) == list(self.LABELS)
        assert all([t for t, _ in pairs] == tokens_of(tokenizer, TEXT)[:-1] for pairs in found.values())
        told = pipeline("zero-shot-classification", model=model, tokenizer=tokenizer)(
            TEXT, list(self.LABELS), hypothesis_template="this text is about {} ."
        )
        assert explainer.predicted_label == told["labels"][0]
        assert sum(explainer.pred_probs) == pytest.approx(1)
        assert max(explainer.pred_probs) == pytest.approx(told["scores"][0], abs=1e-6)
        longer = explainer(TEXT, labels=list(self.LABELS), include_hypothesis=True)
        assert [t for t, _ in longer["sports"]] == tokens_of(tokenizer, TEXT, "this text is about sports .")
        page = explainer.visualize()
        assert page.data.count("<tr>") == 4
        assert "technology" in page.data or "##" in page.data

    def test_refusals(self):
        with pytest.raises(ValueError, match="entailment"):
            ti.ZeroShotClassificationExplainer(*tiny("bert"))
        explainer = ti.ZeroShotClassificationExplainer(*headed("bert", "labels"))
        with pytest.raises(ValueError, match="not yet been calculated"):
            explainer.word_attributions  # noqa: B018


class TestQuestions:
    def test_both_ends(self):
        model, tokenizer = headed("bert", "span")
        explainer = ti.QuestionAnsweringExplainer(model, tokenizer)
        question, context = "what is his name ?", "his name is bob"
        for read in ("start_pos", "end_pos", "predicted_answer"):
            with pytest.raises(errors.InputIdsNotCalculatedError):
                getattr(explainer, read)
        found = explainer(question, context)
        assert list(found) == ["start", "end"]
        tokens = tokens_of(tokenizer, question, context)
        assert [t for t, _ in found["start"]] == [t for t, _ in found["end"]] == tokens
        assert explainer.start_pos <= explainer.end_pos
        assert explainer.predicted_answer in context
        with torch.no_grad():
            logits = model(**tokenizer(question, context, return_tensors="pt")).start_logits[0]
        assert explainer.start_attributions.explanation.value == pytest.approx(
            float(logits[explainer.start_pos]), abs=1e-5
        )
        page = explainer.visualize()
        assert page.data.count("<tr>") == 3
        assert f"({explainer.end_pos})" in page.data


class TestNames:
    def test_each_token_once(self):
        model, tokenizer = headed("bert", "tokens")
        explainer = ti.TokenClassificationExplainer(model, tokenizer)
        found = explainer("you , you")
        assert list(found) == ["[CLS]", "you", ",", "you (2)", "[SEP]"]
        assert all(set(value) == {"label", "attribution_scores"} for value in found.values())
        assert list(explainer.attributions) == [0, 1, 2, 3, 4] == explainer._selected_indexes
        assert explainer.predicted_class_names[1] == found["you"]["label"]
        assert explainer.pred_probs.shape == (5, 5)
        assert explainer.predicted_class_indexes.shape == (5,)
        assert explainer.visualize(true_classes=["O"] * 5).data.count("<tr>") == 6
        with pytest.raises(ValueError, match="one for each"):
            explainer.visualize(true_classes=["O"])

    def test_what_is_ignored(self):
        model, tokenizer = headed("bert", "tokens")
        explainer = ti.TokenClassificationExplainer(model, tokenizer)
        every = explainer(TEXT)
        labels = {value["label"] for value in every.values()}
        for label in labels:
            left = explainer(TEXT, ignored_labels=[label])
            assert [value["label"] for value in left.values()] == [
                v["label"] for v in every.values() if v["label"] != label
            ]
        assert next(iter(explainer(TEXT, ignored_indexes=[0, 1, 2]))) == tokens_of(tokenizer, TEXT)[3]
        assert explainer(TEXT, ignored_labels=list(model.config.id2label.values())) == {}

    def test_all_tokens_share_their_forwards(self):
        model, tokenizer = headed("bert", "tokens")
        explainer = ti.TokenClassificationExplainer(model, tokenizer)
        rows = []
        handle = model.register_forward_pre_hook(lambda m, a, k: rows.append(len(k["input_ids"])), with_kwargs=True)
        explainer(TEXT, n_steps=10)
        handle.remove()
        assert sum(rows) == 10 + 3


class TestByHand:
    def test_integrated_gradients_of_a_forward_function(self):
        model, tokenizer = tiny("bert")
        batch = tokenizer(TEXT, return_tensors="pt")
        ids = batch["input_ids"]
        reference = ids.clone()
        reference[0, 1:-1] = tokenizer.pad_token_id

        def forward(input_ids, token_type_ids=None, position_ids=None, attention_mask=None):
            return model(input_ids, attention_mask=attention_mask).logits.softmax(-1)

        by_hand = ti.LIGAttributions(
            forward, model.bert.embeddings.word_embeddings, tokens_of(tokenizer, TEXT), ids, reference,
            tokenizer.sep_token_id, batch["attention_mask"], target=1, n_steps=30,
        )  # fmt: skip
        explainer = ti.SequenceClassificationExplainer(model, tokenizer)
        expected = explainer(TEXT, index=1, n_steps=30)
        np.testing.assert_allclose([s for _, s in by_hand.word_attributions], [s for _, s in expected], atol=1e-4)
        assert abs(float(by_hand.delta)) < 1e-3
        record = by_hand.visualize_attributions(0.5, "a", "b", "c", by_hand.tokens)
        assert record.attr_score == pytest.approx(float(by_hand.attributions_sum.sum()))


def test_nothing_is_warned_of_in_ordinary_use():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ti.SequenceClassificationExplainer(*tiny("bert"))(TEXT)
