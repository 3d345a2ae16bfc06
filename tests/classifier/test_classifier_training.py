"""Training: it learns, from every kind of label; same seed, same weights; bad input is refused before the first step."""

from __future__ import annotations

import logging
import os
import warnings
from contextlib import nullcontext

import numpy as np
import pytest
import torch

from opinions import opinions
from saywhy.classifier import Architecture, TextClassifier, Training, Values, ngrams, word_piece
from saywhy.classifier.encoders import Targets, named_levels, targets
from saywhy.classifier.lightning_module import TrainingModule
from saywhy.classifier.training import prepared, weights
from saywhy.core.errors import InputError, ModelError, OptionError

TEXTS, LABELS, COUNTRIES = opinions()
PIECES = word_piece(TEXTS)
SMALL = Architecture(width=16, label_heads=2)
QUICK = Training(epochs=8, lr=2e-2, batch_size=32)


def fitted(texts=TEXTS, labels=LABELS, categories=None, training=QUICK, **more):
    settings = {"tokenizer": PIECES, "architecture": SMALL, **more}
    return TextClassifier.fit(texts, labels, categories, training=training, **settings)


@pytest.fixture(scope="module")
def classifier():
    return fitted()


def test_a_few_lines_are_enough():
    made = TextClassifier.fit(TEXTS, LABELS, training=Training(epochs=4, lr=1e-2))
    found = made.predict(["What a fantastic film", "a poor story"])
    assert found.labels.tolist() == [["good"], ["bad"]]
    assert found.probabilities.dtype == np.float32
    assert (found.probabilities > 0.8).all()


@pytest.mark.parametrize("pooling", ["mean", "first", "last", "label"])
def test_every_pooling_learns(pooling):
    layers = 1 if pooling in ("first", "last") else 0  # the first token alone knows nothing
    made = fitted(architecture=Architecture(width=16, pooling=pooling, layers=layers, heads=2))
    held, wanted, _ = opinions(60, seed=1)
    assert (made.predict(held).labels[:, 0] == wanted).mean() > 0.9


def test_ngrams_know_a_word_that_was_never_seen():
    made = fitted(tokenizer=ngrams(TEXTS, buckets=2_000))
    assert made.predict(["terribleness", "amazingly"]).labels[:, 0].tolist() == ["bad", "good"]


def test_every_devices_random_state_is_kept(monkeypatch, classifier):
    kept = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.random, "fork_rng", lambda devices: kept.append(list(devices)) or nullcontext())
    TextClassifier.new(classifier.tokenizer, classifier.levels)
    assert kept == [[0, 1]]


def test_the_same_seed_gives_the_same_weights_and_the_callers_random_state_is_kept(classifier):
    before = torch.random.get_rng_state()
    again, other = fitted(), fitted(training=Training(epochs=1, seed=1))
    assert torch.equal(torch.random.get_rng_state(), before)
    for name, value in classifier.network.state_dict().items():
        assert torch.equal(value, again.network.state_dict()[name])
    assert not torch.equal(classifier.network.head.weight, other.network.head.weight)


