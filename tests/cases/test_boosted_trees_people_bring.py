"""Gradient-boosted trees of LightGBM, XGBoost and CatBoost, whose columns are told in ways of their own."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import saywhy
from saywhy.core.errors import OptionError

pd = pytest.importorskip("pandas")

RNG = np.random.default_rng(0)
N = 200
ROWS = pd.DataFrame(
    {
        "the age": RNG.integers(18, 80, N),
        "city": RNG.choice(["A", "B", "C"], N),
        "code": RNG.choice([0, 1, 4, 5], N, p=[0.4, 0.2, 0.1, 0.3]),
    }
)
PAY = (ROWS["the age"] - 45) / 9 + (ROWS.city == "A") * 1.5 + ROWS.code.map({0: 2.0, 1: -3.0, 4: 3.0, 5: -1.0})
WELL = PAY.gt(PAY.median()).astype(int)
BAND = pd.cut(PAY, [-99, -1, 1, 99], labels=["lo", "mid", "hi"]).astype(str)
NUMBERS = ROWS[["the age", "code"]]
CATEGORIES = ROWS.assign(city=ROWS.city.astype("category"), code=ROWS.code.astype("category"))
TREES = {"n_estimators": 12, "n_jobs": 1}
LEAVES = {**TREES, "verbose": -1, "min_child_samples": 5, "num_leaves": 7, "min_data_per_group": 5, "cat_smooth": 1}
SMALL = {"iterations": 12, "depth": 3, "verbose": 0, "allow_writing_files": False, "thread_count": 1}


def shapley(f: Callable[[Any], Any], row: Any, background: Any) -> list[float]:
    """The Shapley values of a row, from the definition, with the frame's own types."""
    names = list(background)

    def worth(present: tuple[str, ...]) -> float:
        mixed = background.copy()
        for name in present:
            mixed[name] = pd.Series([row[name]] * len(mixed), index=mixed.index).astype(background[name].dtype)
        return float(np.mean(f(mixed)))

    out = []
    for name in names:
        others = [other for other in names if other != name]
        total = 0.0
        for size in range(len(names)):
            share = math.factorial(size) * math.factorial(len(names) - size - 1) / math.factorial(len(names))
            for present in itertools.combinations(others, size):
                total += share * (worth((*present, name)) - worth(present))
        out.append(total)
    return out


def explained(model: Any, row: Any, background: Any, **how: Any) -> Any:
    return saywhy.Explainer(model, **how)(row, background=background, method="shapley_values", trust="none")


# ---- LightGBM --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("booster", [False, True])
def test_names_with_blanks_are_the_callers_in_whatever_order_its_columns_stand(booster: bool) -> None:
    lightgbm = pytest.importorskip("lightgbm")
    fitted = lightgbm.LGBMRegressor(**LEAVES).fit(NUMBERS, PAY)
    model = fitted.booster_ if booster else fitted
    turned = NUMBERS.iloc[:5, ::-1]
    right = shapley(lambda rows: fitted.predict(rows[list(NUMBERS)]), NUMBERS.iloc[20], NUMBERS.iloc[:5])
    for row in (
        NUMBERS.iloc[20],
        turned.iloc[:0].columns.to_series().map(NUMBERS.iloc[20]),
        NUMBERS.iloc[20].to_dict(),
    ):
        np.testing.assert_allclose(explained(model, row, turned).scores, right, atol=1e-6)
    [said] = saywhy.Explainer(model, background=turned)(NUMBERS.iloc[[20], ::-1], method="shapley_values", trust="none")
    np.testing.assert_allclose(said.scores, right, atol=1e-6)


def test_numbers_that_trees_read_as_categories_have_no_mean() -> None:
    lightgbm = pytest.importorskip("lightgbm")
    model = lightgbm.LGBMRegressor(**LEAVES).fit(NUMBERS, PAY, categorical_feature=["code"])
    for each in (model, model.booster_):
        e = explained(each, NUMBERS.iloc[20], ("mean", NUMBERS))
        stands_in = pd.DataFrame({"the age": [NUMBERS["the age"].mean()], "code": [int(NUMBERS.code.mode()[0])]})
        assert e.base == pytest.approx(float(model.predict(stands_in)[0]))
        assert e.base != pytest.approx(float(model.predict(stands_in.assign(code=NUMBERS.code.mean()))[0]))


