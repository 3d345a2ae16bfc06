"""Estimators by scikit-learn's protocol, of texts and of rows; right values by brute force over the estimator itself."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import reviews
import saywhy
from saywhy.extend import InputError, OptionError

pytest.importorskip("sklearn")
pd = pytest.importorskip("pandas")

from sklearn.compose import ColumnTransformer  # noqa: E402
from sklearn.ensemble import GradientBoostingClassifier, IsolationForest, RandomForestClassifier  # noqa: E402
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer  # noqa: E402
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, SGDClassifier  # noqa: E402
from sklearn.multioutput import MultiOutputClassifier  # noqa: E402
from sklearn.naive_bayes import MultinomialNB  # noqa: E402
from sklearn.neighbors import NearestCentroid  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import MaxAbsScaler, OneHotEncoder, StandardScaler  # noqa: E402
from sklearn.svm import LinearSVC  # noqa: E402

TEXTS = reviews.TEXTS * 4
TWO = ["pos", "neg", "pos", "neg", "pos", "neg", "pos", "neg"] * 4
THREE = ["pos", "neg", "pos", "neg", "pos", "neg", "mid", "mid"] * 4
ASKED = "great plot bad film good"
FRAME = pd.DataFrame(reviews.COLUMNS)


def shapley(players, worth):
    """Shapley values by their definition: the mean marginal over all orders."""
    out = np.zeros(players)
    for size in range(players):
        weight = 1 / (players * math.comb(players - 1, size))
        for chosen in itertools.combinations(range(players), size):
            for i in set(range(players)) - set(chosen):
                out[i] += weight * (worth({*chosen, i}) - worth(set(chosen)))
    return out


def of_words(text, answer):
    """Exact Shapley values of the words of a text, where `answer` takes one text."""
    words = text.split()
    return shapley(len(words), lambda kept: answer(" ".join(w for i, w in enumerate(words) if i in kept)))


def log_odds(p):
    return math.log(p / (1 - p))


def fitted(*steps, y=TWO):
    return make_pipeline(*steps).fit(TEXTS, y)


@pytest.fixture(scope="module")
def tabular():
    columns = ColumnTransformer(
        [
            ("text", TfidfVectorizer(), "review"),
            ("number", StandardScaler(), ["age"]),
            ("city", OneHotEncoder(handle_unknown="ignore"), ["city"]),
        ]
    )
    truth = [str(a > 35 or "good" in t) for a, t in zip(FRAME["age"], FRAME["review"], strict=True)]
    return make_pipeline(columns, GradientBoostingClassifier(n_estimators=20, random_state=0)).fit(FRAME, truth)


# ---- what an estimator answers ---------------------------------------------------------------------------------------


def test_a_classifier_is_explained_in_its_own_probability():
    pipe = fitted(TfidfVectorizer(), LogisticRegression())
    e = saywhy.Explainer(pipe)(ASKED, target="pos", trust="none")
    assert e.target.unit == "prob"
    assert e.value == pytest.approx(pipe.predict_proba([ASKED])[0][1], abs=1e-12)
    right = of_words(ASKED, lambda text: pipe.predict_proba([text])[0][1])
    np.testing.assert_allclose(e.scores, right, atol=1e-12)
    assert e.prediction == pipe.predict([ASKED])[0]


@pytest.mark.parametrize(("unit", "of"), [("prob", float), ("log-prob", math.log), ("log-odds", log_odds)])
def test_units_of_a_probability(unit, of):
    pipe = fitted(TfidfVectorizer(), LogisticRegression(), y=THREE)
    e = saywhy.Explainer(pipe)(ASKED, target="mid", unit=unit, trust="none")
    at = list(pipe.classes_).index("mid")
    np.testing.assert_allclose(e.scores, of_words(ASKED, lambda text: of(pipe.predict_proba([text])[0][at])), atol=1e-9)


def test_a_function_of_probabilities_in_log_odds():
    pipe = fitted(TfidfVectorizer(), LogisticRegression())
    e = saywhy.Explainer(lambda texts: pipe.predict_proba(texts), labels=pipe.classes_, output="probability")(
        ASKED, target="pos", unit="log-odds", trust="none"
    )
    np.testing.assert_allclose(
        e.scores, of_words(ASKED, lambda text: log_odds(pipe.predict_proba([text])[0][1])), atol=1e-9
    )
    with pytest.raises(OptionError, match="score"):
        saywhy.Explainer(lambda texts: pipe.predict_proba(texts), labels=pipe.classes_)(ASKED, unit="prob")


def test_probabilities_of_zero_and_one_have_finite_log_odds():
    explainer = saywhy.Explainer(
        lambda texts: [[float("a" in t), float("a" not in t)] for t in texts], labels=["a", "b"], output="probability"
    )
    e = explainer("a b", target="a", unit="log-odds", trust="none")
    assert e.value == pytest.approx(math.log((1 - 1e-12) / 1e-12), rel=1e-3)


def test_a_decision_function_has_its_own_unit_and_two_sides():
    svm = fitted(TfidfVectorizer(), LinearSVC(random_state=0))
    explainer = saywhy.Explainer(svm)
    for label, sign in zip(svm.classes_, (-1, 1), strict=True):
        e = explainer(ASKED, target=str(label), trust="none")
        assert e.target.unit == "decision"
        assert e.value == pytest.approx(sign * svm.decision_function([ASKED])[0], abs=1e-12)
    assert explainer.predict([ASKED])[0][0] == svm.predict([ASKED])[0]
    probable = saywhy.Explainer(fitted(TfidfVectorizer(), LogisticRegression()), output="decision")
    assert probable(ASKED, trust="none").target.unit == "decision"


def test_a_regression_and_several_numbers():
    one = make_pipeline(TfidfVectorizer(), Ridge()).fit(TEXTS, np.arange(32.0))
    e = saywhy.Explainer(one)(ASKED, trust="none")
    assert (e.target.label, e.target.unit) == ("prediction", "score")
    assert e.value == pytest.approx(float(one.predict([ASKED])[0]), abs=1e-9)
    two = make_pipeline(TfidfVectorizer(), Ridge()).fit(TEXTS, np.arange(64.0).reshape(32, 2))
    assert [e.target.label for e in saywhy.Explainer(two).each_target(ASKED, trust="none")] == ["output 0", "output 1"]
    assert saywhy.Explainer(two, labels=["a", "b"])(ASKED, target="b", trust="none").value == pytest.approx(
        float(two.predict([ASKED])[0, 1]), abs=1e-9
    )


def test_several_outputs_and_several_labels():
    y = np.array([[len(t) > 9, "good" in t] for t in TEXTS]).astype(int)
    both = make_pipeline(CountVectorizer(), MultiOutputClassifier(LogisticRegression())).fit(TEXTS, y)
    e = saywhy.Explainer(both)(ASKED, target="output 1: 1", trust="none")
    assert e.value == pytest.approx(both.predict_proba([ASKED])[1][0, 1], abs=1e-12)
    forest = make_pipeline(CountVectorizer(), RandomForestClassifier(5, random_state=0)).fit(TEXTS, y)
    assert len(saywhy.Explainer(forest).model.labels) == 4


def test_a_classifier_that_only_predicts_and_a_detector_of_outliers():
    near = fitted(CountVectorizer(), NearestCentroid())
    shown = saywhy.Explainer(near, output="score")(ASKED, trust="none")
    assert shown.value == 1.0
    assert shown.prediction == near.predict([ASKED])[0]
    odd = IsolationForest(n_estimators=5, random_state=0).fit(FRAME[["age"]])
    e = saywhy.Explainer(odd)(FRAME[["age"]], trust="none")[0]
    assert e.value == pytest.approx(odd.decision_function(FRAME[["age"]])[0], abs=1e-12)


def test_what_cannot_be_explained_says_why():
    with pytest.raises(OptionError, match="not fitted"):
        saywhy.Explainer(make_pipeline(TfidfVectorizer(), LogisticRegression()))
    with pytest.raises(OptionError, match=r"no decision_function.*'probability'"):
        saywhy.Explainer(fitted(CountVectorizer(), MultinomialNB()), output="decision")
    with pytest.raises(OptionError, match="at another place"):
        saywhy.Explainer(fitted(CountVectorizer(), MultinomialNB()), labels=["pos", "neg"])
    with pytest.raises(OptionError, match="functions and estimators"):
        saywhy.Explainer(output="probability")


# ---- additive pipelines ----------------------------------------------------------------------------------------------

ADDITIVE = "additive in what is removed"
COUNTS = {
    "counts": CountVectorizer(),
    "hashes": HashingVectorizer(n_features=64, norm=None),
    "tfidf without a norm": TfidfVectorizer(norm=None),
}


@pytest.mark.parametrize("reader", COUNTS)
@pytest.mark.parametrize("scaled", [False, True])
def test_additive_pipelines_have_a_closed_form(reader, scaled):
    steps = [COUNTS[reader], *([MaxAbsScaler()] if scaled else []), LogisticRegression()]
    pipe = fitted(*steps)
    e = saywhy.Explainer(pipe)(ASKED, target="pos", unit="log-odds", trust="none")
    assert any(ADDITIVE in note for note in e.notes)
    assert e.cost.rows == 7  # five words, and both ends
    right = of_words(ASKED, lambda text: float(pipe.decision_function([text])[0]))
    np.testing.assert_allclose(e.scores, right, atol=1e-9)


@pytest.mark.parametrize(
    ("steps", "y", "asked"),
    [
        ((CountVectorizer(), LinearSVC(random_state=0)), THREE, {"target": "mid"}),
        ((CountVectorizer(), Ridge()), np.arange(32.0), {}),
        ((CountVectorizer(), MultinomialNB()), THREE, {"target": "pos", "against": "mid", "unit": "log-prob"}),
        ((CountVectorizer(), LogisticRegression()), THREE, {"target": "pos", "against": "mid", "unit": "log-prob"}),
        ((CountVectorizer(binary=True), SGDClassifier(loss="log_loss", random_state=0)), TWO, {"unit": "log-odds"}),
    ],
    ids=["margins", "regression", "bayes", "softmax", "one count a word"],
)
def test_other_additive_pipelines(steps, y, asked):
    pipe = make_pipeline(*steps).fit(TEXTS, y)
    closed = saywhy.Explainer(pipe)(ASKED, trust="none", **asked)
    assert any(ADDITIVE in note for note in closed.notes)
    pipe_as_function = pipe.predict_proba if "unit" in asked else getattr(pipe, "decision_function", pipe.predict)
    labels = saywhy.Explainer(pipe).model.labels
    kind = {"output": "probability"} if "unit" in asked else {}
    brute = saywhy.Explainer(lambda texts: pipe_as_function(texts), labels=labels, **kind)
    settings = asked if asked.get("target") or "unit" not in asked else {**asked, "target": closed.target.label}
    e = brute(ASKED, method="shapley_values", trust="none", **settings)
    np.testing.assert_allclose(closed.scores, e.scores, atol=1e-9)


@pytest.mark.parametrize(
    ("pipe", "text"),
    [
        (lambda: fitted(TfidfVectorizer(), LogisticRegression()), ASKED),  # a norm over the text
        (lambda: fitted(CountVectorizer(ngram_range=(1, 2)), LogisticRegression()), ASKED),
        (lambda: fitted(CountVectorizer(analyzer="char"), LogisticRegression()), ASKED),
        (lambda: fitted(CountVectorizer(), GradientBoostingClassifier(n_estimators=5)), ASKED),
        (lambda: fitted(CountVectorizer(binary=True), LogisticRegression()), "good bad good"),  # counts once
        (lambda: fitted(CountVectorizer(), LogisticRegression()), "good.film plot"),  # without the stop: "goodfilm"
    ],
    ids=["norm", "pairs", "letters", "trees", "once", "glued"],
)
def test_what_is_not_additive_is_asked_in_coalitions(pipe, text):
    e = saywhy.Explainer(pipe())(text, target="pos", unit="log-odds", trust="none")
    assert not any(ADDITIVE in note for note in e.notes)


def test_a_subclass_of_a_known_step_is_not_trusted():
    class Own(CountVectorizer):
        def transform(self, texts):
            counts = super().transform(texts)
            return counts.multiply(counts.sum(1) + 1.0).tocsr()

    e = saywhy.Explainer(fitted(Own(), LogisticRegression()))(ASKED, target="pos", unit="log-odds", trust="none")
    assert not any(ADDITIVE in note for note in e.notes)


def test_additive_columns_with_words():
    columns = ColumnTransformer(
        [("t", CountVectorizer(), "review"), ("n", StandardScaler(), ["age"]), ("c", OneHotEncoder(), ["city"])]
    )
    pipe = make_pipeline(columns, LinearRegression()).fit(FRAME, np.arange(32.0))
    background = FRAME.iloc[:4]
    e = saywhy.Explainer(pipe, background=background)(FRAME.iloc[2], trust="none")
    assert any(ADDITIVE in note for note in e.notes)
    np.testing.assert_allclose(e.scores, of_row(FRAME.iloc[2], background, lambda f: pipe.predict(f)), atol=1e-9)


# ---- rows with columns -----------------------------------------------------------------------------------------------


def of_row(row, background, answer):
    """Shapley values by definition: words of the review left out, other columns from the background, the mean over its rows."""
    words = row["review"].split()

    def worth(kept):
        frame = background.copy()
        frame["review"] = " ".join(w for i, w in enumerate(words) if i in kept)
        for k, column in enumerate(("age", "city"), len(words)):
            if k in kept:
                frame[column] = row[column]
        return float(np.mean(answer(frame)))

    return shapley(len(words) + 2, worth)


@pytest.mark.parametrize("unit", ["prob", "log-odds"])
def test_words_and_columns_are_one_coalition_space(tabular, unit):
    background = FRAME.iloc[3:9]
    e = saywhy.Explainer(tabular, background=background)(FRAME.iloc[2], target="True", unit=unit, trust="none")
    assert e.words == ("a", "great", "good", "story", "age = 34", "city = Rome")
    assert [f.part for f in e.features[3:]] == ["review", "age", "city"]
    p = lambda frame: tabular.predict_proba(frame)[:, 1]  # noqa: E731
    right = of_row(FRAME.iloc[2], background, p if unit == "prob" else lambda f: np.log(p(f) / (1 - p(f))))
    np.testing.assert_allclose(e.scores, right, atol=1e-9)
    assert any("6 rows of the background" in note for note in e.notes)


def test_a_background_of_one_value_and_of_means(tabular):
    row, values = FRAME.iloc[2], {"review": "", "age": 30.0, "city": "Oslo"}
    p = lambda frame: tabular.predict_proba(frame)[:, 1]  # noqa: E731
    e = saywhy.Explainer(tabular, background=values)(row, target="True", trust="none")
    np.testing.assert_allclose(e.scores, of_row(row, pd.DataFrame([values]), p), atol=1e-9)
    means = pd.DataFrame([{"review": "", "age": FRAME["age"].mean(), "city": "Rome"}])
    for explained in (
        saywhy.Explainer(tabular, background=("mean", FRAME))(row, target="True", trust="none"),
        saywhy.Explainer(tabular)(FRAME, target="True", trust="none")[2],  # of the rows of the call
    ):
        np.testing.assert_allclose(explained.scores, of_row(row, means, p), atol=1e-9)
        assert any("mean of numbers" in note for note in explained.notes)


def test_how_each_column_is_cut(tabular):
    explainer = saywhy.Explainer(tabular, background=FRAME.iloc[:3])
    whole = explainer(FRAME.iloc[2], by="column", trust="none")
    assert whole.words == ("review = a great good story", "age = 34", "city = Rome")
    mixed = explainer(FRAME.iloc[2], by={"review": "word", "age": "column"}, trust="none")
    assert len(mixed.features) == 6
    with pytest.raises(OptionError, match="'review'"):
        explainer(FRAME.iloc[2], by={"revue": "word"})
    with pytest.raises(InputError, match=r"age.*no text"):
        explainer(FRAME.iloc[2], by={"age": "word"})


def test_missing_values_stay_missing():
    lightgbm = pytest.importorskip("lightgbm")
    x = pd.DataFrame({"a": [1.0, np.nan, 3.0, 4.0] * 10, "b": [5.0, 6.0, 7.0, np.nan] * 10})
    model = lightgbm.LGBMClassifier(n_estimators=5, min_child_samples=1, verbose=-1).fit(x, [0, 1, 0, 1] * 10)
    e = saywhy.Explainer(model, background=x.iloc[[0]])(x.iloc[1], target="1", trust="none")
    assert e.words == ("a = missing", "b = 6")
    assert e.value == pytest.approx(model.predict_proba(x.iloc[[1]])[0, 1], abs=1e-12)


def test_columns_that_are_thrown_away_are_no_features(tabular):
    wide = FRAME.assign(note="x", size=1.0)
    columns = ColumnTransformer([("t", CountVectorizer(), "review"), ("n", "passthrough", ["age"])], remainder="drop")
    model = make_pipeline(columns, LinearRegression()).fit(wide, np.arange(32.0))
    explainer = saywhy.Explainer(model, background=wide.iloc[:2])
    e = explainer(wide.iloc[1], trust="none")
    assert {f.part for f in e.features} == {"review", "age"}
    assert e.value == pytest.approx(float(model.predict(wide.iloc[[1]])[0]))
    assert len(explainer(wide[["review", "age"]].iloc[:2], trust="none")) == 2
    by_place = ColumnTransformer([("n", "passthrough", [1])], remainder="drop")
    again = make_pipeline(by_place, LinearRegression()).fit(FRAME[["city", "age"]], np.arange(32.0))
    assert saywhy.Explainer(again).model.row_columns in (("age",), ("city", "age"))


def test_a_missing_category_is_missing_as_it_was_when_fitted():
    frame = pd.DataFrame({"city": ["Rome", None, "Oslo", "Rome"] * 5, "age": [1, 2, 3, 4] * 5})
    columns = ColumnTransformer(
        [("c", OneHotEncoder(handle_unknown="ignore"), ["city"]), ("n", "passthrough", ["age"])]
    )
    model = make_pipeline(columns, LinearRegression()).fit(frame, [1.0, 5.0, 2.0, 3.0] * 5)
    e = saywhy.Explainer(model, background=frame.iloc[:1])(frame.iloc[1], trust="none")
    assert e.words[0] == "city = missing"
    assert e.value == pytest.approx(float(model.predict(frame.iloc[[1]])[0]), abs=1e-9)


def test_classes_that_are_numbers_of_their_own():
    pipe = fitted(CountVectorizer(), MultinomialNB(), y=[3, 4, 5, 3] * 8)
    assert saywhy.Explainer(pipe)(ASKED, target=5, trust="none").target.label == "5"
    with pytest.raises(OptionError, match="out of range"):
        saywhy.Explainer(pipe)(ASKED, target=6)


def test_columns_without_names_and_functions_of_frames():
    x = FRAME[["age"]].to_numpy() @ np.ones((1, 2))
    model = LinearRegression().fit(x, np.arange(32.0))
    found = saywhy.Explainer(model)(x[:3], trust="none")
    assert found[0].words == ("x0 = 20", "x1 = 20")
    assert found[1].value == pytest.approx(model.predict(x[1:2])[0])
    explainer = saywhy.Explainer(lambda frame: frame["age"] * 2, labels=["double"], background=FRAME[["age"]])
    e = explainer({"age": 50.0}, trust="none")
    assert e.scores[0] == pytest.approx(2 * (50 - FRAME["age"].mean()))


def test_rows_that_cannot_be_read_say_why(tabular):
    explainer = saywhy.Explainer(tabular)
    with pytest.raises(OptionError, match="background="):
        explainer(FRAME.iloc[0])
    with pytest.raises(InputError, match="data frame"):
        explainer(["a text", "another"])
    with pytest.raises(InputError, match="'age'"):
        explainer(FRAME[["review", "city"]])
    with pytest.raises(OptionError, match=r"('mean', frame)|sample"):
        saywhy.Explainer(tabular, background=pd.concat([FRAME] * 40))
    with pytest.raises(OptionError, match="'city'"):
        saywhy.Explainer(tabular, background={"age": 3, "review": ""})


def test_a_row_explained_draws_and_travels(tabular, tmp_path):
    e = saywhy.Explainer(tabular, background=FRAME.iloc[:2])(FRAME.iloc[2], trust="none")
    again = saywhy.load(e.save(tmp_path / "row.json"))
    assert again.features == e.features
    assert "city = Rome" in str(e)
    assert "age = 34" in e._repr_html_()


# ---- inputs of other libraries ---------------------------------------------------------------------------------------


def columns_of_texts():
    out = [pd.Series(TEXTS[:4]), np.array(TEXTS[:4]), np.array(TEXTS[:4], dtype=object), iter(TEXTS[:4])]
    pyarrow = pytest.importorskip("pyarrow")
    return [*out, pyarrow.array(TEXTS[:4]), pyarrow.chunked_array([TEXTS[:2], TEXTS[2:4]])]


def test_columns_of_texts_are_lists_of_texts():
    explainer = saywhy.Explainer(fitted(CountVectorizer(), MultinomialNB()))
    right = [e.scores.tolist() for e in explainer(TEXTS[:4], trust="none")]
    for given in columns_of_texts():
        found = explainer(given, trust="none")
        assert [e.scores.tolist() for e in found] == right, type(given)
    assert len(explainer.predict(pd.Series(TEXTS))) == 32
    assert len(list(explainer.stream(pd.Series(TEXTS[:3])))) == 3


def test_rows_of_any_frame(tabular):
    pyarrow = pytest.importorskip("pyarrow")
    explainer = saywhy.Explainer(tabular, background=FRAME.iloc[:2])
    some = FRAME.iloc[:3]
    right = [e.scores.tolist() for e in explainer(some, trust="none")]
    frames = [some.to_dict("records"), iter(some.to_dict("records")), pyarrow.Table.from_pandas(some)]
    for given in frames:
        assert [e.scores.tolist() for e in explainer(given, trust="none")] == right, type(given)
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(some.to_dict("list"))
    assert [e.scores.tolist() for e in explainer(frame, trust="none")] == right
    assert [e.scores.tolist() for e in explainer(frame.lazy(), trust="none")] == right


def test_a_missing_text_is_refused_by_its_place():
    explainer = saywhy.Explainer(fitted(CountVectorizer(), MultinomialNB()))
    with pytest.raises(InputError, match="Input 1 of 2"):
        explainer(pd.Series(["good", None]))


def test_compare_and_corpora_take_frames(tabular, tmp_path):
    pytest.importorskip("pyarrow")
    explainer = saywhy.Explainer(fitted(CountVectorizer(), MultinomialNB()))
    found = saywhy.compare(explainer, FRAME["review"].iloc[:3], ["occlusion"], ["removal_area"], progress=False)
    assert len(found.ranking()) >= 1
    assert saywhy.compare(saywhy.Explainer(tabular), FRAME.iloc[:3], ["occlusion"], ["removal_area"], progress=False)
    from saywhy import corpus

    made = corpus.run(explainer, FRAME, tmp_path / "texts", text="review", progress=False)
    assert made.manifest["done"]["rows"] == 32
    assert made.manifest["done"]["errors"] == 0
    columns = ["review", "age", "city"]
    own = saywhy.Explainer(tabular, background=FRAME.iloc[:2])
    rows = corpus.run(own, FRAME.iloc[:6], tmp_path / "rows", text=columns, progress=False)
    assert rows.manifest["done"]["errors"] == 0
    with pytest.raises(OptionError, match="name them all"):
        corpus.run(own, FRAME, tmp_path / "more", text="review", progress=False)
