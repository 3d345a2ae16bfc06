"""Models of other libraries: Flair by its protocol, XGBoost, SetFit; each asked as its own users ask it."""

from __future__ import annotations

import itertools
import math
import sys
import types

import numpy as np
import pytest
import torch

import saywhy
from saywhy.extend import OptionError

TEXTS = ["good film", "bad film", "a great good story", "a bad dull story", "great", "dull plot"] * 6
ASKED = "great plot bad film"


def of_words(text, answer):
    """Shapley values of the words of a text, from all orders in which they may come."""
    words, out = text.split(), np.zeros(len(text.split()))
    for order in itertools.permutations(range(len(words))):
        for k, i in enumerate(order):
            before, after = set(order[:k]), set(order[: k + 1])
            out[i] += answer(" ".join(w for j, w in enumerate(words) if j in after))
            out[i] -= answer(" ".join(w for j, w in enumerate(words) if j in before))
    return out / math.factorial(len(words))


# ---- Flair -----------------------------------------------------------------------------------------------------------


class Label:
    def __init__(self, value, score):
        self.value, self.score = value, score


class Sentence:
    def __init__(self, text):
        assert text.strip(), "Flair has no words to read"
        self.text, self.labels = text, {}

    def get_labels(self, kind):
        return self.labels.get(kind, [])


class LabelDictionary:
    def __init__(self, items):
        self.items = items

    def get_items(self):
        return self.items


class TextClassifier(torch.nn.Module):
    """What Flair's has: `label_dictionary`, `multi_label`, and `predict`, which writes labels into the sentences."""

    def __init__(self, labels, multi_label=False):
        super().__init__()
        self.label_dictionary, self.multi_label = LabelDictionary(labels), multi_label
        self.weights = torch.nn.Embedding(256, len(labels))
        self.dropout = torch.nn.Dropout(0.5)

    def logits(self, text):
        words = torch.tensor([sum(word.encode()) % 256 for word in text.split()])
        return self.dropout(self.weights(words)).sum(0)

    def predict(self, sentences, *, return_probabilities_for_all_classes, label_name, embedding_storage_mode):
        assert return_probabilities_for_all_classes
        for sentence in sentences:
            logits = self.logits(sentence.text)
            scores = logits.sigmoid() if self.multi_label else logits.softmax(-1)
            pairs = zip(self.label_dictionary.get_items(), scores.tolist(), strict=True)
            sentence.labels[label_name] = [Label(*pair) for pair in pairs if pair[0] != "O"]


class SequenceTagger(torch.nn.Module):
    label_dictionary = LabelDictionary(["B", "I"])


for each in (TextClassifier, SequenceTagger):
    each.__module__ = "flair.models"


@pytest.fixture
def stand_in(monkeypatch):
    data = types.ModuleType("flair.data")
    data.Sentence = Sentence
    monkeypatch.setitem(sys.modules, "flair", types.ModuleType("flair"))
    monkeypatch.setitem(sys.modules, "flair.data", data)
    torch.manual_seed(0)


@pytest.mark.parametrize("several", [False, True])
def test_a_classifier_of_flair_by_its_protocol(stand_in, several):
    model = TextClassifier(["neg", "O", "pos"], several)
    model.dropout.training = True  # as a caller who trains it might leave it
    model.weights.training = False
    explainer = saywhy.Explainer(model)
    assert explainer.model.labels == ("neg", "pos")
    e = explainer(ASKED, target="pos", trust="none")

    def answer(text):
        quiet = torch.nn.functional.embedding(
            torch.tensor([sum(w.encode()) % 256 for w in (text or "…").split()]), model.weights.weight
        ).sum(0)
        return float((quiet.sigmoid() if several else quiet.softmax(-1))[2].detach())

    np.testing.assert_allclose(e.scores, of_words(ASKED, answer), atol=1e-6)
    assert e.value == pytest.approx(answer(ASKED), abs=1e-6)
    assert e.base == pytest.approx(answer(""), abs=1e-6)
    assert e.target.unit == "prob"
    assert (model.dropout.training, model.weights.training) == (True, False)
    assert model.weights.weight.requires_grad
    assert explainer.predict([ASKED])[0][0] in ("neg", "pos")


def test_what_flair_has_otherwise_is_refused(stand_in):
    with pytest.raises(OptionError, match=r"SequenceTagger.*TextClassifier can"):
        saywhy.Explainer(SequenceTagger())
    with pytest.raises(OptionError, match="not for a model of Flair"):
        saywhy.Explainer(TextClassifier(["a", "b"]), output="probability")
    with pytest.raises(OptionError, match="at another place"):
        saywhy.Explainer(TextClassifier(["a", "b"]), labels=["b", "a"])


