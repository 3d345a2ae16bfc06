"""The drop-in: the tutorial with its imports changed, the result dictionary, and what must not be as it was."""

from __future__ import annotations

import json
import logging
import os
import pickle
import re
import subprocess
import sys

import captum.attr
import numpy as np
import pytest
import torch
from torch import nn

from opinions import opinions
from saywhy.compat.torch_text_classifiers import ModelConfig, TrainingConfig, torchTextClassifiers
from saywhy.compat.torch_text_classifiers.contrib import MultiLevelCrossEntropyLoss, MultiLevelTextClassificationModel
from saywhy.compat.torch_text_classifiers.dataset import TextClassificationDataset
from saywhy.compat.torch_text_classifiers.model import TextClassificationModel, components
from saywhy.compat.torch_text_classifiers.model.components import AttentionConfig
from saywhy.compat.torch_text_classifiers.tokenizers import (
    BaseTokenizer,
    HuggingFaceTokenizer,
    NGramTokenizer,
    TokenizerOutput,
    WordPieceTokenizer,
)
from saywhy.compat.torch_text_classifiers.utilities import plot_explainability as plots
from saywhy.compat.torch_text_classifiers.value_encoder import DictEncoder, ValueEncoder

TEXTS, LABELS, COUNTRIES = opinions()
CODES = np.array([int(label == "good") for label in LABELS])


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def pieces(**more):
    made = WordPieceTokenizer(vocab_size=300, **more)
    made.train(TEXTS)
    return made


def quick(**more):
    return TrainingConfig(**{"num_epochs": 4, "batch_size": 32, "lr": 2e-2, "save_path": None, **more})


def trained(config=None, tokenizer=None, **more):
    config = config or ModelConfig(embedding_dim=16, num_classes=2, n_heads_label_attention=2)
    made = torchTextClassifiers(tokenizer=tokenizer or pieces(), model_config=config)
    made.train(np.array(TEXTS), CODES, training_config=quick(**more))
    return made


@pytest.fixture(scope="module")
def attentive():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        attention = AttentionConfig(n_layers=1, n_head=2, n_kv_head=2, sequence_len=50)
        return trained(
            ModelConfig(embedding_dim=16, num_classes=2, attention_config=attention, n_heads_label_attention=2)
        )


# ---- the tutorials -------------------------------------------------------------------------------------------------