@pytest.mark.parametrize("library", ["lightgbm", "xgboost"])
def test_rows_without_types_are_read_as_the_frame_that_the_trees_were_fitted_on(library: str) -> None:
    module = pytest.importorskip(library)
    if library == "lightgbm":
        model = module.LGBMRegressor(**LEAVES).fit(CATEGORIES, PAY)
    else:
        pytest.importorskip("pyarrow")
        model = module.XGBRegressor(**TREES, enable_categorical=True, tree_method="hist").fit(CATEGORIES, PAY)
    right = shapley(model.predict, CATEGORIES.iloc[20], CATEGORIES.iloc[:5])
    for background in (CATEGORIES.iloc[:5], ROWS.iloc[:5], ROWS.iloc[:5].to_dict("records")):
        e = explained(model, ROWS.iloc[20].to_dict(), background)
        np.testing.assert_allclose(e.scores, right, atol=1e-5)


@pytest.mark.parametrize("around", ["search", "calibration", "transformer"])
def test_types_are_found_within_and_given_to_the_columns_that_are_read(around: str) -> None:
    lightgbm = pytest.importorskip("lightgbm")
    sklearn = pytest.importorskip("sklearn")
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.compose import ColumnTransformer
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    assert sklearn
    trees = lightgbm.LGBMClassifier(**LEAVES)
    if around == "search":
        model = GridSearchCV(trees, {"num_leaves": [7]}, cv=2)
    elif around == "calibration":
        model = CalibratedClassifierCV(trees, cv=2)
    else:  # after which the columns stand in another order, so that their places are not those of the frame
        scaled = ColumnTransformer([("n", StandardScaler(), ["the age"])], remainder="passthrough")
        model = make_pipeline(scaled.set_output(transform="pandas"), trees)
    frame = CATEGORIES[["city", "the age", "code"]]
    model.fit(frame, WELL)
    right = shapley(lambda rows: model.predict_proba(rows)[:, 1], frame.iloc[20], frame.iloc[:5])
    backgrounds = [frame.iloc[:5]] if around == "transformer" else [frame.iloc[:5], frame.iloc[:5].to_dict("records")]
    for background in backgrounds:
        e = saywhy.Explainer(model)(
            frame.iloc[20], background=background, target=1, method="shapley_values", trust="none"
        )
        np.testing.assert_allclose(e.scores, right, atol=1e-6)


# ---- XGBoost ---------------------------------------------------------------------------------------------------------


def test_a_booster_of_xgboost_reads_frames_and_arrays() -> None:
    xgboost = pytest.importorskip("xgboost")
    named = xgboost.train({"objective": "binary:logistic", "nthread": 1}, xgboost.DMatrix(NUMBERS, label=WELL), 8)
    right = shapley(lambda rows: named.predict(xgboost.DMatrix(rows)), NUMBERS.iloc[20], NUMBERS.iloc[:5])
    np.testing.assert_allclose(explained(named, NUMBERS.iloc[20], NUMBERS.iloc[:5]).scores, right, atol=1e-6)
    kinds = xgboost.DMatrix(NUMBERS.values, label=PAY, feature_types=["q", "c"], enable_categorical=True)
    plain = xgboost.train({"objective": "reg:squarederror", "nthread": 1}, kinds, 8)
    found = saywhy.Explainer(plain)(NUMBERS.values[:3], background=NUMBERS.values[3:8], trust="none")
    assert [e.value for e in found] == pytest.approx(plain.predict(kinds)[:3].tolist(), abs=1e-6)
    e = explained(plain, {"x0": 40, "x1": 4}, ("mean", pd.DataFrame(NUMBERS.values, columns=["x0", "x1"])))
    middle = xgboost.DMatrix(
        np.array([[NUMBERS["the age"].mean(), 0.0]]), feature_types=["q", "c"], enable_categorical=True
    )
    assert e.base == pytest.approx(float(plain.predict(middle)[0]), abs=1e-6)


