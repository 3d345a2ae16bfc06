"""Rows and settings on their way to a worker of a corpus: each value arrives as what it was."""

from __future__ import annotations

import datetime
import decimal
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("sklearn")
pytest.importorskip("skops")

import pandas as pd
import skops.io
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

import saywhy
from saywhy.corpus.serialization import dumped, loaded

VALUES = [
    *(np.int64(3), np.float32(0.1), np.bool_(True), np.uint8(7)),
    *(decimal.Decimal("1.50"), b"\xff", datetime.date(2020, 1, 2), datetime.time(1, 2, 3, 4)),
    *(datetime.datetime(2020, 1, 2, 3, tzinfo=datetime.timezone.utc), datetime.timedelta(1, 2, 3)),
    *(pd.Timestamp("2020-01-01 00:00:00.000000001"), pd.Timedelta(5, "ns"), pd.NA, pd.NaT),
    *(pd.CategoricalDtype(["b", "a"], ordered=True), pd.CategoricalDtype([1, 2]), pd.CategoricalDtype()),
    *(float("nan"), float("inf"), -0.0, 10**40, None, True, "text", [1, [2.0, "x"]]),
    *((1, ("a", [2])), {1: "a", False: {None: 2.5}}, {(1, 2): {3}}, {"a": (1,)}, {7}, frozenset({7}), ()),
    *(np.array([[1.5, 2.0]], dtype=np.float32), np.array(["a", "bc"]), np.zeros((0, 3), dtype=bool)),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: f"{type(value).__name__} {value!r:.30}")
def test_a_value_comes_back_as_what_it_was(value):
    [found] = loaded(dumped([value]))
    assert type(found) is type(value)
    assert repr(found) == repr(value)
    if isinstance(value, pd.CategoricalDtype) and value.categories is not None:
        assert found.categories.equals(value.categories)
        assert found.categories.dtype == value.categories.dtype


def test_what_cannot_be_told_is_named():
    assert loaded(dumped({"a": Path("b")})) == {"a": "b"}
    with pytest.raises(TypeError, match="object"):
        dumped({"a": object()})


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Every column is a category: 1 is another one than "1", and True another than "True"."""
    frame = pd.DataFrame({"code": [1, 2, 3] * 8, "flag": [True, False] * 12, "plan": list("abca") * 6})
    made = make_pipeline(
        ColumnTransformer([("c", OneHotEncoder(handle_unknown="ignore"), ["code", "flag", "plan"])]),
        LogisticRegression(),
    ).fit(frame, ["yes", "no", "no"] * 8)
    path = tmp_path_factory.mktemp("model") / "m.skops"
    skops.io.dump(made, path)
    return made, str(path), frame


def categories(frame):
    return frame.astype({"plan": "category", "code": pd.CategoricalDtype([3, 2, 1], ordered=True)})


def numpy_rows(frame):
    return [{name: frame[name].to_numpy()[i] for name in frame} for i in range(len(frame))]


def lacking(frame):
    return frame.astype({"code": "Int64", "flag": "boolean"}).mask(frame["code"] == 2)


@pytest.mark.parametrize("form", [numpy_rows, categories, lacking])
def test_workers_explain_rows_as_one_process_does(form, model, tmp_path):
    made, path, frame = model
    settings = {"method": "occlusion", "shard_rows": 3, "progress": False}
    given = frame.head(6)
    alone = saywhy.corpus.run(path, form(given), tmp_path / "one", cache=0, **settings).to_arrow()
    found = saywhy.corpus.run(path, form(given), tmp_path / "two", workers=2, **settings).to_arrow()
    assert alone["error"].null_count == found["error"].null_count == 6
    np.testing.assert_allclose(found["value"].to_numpy(), alone["value"].to_numpy(), atol=1e-9)
    scores = [[[f["score"] for f in each] for each in table["features"].to_pylist()] for table in (alone, found)]
    np.testing.assert_allclose(scores[1], scores[0], atol=1e-6)
    if form is not lacking:
        sure = made.predict_proba(given).max(1)
        np.testing.assert_allclose(found["probability"].to_numpy(), sure, atol=1e-9)


def test_settings_of_numpy_are_told_to_workers(model, tmp_path):
    _, path, frame = model
    settings = {"method": "kernel_shap", "seed": np.int64(3), "progress": False, "background": frame.head(2)}
    found = saywhy.corpus.run(path, frame.head(2), tmp_path / "out", workers=2, shard_rows=1, **settings)
    assert found.to_arrow()["error"].null_count == 2