FIRST = """
import numpy as np
from torchTextClassifiers import ModelConfig, TrainingConfig, torchTextClassifiers
from torchTextClassifiers.tokenizers import WordPieceTokenizer
# Training data
X_train = np.array([
"I love this product",
"Great quality and excellent service",
"Amazing design and fantastic performance",
"This is terrible quality",
"Poor design and cheap materials",
"Awful experience with this product"
])
y_train = np.array([1, 1, 1, 0, 0, 0])
tokenizer = WordPieceTokenizer(vocab_size=5000)
tokenizer.train(X_train.tolist())
model_config = ModelConfig(embedding_dim=50, num_classes=2)
classifier = torchTextClassifiers(tokenizer=tokenizer, model_config=model_config)
training_config = TrainingConfig(num_epochs=25, batch_size=8, lr=1e-3,
raw_categorical_inputs=False, raw_labels=False)
classifier.train(X_train, y_train, training_config=training_config)
# Predict with Captum explainability
result = classifier.predict(
np.array(["This product is amazing!"]),
explain_with_captum=True, # <-- enable Captum attribution
)
prediction = result["prediction"][0][0].item()
confidence = result["confidence"][0][0].item()
attributions = result["captum_attributions"][0][0] # shape: (seq_len,)
print(f"Prediction: {'Positive' if prediction == 1 else 'Negative'}")
print(f"Confidence: {confidence:.4f}")
print(f"Attribution shape: {attributions.shape}")
"""
SECOND = """
def explain_with_captum(classifier, text):
    result = classifier.predict(
        np.array([text]),
        explain_with_captum=True
    )
    prediction = result["prediction"][0][0].item()
    confidence = result["confidence"][0][0].item()
    attributions = result["captum_attributions"][0][0] # (seq_len,)
    offset_mapping = result["offset_mapping"][0]
    print(f"Text: '{text}'")
    print(f"Prediction: {prediction} (confidence: {confidence:.4f})")
    # Map attributions to characters
    char_attrs = [0.0] * len(text)
    for (start, end), score in zip(offset_mapping, attributions.tolist()):
        for i in range(start, end):
            char_attrs[i] = score
    # Aggregate to words
    words = text.split()
    char_idx = 0
    print("\\nWord Contributions:")
    print("-" * 50)
    for word in words:
        scores = char_attrs[char_idx : char_idx + len(word)]
        avg = sum(scores) / len(scores) if scores else 0.0
        bar = "█" * max(0, int(avg * 40))
        print(f"{word:>15} | {bar:<40} {avg:.4f}")
        char_idx += len(word) + 1 # +1 for space
explain_with_captum(classifier, "This product is amazing!")
"""
THIRD = """
X_test, text = np.array(["This product is amazing!", "Poor"]), "This product is amazing!"
from torchTextClassifiers import ModelConfig, TrainingConfig, torchTextClassifiers
from torchTextClassifiers.model.components import AttentionConfig
model_config = ModelConfig(
embedding_dim=96,
num_classes=6,
attention_config=AttentionConfig( # self-attention (optional but recommended)
n_layers=2,
n_head=4,
n_kv_head=4,
sequence_len=50,
),
n_heads_label_attention=4, # <-- enables label attention with 4 heads
)
classifier = torchTextClassifiers(
tokenizer=tokenizer,
model_config=model_config,
)
classifier.train(X_train, y_train, training_config=training_config)
result = classifier.predict(
X_test,
explain_with_label_attention=True, # <-- request attention weights
)
# Attention matrix: which tokens are important for each class
label_attention = result["label_attention_attributions"]
# Shape: (batch_size, n_head, num_classes, seq_len)
import torch
# Average across heads for readability
# label_attention: (batch_size, n_head, num_classes, seq_len)
per_class_scores = label_attention[0].mean(dim=0) # (num_classes, seq_len)
tokens = tokenizer.tokenize([text]).input_ids[0]
class_names = ["World", "Sports", "Business", "Sci/Tech"] # example
print("Token importance by class:")
for class_idx, class_name in enumerate(class_names):
    scores = per_class_scores[class_idx]
    top_token_idx = scores.argmax().item()
    print(f" [{class_name}] most attended token index: {top_token_idx} "
    f"(score: {scores[top_token_idx]:.4f})")
result = classifier.predict(
X_test,
explain_with_captum=True,
explain_with_label_attention=True,
)
captum_attrs = result["captum_attributions"] # gradient-based
label_attrs = result["label_attention_attributions"] # attention-based
explain_with_captum(classifier, "This product is not good")
explain_with_captum(classifier, "Product from Location X is excellent")
result = classifier.predict(np.array(["Product arrived on time"]),
explain_with_captum=True)
"""


