"""Estimators as people bring them: classes that are numbers, columns of every type, several outputs, texts deep inside.

The right values are asked of the estimators themselves.
"""

from __future__ import annotations

import copy

import numpy as np
import pytest

import saywhy
from saywhy.extend import InputError, ModelError, OptionError
from saywhy.models.reads import chosen_columns

pytest.importorskip("sklearn")
pd = pytest.importorskip("pandas")

from sklearn.calibration import CalibratedClassifierCV  # noqa: E402
from sklearn.cluster import Birch, KMeans  # noqa: E402
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector  # noqa: E402
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier, VotingClassifier  # noqa: E402
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer  # noqa: E402
from sklearn.impute import SimpleImputer  # noqa: E402
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier  # noqa: E402
from sklearn.mixture import GaussianMixture  # noqa: E402
from sklearn.model_selection import GridSearchCV  # noqa: E402
from sklearn.multiclass import OneVsRestClassifier  # noqa: E402
from sklearn.multioutput import ClassifierChain, MultiOutputRegressor  # noqa: E402
from sklearn.neighbors import KNeighborsRegressor  # noqa: E402
from sklearn.neural_network import MLPClassifier  # noqa: E402
from sklearn.pipeline import FeatureUnion, make_pipeline  # noqa: E402
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler  # noqa: E402
from sklearn.svm import SVC, LinearSVC  # noqa: E402

TEXTS = ["a good film", "a bad film", "not bad at all", "so so film", "great good fun", "awful bad mess"] * 4
ASKED = "not a good film"
RNG = np.random.default_rng(0)
NUMBERS = pd.DataFrame({"age": RNG.integers(20, 60, 60), "pclass": RNG.integers(1, 4, 60)})
SEVERAL = np.stack([["good" in t for t in TEXTS], ["bad" in t for t in TEXTS], ["film" in t for t in TEXTS]], 1).astype(
    int
)
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
    stand = {"age": 40.5, "pclass": 2.6}
    found = saywhy.Explainer(model, background=stand)(
        rows if given == "frame" else rows.to_dict("records"), target="1", method="occlusion", trust="none"
    )
    for e, row in zip(found, rows.to_dict("records"), strict=True):
        whole = asked_alone(model, row, row.values())
        right = [whole - asked_alone(model, row, {**row, name: stand[name]}.values()) for name in row]
        np.testing.assert_allclose(e.scores, right, atol=1e-12)
        assert e.value == pytest.approx(whole)
    assert max(np.abs(e.scores).max() for e in found) > 0.1


def test_one_row_of_a_frame_has_whole_numbers_where_its_columns_have():
    frame = NUMBERS.assign(half=0.5)
    written = FunctionTransformer(lambda d: d.astype(str))
    model = make_pipeline(written, OneHotEncoder(handle_unknown="ignore"), LogisticRegression()).fit(frame, OLD)
    row = frame.iloc[4]
    assert row.dtype == np.float64
    e = saywhy.Explainer(model, background=frame.iloc[:3])(row, target="1", trust="none")
    assert e.value == pytest.approx(model.predict_proba(frame.iloc[[4]])[0, 1])


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


@pytest.mark.parametrize("how", ["encoder", "imputed", "alone", "boosting"])
def test_numbers_that_an_estimator_reads_as_categories_have_no_mean(how):
    made = {
        "encoder": make_pipeline(ColumnTransformer([("c", OneHotEncoder(), ["pclass"])], remainder="passthrough")),
        "imputed": ColumnTransformer(
            [("c", make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder()), [1])],
            remainder="passthrough",
        ),
        "alone": OneHotEncoder(handle_unknown="ignore"),
    }
    last = LogisticRegression(max_iter=2000)
    model = (
        make_pipeline(made[how], last)
        if how in made
        else HistGradientBoostingClassifier(categorical_features=["pclass"])
    )
    model.fit(NUMBERS, OLD)
    rows = NUMBERS.iloc[:7]
    usual = rows.pclass.value_counts().index[0]
    e = saywhy.Explainer(model)(rows, target="1", method="occlusion", trust="none")[0]
    assert e.options["background"]["pclass"] == usual
    age = rows.age.value_counts().index[0] if how == "alone" else rows.age.mean()
    assert e.options["background"]["age"] == age
    stand = pd.DataFrame({"age": [age], "pclass": [usual]})
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