def test_nothing_is_written_printed_or_left_behind(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    named = [logging.getLogger(), logging.getLogger("lightning.pytorch")]
    before = [(n.level, list(n.handlers)) for n in named], list(warnings.filters), dict(os.environ)
    precision = torch.get_float32_matmul_precision()
    fitted(training=Training(epochs=1))
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")
    assert ([(n.level, list(n.handlers)) for n in named], list(warnings.filters), dict(os.environ)) == before
    assert torch.get_float32_matmul_precision() == precision


def test_the_best_weights_are_put_back_and_patience_ends_a_run():
    made = TextClassifier.new(PIECES, [Values("label", ("bad", "good"))], architecture=SMALL)
    wrong = ["good" if label == "bad" else "bad" for label in LABELS]  # learning makes validation worse
    history = made.train(TEXTS, LABELS, validation=(TEXTS, wrong), training=Training(epochs=9, lr=2e-2, patience=2))
    assert (history.best, len(history.epochs)) == (0, 3)
    losses = [epoch["val_loss"] for epoch in history.epochs]
    assert losses[0] == min(losses)
    rows = prepared(made, TEXTS, LABELS).__getitems__(range(len(TEXTS)))
    logits = made.network.eval()(rows["ids"], rows["mask"]).detach()
    codes = torch.tensor([0 if label == "bad" else 1 for label in wrong])
    assert float(torch.nn.functional.cross_entropy(logits, codes)) == pytest.approx(losses[0], abs=1e-4)


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine", "plateau"])
def test_schedules(schedule):
    made = fitted(training=Training(epochs=4, lr=2e-2, schedule=schedule, warmup=0.2, batch_size=32))
    assert (made.predict(TEXTS).labels[:, 0] == LABELS).mean() > 0.8


def test_a_schedule_warms_up_and_comes_down(classifier):
    module = TrainingModule(classifier, Training(schedule="linear", warmup=0.5), lambda a, b: a, steps=10)
    assert [round(module._factor(step), 2) for step in (0, 4, 5, 10)] == [0.17, 0.83, 1.0, 0.0]
    cosine = TrainingModule(classifier, Training(schedule="cosine"), lambda a, b: a, steps=10)
    assert [round(cosine._factor(step), 2) for step in (0, 5, 10)] == [1.0, 0.5, 0.0]


def test_hidden_tokens_are_masked_and_values_absent():
    made = TextClassifier.new(PIECES, [Values("label", ("bad", "good"))], [Values.of("country", COUNTRIES)])
    batch = prepared(made, TEXTS, LABELS, {"country": COUNTRIES}).__getitems__(range(200))
    out = TrainingModule(made, Training(hidden=0.5), lambda a, b: a, steps=1)._hidden(batch)
    changed = out["ids"] != batch["ids"]
    assert 0.4 < changed.sum() / batch["mask"].sum() < 0.6
    assert (out["ids"][changed] == PIECES.mask).all()
    assert not changed[~batch["mask"]].any()
    assert 0.3 < (out["codes"] == -1).float().mean() < 0.7
    assert TrainingModule(made, Training(hidden=0), lambda a, b: a, steps=1)._hidden(batch) is batch


# ---- kinds of labels -----------------------------------------------------------------------------------------------


def test_ragged_lists_and_one_hot_arrays_train_to_the_same():
    ragged = [[i % 2] if i % 3 else [i % 2, 2] for i in range(len(TEXTS))]
    ragged[0] = []
    one_hot = np.zeros((len(TEXTS), 3), dtype=int)
    for row, labels in zip(one_hot, ragged, strict=True):
        row[labels] = 1
    a, b = (fitted(labels=labels, problem="multi-label") for labels in (ragged, one_hot))
    assert a.problem == "multi-label"
    assert a.levels == b.levels == (Values("label", (0, 1, 2)),)
    found = a.predict_proba(TEXTS)
    assert np.array_equal(found, b.predict_proba(TEXTS))
    assert np.abs(found.sum(1) - 1).max() > 0.05  # each on its own
    sets = a.predict_sets(["an amazing film", "an awful film"], threshold=0.5)
    assert 1 in sets[0]
    assert 0 in sets[1]


def test_several_named_labels():
    made = fitted(labels=[[label, "any"] for label in LABELS], problem="multi-label")
    assert made.levels[0].known == ("any", "bad", "good")
    assert made.predict_sets(["a wonderful story"]) == [["any", "good"]]


def test_soft_labels_reach_the_loss_unchanged():
    soft = np.array([[0.3, 0.7] if label == "good" else [0.9, 0.1] for label in LABELS])
    made = fitted(labels=soft, problem="soft", training=Training(epochs=12, lr=1e-2, hidden=0, batch_size=16))
    np.testing.assert_allclose(made.predict_proba(TEXTS), soft, atol=0.06)
    rows = prepared(made, TEXTS, soft)
    np.testing.assert_allclose(rows.targets.batch([0, 1]).numpy(), soft[:2], atol=1e-7)


def test_levels_are_learned_together():
    length = ["long" if len(text) > 45 else "short" for text in TEXTS]
    made = fitted(labels={"opinion": LABELS, "length": length})
    found = made.predict_levels(["a great film"], top_k=2)
    assert list(found) == ["opinion", "length"]
    assert found["opinion"].labels[0, 0] == "good"
    alone = made.level("opinion")
    np.testing.assert_allclose(alone.predict(["a great film"], top_k=2).probabilities, found["opinion"].probabilities)
    assert alone.predict_proba(TEXTS).shape == (len(TEXTS), 2)
    with pytest.raises(OptionError, match=r"levels 'opinion', 'length'.*predict_levels"):
        made.predict(["x"])
    with pytest.raises(OptionError, match="Did you mean 'opinion'"):
        made.level("opinon")


def test_categorical_values_are_learned():
    labels = ["yes" if country == "FR" else "no" for country in COUNTRIES]
    made = fitted(labels=labels, categories={"country": COUNTRIES})
    same = ["a film"] * 3
    assert made.predict(same, {"country": ["FR", "DE", "IT"]}).labels[:, 0].tolist() == ["yes", "no", "no"]


def test_class_weights():
    made = TextClassifier.new(PIECES, [Values("label", ("bad", "good"))])
    few = Targets("multi-class", (2,), np.array([[0]] * 3 + [[1]]))
    assert weights(made, few, "balanced").tolist() == pytest.approx([4 / 6, 2.0])
    assert weights(made, few, {"good": 5.0}).tolist() == [1.0, 5.0]
    rare = ["good" if i == 1 else "bad" for i in range(len(TEXTS))]
    plain, heavy = (
        fitted(labels=rare, training=Training(epochs=1, validation=0, class_weights=w)) for w in (None, {"good": 1e3})
    )
    assert heavy.predict_proba(TEXTS)[:, 1].mean() > plain.predict_proba(TEXTS)[:, 1].mean()


def test_a_loss_that_is_no_number_ends_the_run():
    loss = lambda logits, wanted: logits.sum() * float("nan")  # noqa: E731
    with pytest.raises(ModelError, match="train_loss of epoch 0 is not a number"):
        fitted(training=Training(epochs=3, loss=loss, validation=0))


# ---- refusals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "more", "said"),
    [
        (LABELS[:-1], {}, "240 texts and 239 labels"),
        ([[label] for label in LABELS], {}, "problem='multi-label'"),
        (np.eye(2)[[0] * 240], {}, "Row 0 has several labels"),
        ([*LABELS[:-1], "god"], {"names": ["good", "bad"]}, "row 239: unknown value 'god'. Did you mean 'good'"),
        ([*LABELS[:-1], None], {}, "row 239: None"),
        ([*LABELS[:-1], float("nan")], {}, "row 239: nan"),
        (LABELS, {"problem": "multi-label"}, "Row 0: a multi-label row is a list"),
        (np.full((240, 2), 0.7), {"problem": "soft"}, "sum to 1"),
        (np.full((240, 2), 2), {"problem": "multi-label"}, "0 and 1"),
        (LABELS, {"problem": "binary"}, "'multi-class'"),
        (LABELS, {"categories": {"country": COUNTRIES[:-1]}}, "239 values of 'country'"),
        (LABELS, {"categories": {"text": COUNTRIES}}, "cannot be called 'text'"),
        ({"a": LABELS, "b": LABELS[1:]}, {}, "239 labels"),
    ],
)
def test_bad_labels_are_refused_before_training(labels, more, said, monkeypatch):
    import saywhy.classifier.lightning_module as module

    monkeypatch.setattr(module, "run", lambda *_: pytest.fail("training began"))
    with pytest.raises((InputError, OptionError), match=said.replace("(", r"\(")):
        fitted(labels=labels, **more)


def test_bad_texts_and_settings_are_refused():
    with pytest.raises(InputError, match="row 1 is not a string but float"):
        fitted(texts=["a", float("nan")], labels=[0, 1])
    with pytest.raises(InputError, match="no texts"):
        fitted(texts=[], labels=[], names=[0, 1])
    for wrong, said in (
        ({"epochs": 0}, "`epochs` is at least 1"),
        ({"hidden": 1.0}, "share"),
        ({"schedule": "cosin"}, "Did you mean 'cosine'"),
        ({"device": "cud"}, "Did you mean 'cuda'"),
        ({"class_weights": "balance"}, "'balanced'"),
    ):
        with pytest.raises(OptionError, match=said):
            Training(**wrong)


def test_levels_by_name_are_for_single_labels():
    with pytest.raises(OptionError, match="Labels by level"):
        named_levels({"a": [[1]]}, "multi-label", None)
    level = Values("label", ("a", "b"))
    with pytest.raises(InputError, match="levels are"):
        targets({"other": ["a"]}, "multi-class", [level], 1)