def test_the_tutorial_runs_with_its_imports_changed(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = (FIRST + SECOND + THIRD).replace("from torchTextClassifiers", "from saywhy.compat.torch_text_classifiers")
    held: dict = {}
    exec(compile(code, "tutorial", "exec"), held)
    said = capsys.readouterr().out
    assert re.search(r"Prediction: (Positive|Negative)\nConfidence: 0\.\d{4}\n", said)
    assert "Attribution shape: torch.Size([" in said
    bars = dict(re.findall(r"^ *(\S+) \| .* (-?\d\.\d{4})$", said.split("Token importance")[0], re.MULTILINE))
    assert list(bars) == ["This", "product", "is", "amazing!"]
    assert any(float(score) for score in bars.values())
    assert held["label_attention"].shape[:3] == (2, 4, 6)
    assert held["captum_attrs"].shape[:2] == (2, 1)
    assert held["captum_attrs"].shape[-1] == held["label_attrs"].shape[-1]
    assert [path.name for path in tmp_path.iterdir()] == [
        "my_ttc"
    ]  # the default save_path, and nothing else of the run


def test_the_word_bars_make_sense_on_a_real_training_set():
    made = trained(ModelConfig(embedding_dim=16, num_classes=2))
    for text, wanted, word in (("the film is fantastic", 1, "fantastic"), ("a dreadful story", 0, "dreadful")):
        result = made.predict(np.array([text]), explain_with_captum=True)
        assert result["prediction"].item() == wanted
        words, scores = plots.map_attributions_to_word(
            result["captum_attributions"][0], text, result["word_ids"][0], result["offset_mapping"][0]
        )
        assert list(words.values())[int(scores[0].argmax())] == word


@pytest.mark.parametrize("given", [list, np.array])
def test_the_basic_tutorial_as_printed(given):
    """Whole numbers as labels, no value encoder, raw_labels left on, validation data by position."""
    made = torchTextClassifiers(pieces(), ModelConfig(embedding_dim=16, num_classes=2))
    x, y = given(TEXTS[:200]), given(CODES[:200].tolist())
    held = given(TEXTS[200:]), given(CODES[200:].tolist())
    made.train(x, y, *held, training_config=quick())
    result = made.predict(given(TEXTS[:7]))
    assert result["prediction"].shape == result["confidence"].shape == (7, 1)
    assert result["prediction"].dtype == torch.int64
    assert set(result) == {"prediction", "confidence"}
    assert not torch.equal(result["confidence"], result["confidence"].round(decimals=2))
    assert (result["prediction"][:, 0].numpy() == CODES[:7]).all()
    made.train(x, y, quick(num_epochs=1), *held)  # the manual's order
    made.train(x, y, training_config=quick(num_epochs=1), X_val=held[0], y_val=held[1])


# ---- kinds of labels -----------------------------------------------------------------------------------------------


def test_ragged_and_one_hot_labels_train_to_the_same():
    ragged = [[int(c)] if i % 3 else [int(c), 2] for i, c in enumerate(CODES)]
    one_hot = np.zeros((len(TEXTS), 3))
    for row, labels in zip(one_hot, ragged, strict=True):
        row[labels] = 1
    found = []
    for labels, flag in ((ragged, True), (one_hot, False)):
        torch.manual_seed(1)
        made = torchTextClassifiers(pieces(), ModelConfig(embedding_dim=16, num_classes=3), ragged_multilabel=flag)
        made.train(np.array(TEXTS), labels, quick(loss=nn.BCEWithLogitsLoss(), raw_labels=False))
        found.append(made.predict(np.array(TEXTS[:9]))["prediction"])
    assert torch.equal(*found)
    assert found[0].shape == (9, 3)
    assert (found[0][:, :2].argmax(1).numpy() == CODES[:9]).all()
    assert (found[0].sum(1) - 1).abs().max() > 0.05
    torch.manual_seed(1)
    made = torchTextClassifiers(pieces(), ModelConfig(embedding_dim=16, num_classes=3), ragged_multilabel=True)
    made.train(np.array(TEXTS), ragged, quick())  # the default loss is for one label: theirs of the sigmoid is taken
    assert torch.equal(made.predict(np.array(TEXTS[:9]))["prediction"], found[0])


def test_soft_labels_reach_the_loss_unchanged():
    soft = np.array([[0.3, 0.7] if c else [0.9, 0.1] for c in CODES])
    made = torchTextClassifiers(pieces(), ModelConfig(embedding_dim=16, num_classes=2))
    made.train(np.array(TEXTS), soft, quick(num_epochs=15, raw_labels=False, lr=1e-2, batch_size=16))
    np.testing.assert_allclose(made.predict_proba(np.array(TEXTS[:20])), soft[:20], atol=0.08)


def mixed(labels=True):
    labels = DictEncoder({"bad": 0, "good": 1})
    countries = DictEncoder({"DE": 0, "FR": 1, "IT": 2})
    return ValueEncoder(labels, {"country": countries, "year": DictEncoder({2020: 0, 2021: 1})})


ROWS = np.array([[t, c, 2020 + i % 2] for i, (t, c) in enumerate(zip(TEXTS, COUNTRIES, strict=True))], dtype=object)


@pytest.mark.parametrize("dims", [None, 4, [3, 5]])
@pytest.mark.parametrize("heads", [None, 2])
def test_raw_strings_in_and_label_strings_out(dims, heads, tmp_path):
    config = ModelConfig(embedding_dim=16, categorical_embedding_dims=dims, n_heads_label_attention=heads)
    made = torchTextClassifiers(pieces(), config, value_encoder=mixed())
    assert (made.num_classes, made.categorical_vocabulary_sizes) == (2, [3, 2])
    untrained = made.predict(ROWS[:5], top_k=2)
    made.save(tmp_path / "untrained")
    again = torchTextClassifiers.load(tmp_path / "untrained").predict(ROWS[:5], top_k=2)
    assert torch.equal(again["confidence"], untrained["confidence"])
    made.train(ROWS, np.array(LABELS), quick(save_path=str(tmp_path / "trained")))
    result = made.predict(ROWS[:9], top_k=2)
    assert result["prediction"].shape == (9, 2)
    assert result["prediction"][:, 0].tolist() == LABELS[:9]
    back = torchTextClassifiers.load(tmp_path / "trained")
    assert back.enable_label_attention == (heads is not None)
    after = back.predict(ROWS[:9], top_k=2)
    assert torch.equal(after["confidence"], result["confidence"])
    assert after["prediction"].tolist() == result["prediction"].tolist()
    as_text = ROWS.astype(str)  # an array of strings, as numpy makes it of mixed columns
    assert torch.equal(made.predict(as_text[:9])["confidence"], made.predict(ROWS[:9])["confidence"])


@pytest.mark.parametrize("row", [0, 7])
def test_an_unknown_value_names_its_column_and_row(row):
    made = torchTextClassifiers(pieces(), ModelConfig(embedding_dim=16), value_encoder=mixed())
    wrong = ROWS[:9].copy()
    wrong[row, 1] = "Fr"
    with pytest.raises(ValueError, match=rf"Column 'country', row {row}: unknown value 'Fr'.*'FR'"):
        made.predict(wrong)
    labels = np.array(LABELS, dtype=object)
    labels[row] = "god"
    with pytest.raises(ValueError, match=rf"Column 'label', row {row}: unknown value 'god'.*'good'"):
        made.train(ROWS, labels, quick())


def test_scikit_learns_encoder():
    from sklearn.preprocessing import LabelEncoder

    encoder = ValueEncoder(LabelEncoder().fit(LABELS), {"country": LabelEncoder().fit(COUNTRIES)})
    assert (encoder.num_classes, encoder.vocabulary_sizes) == (2, [3])
    assert encoder.transform_labels(np.array(["good", "bad"])).tolist() == [1, 0]
    assert encoder(np.array([["FR"], ["DE"]])).tolist() == [[1], [0]]
    assert encoder.inverse_transform_labels(np.array([[0, 1]])).tolist() == [["bad", "good"]]
    with pytest.raises(TypeError, match="DictEncoder"):
        ValueEncoder({"a": 0})


# ---- explanations --------------------------------------------------------------------------------------------------


def tokenizers():
    return {
        "word_piece": pieces(),
        "fixed": pieces(output_dim=24),
        "ngrams": NGramTokenizer(1, 3, 4, 500, 2, training_text=TEXTS),
    }


@pytest.mark.parametrize("name", ["word_piece", "fixed", "ngrams"])
def test_attributions_sum_to_the_change_of_the_logit(name):
    tokenizer = tokenizers()[name]
    config = ModelConfig(embedding_dim=16, num_classes=2, n_heads_label_attention=2)
    made = trained(config, tokenizer)
    x = np.array(["  The film   is Wonderful", "a poor, poor story and so is the design", "film"])
    result = made.predict(x, top_k=2, explain_with_captum=True, explain_with_label_attention=True)
    scores, width = result["captum_attributions"], result["offset_mapping"].shape[1]
    assert scores.shape == (3, 2, width)
    assert result["word_ids"].shape == (3, width)
    assert result["label_attention_attributions"].shape == (3, 2, 2, width)
    assert width == 24 if name == "fixed" else width > 4
    out = tokenizer.tokenize(list(x), return_offsets_mapping=True)
    torch.testing.assert_close(result["label_attention_attributions"].sum(-1), torch.ones(3, 2, 2), atol=1e-5, rtol=0)
    hidden = ~out.attention_mask.bool()[:, None, None].expand_as(result["label_attention_attributions"])
    assert not result["label_attention_attributions"][hidden].any()
    start = torch.full_like(out.input_ids, tokenizer.inner.unknown if name != "ngrams" else 0)
    with torch.no_grad():
        full, base = (made.pytorch_model(ids, out.attention_mask) for ids in (out.input_ids, start))
    tops = result["prediction"]
    change = (full - base).gather(1, tops)
    gap = (scores.sum(-1) - change).abs()
    assert (gap <= 0.01 * scores.abs().sum(-1) + 1e-4).all()
    for b, text in enumerate(x):
        for (a, e), word in zip(result["offset_mapping"][b].tolist(), result["word_ids"][b], strict=True):
            assert (word is None) == (a == e)
            assert text[a:e].strip() == text[a:e] or name == "ngrams"


def test_attributions_are_captums_own():
    made = trained(ModelConfig(embedding_dim=16, num_classes=2))
    text = np.array(["the film is wonderful and so is the poor story"])
    result = made.predict(text, explain_with_captum=True)
    out = made.tokenizer.tokenize(text.tolist())
    theirs = captum.attr.LayerIntegratedGradients(made.pytorch_model, made.pytorch_model.token_embedder.embedding_layer)
    expected = theirs.attribute(
        (out.input_ids, out.attention_mask),
        baselines=(torch.full_like(out.input_ids, 1), out.attention_mask),
        target=result["prediction"][0, 0].item(),
        n_steps=200,
    ).sum(-1)
    assert made.tokenizer.inner.unknown == 1
    found = result["captum_attributions"][0]
    torch.testing.assert_close(found, expected.detach().float(), atol=0.02 * float(expected.abs().sum()), rtol=0)


def test_the_same_text_alone_or_in_any_batch(attentive):
    x = np.array([*TEXTS[:9], "film", "x " * 60])
    together = attentive.predict_proba(x)
    alone = np.concatenate([attentive.predict_proba(x[i : i + 1]) for i in range(len(x))])
    np.testing.assert_allclose(alone, together, atol=1e-5)


def test_the_ordinary_line_takes_it(attentive, tmp_path):
    import saywhy

    e = saywhy.Explainer(attentive)("the film is wonderful", target="1")
    assert e.words == ("the", "film", "is", "wonderful")
    attentive.save(tmp_path / "m")
    again = saywhy.Explainer(str(tmp_path / "m"))("the film is wonderful", target="1")
    np.testing.assert_allclose(again.scores, e.scores, atol=1e-6)


def test_maps_keep_sign_and_scale_and_whole_words():
    text = "unbelievable bad"
    offsets = torch.tensor([[0, 0], [0, 2], [2, 12], [13, 16], [0, 0]])
    words = np.array([None, 0, 0, 1, None], dtype=object)
    scores = torch.tensor([[9.0, 1.0, 2.0, -4.0, 9.0], [0, 0, 0, 1000, 0]])
    chars = plots.map_attributions_to_char(scores, offsets, text)
    assert chars.shape == (2, 16)
    np.testing.assert_allclose(chars.sum(1), [-1, 1000])
    np.testing.assert_allclose(chars[0, [0, 2, 12, 13]], [0.5, 0.2, 0, -4 / 3])
    names, by_word = plots.map_attributions_to_word(scores, text, words, offsets)
    assert names == {0: "unbelievable", 1: "bad"}
    assert by_word.tolist() == [[3, -4], [0, 1000]]
    assert plots.map_attributions_to_word(scores[0], text, words, offsets)[1].tolist() == [[3, -4]]
    assert plots.map_attributions_to_char(scores[0], offsets, text).shape == (1, 16)
    for figures in (
        plots.plot_attributions_at_char(text, chars),
        plots.plot_attributions_at_word(text, names, by_word, titles=["a", "b"]),
    ):
        assert len(figures) == 2
        assert len(figures[0].axes[0].patches) in (16, 2)
    with pytest.raises(ValueError, match="one string"):
        plots.map_attributions_to_char(scores, offsets, [text])


def test_refusals(attentive):
    with pytest.raises(RuntimeError, match="must be trained"):
        torchTextClassifiers(WordPieceTokenizer(100), ModelConfig(4, 2))
    with pytest.raises(RuntimeError, match="must be trained"):
        NGramTokenizer(1, 2, 3, 10, 1).tokenize("x")
    plain = torchTextClassifiers(pieces(), ModelConfig(4, 2))
    with pytest.raises(RuntimeError, match="not configured with label attention"):
        plain.predict(np.array(["x"]), explain_with_label_attention=True)
    for make, said in (
        (lambda: torchTextClassifiers(pieces(), ModelConfig(4)), "num_classes"),
        (lambda: torchTextClassifiers(pieces(), ModelConfig(4, 2, aggregation_method="max")), "aggregation_method"),
        (lambda: torchTextClassifiers(pieces(), ModelConfig(5, 2, n_heads_label_attention=2)), "multiple of 2"),
        (
            lambda: torchTextClassifiers(pieces(), ModelConfig(6, 2, attention_config=AttentionConfig(1, 2, 2))),
            "even",
        ),
        (lambda: plain.train(np.array(TEXTS), CODES + 1, quick()), r"row 1: 2 is outside the range \[0, 1\]"),
        (lambda: plain.train(np.array(TEXTS), CODES[:-1], quick()), "240 texts and 239 labels"),
        (lambda: plain.train(np.array(TEXTS), np.array(LABELS), quick()), "no whole number.*value_encoder"),
        (lambda: plain.train(np.array(TEXTS), CODES), "training_config"),
        (lambda: plain.predict(ROWS[:2]), "2 categorical columns"),
        (lambda: plain.predict(np.array(["x"]), top_k=3), "from 1 to 2"),
        (lambda: plain.predict("x"), "array"),
        (lambda: NGramTokenizer(1, 1, 3, 10, 1), "min_n"),
        (lambda: NGramTokenizer(1, 2, 7, 10, 1), "max_n"),
        (lambda: DictEncoder({"a": 0}).transform(["a", "b"]), "row 1: unknown value 'b'"),
    ):
        with pytest.raises(ValueError, match=said):
            make()


# ---- files and side effects ----------------------------------------------------------------------------------------


class SyntheticModel:
    def __reduce__(self):
        return (pytest.fail, ("a planted file was unpickled",))


def test_loading_a_folder_runs_nothing(attentive, tmp_path):
    attentive.save(tmp_path)
    for name in ("metadata.pkl", "tokenizer.pkl", "value_encoder.pkl", "model_checkpoint.ckpt", "pytorch_model.pkl"):
        (tmp_path / name).write_bytes(pickle.dumps(SyntheticModel()))
    torchTextClassifiers.load(tmp_path)
    (tmp_path / "torch_text_classifiers.json").unlink()
    with pytest.raises(FileNotFoundError):
        torchTextClassifiers.load(tmp_path)


class Own(nn.Module):
    def __init__(self, size=40, classes=2):
        super().__init__()
        self.num_classes, self.categorical_variable_net, self.size = classes, None, size
        self.table, self.head = nn.Embedding(size, 8), nn.Linear(8, classes)

    def forward(self, input_ids, attention_mask, categorical_vars, **_):
        return self.head((self.table(input_ids) * attention_mask[..., None]).sum(1))

    def settings(self):
        return {"size": self.size, "classes": self.num_classes}


def test_a_network_of_ones_own(tmp_path):
    tokenizer = pieces()
    made = torchTextClassifiers.from_model(tokenizer, Own(tokenizer.vocab_size))
    assert "Own" in repr(made)
    made.train(np.array(TEXTS), CODES, quick())
    result = made.predict(np.array(TEXTS[:5]), explain_with_captum=True)
    assert result["prediction"][:, 0].tolist() == CODES[:5].tolist()
    made.save(tmp_path)
    with pytest.raises(ValueError, match="allow_code"):
        torchTextClassifiers.load(tmp_path)
    for again in (
        torchTextClassifiers.load(tmp_path, allow_code=True),
        torchTextClassifiers.load(tmp_path, pytorch_model=Own(tokenizer.vocab_size)),
    ):
        assert torch.equal(again.predict(np.array(TEXTS[:5]))["confidence"], result["confidence"])


def test_several_levels():
    tokenizer = pieces()
    token = components.TokenEmbedder(components.TokenEmbedderConfig(tokenizer.vocab_size, 16, tokenizer.padding_idx))
    label = components.LabelAttentionConfig(2, 3, 16)
    levels = [
        components.SentenceEmbedder(components.SentenceEmbedderConfig()),
        components.SentenceEmbedder(components.SentenceEmbedderConfig(None, label)),
    ]
    heads = [components.ClassificationHead(16, 2), components.ClassificationHead(16, 1)]
    network = MultiLevelTextClassificationModel(token, levels, heads, None)
    assert network.num_classes == [2, 3]
    encoder = ValueEncoder([DictEncoder({"bad": 0, "good": 1}), DictEncoder({"DE": 0, "FR": 1, "IT": 2})])
    made = torchTextClassifiers.from_model(tokenizer, network, value_encoder=encoder)
    labels = np.array(list(zip(LABELS, COUNTRIES, strict=True)))
    made.train(np.array(TEXTS[:225]), labels[:225], quick(loss=MultiLevelCrossEntropyLoss([2, 3]), batch_size=32))
    result = made.predict(np.array(TEXTS[:4]), top_k=2)
    assert result["prediction"].shape == (4, 2, 2)
    assert result["prediction"][:, 0, 0].tolist() == LABELS[:4]
    assert result["confidence"].shape == (4, 2, 2)
    with pytest.raises(ValueError, match="a level at a time"):
        made.predict(np.array(TEXTS[:4]), explain_with_captum=True)
    outputs, wanted = [torch.randn(5, 2), torch.randn(5, 3)], torch.tensor([[0, 2]] * 5)
    loss = MultiLevelCrossEntropyLoss([2, 3])(outputs, wanted)
    expected = sum(w * -z.log_softmax(1)[:, y] for w, z, y in zip((2, 3), outputs, (0, 2), strict=True)) / 5
    torch.testing.assert_close(loss, expected)


def test_tokenizers_by_their_names(tmp_path):
    words = pieces()
    out = words.tokenize(["The film", "a film is great"], return_offsets_mapping=True, return_word_ids=True)
    assert isinstance(out, TokenizerOutput)
    assert out.input_ids.shape == out.attention_mask.shape == out.word_ids.shape == out.offset_mapping.shape[:2]
    assert torch.equal(words("The film").input_ids, words.tokenize("The film").input_ids)
    assert len(words) == words.vocab_size == int(words.inner.size)
    assert pieces(output_dim=5).tokenize(["a", "the film is great and good"]).input_ids.shape == (2, 5)
    words.train(TEXTS, save_path=str(tmp_path / "w"))
    loaded = HuggingFaceTokenizer.load(tmp_path / "w" / "tokenizer.json")
    assert torch.equal(loaded("The film").input_ids, words("The film").input_ids)
    grams = NGramTokenizer(1, 2, 4, 100, 2, training_text=TEXTS, output_dim=8)
    assert grams.tokenize(["The film is so great"]).input_ids.shape == (1, 8)
    grams.save_pretrained(tmp_path / "g")
    again = NGramTokenizer.load(tmp_path / "g")
    assert again.output_dim == 8
    assert torch.equal(again("film").input_ids, grams("film").input_ids)
    assert again.decode(again.tokenize("The FILM").input_ids[0]) == "the"  # cut to 8 positions
    assert NGramTokenizer(1, 2, 3, 50, 1, training_text=TEXTS).batch_decode([[]]) == [""]
    with pytest.raises(NotImplementedError):
        HuggingFaceTokenizer(3).train()
    with pytest.raises(ValueError, match="attention_mask must have the shape"):
        TokenizerOutput(torch.zeros(1, 2), torch.zeros(1, 3))


class Letters(BaseTokenizer):
    """A caller's own tokenizer."""

    def __init__(self):
        super().__init__(128, 0)

    def tokenize(self, text, return_offsets_mapping=False, return_word_ids=False):
        rows = [[ord(c) % 128 for c in one] for one in ([text] if isinstance(text, str) else text)]
        ids = nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True)
        spans = torch.arange(ids.shape[1])[None, :, None].expand(*ids.shape, 2) + torch.tensor([0, 1])
        return TokenizerOutput(ids, (ids > 0).long(), spans, np.zeros(tuple(ids.shape), dtype=object))