def test_labels_that_do_not_exclude_each_other_are_not_the_two_classes_of_each() -> None:
    xgboost = pytest.importorskip("xgboost")
    truth = np.stack([WELL, ROWS.city == "A"], axis=1).astype(int)
    model = xgboost.XGBClassifier(**TREES).fit(NUMBERS, truth)
    found = saywhy.Explainer(model).each_target(NUMBERS.iloc[20], background=NUMBERS.iloc[:5], trust="none")
    assert [e.target.label for e in found] == ["label 0", "label 1"]
    assert [e.value for e in found] == pytest.approx(model.predict_proba(NUMBERS)[20].tolist(), abs=1e-6)
    named = explained(model, NUMBERS.iloc[20], NUMBERS.iloc[:5], labels=["well paid", "in A"])
    assert named.target.label in ("well paid", "in A")


# ---- CatBoost --------------------------------------------------------------------------------------------------------


def test_catboost_with_its_names_categories_and_texts() -> None:
    catboost = pytest.importorskip("catboost")
    model = catboost.CatBoostClassifier(**SMALL, cat_features=["city", "code"]).fit(ROWS, BAND)
    place = list(model.classes_).index("hi")
    row = ROWS.iloc[20]
    e = saywhy.Explainer(model)(row, background=ROWS.iloc[:5], target="hi", method="shapley_values", trust="none")
    np.testing.assert_allclose(
        e.scores, shapley(lambda rows: model.predict_proba(rows)[:, place], row, ROWS.iloc[:5]), atol=1e-6
    )
    e = explained(model, row, ("mean", ROWS))
    assert e.words == tuple(f"{name} = {row[name]}" for name in ROWS)
    noted = ROWS.assign(note=RNG.choice(["a good film", "a bad film", "so so"], N))
    model = catboost.CatBoostClassifier(**SMALL, cat_features=["city"], text_features=["note"]).fit(noted, WELL)
    e = explained(model, noted.iloc[20], noted.iloc[:5])
    assert e.words[3:] == tuple(noted.note[20].split())


@pytest.mark.parametrize("of", ["regressor", "ranker", "plain", "several"])
def test_models_of_catboost_without_classes_give_scores(of: str) -> None:
    catboost = pytest.importorskip("catboost")
    if of == "regressor":
        model = catboost.CatBoostRegressor(**SMALL).fit(NUMBERS, PAY)
    elif of == "ranker":
        model = catboost.CatBoostRanker(**SMALL).fit(catboost.Pool(NUMBERS, WELL, group_id=np.arange(N) // 20))
    elif of == "plain":  # which has classes, and predicts no class
        model = catboost.CatBoost({**SMALL, "loss_function": "Logloss"}).fit(NUMBERS, WELL)
    else:
        truth = np.stack([WELL, ROWS.city == "A"], axis=1).astype(int)
        model = catboost.CatBoostClassifier(**SMALL, loss_function="MultiLogloss").fit(NUMBERS, truth)
        found = saywhy.Explainer(model).each_target(NUMBERS.iloc[20], background=NUMBERS.iloc[:5], trust="none")
        assert [e.value for e in found] == pytest.approx(model.predict_proba(NUMBERS)[20].tolist(), abs=1e-9)
        return
    right = shapley(model.predict, NUMBERS.iloc[20], NUMBERS.iloc[:5])
    np.testing.assert_allclose(explained(model, NUMBERS.iloc[20], NUMBERS.iloc[:5]).scores, right, atol=1e-6)


@pytest.mark.parametrize(
    ("library", "name"),
    [("lightgbm", "LGBMClassifier"), ("xgboost", "XGBRegressor"), ("catboost", "CatBoostRegressor")],
)
def test_trees_that_are_not_fitted_are_refused_in_words(library: str, name: str) -> None:
    model = getattr(pytest.importorskip(library), name)()
    with pytest.raises(OptionError, match=r"is not fitted yet: call its fit"):
        saywhy.Explainer(model)
