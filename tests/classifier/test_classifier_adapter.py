"""A classifier on the ordinary line: every method, categorical values as features, label attention, a saved folder."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import saywhy
import saywhy.extend
from opinions import opinions
from saywhy.classifier import Architecture, TextClassifier, Training, Values, ngrams, word_piece
from saywhy.classifier.prediction import maps
from saywhy.core.errors import InputError, MethodError, OptionError
from saywhy.methods import METHODS

TEXTS, LABELS, COUNTRIES = opinions()
TEXT = "The film is wonderful, and so is the poor story"


def fitted(tokenizer=None, countries=False, **choices):
    labels = [f"{a}-{c}" for a, c in zip(LABELS, COUNTRIES, strict=True)] if countries else LABELS
    return TextClassifier.fit(
        TEXTS,
        labels,
        {"country": COUNTRIES} if countries else None,
        tokenizer=tokenizer or word_piece(TEXTS),
        architecture=Architecture(**{"width": 16, "label_heads": 2, **choices}),
        training=Training(epochs=6, lr=2e-2, batch_size=32),
    )


@pytest.fixture(scope="module")
def plain():
    return fitted()


@pytest.fixture(scope="module")
def grams():
    return fitted(ngrams(TEXTS, buckets=1_000))


@pytest.fixture(scope="module", params=["sum", "average", "concatenate"])
def beside(request):
    return fitted(countries=True, joining=request.param, variable_widths=None if request.param == "sum" else 20)


@pytest.mark.parametrize("method", [name for name, row in METHODS.items() if row.needs != "attention heads"])
@pytest.mark.parametrize("kind", ["plain", "grams"])
def test_every_method_explains_it(method, kind, request):
    explainer = saywhy.Explainer(request.getfixturevalue(kind))
    e = explainer(TEXT, method=method, target="good")
    assert len(e.words) == len(e.scores) == 11
    assert [TEXT[slice(*f.span)] for f in e.features] == list(e.words)
    if METHODS[method].complete:
        assert abs(e.gap) <= 0.01 * np.abs(e.scores).sum() + 1e-4
    if METHODS[method].family == "coalition" or method == "integrated_gradients":
        assert e.words[int(e.scores.argmax())] == "wonderful"
        assert e.words[int(e.scores.argmin())] == "poor"


@pytest.mark.parametrize("kind", ["plain", "grams"])
def test_predictions_are_the_classifiers_own(kind, request):
    classifier = request.getfixturevalue(kind)
    found = saywhy.Explainer(classifier).predict(TEXTS[:9])
    expected = classifier.predict(TEXTS[:9])
    assert [label for label, _ in found] == expected.labels[:, 0].tolist()
    np.testing.assert_allclose([p for _, p in found], expected.probabilities[:, 0], atol=1e-6)


@pytest.mark.parametrize("absent", ["mask", "pad", "unk", "drop"])
def test_absences(plain, absent):
    e = saywhy.Explainer(plain)(TEXT, method="occlusion", absent=absent, target="good")
    ids = plain.tokenizer.ids([TEXT])[0]
    place = next(
        i for i, span in enumerate(plain.tokenizer.encode([TEXT])[0].spans) if TEXT[slice(*span)] == "wonderful"
    )
    fill = {"mask": plain.tokenizer.mask, "pad": plain.tokenizer.padding, "unk": plain.tokenizer.unknown}.get(absent)
    without = ids[:place] + ([] if fill is None else [fill]) + ids[place + 1 :]
    with torch.no_grad():
        one, other = (plain.network(torch.tensor([i]), torch.ones(1, len(i)))[0, 1] for i in (ids, without))
    assert e.scores[e.words.index("wonderful")] == pytest.approx(float(one - other), abs=1e-5)


def test_categorical_values_are_features(beside):
    explainer = saywhy.Explainer(beside)
    given = {"text": TEXT, "country": "FR"}
    for method in ("integrated_gradients", "shapley_sampling", "occlusion", "label_attention"):
        e = explainer(given, method=method, target="good-FR")
        assert e.features[-1] == saywhy.extend.Feature("FR", (0, 2), "country")
        assert e.texts == {"text": TEXT, "country": "FR"}
        if METHODS[method].complete:
            assert abs(e.gap) <= 0.01 * np.abs(e.scores).sum() + 1e-4
        if method == "label_attention":
            assert e.scores[-1] == 0
        else:
            assert e.scores[-1] > 0
            assert explainer(given, method=method, target="good-IT").scores[-1] < 0
    str(e), e._repr_html_()
    base = explainer(given, method="occlusion", target="good-FR").base
    ids = torch.tensor([[2, *[4] * (len(beside.tokenizer.ids([TEXT])[0]) - 2), 3]])
    index = beside.levels[0].known.index("good-FR")
    with torch.no_grad():
        expected = beside.network(ids, torch.ones_like(ids), torch.tensor([[-1]]))[0, index]
    assert base == pytest.approx(float(expected), abs=1e-5)


def test_what_is_missing_or_unknown_is_refused(beside):
    explainer = saywhy.Explainer(beside)
    with pytest.raises(InputError, match=r"reads \['text', 'country'\].*mapping"):
        explainer(TEXT)
    with pytest.raises(InputError, match=r"Column 'country'.*unknown value 'Fr'\. Did you mean 'FR'"):
        explainer({"text": TEXT, "country": "Fr"})
    with pytest.raises(InputError, match="reads"):
        explainer({"text": TEXT, "country": "FR", "year": "2020"})
    with pytest.raises(OptionError, match="no windows"):
        explainer({"text": TEXT, "country": "FR"}, overlong="window")


def test_numbers_as_categorical_values():
    years = [2020 + i % 2 for i in range(len(TEXTS))]
    made = TextClassifier.new(word_piece(TEXTS), [Values("label", ("a", "b"))], [Values.of("year", years)])
    e = saywhy.Explainer(made)({"text": "a film", "year": 2021}, method="occlusion")
    assert e.words == ("a", "film", "2021")
    assert e.prediction == made.predict(["a film"], {"year": [2021]}).labels[0, 0]


def test_label_attention_is_the_networks_own(plain):
    explainer = saywhy.Explainer(plain)
    [weights] = maps(plain, [TEXT])  # [H, C, T]
    spans = plain.tokenizer.encode([TEXT])[0].spans
    expected = weights.mean(0)[:, 1:-1]  # without [CLS] and [SEP]
    found = explainer.each_target(TEXT, method="label_attention", by="token")
    assert [f.span for f in found[0].features] == spans[1:-1]
    np.testing.assert_allclose(found.matrix, expected.numpy(), atol=1e-6)
    for head in (0, 1):
        one = explainer(TEXT, method="label_attention", by="token", target="bad", head=head)
        np.testing.assert_allclose(one.scores, weights[head, 0, 1:-1].numpy(), atol=1e-6)
    assert any("special tokens" in note for note in found[0].notes)
    assert found[0].cost.backwards == 0
    assert (np.asarray(found.matrix) >= 0).all()
    many = explainer([TEXT, "film", *TEXTS[:5]], method="label_attention")
    np.testing.assert_allclose(many[0].scores, explainer(TEXT, method="label_attention").scores, atol=1e-6)
    with pytest.raises(OptionError, match="from 0 to 1"):
        explainer(TEXT, method="label_attention", head=2)
    with pytest.raises(MethodError, match="against"):
        explainer(TEXT, method="label_attention", target="good", against="bad")


def test_models_without_label_attention_refuse_politely(bert):
    for model in (fitted(pooling="mean"), bert):
        with pytest.raises(MethodError, match="label attention"):
            saywhy.Explainer(model)(TEXT, method="label_attention")
    with pytest.raises(MethodError, match="label attention"):
        saywhy.Explainer(lambda texts: [[1.0] for _ in texts], labels=["x"])(TEXT, method="label_attention")


def test_several_levels_are_explained_one_at_a_time():
    made = TextClassifier.fit(
        TEXTS,
        {"opinion": LABELS, "country": COUNTRIES},
        architecture=Architecture(width=16),
        training=Training(epochs=4, lr=2e-2, batch_size=32),
    )
    with pytest.raises(OptionError, match=r"classifier\.level\(name\)"):
        saywhy.Explainer(made)
    explainer = saywhy.Explainer(made.level("opinion"))
    e = explainer("a wonderful film", target="good")
    assert e.words[int(e.scores.argmax())] == "wonderful"
    assert len(explainer.each_target("a wonderful film", method="label_attention")) == 2


def test_several_labels_a_text():
    labels = [[label, "any"] for label in LABELS]
    made = TextClassifier.fit(TEXTS, labels, problem="multi-label", training=Training(epochs=3, lr=2e-2))
    found = saywhy.Explainer(made).each_target("a wonderful film", unit="prob", method="occlusion")
    assert [e.target.label for e in found] == ["any", "bad", "good"]
    assert sum(e.value for e in found) > 1.2


@pytest.mark.parametrize("kind", ["plain", "grams"])
def test_a_saved_folder_is_explained_the_same(kind, request, tmp_path, capsys):
    classifier = request.getfixturevalue(kind)
    folder = classifier.save(tmp_path / "model")
    e = saywhy.Explainer(classifier)(TEXT)
    for given in (folder, str(folder)):
        again = saywhy.Explainer(given)(TEXT)
        np.testing.assert_allclose(again.scores, e.scores, atol=1e-6)


def test_the_callers_classifier_stays_as_it_was(plain):
    plain.network.train()
    before = {name: p.clone() for name, p in plain.network.state_dict().items()}
    hooks = [len(module._forward_hooks) for module in plain.network.modules()]
    saywhy.Explainer(plain)(TEXT)
    assert plain.network.training
    assert all(p.requires_grad for p in plain.network.parameters())
    assert all(torch.equal(p, before[name]) for name, p in plain.network.state_dict().items())
    assert [len(module._forward_hooks) for module in plain.network.modules()] == hooks
    plain.network.eval()


class Mean(nn.Module):
    """A caller's own network, with no embedding table that ids are looked up in."""

    def __init__(self, size):
        super().__init__()
        self.weights = nn.Parameter(torch.randn(size, 2))

    def forward(self, ids, mask, codes=None):
        return (self.weights[ids] * mask[..., None]).sum(1)


def test_a_network_without_a_table_gets_coalition_methods():
    pieces = word_piece(TEXTS)
    explainer = saywhy.Explainer(TextClassifier(pieces, Mean(pieces.size), (Values("label", ("a", "b")),)))
    assert explainer("a film").method == "kernel_shap"
    with pytest.raises(MethodError, match="no gradients"):
        explainer("a film", method="integrated_gradients")


def test_a_cut_text_says_so_and_spans_work():
    made = TextClassifier.new(word_piece(TEXTS, longest=6), [Values("label", ("a", "b"))])
    e = saywhy.Explainer(made)(TEXT, method="occlusion")
    assert e.words == ("The", "film", "is", "wonderful")
    assert any("cuts this text after" in note for note in e.notes)
    spans = saywhy.Explainer(made)(TEXT, method="occlusion", by=[(0, 8), (12, 21)])
    assert spans.words == ("The film", "wonderful")
    with pytest.raises(OptionError, match="its own tokenizer"):
        saywhy.Explainer(made, labels=["x", "y"])