def test_a_tokenizer_of_ones_own(tmp_path):
    made = torchTextClassifiers(Letters(), ModelConfig(8, 2))
    result = made.predict(np.array(["ab", "c"]), explain_with_captum=True)
    assert result["captum_attributions"].shape == (2, 1, 2)
    with pytest.raises(RuntimeError, match="cannot be saved"):
        made.save(tmp_path / "m")


def test_the_dataset_and_a_trainer_of_ones_own():
    import lightning.pytorch as pl

    from saywhy.classifier.lightning_module import quiet
    from saywhy.compat.torch_text_classifiers.model import TextClassificationModule

    tokenizer = pieces()
    data = TextClassificationDataset(TEXTS[:40], [[i % 3] for i in range(40)], tokenizer, CODES[:40])
    loader = data.create_dataloader(8, shuffle=True)
    batch = next(iter(loader))
    assert batch["categorical_vars"].dtype == torch.float32
    assert batch["labels"].dtype == torch.int64
    made = torchTextClassifiers(tokenizer, ModelConfig(8, 2, categorical_vocabulary_sizes=[3]))
    module = TextClassificationModule(
        made.pytorch_model, nn.CrossEntropyLoss(), torch.optim.Adam, {"lr": 1e-2}, None, None
    )
    silent = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    with quiet():
        trainer = pl.Trainer(max_epochs=1, accelerator="cpu", enable_model_summary=False, **silent)
        trainer.fit(module, loader)
    ragged = TextClassificationDataset(TEXTS[:2], None, tokenizer, [[0, 2], []], ragged_multilabel=True)
    assert next(iter(ragged.create_dataloader(2)))["labels"].tolist() == [[1, 0, 1], [0, 0, 0]]


