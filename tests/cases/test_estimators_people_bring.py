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

from sklearn.compose import ColumnTransformer  # noqa: E402
from sklearn.ensemble import HistGradientBoostingClassifier  # noqa: E402
from sklearn.feature_extraction.text import TfidfVectorizer  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder  # noqa: E402

TEXTS = ["a good film", "a bad film", "not bad at all", "so so film", "great good fun", "awful bad mess"] * 4
ASKED = "not a good film"
RNG = np.random.default_rng(0)
NUMBERS = pd.DataFrame({"age": RNG.integers(20, 60, 60), "pclass": RNG.integers(1, 4, 60)})
OLD = ((NUMBERS.pclass == 2) | (NUMBERS.age > 50)).astype(int)


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


# ---- the types of columns --------------------------------------------------------------------------------------------


def asked_alone(model, columns, values):
    """The probability of class 1 of one row in a frame of its own, whose columns are series of these."""
    frame = pd.DataFrame({name: pd.Series([value]) for name, value in zip(columns, values, strict=True)})
    return model.predict_proba(frame)[0, 1]


@pytest.mark.parametrize("given", ["frame", "mappings"])
def test_a_value_that_stays_keeps_its_type_whatever_rows_stand_beside_it(given):
    written = FunctionTransformer(lambda d: d.astype(str))
    model = make_pipeline(written, OneHotEncoder(handle_unknown="ignore"), LogisticRegression()).fit(NUMBERS, OLD)
    rows = NUMBERS.iloc[[0, 1, 3, 4, 6]]
    found = saywhy.Explainer(model)(
        rows if given == "frame" else rows.to_dict("records"), target="1", method="occlusion", trust="none"
    )
    for e, row in zip(found, rows.to_dict("records"), strict=True):
        stand = e.options["background"]
        whole = asked_alone(model, row, row.values())
        right = [whole - asked_alone(model, row, {**row, name: stand[name]}.values()) for name in row]
        np.testing.assert_allclose(e.scores, right, atol=1e-12)
        assert e.value == pytest.approx(whole)
    assert max(np.abs(e.scores).max() for e in found) > 0.1


def test_a_number_and_the_equal_mean_are_not_taken_for_each_other():
    model = make_pipeline(
        FunctionTransformer(lambda d: d.astype(str)), OneHotEncoder(handle_unknown="ignore"), LogisticRegression()
    ).fit(NUMBERS, OLD)
    stand = {"age": 40, "pclass": 2.0}
    e = saywhy.Explainer(model, background=stand)(
        {"age": 40, "pclass": 2}, target="1", method="occlusion", trust="none"
    )
    right = asked_alone(model, stand, (40, 2)) - asked_alone(model, stand, (40, 2.0))
    assert abs(right) > 0.05
    assert e.scores[1] == pytest.approx(right)


def test_a_frame_is_asked_in_the_types_that_it_has():
    seen = []

    def asked(frame):
        seen.append(frame)
        return np.zeros((len(frame), 2))

    given = pd.DataFrame(
        {
            "whole": [1, 2, 3],
            "small": np.array([1, 2, 3], dtype=np.int8),
            "half": np.array([0.5, np.nan, 1.5], dtype=np.float32),
            "yes": [True, False, True],
            "kind": pd.Categorical([1, 3, 3]),
            "any": pd.Series(["a", None, 1], dtype=object),
            "word": pd.Series(["a", None, "b"], dtype="string"),
            "maybe": pd.array([1, None, 3], dtype="Int64"),
            "sure": pd.array([True, None, False], dtype="boolean"),
            "when": pd.to_datetime(["2020-01-01", None, "2020-01-03"]),
        }
    )
    explainer = saywhy.Explainer(asked, labels=["a", "b"], background=given)
    explainer(given.iloc[:1], trust="none", method="occlusion")
    alone = explainer.predict(given)
    assert len(alone) == 3
    for frame in seen:
        assert frame.dtypes.to_dict() == given.dtypes.to_dict()
    by_values = saywhy.Explainer(asked, labels=["a", "b"], background=given.iloc[0].to_dict())
    seen.clear()
    by_values(given.iloc[:1], trust="none", method="occlusion")
    assert all(frame.dtypes["kind"] == given.dtypes["kind"] for frame in seen)
    means = saywhy.Explainer(asked, labels=["a", "b"], background=("mean", given))
    seen.clear()
    e = means(given, trust="none", method="occlusion")[0]
    assert e.options["background"]["kind"] == 3
    types = {name: {str(frame.dtypes[name]) for frame in seen} for name in given}
    assert types["whole"] <= {"int64", "float64"}
    assert types["maybe"] <= {"Int64", "Float64"}
    assert types["half"] == {"float32"}
    assert types["yes"] == {"bool"}
    assert types["sure"] == {"boolean"}


@pytest.mark.parametrize("of", ["scikit-learn", "lightgbm"])
def test_what_stands_in_for_a_category_that_is_a_number_is_the_most_frequent(of):
    frame = pd.DataFrame({"age": NUMBERS.age, "zone": pd.Categorical(NUMBERS.pclass)})
    y = (NUMBERS.pclass == 3) | (NUMBERS.age > 50)
    if of == "lightgbm":
        lightgbm = pytest.importorskip("lightgbm")
        model = lightgbm.LGBMClassifier(n_estimators=20, min_child_samples=2, verbose=-1, n_jobs=1).fit(frame, y)
    else:
        model = HistGradientBoostingClassifier(max_iter=20, min_samples_leaf=2, early_stopping=False).fit(frame, y)
    rows = frame.iloc[[0, 1, 3, 4, 6]]
    usual = rows.zone.value_counts().index[0]
    stand = pd.DataFrame({"age": [rows.age.mean()], "zone": pd.Categorical([usual], categories=[1, 2, 3])})
    for given in ({}, {"background": ("mean", rows)}):
        e = saywhy.Explainer(model, **given)(rows, target="True", method="occlusion", trust="none")[0]
        assert e.options["background"]["zone"] == usual
        assert e.base == pytest.approx(model.predict_proba(stand)[0, 1])


def test_missing_values_of_nullable_columns_are_asked_as_they_are():
    frame = pd.DataFrame({"a": NUMBERS.age.astype("Int64"), "b": pd.array([True, False] * 30, dtype="boolean")})
    frame.iloc[[0, 7], 0] = pd.NA
    frame.iloc[[3, 9], 1] = pd.NA
    model = HistGradientBoostingClassifier(max_iter=5).fit(frame, OLD)
    right = model.predict_proba(frame.iloc[:5])
    found = saywhy.Explainer(model)(frame.iloc[:5], target="1", trust="none")
    np.testing.assert_allclose([e.value for e in found], right[:, 1])
    told = saywhy.Explainer(model).predict(frame.iloc[:5])
    np.testing.assert_allclose([p for _, p in told], right.max(1))


def test_a_column_in_which_every_row_of_a_call_is_missing_is_missing_as_it_is_there():
    city = pd.Series([np.nan] * 4 + ["Rome", "Oslo"] * 28, dtype=object)
    frame = pd.DataFrame({"city": city, "age": NUMBERS.age})
    columns = ColumnTransformer([("c", OneHotEncoder(), ["city"])], remainder="passthrough")
    model = make_pipeline(columns, LogisticRegression(max_iter=2000)).fit(frame, OLD)
    found = saywhy.Explainer(model)(frame.iloc[:3], target="1", trust="none")
    np.testing.assert_allclose([e.value for e in found], model.predict_proba(frame.iloc[:3])[:, 1])