def test_a_real_classifier_of_flair():
    pytest.importorskip("flair", exc_type=ImportError)
    from flair.data import Dictionary
    from flair.data import Sentence as RealSentence
    from flair.embeddings import DocumentPoolEmbeddings, OneHotEmbeddings
    from flair.models import TextClassifier as RealClassifier

    words = Dictionary()
    for word in " ".join(TEXTS).split():
        words.add_item(word)
    labels = Dictionary(add_unk=False)
    for label in ("neg", "pos"):
        labels.add_item(label)
    torch.manual_seed(0)
    embedding = DocumentPoolEmbeddings([OneHotEmbeddings(words, embedding_length=8)])
    model = RealClassifier(embedding, label_type="tone", label_dictionary=labels).eval()

    def answer(text):
        sentence = RealSentence(text or "…")
        model.predict(sentence, return_probabilities_for_all_classes=True)
        return {label.value: label.score for label in sentence.get_labels("tone")}["pos"]

    e = saywhy.Explainer(model)(ASKED, target="pos", trust="none")
    np.testing.assert_allclose(e.scores, of_words(ASKED, answer), atol=1e-5)


# ---- XGBoost and SetFit, which have scikit-learn's methods -----------------------------------------------------------


def test_xgboost_over_words_and_columns():
    xgboost = pytest.importorskip("xgboost")
    pd = pytest.importorskip("pandas")
    pytest.importorskip("sklearn")
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline

    truth = [int("good" in text or "great" in text) for text in TEXTS]
    small = {"n_estimators": 12, "max_depth": 3, "n_jobs": 1}
    pipe = make_pipeline(TfidfVectorizer(), xgboost.XGBClassifier(**small)).fit(TEXTS, truth)
    e = saywhy.Explainer(pipe)(ASKED, target="1", trust="none")
    np.testing.assert_allclose(e.scores, of_words(ASKED, lambda text: pipe.predict_proba([text])[0, 1]), atol=1e-6)

    frame = pd.DataFrame({"age": np.arange(36.0) % 11, "size": (np.arange(36.0) * 7) % 13})
    frame.loc[::5, "size"] = np.nan  # which it reads as missing
    numbers = xgboost.XGBRegressor(**small).fit(frame, frame["age"] * 2 + frame["size"].fillna(20))
    background = frame.iloc[[1, 2, 6]]
    row = {"age": 9.0, "size": float("nan")}
    e = saywhy.Explainer(numbers)(row, background=background, trust="none")
    assert e.words == ("age = 9", "size = missing")

    def worth(*present):
        mixed = background.copy()
        for column in present:
            mixed[column] = row[column]
        return float(numbers.predict(mixed).mean())

    right = [
        (worth("age") - worth() + worth("age", "size") - worth("size")) / 2,
        (worth("size") - worth() + worth("age", "size") - worth("age")) / 2,
    ]
    np.testing.assert_allclose(e.scores, right, atol=1e-5)


class NamesItsLabels:
    """As SetFit: `predict_proba` of texts, and the names of its classes in `labels`."""

    labels = ("neg", "pos")

    def predict_proba(self, texts):
        good = torch.tensor([0.2 + 0.2 * min(3, text.count("g")) for text in texts])
        return torch.stack([1 - good, good], dim=1)

    def predict(self, texts):
        return [self.labels[int(i)] for i in self.predict_proba(texts).argmax(1)]


def test_labels_under_setfits_name_for_them():
    e = saywhy.Explainer(NamesItsLabels())("a good thing", target="pos", trust="none")
    assert e.prediction == "pos"
    np.testing.assert_allclose(e.scores, [0, 0.2, 0.2], atol=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_setfit_by_its_own_names(tmp_path):
    pytest.importorskip("setfit", exc_type=ImportError)
    pytest.importorskip("sentence_transformers")
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules
    from setfit import SetFitModel
    from sklearn.linear_model import LogisticRegression

    from conftest import headed

    body, tokenizer = headed("bert", "vector")
    body.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    inner = modules.Transformer(str(tmp_path))
    encoder = SentenceTransformer(modules=[inner, modules.Pooling(body.config.hidden_size, "mean")], device="cpu")
    head = LogisticRegression().fit(
        encoder.encode(TEXTS), ["neg" if "bad" in t or "dull" in t else "pos" for t in TEXTS]
    )
    model = SetFitModel(model_body=encoder, model_head=head, labels=["neg", "pos"])
    e = saywhy.Explainer(model)(ASKED, target="pos", trust="none")
    assert e.value == pytest.approx(float(model.predict_proba([ASKED])[0][1]), abs=1e-5)
    right = of_words(ASKED, lambda text: float(model.predict_proba([text])[0][1]))
    np.testing.assert_allclose(e.scores, right, atol=1e-4)