def test_configurations_there_and_back():
    config = ModelConfig(8, 2, attention_config=AttentionConfig(1, 2, 2), categorical_embedding_dims=[1, 2])
    assert ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    data = quick(scheduler=torch.optim.lr_scheduler.StepLR, scheduler_params={"step_size": 1}).to_dict()
    assert (data["loss"], data["scheduler"]) == ("CrossEntropyLoss", "StepLR")
    trained(num_epochs=2, scheduler=torch.optim.lr_scheduler.StepLR, scheduler_params={"step_size": 1})


def test_importing_changes_nothing_and_checks_hold_without_asserts():
    code = """
import logging, os, sys
before = list(logging.root.handlers), logging.root.level, dict(os.environ)
from saywhy.compat.torch_text_classifiers import ModelConfig, torchTextClassifiers
from saywhy.compat.torch_text_classifiers.tokenizers import WordPieceTokenizer
assert "lightning" not in sys.modules
if (list(logging.root.handlers), logging.root.level, dict(os.environ)) != before:
    raise SystemExit("changed")
t = WordPieceTokenizer(100)
t.train(["a b", "a"])
for wrong in (dict(embedding_dim=5, num_classes=2, n_heads_label_attention=2), dict(embedding_dim=4)):
    try:
        torchTextClassifiers(t, ModelConfig(**wrong))
    except ValueError:
        continue
    raise SystemExit("not refused")
"""
    done = subprocess.run(
        [sys.executable, "-O", "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_no_processes_no_precision_no_environment(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = dict(os.environ), torch.get_float32_matmul_precision(), list(logging.root.handlers)
    made = trained(num_epochs=1, num_workers=12, trainer_params={"logger": False})
    assert made.device.type == "cpu"
    assert list(tmp_path.iterdir()) == []
    assert (dict(os.environ), torch.get_float32_matmul_precision(), list(logging.root.handlers)) == before


def test_components_fit_together():
    with pytest.raises(TypeError, match="Linear"):
        components.ClassificationHead(net=nn.Sequential(nn.ReLU(), nn.Linear(1, 1)))
    head = components.ClassificationHead(net=nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 3)))
    assert (head.input_dim, head.num_classes) == (8, 3)
    token = components.TokenEmbedder(components.TokenEmbedderConfig(20, 8, 0))
    sentence = components.SentenceEmbedder(components.SentenceEmbedderConfig())
    model = TextClassificationModel(head, token, sentence)
    assert model(torch.ones(2, 3, dtype=torch.long), torch.ones(2, 3)).shape == (2, 3)
    net = components.CategoricalVariableNet([2, 3], [4, 5])
    assert (net.output_dim, net.forward_type) == (9, components.CategoricalForwardType.CONCATENATE_ALL)
    assert net(torch.tensor([[0.0, 2.0]])).shape == (1, 9)
    with pytest.raises(ValueError, match="head reads 8"):
        TextClassificationModel(head, token, sentence, net)
