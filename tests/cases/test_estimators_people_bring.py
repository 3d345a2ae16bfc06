"""Estimators as people bring them: classes that are numbers, columns of every type, several outputs, texts deep inside.

The right values are asked of the estimators themselves.
"""

from __future__ import annotations

import copy

import numpy as np
import pytest

import saywhy
from saywhy.extend import OptionError

pytest.importorskip("sklearn")
pd = pytest.importorskip("pandas")

from sklearn.feature_extraction.text import TfidfVectorizer  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402

TEXTS = ["a good film", "a bad film", "not bad at all", "so so film", "great good fun", "awful bad mess"] * 4
ASKED = "not a good film"


def of_texts(y, *steps):
    return make_pipeline(TfidfVectorizer(), *(steps or [LogisticRegression()])).fit(TEXTS, y)


# ---- classes that are numbers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("classes", [[1, 2, 3], [2, 0, 1], [1.0, 2.0, 3.0], [0, 1, 2]])
def test_classes_that_are_numbers_are_explained_each_in_its_own_column(classes):
    pipe = of_texts(classes * 8)
    found = saywhy.Explainer(pipe).each_target(ASKED, trust="none")
    assert [e.target.label for e in found] == [str(c) for c in pipe.classes_]
    assert [e.value for e in found] == pytest.approx(pipe.predict_proba([ASKED])[0].tolist())
    one = saywhy.Explainer(pipe)(ASKED, method="occlusion", trust="none")
    assert one.prediction == str(pipe.predict([ASKED])[0])
    left = [ASKED.replace(w, "").strip() for w in ASKED.split()]
    assert list(one.without) == [str(c) for c in pipe.predict([" ".join(t.split()) for t in left])]


def test_labels_of_a_network_that_are_numbers_in_another_order():
    b = saywhy.Explainer()
    network = copy.deepcopy(b.model.model)
    network.config.id2label = {0: "1", 1: "0"}
    right = [e.value for e in b.each_target("a good film", trust="none")]
    explainer = saywhy.Explainer(network, b.model.tokenizer)
    assert [e.value for e in explainer.each_target("a good film", trust="none")] == pytest.approx(right)
    assert explainer("a good film", method="occlusion", trust="none").prediction in ("0", "1")
    with pytest.raises(OptionError, match="both a label's name"):
        explainer("a good film", target=1)
    compared = saywhy.compare(explainer, ["a good film", "a bad film"], methods=["occlusion"], progress=False)
    assert compared is not None


def test_classes_are_named_by_the_numbers_and_truth_values_that_they_are():
    pipe = of_texts([1.0, 2.0, 3.0] * 8)
    explainer = saywhy.Explainer(pipe)
    for given in (2.0, np.float64(2.0), "2.0"):
        assert explainer(ASKED, target=given, trust="none").target.label == "2.0"
    assert explainer(ASKED, target=3, trust="none").target.label == "3.0"
    with pytest.raises(OptionError, match=r"'1\.0' \(output 0\).*'2\.0'"):
        explainer(ASKED, target=1)
    with pytest.raises(OptionError, match=r"4\.0"):
        explainer(ASKED, target=4.0)
    whole = saywhy.Explainer(of_texts([3, 4, 5] * 8))
    assert [whole(ASKED, target=t, trust="none").target.label for t in (3.0, 4, np.int64(5))] == ["3", "4", "5"]
    truth = saywhy.Explainer(of_texts([True, False] * 12))
    for given in (True, np.True_):
        assert truth(ASKED, target=given, against=False, trust="none").target.label == "True rather than False"
    with pytest.raises(OptionError, match="not True"):
        explainer(ASKED, target=True)
    with pytest.raises(OptionError, match=r"not 1\.0"):
        saywhy.Explainer()(ASKED, target=1.0)
