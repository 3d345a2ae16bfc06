"""Runs that are started again: what another model has answered is never passed off as this one's."""

from __future__ import annotations

import random

import pytest

import saywhy
from saywhy.core.errors import InputError, OptionError

pytest.importorskip("pyarrow")
pytest.importorskip("sklearn")

import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

TEXTS = ["good film", "bad film", "good plot", "bad plot"]


def estimator(truth):
    return make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(TEXTS, truth)


def lengths(texts):
    return [[float(len(text)), 1.0] for text in texts]


def words(texts):
    return [[1.0, float(len(text.split()))] for text in texts]


def at_random(texts):
    return [[random.random(), 1.0] for _ in texts]


def explained(model, folder, source=TEXTS):
    return saywhy.corpus.run(model, source, folder, shard_rows=2, method="occlusion", progress=False).to_arrow()


def function(f):
    return saywhy.Explainer(f, labels=["a", "b"])


def scored(size):
    return saywhy.Explainer(lambda texts: [[size * len(text)] for text in texts], labels=["score"])


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (lambda: estimator(["p", "n", "p", "n"]), lambda: estimator(["n", "p", "n", "p"])),  # trained again
        (lambda: estimator(["p", "n", "p", "n"]), lambda: estimator(["p", "n", "n", "n"])),
        (lambda: function(lambda texts: lengths(texts)), lambda: function(lambda texts: words(texts))),
        (lambda: scored(1e-9), lambda: scored(-1e-9)),
        (lambda: scored(1e9), lambda: scored(1.001e9)),
    ],
)
def test_a_corpus_does_not_go_on_with_another_model(before, now, tmp_path):
    first = explained(before(), tmp_path / "out")
    assert explained(before(), tmp_path / "out").equals(first)
    with pytest.raises(InputError, match="another model"):
        explained(now(), tmp_path / "out")
    assert explained(before(), tmp_path / "out").equals(first)


def test_a_corpus_goes_on_with_a_function_that_answers_otherwise_each_time(tmp_path):
    first = explained(function(at_random), tmp_path / "out")
    assert explained(function(at_random), tmp_path / "out").equals(first)


def test_a_corpus_of_a_frame_with_types_of_its_own_goes_on(tmp_path):
    frame = pd.DataFrame(
        {"age": pd.array([1, 2, None, 4] * 8, dtype="Int64"), "plan": pd.Categorical(list("abca") * 8)}
    )
    model = HistGradientBoostingClassifier(categorical_features="from_dtype", min_samples_leaf=2)
    model.fit(frame, ["yes", "no", "no", "yes"] * 8)
    assert explained(model, tmp_path / "out", frame).equals(explained(model, tmp_path / "out", frame))


def test_a_comparison_does_not_go_on_with_another_model(tmp_path):
    def compared(f):
        return saywhy.compare(function(f), TEXTS[:2], ["occlusion"], ["sufficiency"], resume=tmp_path / "part")

    first = compared(lambda texts: lengths(texts))
    assert compared(lambda texts: lengths(texts)).values.tolist() == first.values.tolist()
    with pytest.raises(OptionError, match="another model"):
        compared(lambda texts: words(texts))