# ---- several outputs, pairs and clusters -----------------------------------------------------------------------------


def test_decisions_between_pairs_of_classes_are_not_named_as_classes():
    y = ["pos", "neg", "pos", "neu", "pos", "neg"] * 4
    pipe = of_texts(y, SVC(decision_function_shape="ovo"))
    for given in ({}, {"output": "decision"}, {"labels": ["neg", "neu", "pos"]}):
        with pytest.raises(OptionError, match=r"decision_function_shape='ovr'.*'neg rather than neu'"):
            saywhy.Explainer(pipe, **given)
    named = [f"{a} rather than {b}" for a, b in (("neg", "neu"), ("neg", "pos"), ("neu", "pos"))]
    found = saywhy.Explainer(pipe, labels=named).each_target(ASKED, trust="none")
    assert [e.value for e in found] == pytest.approx(pipe.decision_function([ASKED])[0].tolist())
    votes = [name.split(" rather than ")[e.value < 0] for name, e in zip(named, found, strict=True)]
    assert max(votes, key=votes.count) == pipe.predict([ASKED])[0]
    assert saywhy.Explainer(pipe, output="score").predict([ASKED])[0][0] == pipe.predict([ASKED])[0]
    pipe.set_params(svc__decision_function_shape="ovr")
    assert saywhy.Explainer(pipe).predict([ASKED])[0][0] == pipe.predict([ASKED])[0]
    two = of_texts([t.replace("neu", "neg") for t in y], SVC(decision_function_shape="ovo"))
    assert saywhy.Explainer(two).predict([ASKED])[0][0] == two.predict([ASKED])[0]


