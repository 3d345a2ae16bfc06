"""What code written for transformers-interpret reads and calls beside the explainers: members, helpers, odd labels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import pipeline

from conftest import headed, tiny
from saywhy.compat import transformers_interpret as ti

TEXT = "I love you, I like you"


class Counting(ti.BaseExplainer):
    """A subclass as a caller would write it: only the abstract methods."""

    def encode(self, text=None):
        return self.tokenizer.encode(text, add_special_tokens=False)

    def decode(self, input_ids):
        return self.tokenizer.convert_ids_to_tokens(input_ids[0])

    @property
    def word_attributions(self):
        return []

    def _run(self):
        return []

    def _calculate_attributions(self):
        return None

    def _forward(self):
        return None


class TestSubclass:
    def test_members_by_the_models_own_modules(self):
        model, tokenizer = tiny("bert")
        explainer = Counting(model, tokenizer)
        assert explainer.word_embeddings is model.bert.embeddings.word_embeddings
        assert explainer.position_embeddings is model.bert.embeddings.position_embeddings
        assert explainer.token_type_embeddings is model.bert.embeddings.token_type_embeddings
        assert (explainer.accepts_position_ids, explainer.accepts_token_type_ids) == (True, True)
        assert str(explainer) == (
            "Counting(\n\tmodel=BertForSequenceClassification,\n\ttokenizer=" + type(tokenizer).__name__ + ")"
        )

    @pytest.mark.parametrize(
        ("name", "positions", "types"),
        [("distilbert", False, False), ("roberta", False, False), ("gpt2-pad-eos", True, True)],
    )
    def test_what_the_model_accepts(self, name, positions, types):
        explainer = Counting(*tiny(name))
        assert (explainer.accepts_position_ids, explainer.accepts_token_type_ids) == (positions, types)

    def test_the_input_and_its_reference(self):
        model, tokenizer = tiny("bert")
        explainer = Counting(model, tokenizer)
        ids, reference, count = explainer._make_input_reference_pair(TEXT)
        assert ids[0].tolist() == tokenizer(TEXT)["input_ids"]
        pad = tokenizer.pad_token_id
        assert reference[0].tolist() == [tokenizer.cls_token_id, *[pad] * count, tokenizer.sep_token_id]
        assert len(explainer.encode(TEXT)) == count
        types, none = explainer._make_input_reference_token_type_pair(ids, 3)
        assert types[0].tolist() == [int(i > 3) for i in range(count + 2)]
        positions, zeros = explainer._make_input_reference_position_id_pair(ids)
        assert positions[0].tolist() == list(range(count + 2))
        assert not none.any()
        assert not zeros.any()
        mask = explainer._make_attention_mask(ids)
        with torch.no_grad():
            expected = model(input_ids=ids, token_type_ids=types, position_ids=positions, attention_mask=mask).logits
            torch.testing.assert_close(explainer._get_preds(ids, types, positions, mask).logits, expected)
        with pytest.raises(NotImplementedError, match="one text"):
            explainer._make_input_reference_pair([TEXT])

    def test_two_texts(self):
        model, tokenizer = tiny("bert")
        explainer = ti.PairwiseSequenceClassificationExplainer(model, tokenizer)
        ids, reference, count = explainer._make_input_reference_pair("a lovely day", "a night")
        assert ids[0].tolist() == tokenizer("a lovely day", "a night")["input_ids"]
        kept = reference[0] != tokenizer.pad_token_id
        assert reference[0][kept].tolist() == [tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.sep_token_id]
        assert int(ids[0][count + 1]) == tokenizer.sep_token_id

    def test_an_unknown_word_is_no_special_token(self):
        model, tokenizer = tiny("bert")
        ids, reference, _ = Counting(model, tokenizer)._make_input_reference_pair("我")
        assert ids[0].tolist() == [tokenizer.cls_token_id, tokenizer.unk_token_id, tokenizer.sep_token_id]
        assert int(reference[0, 1]) == tokenizer.pad_token_id


class TestRun:
    """`_run` with the arguments that a subclass passes there gives what a call gives."""

    def test_one_text(self):
        explainer = ti.SequenceClassificationExplainer(*tiny("bert"))
        assert explainer._run(TEXT) == explainer(TEXT)
        assert explainer._run(TEXT, index=0) == explainer(TEXT, index=0)
        assert explainer._run(TEXT, class_name="LABEL_1", embedding_type=1) == explainer(TEXT, 1, embedding_type=1)

    def test_two_texts(self):
        explainer = ti.PairwiseSequenceClassificationExplainer(*tiny("bert"))
        assert explainer._run("a day", "a night", index=1) == explainer("a day", "a night", index=1)

    def test_a_tagger_and_a_reader(self):
        tagger = ti.TokenClassificationExplainer(*headed("bert", "tokens"))
        assert tagger._run(TEXT) == tagger(TEXT)
        reader = ti.QuestionAnsweringExplainer(*headed("bert", "span"))
        assert reader.attributions is None
        assert reader._run("what ?", "his name is bob", 0) == reader("what ?", "his name is bob", 0)

    def test_steps_that_were_set_on_the_explainer(self):
        explainer = ti.SequenceClassificationExplainer(*tiny("bert"))
        expected = explainer(TEXT, n_steps=7)
        explainer.n_steps = 7
        assert explainer(TEXT) == expected


def test_position_embeddings_where_they_are_no_argument_give_the_words():
    explainer = ti.SequenceClassificationExplainer(*tiny("distilbert"))
    words = explainer(TEXT)
    with pytest.warns(UserWarning, match="no position embeddings"):
        assert explainer(TEXT, embedding_type=1) == words
    bert = ti.SequenceClassificationExplainer(*tiny("bert"))
    words = bert(TEXT)
    bert.accepts_position_ids = False
    with pytest.warns(UserWarning, match="no position embeddings"):
        assert bert(TEXT, embedding_type=1) == words


def test_names_that_were_changed_by_hand():
    explainer = ti.SequenceClassificationExplainer(*tiny("bert"))
    explainer.id2label = {"some": "thing"}
    explainer(TEXT)
    assert explainer.predicted_class_name == int(explainer.predicted_class_index)
    tagger = ti.TokenClassificationExplainer(*headed("bert", "tokens"))
    tagger.id2label = {"some": "thing"}
    found = tagger(TEXT)
    assert tagger.predicted_class_names == tagger.predicted_class_indexes.tolist()
    assert all(isinstance(value["label"], int) for value in found.values())


class TestSpecialTokens:
    def test_they_have_the_models_labels_and_its_gradients(self):
        model, tokenizer = headed("bert", "tokens")
        explainer = ti.TokenClassificationExplainer(model, tokenizer)
        found = explainer("you", n_steps=200)
        assert list(found) == ["[CLS]", "you", "[SEP]"]
        with torch.no_grad():
            full = model(**tokenizer("you", return_tensors="pt")).logits[0].softmax(-1)
            ids = torch.tensor([[tokenizer.cls_token_id, tokenizer.pad_token_id, tokenizer.sep_token_id]])
            none = model(input_ids=ids, token_type_ids=torch.zeros_like(ids)).logits[0].softmax(-1)
        for place in (0, 2):
            label = int(full[place].argmax())
            assert found[list(found)[place]]["label"] == model.config.id2label[label]
            raw = float(explainer.attributions[place]._attributions.sum())
            assert raw == pytest.approx(float(full[place, label] - none[place, label]), abs=1e-4)

    def test_positions_and_labels_that_are_ignored(self):
        model, tokenizer = headed("bert", "tokens")
        explainer = ti.TokenClassificationExplainer(model, tokenizer)
        explainer(TEXT)
        names = explainer.predicted_class_names
        explainer(TEXT, ignored_labels=[names[0]], ignored_indexes=[1, 4])
        expected = [i for i, name in enumerate(names) if name != names[0] and i not in (1, 4)]
        assert explainer._selected_indexes == expected == list(explainer.attributions)


class TestZeroShotLabels:
    def test_a_label_that_comes_twice_counts_twice(self):
        model, tokenizer = headed("bert", "labels")
        explainer = ti.ZeroShotClassificationExplainer(model, tokenizer)
        labels = ["urgent", " not", "urgent", "phone"]
        found = explainer(TEXT, labels=labels)
        assert list(found) == ["urgent", " not", "phone"]
        told = pipeline("zero-shot-classification", model=model, tokenizer=tokenizer)(
            TEXT, labels, hypothesis_template="this text is about {} ."
        )
        assert sorted(explainer.pred_probs, reverse=True) == pytest.approx(told["scores"], abs=1e-6)
        assert explainer.pred_probs[0] == explainer.pred_probs[2]
        assert explainer.labels == labels
        assert explainer.visualize().data.count("<tr>") == 5
        alone = explainer(TEXT, labels=["urgent"])
        np.testing.assert_allclose([s for _, s in alone["urgent"]], [s for _, s in found["urgent"]], atol=1e-5)

    def test_label2id_that_was_changed_by_hand(self, monkeypatch):
        model, tokenizer = headed("bert", "labels")
        monkeypatch.setattr(model.config, "label2id", {"l1": 0, "l2": 1, "l3": 2})
        with pytest.raises(ValueError, match="l1"):
            ti.ZeroShotClassificationExplainer(model, tokenizer)
        monkeypatch.setattr(model.config, "label2id", {"ENTAILMENT": 2, "l2": 1, "l3": 0})
        assert ti.ZeroShotClassificationExplainer(model, tokenizer).entailment_key == "ENTAILMENT"
        monkeypatch.setattr(model.config, "label2id", {"ENTAILMENT": 0, "l2": 1, "l3": 2})
        with pytest.raises(ValueError, match="same names"):
            ti.ZeroShotClassificationExplainer(model, tokenizer)

    def test_a_subclass_may_say_that_there_is_none(self):
        class Never(ti.ZeroShotClassificationExplainer):
            def _entailment_label_exists(self):
                return False, None

        with pytest.raises(ValueError, match="entailment"):
            Never(*headed("bert", "labels"))