@pytest.mark.parametrize(
    "last",
    [
        OneVsRestClassifier(LogisticRegression()),
        MLPClassifier([4], max_iter=30, random_state=0),
        RidgeClassifier(),
        GridSearchCV(OneVsRestClassifier(LogisticRegression()), {"estimator__C": [1, 9]}, cv=2),
    ],
    ids=["one against the rest", "network", "ridge", "search"],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_labels_that_do_not_exclude_each_other(last):
    pipe = of_texts(SEVERAL, last)
    said = saywhy.Explainer(pipe, output="score").each_target(ASKED, trust="none")
    assert [e.value for e in said] == pipe.predict([ASKED])[0].tolist()
    explainer = saywhy.Explainer(pipe)
    right = (pipe.predict_proba if hasattr(pipe, "predict_proba") else pipe.decision_function)([ASKED])[0]
    assert [e.value for e in explainer.each_target(ASKED, trust="none")] == pytest.approx(right.tolist())
    assert explainer.model.kind == ("independent-probability" if hasattr(pipe, "predict_proba") else "decision")


@pytest.mark.parametrize("of", [LogisticRegression, LinearSVC])
def test_a_chain_of_classifiers_has_both_sides_of_each_output(of):
    chain = of_texts(SEVERAL, ClassifierChain(of()))
    shown = {
        "score": [side for one in chain.predict([ASKED])[0] for side in (1 - one, one)],
        "decision": [side for d in chain.decision_function([ASKED])[0] for side in (-d, d)],
    }
    if of is LogisticRegression:
        shown["probability"] = [side for p in chain.predict_proba([ASKED])[0] for side in (1 - p, p)]
    for output, right in {**shown, None: list(shown.values())[-1]}.items():
        found = saywhy.Explainer(chain, output=output).each_target(ASKED, trust="none")
        assert [e.target.label for e in found] == [f"output {i}: {c}" for i in range(3) for c in range(2)]
        assert [e.value for e in found] == pytest.approx(right)
    assert found[0].target.unit == ("prob" if of is LogisticRegression else "decision")


def test_the_class_that_is_predicted_is_no_sum_even_of_a_linear_estimator():
    pipe = make_pipeline(CountVectorizer(), LogisticRegression()).fit(TEXTS, SEVERAL[:, 0])
    e = saywhy.Explainer(pipe, output="score")("bad good", target="1", method="shapley_values", trust="none")
    said = {t: float(pipe.predict([t])[0] == 1) for t in ("", "bad", "good", "bad good")}
    alone = [said["bad"] - said[""], said["good"] - said[""]]
    last = [said["bad good"] - said["good"], said["bad good"] - said["bad"]]
    np.testing.assert_allclose(e.scores, np.mean([alone, last], 0))


@pytest.mark.parametrize("of", [KMeans(3, n_init=1, random_state=0), Birch(n_clusters=3)], ids=["means", "birch"])
def test_the_number_of_a_cluster_is_no_quantity(of):
    frame = NUMBERS.assign(far=NUMBERS.age * 3.0)
    model = make_pipeline(StandardScaler(), of).fit(frame)
    rows = frame.iloc[:6]
    explainer = saywhy.Explainer(model)
    assert explainer.model.labels == ("cluster 0", "cluster 1", "cluster 2")
    found = explainer(rows, trust="none", method="occlusion")
    assert [e.target.label for e in found] == [f"cluster {c}" for c in model.predict(rows)]
    stand = {name: rows[name].mean() for name in rows}
    for e, row in zip(found, rows.to_dict("records"), strict=True):
        changed = [pd.DataFrame([{**row, name: stand[name]}]) for name in row]
        right = [1.0 - (f"cluster {model.predict(each)[0]}" == e.target.label) for each in changed]
        assert e.scores.tolist() == right
    assert saywhy.Explainer(model, labels=["a", "b", "c"]).model.labels == ("a", "b", "c")


def test_a_mixture_is_explained_in_the_probability_of_its_clusters():
    frame = NUMBERS.astype(float)
    model = GaussianMixture(2, random_state=0).fit(frame)
    found = saywhy.Explainer(model)(frame.iloc[:3], target="cluster 1", trust="none")
    assert [e.value for e in found] == pytest.approx(model.predict_proba(frame.iloc[:3])[:, 1].tolist())


@pytest.mark.parametrize(
    "model",
    [
        KNeighborsRegressor(3),
        TransformedTargetRegressor(KNeighborsRegressor(2), func=np.log1p, inverse_func=np.expm1),
        MultiOutputRegressor(Ridge()),
        GridSearchCV(Ridge(), {"alpha": [1, 2]}, cv=2),
    ],
    ids=["neighbours", "transformed", "several", "search"],
)
def test_how_many_numbers_a_regression_gives_is_found_out(model):
    y = np.stack([NUMBERS.age, 2 * NUMBERS.age - NUMBERS.pclass, OLD], 1).astype(float)
    model = model.fit(NUMBERS, y)
    [found] = saywhy.Explainer(model, background=NUMBERS.iloc[:2]).each_target(NUMBERS.iloc[[0]], trust="none")
    assert [e.target.label for e in found] == ["output 0", "output 1", "output 2"]
    assert [e.value for e in found] == pytest.approx(model.predict(NUMBERS.iloc[[0]])[0].tolist())
    assert saywhy.Explainer(model).model.labels == ("output 0", "output 1", "output 2")
    with pytest.raises(ModelError, match=r"predicts 3 numbers.*labels="):
        saywhy.Explainer(model, labels=["a", "b"])(NUMBERS.iloc[:2])


# ---- texts deep inside, and methods and boosters ---------------------------------------------------------------------

REVIEWS = pd.DataFrame({"review": RNG.choice(["A good film", "a bad film", "so so film"], 60), "age": NUMBERS.age})
LIKED = (REVIEWS.age + 10 * REVIEWS.review.str.contains("good") > 45).astype(int)


def reviewed(column="review", reader=None, others=("age",)):
    parts = [("t", reader or TfidfVectorizer(), column), ("n", StandardScaler(), list(others))]
    return make_pipeline(ColumnTransformer(parts), LogisticRegression())


LOWER = FunctionTransformer(lambda s: s.str.lower())
DEEP = {
    "search": GridSearchCV(reviewed(), {"logisticregression__C": [1, 2]}, cv=2),
    "calibrated": CalibratedClassifierCV(reviewed(), cv=2),
    "nested": make_pipeline(reviewed()),
    "vote": VotingClassifier([("a", reviewed()), ("b", reviewed())], voting="soft"),
    "number": reviewed(0, others=[1]),
    "list": reviewed(["review"], make_pipeline(FunctionTransformer(lambda d: d["review"]), TfidfVectorizer())),
    "tidied": reviewed(reader=make_pipeline(LOWER, TfidfVectorizer())),
    "after a function": make_pipeline(FunctionTransformer(lambda d: d), reviewed()),
    "several readers": reviewed(reader=FeatureUnion([("w", TfidfVectorizer()), ("c", CountVectorizer())])),
    "selector": reviewed(
        make_column_selector("review"), make_pipeline(FunctionTransformer(lambda d: d["review"]), TfidfVectorizer())
    ),
    "united": make_pipeline(
        FeatureUnion([("a", reviewed().steps[0][1]), ("b", ColumnTransformer([("n", "passthrough", slice(1, 2))]))]),
        LogisticRegression(),
    ),
}


@pytest.mark.parametrize("kind", DEEP)
def test_words_are_features_wherever_the_reader_of_the_texts_stands(kind):
    model = DEEP[kind].fit(REVIEWS, LIKED)
    row, stand = REVIEWS.iloc[0].to_dict(), {"age": 40}
    e = saywhy.Explainer(model, background=stand)(row, target="1", method="occlusion", trust="none")
    words = row["review"].split()
    assert e.words == (*words, f"age = {row['age']}")

    def asked(review, age):
        return model.predict_proba(pd.DataFrame({"review": [review], "age": [age]}))[0, 1]

    left = [(" ".join(words[:i] + words[i + 1 :]), row["age"]) for i in range(len(words))]
    right = [asked(**row) - asked(*each) for each in [*left, (row["review"], 40)]]
    np.testing.assert_allclose(e.scores, right, atol=1e-12)


def test_columns_told_by_name_number_slice_mask_and_list():
    names = ("a", "b", "c")
    frame = pd.DataFrame({name: [i] for i, name in enumerate(names)})
    lists = [["b"], [1], [-1], slice(1, None), slice("a", "b"), [True, False, True], np.array([0, 2]), pd.Index(["c"])]
    for columns in lists:
        read = ColumnTransformer([("x", "passthrough", columns)]).fit_transform(frame)
        assert chosen_columns(columns, names) == [names[i] for i in read[0]]
    assert chosen_columns("b", names) == chosen_columns(1, names) == ["b"]


def test_texts_that_were_cleaned_as_a_series_are_asked_as_one():
    pipe = make_pipeline(LOWER, TfidfVectorizer(lowercase=False), LogisticRegression())
    pipe.fit(pd.Series(TEXTS), [t.startswith("a") for t in TEXTS])
    e = saywhy.Explainer(pipe)("A GOOD Film", target="True", method="occlusion", trust="none")
    asked = [pipe.predict_proba(pd.Series([t]))[0, 1] for t in ("A GOOD Film", "GOOD Film", "A Film", "A GOOD")]
    np.testing.assert_allclose(e.scores, asked[0] - np.array(asked[1:]))
    broken = make_pipeline(FunctionTransformer(lambda s: s.str.nothing()), TfidfVectorizer(), LogisticRegression())
    broken.steps[1:] = pipe.steps[1:]
    with pytest.raises(ModelError, match="'list' object has no attribute 'str'"):
        saywhy.Explainer(broken)("a good film")


def test_a_method_of_an_estimator_is_that_estimator():
    model = LogisticRegression(max_iter=500).fit(NUMBERS, OLD)
    rows = NUMBERS.iloc[:3]
    right = {"predict_proba": model.predict_proba(rows)[:, 1], "decision_function": model.decision_function(rows)}
    for method, unit in (("predict_proba", "prob"), ("decision_function", "decision")):
        found = saywhy.Explainer(getattr(model, method))(rows, target="1", trust="none")
        assert [e.target.unit for e in found] == [unit] * 3
        assert [e.value for e in found] == pytest.approx(right[method].tolist())
    said = saywhy.Explainer(model.predict)(rows, target="1", trust="none")
    assert [e.value for e in said] == model.predict(rows).tolist()


def test_a_booster_reads_its_columns():
    lightgbm = pytest.importorskip("lightgbm")
    booster = lightgbm.LGBMClassifier(n_estimators=3, verbose=-1, n_jobs=1).fit(NUMBERS, OLD).booster_
    for given in ({}, {"background": NUMBERS.iloc[:4]}):
        found = saywhy.Explainer(booster, **given)(NUMBERS.iloc[:3], trust="none")
        assert [e.value for e in found] == pytest.approx(booster.predict(NUMBERS.iloc[:3]).tolist())


def test_rows_for_a_function_of_texts_are_refused_with_the_way_out():
    explainer = saywhy.Explainer(lambda texts: np.zeros((len(texts), 2)), labels=["a", "b"])
    with pytest.raises(InputError, match=r"age, pclass.*background=frame.*Explainer\(estimator\)"):
        explainer(NUMBERS.iloc[:2])


def test_a_missing_value_beside_truth_values_stays_missing():
    rows = pd.DataFrame({"member": [True, False], "n": [1.0, 2.0]})
    for nothing in (None, float("nan"), pd.NA):
        explainer = saywhy.Explainer(
            lambda frame: frame["member"].isna().to_numpy(float), labels=["s"], background={"member": nothing, "n": 0.0}
        )
        np.testing.assert_allclose(explainer(rows)[0].scores, [-1, 0], atol=1e-9)


def test_a_background_may_have_values_that_the_explained_rows_types_have_not():
    rows = pd.DataFrame(
        {"kind": pd.Categorical(["a", "b"]), "at": pd.to_datetime(["2020-01-01"] * 2).astype("datetime64[s]")}
    )
    stands = {"kind": "z", "at": pd.Timestamp("2020-01-01 00:00:00.250")}

    def asked(frame):
        return (frame["kind"].astype(str) == "z") * 1.0 + pd.to_datetime(frame["at"]).dt.microsecond / 250_000

    found = saywhy.Explainer(asked, labels=["s"], background=stands)(rows, method="shapley_values")[0]
    assert (found.value, found.base) == pytest.approx((0.0, 2.0))
    np.testing.assert_allclose(found.scores, [-1, -1], atol=1e-9)


def test_a_column_of_a_type_that_has_no_name_is_passed_over():
    pa = pytest.importorskip("pyarrow")
    forest = RandomForestClassifier(3, random_state=0).fit(pd.DataFrame({"n": np.arange(50.0)}), np.arange(50) % 2)
    price = pd.Series([1, 2], dtype=pd.ArrowDtype(pa.decimal128(10, 2)))
    rows = pd.DataFrame({"n": [1.0, 2.0], "price": price})
    assert len(saywhy.Explainer(forest).predict(rows)) == len(saywhy.Explainer(forest)(rows, target=1)) == 2


def test_a_function_of_whole_numbers_is_asked_in_few_calls():
    calls = 0

    def asked(frame):
        nonlocal calls
        calls += 1
        return frame.to_numpy(float).sum(1)

    rows = pd.DataFrame(np.random.default_rng(0).integers(0, 9, (60, 12)), columns=[f"i{k}" for k in range(12)])
    saywhy.Explainer(asked, labels=["s"], background=("mean", rows))(rows.iloc[:3], trust="none")
    assert calls < 20
